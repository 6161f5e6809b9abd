"""File names of attachments that no file system, header or reader stumbles over."""

from __future__ import annotations

import re
import unicodedata

from gateway.intake.structure import Part

__all__ = ["safe_filename"]

_LONGEST = 120
_SEPARATORS = re.compile(r'[\\/:*?"<>|]+')
_EXTENSIONS = {
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/pkcs7-mime": "p7m",
    "application/rtf": "rtf",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/x-pkcs7-mime": "p7m",
    "application/xml": "xml",
    "application/zip": "zip",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/tiff": "tif",
    "image/webp": "webp",
    "message/rfc822": "eml",
    "text/calendar": "ics",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "text/rfc822-headers": "txt",
    "text/xml": "xml",
}


def safe_filename(part: Part, stem: str, ordinal: int) -> str:
    """The name that the sender gave, without path, controls or direction marks and at most 120 characters;
    for a nameless part ``<stem>-<ordinal>.<extension of its type>``.
    """
    given = part.disposition.get("filename") or part.content_type.get("name")
    name = unicodedata.normalize("NFC", given)
    name = "".join(
        character for character in name if unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    )
    name = _SEPARATORS.sub("_", name.replace("\\", "/").rpartition("/")[2])
    name = " ".join(name.split()).strip(". ")
    if not name:
        return f"{stem}-{ordinal}.{_EXTENSIONS.get(part.content_type.value, 'bin')}"
    if len(name) <= _LONGEST:
        return name
    head, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 10:
        return name[:_LONGEST]
    return f"{head[: _LONGEST - len(extension) - 1]}.{extension}"
