"""Pictures of every kind that a mail may enclose, as cameras, scanners and modalities would write them."""

from __future__ import annotations

import io
import struct
from typing import Any

import pillow_heif
from PIL import Image, ImageCms, ImageDraw
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage
from pypdf import PdfWriter

__all__ = [
    "MARK",
    "SECRETS",
    "dicom",
    "document",
    "every_kind",
    "heic",
    "marked",
    "opened",
    "ramp",
    "saved",
    "secret_exif",
    "swapped_profile",
]

#: Colour of the mark in the upper left corner.
MARK = (27, 122, 140)
#: What a camera or a modality tells, and no report may.
SECRETS = (
    b"SecretMaker",
    b"SecretModel",
    b"SN-4711-SECRET",
    b"SecretSoftware",
    b"SECRET^PATIENT",
    b"GPSLatitude",
)
_MAKE, _MODEL, _SOFTWARE, _ORIENTATION, _GPS, _EXIF = 0x010F, 0x0110, 0x0131, 0x0112, 0x8825, 0x8769
_SERIAL, _LENS_SERIAL = 0xA431, 0xA435


def marked(width: int = 120, height: int = 80, mode: str = "RGB") -> Image.Image:
    """A picture with a mark in its upper left corner."""
    image = Image.new("RGB", (width, height), "#e8c4a8")
    ImageDraw.Draw(image).rectangle((0, 0, width // 4, height // 4), fill=MARK)
    return image.convert(mode)


def secret_exif(orientation: int = 1) -> Image.Exif:
    """Position, maker, model, serial numbers, program."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    exif[_MAKE], exif[_MODEL], exif[_SOFTWARE] = "SecretMaker", "SecretModel", "SecretSoftware"
    exif.get_ifd(_EXIF).update({_SERIAL: "SN-4711-SECRET", _LENS_SERIAL: "SN-4711-SECRET"})
    exif.get_ifd(_GPS).update({1: "N", 2: (45.0, 2.0, 36.0), 3: "E", 4: (3.0, 53.0, 6.0), 29: "2026:11:22"})
    return exif


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    """The image as a file of this form."""
    output = io.BytesIO()
    image.save(output, form, **options)
    return output.getvalue()


def heic(image: Image.Image, **options: Any) -> bytes:
    """The image as a phone would store it."""
    output = io.BytesIO()
    pillow_heif.from_pillow(image).save(output, quality=80, **options)
    return output.getvalue()


def opened(content: bytes) -> Image.Image:
    """The picture in some octets."""
    return Image.open(io.BytesIO(content))


def dicom(pixels: bytes, columns: int, rows: int, **changes: Any) -> bytes:
    """A secondary capture of a patient who must not be named: 16 bits of grey unless ``changes`` say
    otherwise. ``syntax`` is the transfer syntax.
    """
    syntax = changes.pop("syntax", ExplicitVRLittleEndian)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID("2.25.4711")
    meta.TransferSyntaxUID = syntax
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, "2.25.4711"
    data.PatientName, data.PatientID = "SECRET^PATIENT", "SN-4711-SECRET"
    data.Manufacturer, data.DeviceSerialNumber = "SecretMaker", "SN-4711-SECRET"
    values = {
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelData": encapsulate([pixels]) if syntax == JPEGBaseline8Bit else pixels,
    }
    for word, value in {**values, **changes}.items():
        setattr(data, word, value)
    data["PixelData"].VR = "OB" if data.BitsAllocated == 8 else "OW"
    data["PixelData"].is_undefined_length = syntax == JPEGBaseline8Bit
    output = io.BytesIO()
    data.save_as(output, enforce_file_format=True)
    return output.getvalue()


def ramp(values: list[int], code: str = "<H") -> bytes:
    """Stored values of a DICOM image."""
    return b"".join(struct.pack(code, value) for value in values)


def document(pages: int, password: str = "") -> bytes:
    """A PDF of A4 pages, each a picture of its own grey, number 1 the darkest."""
    sheets = [Image.new("RGB", (595, 842), (20 * n, 20 * n, 20 * n)) for n in range(1, pages + 1)]
    octets = saved(sheets[0], "PDF", save_all=True, append_images=sheets[1:])
    if not password:
        return octets
    writer = PdfWriter(clone_from=io.BytesIO(octets))
    writer.encrypt(password, algorithm="RC4-128")
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


def swapped_profile() -> bytes:
    """A colour profile for which red is green: who does not honour it is seen at once."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.find(b"rXYZ"), profile.find(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def every_kind() -> dict[str, bytes]:
    """Files by name, the last two broken."""
    image = marked(640, 480)
    return {
        "a.jpg": saved(image, "JPEG", exif=secret_exif(6)),
        "b.png": saved(image.convert("RGBA"), "PNG", icc_profile=swapped_profile()),
        "c.heic": heic(image, exif=secret_exif(6).tobytes()),
        "d.tiff": saved(image, "TIFF", save_all=True, append_images=[image]),
        "e.dcm": dicom(ramp([at % 4096 for at in range(64 * 64)]), 64, 64),
        "f.pdf": document(7),
        "g.jpg": saved(image.convert("CMYK"), "JPEG"),
        "h.gif": saved(image, "GIF", save_all=True, append_images=[marked(640, 480).rotate(90)]),
        "i.jpg": saved(image, "JPEG")[:400],
        "j.pdf": b"%PDF-1.4",
    }
