"""DICOM images of one frame as plain pictures: pixels only, nothing of the header that names anybody."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from itertools import islice
from math import exp

from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

__all__ = ["dicom_picture"]

# Nothing else is parsed: whoever the patient is, this module does not know.
_KEYWORDS = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PixelData"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence", "VOILUTFunction"),
    *("WindowCenter", "WindowWidth", "PixelPaddingValue", "BurnedInAnnotation"),
    *("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"),
)
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
#: No detector has pixels longer than that.
_MOST_ASPECT = 4.0
_GROUP_2 = 0x0002


def dicom_picture(content: bytes, most_pixels: int) -> Image.Image:
    """The one frame of a DICOM file (``PS3.10 §7``) as ``L`` or ``RGB``, in the contrast that its window asks
    for (``PS3.3 §C.11.2``), without a window from the darkest to the brightest value.

    Uncompressed little endian and JPEG baseline are read. Raises ``ValueError`` for what is not read rather
    than guessed (other compression, several frames, palettes, lookup tables), for more than ``most_pixels``
    and for a picture that says that an identity may be written into its pixels; for broken files also what
    pydicom and Pillow raise.
    """
    with warnings.catch_warnings():
        # Warnings of pydicom repeat values of the header.
        warnings.simplefilter("ignore")
        header, syntax = _header(content)
        _check(header, most_pixels)
        stored = _plain_frame(header) if syntax in _PLAIN else _jpeg_frame(header)
        if str(header.PhotometricInterpretation) in _MONOCHROME:
            stored = _shades(header, stored)
        return _square_pixels(header, stored)


def _header(content: bytes) -> tuple[Dataset, str]:
    file = io.BytesIO(content)
    read_preamble(file, False)
    meta = read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != _GROUP_2)
    syntax = str(meta.TransferSyntaxUID)
    # Before the rest is read: the deflated syntax would be unpacked without a bound.
    if syntax not in (*_PLAIN, JPEGBaseline8Bit):
        raise ValueError("a transfer syntax that is not read")
    file.seek(0)
    wanted = [tag for word in _KEYWORDS if (tag := tag_for_keyword(word)) is not None]
    return dcmread(file, specific_tags=list(wanted)), syntax


def _check(header: Dataset, most_pixels: int) -> None:
    rows, columns = int(header.Rows), int(header.Columns)
    if not 0 < rows * columns <= most_pixels:
        raise ValueError("no pixels, or more than a picture has")
    if int(header.get("NumberOfFrames") or 1) != 1:
        raise ValueError("several frames")
    if str(header.get("BurnedInAnnotation", "NO")) == "YES":
        raise ValueError("an identity may be written into the pixels")
    if header.get("ModalityLUTSequence") or (header.get("VOILUTSequence") and "WindowCenter" not in header):
        raise ValueError("contrast by a lookup table")
    stored, allocated = int(header.BitsStored), int(header.BitsAllocated)
    if allocated not in (8, 16) or not 0 < stored <= int(header.HighBit) + 1 <= allocated:
        raise ValueError("pixels of a form that is not read")


def _plain_frame(header: Dataset) -> Image.Image:
    size = (int(header.Columns), int(header.Rows))
    kind, samples = str(header.PhotometricInterpretation), int(header.SamplesPerPixel)
    bits, data, pixels = int(header.BitsAllocated), bytes(header.PixelData), size[0] * size[1]
    length = pixels * samples * bits // 8
    if len(data) not in (length, length + length % 2):
        raise ValueError("another number of octets than pixels")
    data = data[:length]
    if samples == 1 and kind in _MONOCHROME:
        return Image.frombytes("L" if bits == 8 else "I;16", size, data)
    if samples == 3 and bits == 8 and kind in ("RGB", "YBR_FULL"):
        mode = "RGB" if kind == "RGB" else "YCbCr"
        if int(header.get("PlanarConfiguration", 0)) == 0:
            return Image.frombytes(mode, size, data).convert("RGB")
        planes = [Image.frombytes("L", size, data[at * pixels : (at + 1) * pixels]) for at in range(3)]
        return Image.merge(mode, planes).convert("RGB")
    raise ValueError("colours of a form that is not read")


def _jpeg_frame(header: Dataset) -> Image.Image:
    frames = list(islice(generate_frames(header.PixelData, number_of_frames=1), 2))
    kind, bits = str(header.PhotometricInterpretation), int(header.BitsAllocated)
    if len(frames) != 1 or bits != 8 or kind not in (*_MONOCHROME, "YBR_FULL_422", "YBR_FULL"):
        raise ValueError("a compressed form that is not read")
    with Image.open(io.BytesIO(frames[0]), formats=("JPEG",)) as image:
        expected = "L" if kind in _MONOCHROME else "RGB"
        if image.size != (int(header.Columns), int(header.Rows)) or image.mode != expected:
            raise ValueError("another picture than the header says")
        image.load()
        bare = Image.new(image.mode, image.size)
        bare.paste(image)
        return bare


def _shades(header: Dataset, image: Image.Image) -> Image.Image:
    """Stored values to shades of grey, by a table of all values that there can be."""
    values = _values(header)
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    meant = [slope * value + intercept for value in values]
    centre, width = _first(header.get("WindowCenter")), _first(header.get("WindowWidth"))
    function = str(header.get("VOILUTFunction", "LINEAR"))
    if centre is None or width is None:
        octets = image.tobytes()
        present = set(memoryview(octets).cast("H") if image.mode == "I;16" else octets)
        padding = header.get("PixelPaddingValue")
        seen = [meant[at] for at in present if values[at] != padding] or [0.0]
        centre, width, function = (min(seen) + max(seen)) / 2, max(seen) - min(seen) or 1.0, "LINEAR_EXACT"
    if not width > 0:
        raise ValueError("a window without width")
    table = [_shade(value, centre, width, function) for value in meant]
    if str(header.PhotometricInterpretation) == "MONOCHROME1":
        table = [255 - shade for shade in table]
    return (image.convert("I") if image.mode == "I;16" else image).point(table, "L")


def _values(header: Dataset) -> list[int]:
    """The value that each word of the frame stands for (``PS3.5 §8.1.1``)."""
    bits, shift = int(header.BitsStored), int(header.HighBit) + 1 - int(header.BitsStored)
    below = 1 << bits
    plain = [(word >> shift) & (below - 1) for word in range(1 << int(header.BitsAllocated))]
    if int(header.PixelRepresentation) == 0:
        return plain
    return [value - below if value >= below >> 1 else value for value in plain]


def _first(value: object) -> float | None:
    """The first of the windows offered, which is the one to begin with."""
    if value is None or value == "":
        return None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return float(value[0]) if value else None
    return float(str(value))


def _shade(value: float, centre: float, width: float, function: str) -> int:
    """0 to 255 (``PS3.3 §C.11.2.1.2``, ``C.11.2.1.3``)."""
    if function == "SIGMOID":
        power = max(-700.0, min(700.0, -4 * (value - centre) / width))
        return round(255 / (1 + exp(power)))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    elif function != "LINEAR_EXACT":
        raise ValueError("a window of unknown form")
    if value <= centre - width / 2:
        return 0
    if value > centre + width / 2:
        return 255
    return round(((value - centre) / width + 0.5) * 255)


def _square_pixels(header: Dataset, image: Image.Image) -> Image.Image:
    """Pixels that are longer than wide are stretched: proportions are read from a picture."""
    for word in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        spacing = header.get(word)
        if not spacing:
            continue
        vertical, horizontal = float(spacing[0]), float(spacing[1])
        aspect = vertical / horizontal
        if not 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT:
            raise ValueError("pixels of no likely shape")
        if abs(aspect - 1) < 0.01:
            return image
        width, height = image.size
        # The longer way, so that nothing is lost.
        size = (width, round(height * aspect)) if aspect > 1 else (round(width / aspect), height)
        return image.resize(size)
    return image
