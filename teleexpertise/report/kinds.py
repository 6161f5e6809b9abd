"""What kind of file some octets are: by what they begin with, whatever the mail declares."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["FileKind", "file_kind"]


class FileKind(StrEnum):
    """Kinds that a report can show."""

    PHOTO = "photo"
    TIFF = "tiff"
    HEIF = "heif"
    DICOM = "dicom"
    PDF = "pdf"


_PHOTOS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# "BM" alone begins many a text: the size of the second header tells a bitmap.
_BITMAP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def file_kind(content: bytes) -> FileKind | None:
    """The kind by the first octets, ``None`` for what a report does not show."""
    head = content[:140]
    if head.startswith(_PHOTOS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return FileKind.PHOTO
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return FileKind.PHOTO
    if head.startswith(_TIFF):
        # A DICOM file may begin with a TIFF header (PS3.10 §7.1).
        return FileKind.DICOM if head[128:132] == b"DICM" else FileKind.TIFF
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF:
        return FileKind.HEIF
    if head[128:132] == b"DICM":
        return FileKind.DICOM
    return FileKind.PDF if head.lstrip(b"\xef\xbb\xbf \t\r\n\x00").startswith(b"%PDF-") else None
