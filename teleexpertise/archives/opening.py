"""Opening an archive of any sender: what is in it, whose it is, what is wrong with it, told not guessed.

Strict where a mistake could file a document of one patient for another; tolerant, with a finding, elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from lxml import etree

from teleexpertise.archives.building import REQUIRED
from teleexpertise.archives.entries import INS_OIDS, ArchivePatient, DocumentEntry, Transfer
from teleexpertise.archives.faults import ArchiveFault, Finding
from teleexpertise.archives.headers import CDA_ROOT, Header, entry_of, header_of
from teleexpertise.archives.markup import EntitiesRefused, MarkupUnreadable, read_markup
from teleexpertise.archives.metadata import UnknownTransfer, read_metadata
from teleexpertise.archives.traits import other_traits
from teleexpertise.archives.unpacking import ArchiveLimits, Unpacked, unpack
from teleexpertise.identifiers import read_ins
from teleexpertise.letters import Attachment

__all__ = [
    "ArchiveLimits",
    "OpenedArchive",
    "OpenedDocument",
    "archive_in",
    "holds_documents",
    "is_archive_name",
    "open_archive",
]

_SUBSET = re.compile(r"IHE_XDM/([^/]+)/METADATA\.XML")
#: Header and metadata must agree on these: our name -> name in the metadata.
_AGREE = {
    "patient_id": "patientId",
    "unique_id": "uniqueId",
    "type_code": "typeCode",
    "title": "title",
    "creation_time": "creationTime",
    "service_start": "serviceStartTime",
}
#: Where they differ in these, the document may be another patient's or another document: not trusted.
_DECISIVE = frozenset({"patient_id", "unique_id", "type_code"})
#: A CDA names itself in its root element, which may come after an XML declaration and comments.
_BEGINNING = 4096
_CX = re.compile(r"([^^&|~]{0,80})\^\^\^&([0-9.]{1,80})&ISO(\^[A-Z]{0,5})?")


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """One document as the metadata list it; ``content`` is ``None`` where it is not in the archive.

    ``header`` is that of a CDA, ``None`` for anything else.
    """

    entry: DocumentEntry
    content: bytes | None = None
    header: Header | None = None


@dataclass(frozen=True, slots=True)
class OpenedArchive:
    """What an archive holds. Only a ``sound`` one may be filed by itself."""

    documents: tuple[OpenedDocument, ...]
    findings: tuple[Finding, ...]
    patient: ArchivePatient

    @property
    def sound(self) -> bool:
        """No fault for which it is not to be trusted."""
        return not any(finding.blocking for finding in self.findings)


def is_archive_name(filename: str) -> bool:
    """Whether an attachment's name says that it is an archive of documents, whatever its case."""
    return filename.lower() == "ihe_xdm.zip"


def open_archive(octets: bytes, limits: ArchiveLimits | None = None) -> OpenedArchive:
    """Everything that can be said of an archive. Total: any octets give an answer, no file is written."""
    unpacked = unpack(octets, limits or ArchiveLimits())
    findings = list(unpacked.findings)
    if not unpacked.files:
        if not findings:
            findings.append(Finding(ArchiveFault.NO_METADATA))
        return OpenedArchive((), tuple(findings), ArchivePatient())
    if "README.TXT" not in unpacked.files:
        findings.append(Finding(ArchiveFault.NO_README))
    if "INDEX.HTM" not in unpacked.files:
        findings.append(Finding(ArchiveFault.NO_INDEX))
    folders = [match[1] for name in sorted(unpacked.files) if (match := _SUBSET.fullmatch(name))]
    if not folders:
        findings.append(Finding(ArchiveFault.NO_METADATA))
        return OpenedArchive((), tuple(findings), ArchivePatient())
    documents: list[OpenedDocument] = []
    for folder in folders:
        listed, found = _subset(unpacked, folder)
        documents += listed
        findings += found
    if not documents and not any(finding.blocking for finding in findings):
        findings.append(Finding(ArchiveFault.NO_DOCUMENT))
    doubles = _doubles(documents)
    patient, told = _patient(documents)
    return OpenedArchive(tuple(documents), (*findings, *doubles, *told), patient)


def archive_in(
    attachments: Sequence[Attachment], limits: ArchiveLimits | None = None
) -> OpenedArchive | None:
    """The documents of a mail: those of its archive, else those that lie bare beside each other; ``None``
    where it has none. Of two archives none is opened (ECO.2.1.1).
    """
    found = [attachment for attachment in attachments if is_archive_name(attachment.filename)]
    if not found:
        return _bare_documents([each for each in attachments if _is_bare(each)])
    if len(found) > 1:
        several = Finding(ArchiveFault.SEVERAL_ARCHIVES, detail=str(len(found)))
        return OpenedArchive((), (several,), ArchivePatient())
    return open_archive(found[0].content, limits)


def holds_documents(attachment: Attachment) -> bool:
    """Whether an attachment is an archive, or calls itself a CDA by its first octets."""
    return is_archive_name(attachment.filename) or _is_bare(attachment)


def _is_bare(attachment: Attachment) -> bool:
    return all(mark in attachment.content[:_BEGINNING] for mark in (b"ClinicalDocument", b"urn:hl7-org:v3"))


def _bare_documents(found: Sequence[Attachment]) -> OpenedArchive | None:
    """Documents without an archive: the metadata are those that their headers give."""
    if not found:
        return None
    documents, findings = [], []
    for attachment in found:
        name = _file(attachment.filename)
        bare = DocumentEntry(uri=name, unique_id="", patient_id="", title="")
        header, told = _header(bare, attachment.content, name)
        if header is not None:
            bare = entry_of(attachment.content, read_markup(attachment.content), name, Transfer.NEW)
        documents.append(OpenedDocument(bare, attachment.content, header))
        findings += told
    patient, told = _patient(documents)
    return OpenedArchive(tuple(documents), (*findings, *_doubles(documents), *told), patient)


def _subset(unpacked: Unpacked, folder: str) -> tuple[list[OpenedDocument], list[Finding]]:
    place = f"IHE_XDM/{folder}/"
    try:
        entries = read_metadata(read_markup(unpacked.files[f"{place}METADATA.XML"]))
    except EntitiesRefused:
        return [], [Finding(ArchiveFault.ENTITIES, "METADATA.XML")]
    except MarkupUnreadable:
        return [], [Finding(ArchiveFault.METADATA_UNREADABLE, "METADATA.XML")]
    except UnknownTransfer:
        return [], [Finding(ArchiveFault.UNKNOWN_ACTION, "METADATA.XML")]
    documents, findings = [], []
    for entry in entries:
        document, found = _document(entry, unpacked, place)
        documents.append(document)
        findings += found
    listed = {f"{place}{entry.uri}".upper() for entry in entries} | {f"{place}METADATA.XML"}
    for name in unpacked.files:
        if name.startswith(place) and name not in listed:
            findings.append(Finding(ArchiveFault.UNLISTED_FILE, _file(unpacked.names[name])))
    return documents, findings


def _file(path: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in path.rpartition("/")[2])[
        :80
    ]


def _document(entry: DocumentEntry, unpacked: Unpacked, place: str) -> tuple[OpenedDocument, list[Finding]]:
    name = _file(entry.uri)
    found = [
        Finding(ArchiveFault.FIELD_MISSING, name, label)
        for field, label in REQUIRED.items()
        if not getattr(entry, field)
    ]
    content = unpacked.files.get(f"{place}{entry.uri}".upper()) if entry.uri else None
    if content is None or entry.uri.upper() == "METADATA.XML":
        return OpenedDocument(entry), [*found, Finding(ArchiveFault.DOCUMENT_ABSENT, name)]
    if not entry.hash or entry.size is None:
        found.append(Finding(ArchiveFault.NO_HASH, name))
    if entry.hash and entry.hash != hashlib.sha1(content, usedforsecurity=False).hexdigest():
        found.append(Finding(ArchiveFault.WRONG_HASH, name))
    if entry.size is not None and entry.size != len(content):
        found.append(Finding(ArchiveFault.WRONG_SIZE, name))
    if not _is_markup(entry):
        return OpenedDocument(entry, content), found
    header, told = _header(entry, content, name)
    return OpenedDocument(entry, content, header), [*found, *told]


def _is_markup(entry: DocumentEntry) -> bool:
    return entry.mime_type.lower() in ("text/xml", "application/xml") or entry.uri.upper().endswith(".XML")


def _header(entry: DocumentEntry, content: bytes, name: str) -> tuple[Header | None, list[Finding]]:
    try:
        root = read_markup(content)
    except EntitiesRefused:
        return None, [Finding(ArchiveFault.ENTITIES, name)]
    except MarkupUnreadable:
        return None, [Finding(ArchiveFault.CDA_UNREADABLE, name)]
    if root.tag != CDA_ROOT:
        return None, [Finding(ArchiveFault.NOT_A_CDA, name)]
    header = header_of(root)
    found = [] if header.set_id else [Finding(ArchiveFault.NO_SET_ID, name)]
    return header, [*found, *_contradictions(entry, content, root, name)]


def _contradictions(entry: DocumentEntry, content: bytes, root: etree._Element, name: str) -> list[Finding]:
    """Where metadata and header differ; a field that one of them leaves out contradicts nothing."""
    stated = entry_of(content, root, entry.uri, entry.transfer)
    found = []
    for field, label in _AGREE.items():
        ours, theirs = getattr(stated, field), getattr(entry, field)
        if field == "type_code":
            ours, theirs = (ours.code if ours else ""), (theirs.code if theirs else "")
        if not (ours and theirs):
            continue
        if field == "patient_id":
            ours, theirs = _bare(ours), _bare(theirs)
        if ours != theirs:
            fault = ArchiveFault.CONTRADICTION if field in _DECISIVE else ArchiveFault.FIELD_DIFFERS
            found.append(Finding(fault, name, label))
    if other_traits(header_of(root).patient, entry.source_patient_info):
        found.append(Finding(ArchiveFault.CONTRADICTION, name, "sourcePatientInfo"))
    return found


def _bare(identifier: str) -> tuple[str, str]:
    """Number and authority of a patient identifier: writers differ in what follows."""
    match = _CX.fullmatch(identifier)
    return (match[1], match[2]) if match else (identifier, "")


def _doubles(documents: Sequence[OpenedDocument]) -> list[Finding]:
    found, seen_ids, seen_files = [], set(), set()
    for document in documents:
        entry = document.entry
        if (entry.unique_id and entry.unique_id in seen_ids) or entry.uri.upper() in seen_files:
            found.append(Finding(ArchiveFault.DOUBLE_DOCUMENT, _file(entry.uri)))
        seen_ids.add(entry.unique_id)
        seen_files.add(entry.uri.upper())
    return found


def _stated(document: OpenedDocument) -> ArchivePatient:
    """The patient of one document: INS of the metadata (ECO.2.1.2), traits of the header."""
    patient = document.header.patient if document.header else ArchivePatient()
    number, oid = _bare(document.entry.patient_id)
    if oid in INS_OIDS:
        return replace(patient, ins=number, oid=oid)
    return patient


def _patient(documents: Sequence[OpenedDocument]) -> tuple[ArchivePatient, list[Finding]]:
    """The one patient of all documents; an empty one with a finding where they name several or none."""
    stated = [_stated(document) for document in documents]
    keys = {
        (p.ins, p.oid, p.birth_name.casefold(), p.birth_date, p.sex) for p in stated if p.ins or p.birth_name
    }
    others = {_bare(document.entry.patient_id) for document in documents if document.entry.patient_id}
    if len({key for key in keys if key[0] or key[2]}) > 1 or len(others) > 1:
        return ArchivePatient(), [Finding(ArchiveFault.SEVERAL_PATIENTS)]
    if not keys:
        return ArchivePatient(), [Finding(ArchiveFault.NO_PATIENT)] if documents else []
    patient = reduce(lambda found, other: found if found.birth_name else other, stated)
    if patient.ins and not read_ins(patient.ins).valid:
        return patient, [Finding(ArchiveFault.WRONG_INS)]
    return patient, []
