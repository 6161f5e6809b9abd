"""Pictures made ready for print: upright, in the colours of the report, without metadata, no larger than the
page can show.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pillow_heif
from PIL import Image, ImageCms, ImageFile

from teleexpertise.report.kinds import FileKind

__all__ = ["LONGEST_SIDE", "MAX_PIXELS", "MAX_SHEETS", "SHEET_SIDE", "Picture", "printable", "sheet"]

#: Pixels of the longer side of a photograph: 80 mm at 300 dots per inch, and still 200 where a reader
#: enlarges the column by half.
LONGEST_SIDE = 960
#: Pixels of the longer side of a page: 235 mm at 200 dots per inch.
SHEET_SIDE = 1850
#: More pixels than all but a few cameras make; above it a small file can unpack to gigabytes.
MAX_PIXELS = 80_000_000
#: Pages of one document that are shown.
MAX_SHEETS = 6

_QUALITY = 85
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
_ORIENTATION, _NEW_SUBFILE_TYPE = 0x0112, 0x00FE
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow, libheif and pydicom raise for broken or hostile files, over their decoders; and the end of the
# memory that a printing process may take.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is printed of one file: JPEGs in sRGB without metadata. ``document``: pages, not photographs.

    ``more``: the file holds more pages or moments than these. ``pixels`` were unpacked for it.
    """

    sheets: tuple[bytes, ...]
    more: bool = False
    document: bool = False
    pixels: int = 0


def printable(content: bytes, kind: FileKind) -> Picture | None:
    """The picture in a file of this kind (any but PDF), or ``None`` for one that cannot be read, that asks
    for a guess, or that is too large.
    """
    try:
        with warnings.catch_warnings(), _whole_files_only():
            # Decoders warn in the file's own words.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if kind is FileKind.DICOM:
                # Loaded with the first such file: few reports have one.
                from teleexpertise.report.dicom import dicom_picture

                return _whole(dicom_picture(content, MAX_PIXELS))
            if kind is FileKind.HEIF:
                return _heif(content)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                return _pages(image) if kind is FileKind.TIFF else _photograph(image)
    except _BROKEN:
        return None


@contextmanager
def _whole_files_only() -> Iterator[None]:
    """WeasyPrint has Pillow fill up what is cut off, everywhere: half a lesion would look whole."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def sheet(image: Image.Image, longest: int) -> bytes:
    """An RGB or grey image as JPEG of quality 85, its longer side at most ``longest`` pixels."""
    image.thumbnail((longest, longest))
    return _jpeg(image)


def _photograph(image: Image.Image) -> Picture:
    _bound(image.size)
    pixels, more = image.width * image.height, getattr(image, "n_frames", 1) > 1
    # Let the JPEG decoder skip what will be thrown away.
    image.draft(None, (LONGEST_SIDE, LONGEST_SIDE))
    return Picture((_reduced(image, LONGEST_SIDE),), more=more, pixels=pixels)


def _heif(content: bytes) -> Picture:
    # Turned by libheif as the file says; its EXIF orientation is then only a memory.
    file = pillow_heif.open_heif(io.BytesIO(content))
    _bound(file.size)
    image = file.to_pillow()
    image.info.pop("exif", None)
    return _whole(image)


def _pages(image: Image.Image) -> Picture:
    """The pages of a TIFF, without the previews that a camera keeps beside its picture."""
    sheets: list[bytes] = []
    pixels, frame, more = 0, 0, False
    while True:
        try:
            image.seek(frame)
        except EOFError:
            break
        frame += 1
        if frame > 1 and _preview(image):
            continue
        if len(sheets) == MAX_SHEETS or frame > 2 * MAX_SHEETS:
            more = True
            break
        _bound(image.size)
        pixels += image.width * image.height
        sheets.append(_reduced(image, SHEET_SIDE))
    if len(sheets) > 1:
        return Picture(tuple(sheets), more=more, document=True, pixels=pixels)
    image.seek(0)
    return Picture((_reduced(image, LONGEST_SIDE),), more=more, pixels=pixels)


def _preview(image: Image.Image) -> bool:
    kind = getattr(image, "tag_v2", {}).get(_NEW_SUBFILE_TYPE, 0)
    return isinstance(kind, int) and bool(kind & 1)


def _whole(image: Image.Image) -> Picture:
    return Picture((_reduced(image, LONGEST_SIDE),), pixels=image.width * image.height)


def _bound(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError("more pixels than a photograph has")


def _reduced(image: Image.Image, longest: int) -> bytes:
    image.load()
    profile = image.info.get("icc_profile")
    # After loading: the decoder of TIFF turns by itself.
    turn = _TURNS.get(_orientation(image))
    plain = _resizable(image)
    plain.thumbnail((longest, longest))
    upright = plain.transpose(turn) if turn is not None else plain
    return _jpeg(_in_srgb(_on_paper(upright), profile))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:  # a picture with broken metadata is a picture
        return 1


def _resizable(image: Image.Image) -> Image.Image:
    """In a mode that can be made smaller without loss of tones; raises ``ValueError`` for values without a
    known white.
    """
    if image.mode.startswith("I;16"):
        return image.convert("I").point([value >> 8 for value in range(1 << 16)], "L")
    if image.mode in ("I", "F", "LAB"):
        raise ValueError("no picture of known tones")
    if image.mode in ("1", "P", "PA", "HSV", "YCbCr") or "transparency" in image.info:
        shades = {"1": "L", "HSV": "RGB", "YCbCr": "RGB"}
        return image.convert(shades.get(image.mode, "RGBA"))
    return image if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") else image.convert("RGBA")


def _on_paper(image: Image.Image) -> Image.Image:
    """PDF/A-1 knows no transparency (``ISO 19005-1 §6.4``): what shines through is paper."""
    if image.mode not in ("LA", "RGBA"):
        return image
    paper = Image.new(image.mode[:-1], image.size, "white")
    paper.paste(image.convert(paper.mode), mask=image.getchannel("A"))
    return paper


def _in_srgb(image: Image.Image, profile: object) -> Image.Image:
    """In the colours of the report's output intent; a profile that is broken or of another kind of image is
    none.
    """
    if isinstance(profile, bytes) and profile:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _jpeg(image: Image.Image) -> bytes:
    # A new image: what the source says beside its pixels (EXIF, XMP, comments, profiles) stays behind.
    bare = Image.new("RGB", image.size)
    bare.paste(image.convert("RGB"))
    output = io.BytesIO()
    bare.save(output, "JPEG", quality=_QUALITY, optimize=True)
    return output.getvalue()
