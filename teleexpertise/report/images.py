"""Photographs made ready for print: upright, without metadata, no larger than the page can show."""

from __future__ import annotations

import io
import struct
import warnings

from PIL import Image, ImageOps

__all__ = ["LONGEST_SIDE", "MAX_PIXELS", "printable"]

#: Pixels of the longer side: the width of a column at 300 dots per inch.
LONGEST_SIDE = 1400
#: More pixels than any camera makes; above it a small file can unpack to gigabytes.
MAX_PIXELS = 80_000_000

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
_QUALITY = 85
# What Pillow raises for broken or hostile files, over its decoders.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    ArithmeticError,
    LookupError,
    TypeError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def printable(content: bytes) -> bytes | None:
    """The image as an upright RGB JPEG without EXIF, or ``None`` for one that cannot be read or is too
    large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                return _reduced(image)
    except _BROKEN:
        return None


def _reduced(image: Image.Image) -> bytes:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError("more pixels than a photograph has")
    # Let the JPEG decoder skip what will be thrown away.
    image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    # PDF/A-1 knows no transparency (ISO 19005-1 §6.4): what shines through is paper.
    opaque = upright.convert("RGBA")
    paper = Image.new("RGB", opaque.size, "white")
    paper.paste(opaque, mask=opaque.getchannel("A"))
    output = io.BytesIO()
    paper.save(output, "JPEG", quality=_QUALITY, optimize=True)
    return output.getvalue()
