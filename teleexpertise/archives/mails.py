"""The mail that carries documents: subject, header fields, names of its files (Référentiel socle MSSanté #2).

Its subject is fixed (ECO.2.1.3), so that a thread holds by References and never by a subject.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from lxml import etree

from teleexpertise.archives.building import archive_name, build_archive
from teleexpertise.archives.entries import ArchiveDocument, ArchivePatient, Sender, Transfer
from teleexpertise.archives.headers import Header, header_of
from teleexpertise.archives.markup import MarkupUnreadable, read_markup
from teleexpertise.letters import Attachment

__all__ = [
    "BodyDiffers",
    "DocumentMail",
    "MailedDocument",
    "document_filename",
    "report_mail",
    "report_subject",
]

_LONGEST_LABEL = 40
_PREFIX = "XDM/1.0/DDM+"
_TEXT = "{urn:hl7-org:v3}component/{urn:hl7-org:v3}nonXMLBody/{urn:hl7-org:v3}text"
#: What file systems or readers take for something else than a letter; ``_`` parts the fields of a name.
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|_.]+")


class BodyDiffers(ValueError):
    """The PDF beside a CDA is not the one in it (ECO.2.1.5): such a mail never leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailedDocument:
    """A CDA, its PDF/A, the day of the act; ``file_number`` is a reference for the name, '' for none."""

    cda: bytes
    pdf: bytes
    performed_on: date
    file_number: str = ""
    transfer: Transfer = Transfer.NEW


@dataclass(frozen=True, slots=True)
class DocumentMail:
    """What the composer needs: subject, further header fields in order, attachments (archive, then PDFs)."""

    subject: str
    fields: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]


def report_subject(label: str, count: int, patient: ArchivePatient) -> str:
    """``XDM/1.0/DDM+<label> <NOM> <prénom> [<JJ/MM/AAAA>]``, the label cut at 40 (ECO.2.1.3)."""
    what = f"{count} documents" if count > 1 else _one_line(label)[:_LONGEST_LABEL].strip()
    born = patient.birth_date.strftime("%d/%m/%Y") if patient.birth_date else ""
    words = (what, _capitals(patient.birth_name), _one_line(_first_name(patient)), born)
    return _PREFIX + " ".join(word for word in words if word)


def document_filename(label: str, performed_on: date, patient: ArchivePatient, file_number: str = "") -> str:
    """``<AAAAMMJJ>_<type>_<NOM>_<prénom>[_<dossier>].pdf``, the type cut at 40 (ECO.2.1.6)."""
    parts = [
        f"{performed_on:%Y%m%d}",
        _part(label)[:_LONGEST_LABEL].strip(),
        _part(_capitals(patient.birth_name)),
        _part(_first_name(patient)),
        _part(file_number),
    ]
    return "_".join(part for part in parts if part) + ".pdf"


def report_mail(
    documents: Sequence[MailedDocument], sender: Sender, unique_id: str, now: datetime
) -> DocumentMail:
    """The mail of some documents of one patient.

    Raises :class:`NotArchivable` for documents that no archive can hold, :class:`BodyDiffers`.
    """
    archive = build_archive(
        [ArchiveDocument(document.cda, document.transfer) for document in documents], sender, unique_id, now
    )
    headers = [_header(document) for document in documents]
    patient = headers[0].patient
    fields = (
        ("X-MSS-CODECDA", ",".join(dict.fromkeys(header.code for header in headers))),
        ("X-MSS-INS", "O" if all(header.patient.qualified for header in headers) else "N"),
    )
    pages = [
        Attachment(
            document_filename(header.label, document.performed_on, patient, document.file_number),
            "application/pdf",
            document.pdf,
        )
        for document, header in zip(documents, headers, strict=True)
    ]
    return DocumentMail(
        subject=report_subject(headers[0].label, len(documents), patient),
        fields=fields,
        attachments=(Attachment(archive_name(), "application/zip", archive), *_unlike(pages)),
    )


def _unlike(pages: Sequence[Attachment]) -> list[Attachment]:
    """The same files under names of which each is there once."""
    found: list[Attachment] = []
    for page in pages:
        name, number = page.filename, 2
        while any(other.filename == name for other in found):
            name, number = f"{page.filename.removesuffix('.pdf')}_{number}.pdf", number + 1
        found.append(Attachment(name, page.content_type, page.content))
    return found


def _header(document: MailedDocument) -> Header:
    try:
        root = read_markup(document.cda)
    except MarkupUnreadable as error:  # the archive would not have been built of it
        raise BodyDiffers("not readable") from error
    body = _body(root)
    if body is not None and body != document.pdf:
        raise BodyDiffers("the PDF beside the document is not the one in it")
    return header_of(root)


def _body(root: etree._Element) -> bytes | None:
    """The PDF in an unstructured document, ``None`` in a structured one."""
    text = root.find(_TEXT)
    if text is None:
        return None
    try:
        return base64.b64decode("".join("".join(map(str, text.itertext())).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BodyDiffers("the body is no base64") from error


def _first_name(patient: ArchivePatient) -> str:
    return patient.first_name or patient.first_names.split(" ")[0]


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _capitals(text: str) -> str:
    """Capitals without accents, as identity traits are written."""
    opened = text.replace("œ", "oe").replace("Œ", "OE").replace("æ", "ae").replace("Æ", "AE")
    plain = "".join(c for c in unicodedata.normalize("NFKD", opened) if not unicodedata.combining(c))
    return _one_line(plain.upper())


def _part(text: str) -> str:
    return _one_line(_NOT_IN_NAMES.sub(" ", text))
