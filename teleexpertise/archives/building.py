"""Building IHE_XDM.zip: the tree, its two texts, METADATA.XML and the documents (IHE ITI TF-2 §3.32)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template

from teleexpertise.archives.entries import ArchiveDocument, DocumentEntry, Sender, Transfer
from teleexpertise.archives.headers import CDA_ROOT, entry_of
from teleexpertise.archives.markup import MarkupUnreadable, read_markup
from teleexpertise.archives.metadata import Submission, write_metadata

__all__ = ["REQUIRED", "NotArchivable", "archive_name", "build_archive"]

_FOLDER = "IHE_XDM/SUBSET01/"
#: ISO 9660 level 1 leaves four digits behind DOC.
_MOST_DOCUMENTS = 999
#: The earliest instant that a ZIP can tell.
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)

#: The fields that every entry must have (IHE, French mapping): our name -> name in the metadata.
REQUIRED = {
    "unique_id": "uniqueId",
    "patient_id": "patientId",
    "title": "title",
    "creation_time": "creationTime",
    "language": "languageCode",
    "legal_authenticator": "legalAuthenticator",
    "service_start": "serviceStartTime",
    "source_patient_id": "sourcePatientId",
    "source_patient_info": "sourcePatientInfo",
    "authors": "author",
    "class_code": "classCode",
    "confidentiality": "confidentialityCode",
    "format_code": "formatCode",
    "facility": "healthcareFacilityTypeCode",
    "practice": "practiceSettingCode",
    "type_code": "typeCode",
}


class NotArchivable(Exception):
    """A document that gives no valid archive: ``document`` counts from 1, ``missing`` are metadata fields."""

    def __init__(self, document: int, missing: Sequence[str]) -> None:
        super().__init__(f"document {document}: {', '.join(missing)}")
        self.document = document
        self.missing = tuple(missing)


def archive_name() -> str:
    """The only name that an archive has in a mail (ECO.2.1.1)."""
    return "IHE_XDM.zip"


def _entries(documents: Sequence[ArchiveDocument]) -> list[DocumentEntry]:
    found = []
    for number, document in enumerate(documents, start=1):
        try:
            root = read_markup(document.content)
        except MarkupUnreadable as error:
            raise NotArchivable(number, ["ClinicalDocument"]) from error
        if root.tag != CDA_ROOT:
            raise NotArchivable(number, ["ClinicalDocument"])
        entry = entry_of(document.content, root, f"DOC{number:04d}.XML", document.transfer)
        missing = [name for field, name in REQUIRED.items() if not getattr(entry, field)]
        if document.transfer is Transfer.REPLACE and not entry.replaces:
            missing.append("relatedDocument")
        if missing:
            raise NotArchivable(number, missing)
        found.append(entry)
    return found


def _resource(name: str, values: dict[str, str]) -> str:
    return Template(files("teleexpertise.archives").joinpath(name).read_text("utf-8")).substitute(values)


def _readme(sender: Sender, uris: Sequence[str]) -> bytes:
    tree = "\n".join(f"         . {uri}" for uri in ("METADATA.XML", *uris))
    values = {
        "organisation": sender.organisation,
        "identifier": sender.identifier,
        "software": sender.software,
        "version": sender.version,
        "tree": tree,
    }
    return _resource("readme.txt", values).replace("\n", "\r\n").encode("utf-8")


def _index(entries: Sequence[DocumentEntry]) -> bytes:
    rows = "".join(f'<li><a href="{_FOLDER}{entry.uri}">{escape(entry.title)}</a></li>' for entry in entries)
    return _resource("index.html", {"documents": rows}).encode("utf-8")


def build_archive(
    documents: Sequence[ArchiveDocument], sender: Sender, unique_id: str, now: datetime
) -> bytes:
    """The archive of some documents of one patient; ``unique_id`` is the OID of this submission.

    The same facts give the same octets. Raises :class:`NotArchivable` for a document that lacks what metadata
    need, or that is another patient's, and ``ValueError`` for none or too many.
    """
    if not 1 <= len(documents) <= _MOST_DOCUMENTS:
        raise ValueError("an archive has between 1 and 999 documents")
    entries = _entries(documents)
    first = entries[0]
    for number, entry in enumerate(entries, start=1):
        if entry.patient_id != first.patient_id:
            raise NotArchivable(number, ["patientId"])
        if entry.unique_id in [other.unique_id for other in entries[: number - 1]]:
            raise NotArchivable(number, ["uniqueId"])
    submission = Submission(
        time=now.astimezone(UTC).strftime("%Y%m%d%H%M%S"),
        title=first.title,
        unique_id=unique_id,
        source_id=f"1.2.250.1.71.4.2.2.{sender.identifier}",
        patient_id=first.patient_id,
        author=first.authors[0],
    )
    contents = {
        "README.TXT": _readme(sender, [entry.uri for entry in entries]),
        "INDEX.HTM": _index(entries),
        f"{_FOLDER}METADATA.XML": write_metadata(submission, entries),
        **{f"{_FOLDER}{e.uri}": d.content for e, d in zip(entries, documents, strict=True)},
    }
    return _zipped(contents, now)


def _zipped(contents: dict[str, bytes], now: datetime) -> bytes:
    stamp = max(now.astimezone(UTC), _EARLIEST)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in contents.items():
            info = zipfile.ZipInfo(name, stamp.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            archive.writestr(info, octets)
    return buffer.getvalue()
