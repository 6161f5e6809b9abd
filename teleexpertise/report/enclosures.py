"""What a report shows of its attachments, within bounds for the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from teleexpertise.report.images import Picture, printable
from teleexpertise.report.kinds import FileKind, file_kind
from teleexpertise.report.model import Report, ReportAttachment

__all__ = [
    "MAX_OCTETS",
    "MAX_PICTURES",
    "MAX_PIXELS_TOGETHER",
    "Enclosure",
    "Rasterise",
    "Showing",
    "enclosures",
]

#: Shown files of one report; more of them are listed only.
MAX_PICTURES = 60
#: JPEGs of one report together. In base64, and once more inside the CDA, it still is a mail of 25 MB.
MAX_OCTETS = 7_000_000
#: Pixels unpacked for one report: sixty photographs of 13 megapixels.
MAX_PIXELS_TOGETHER = 800_000_000

_SCHEME = "image:"

#: The first pages of a PDF as JPEGs, ``None`` for one that cannot be drawn.
Rasterise = Callable[[bytes], Picture | None]


class Showing(StrEnum):
    """How a file is shown."""

    PHOTOGRAPH = "photograph"
    DOCUMENT = "document"
    UNREADABLE = "unreadable"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class Enclosure:
    """One file of a report: its JPEGs by their address in the page, and whether there is more of it."""

    showing: Showing
    sheets: tuple[tuple[str, bytes], ...] = ()
    more: bool = False
    image: bool = True


def enclosures(report: Report, rasterise: Rasterise | None) -> dict[str, Enclosure]:
    """By the hash of each attachment that is or claims to be a picture or a PDF; PDFs only where they can be
    drawn by ``rasterise``. What breaks the bounds of the whole report is left out, in the report's order.
    """
    found: dict[str, Enclosure] = {}
    pixels, octets, tried = 0, 0, 0
    for piece, kind in _candidates(report, rasterise is not None):
        if piece.sha256 in found:
            continue
        image = kind is not FileKind.PDF and not (kind is None and piece.is_pdf)
        full = tried == MAX_PICTURES or pixels >= MAX_PIXELS_TOGETHER or octets >= MAX_OCTETS
        if full or piece.content is None:
            found[piece.sha256] = Enclosure(Showing.LEFT_OUT, image=image)
            continue
        tried += 1
        picture = _picture(piece.content, kind, rasterise)
        if picture is None:
            found[piece.sha256] = Enclosure(Showing.UNREADABLE, image=image)
            continue
        pixels += picture.pixels
        size = sum(len(sheet) for sheet in picture.sheets)
        if octets + size > MAX_OCTETS:
            found[piece.sha256] = Enclosure(Showing.LEFT_OUT, image=image)
            continue
        octets += size
        sheets = tuple(
            (f"{_SCHEME}{len(found)}-{number}", sheet) for number, sheet in enumerate(picture.sheets, 1)
        )
        showing = Showing.DOCUMENT if picture.document else Showing.PHOTOGRAPH
        found[piece.sha256] = Enclosure(showing, sheets, picture.more, image)
    return found


def _candidates(report: Report, pdf: bool) -> Iterator[tuple[ReportAttachment, FileKind | None]]:
    """What a report would show: by what the octets are, or where they are none by what the mail declares."""
    for piece in report.all_attachments:
        kind = file_kind(piece.content) if piece.content is not None else None
        if (kind is FileKind.PDF or (kind is None and piece.is_pdf)) and not pdf:
            continue
        if kind is not None or piece.is_image or piece.is_pdf:
            yield piece, kind


def _picture(content: bytes, kind: FileKind | None, rasterise: Rasterise | None) -> Picture | None:
    if kind is FileKind.PDF:
        return rasterise(content) if rasterise is not None else None
    return printable(content, kind) if kind is not None else None
