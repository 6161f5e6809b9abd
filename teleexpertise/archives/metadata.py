"""METADATA.XML: a submission set and its entries, written and read (ebRIM 3.0, IHE ITI TF-3 §4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from lxml import etree

from teleexpertise.archives import vocabulary as v
from teleexpertise.archives.entries import Coded, DocumentAuthor, DocumentEntry, Transfer

__all__ = ["Submission", "UnknownTransfer", "read_metadata", "write_metadata"]

_R = f"{{{v.RIM}}}"
_DEFAULT: Any = {None: v.RIM}  # the type stubs know named prefixes only
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
#: What the set is about (1.2.250.1.213.2.2): a consultation.
_CONSULTATION = Coded("07", "1.2.250.1.213.2.2", "Consultation")


class UnknownTransfer(Exception):
    """A value of the action slot that is neither C nor D: what is meant is not guessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What the set says as a whole; ``time`` is a DTM in UTC, identifiers are OIDs."""

    time: str
    title: str
    unique_id: str
    source_id: str
    patient_id: str
    author: DocumentAuthor


def _urn(*words: object) -> str:
    """An identifier that follows from what it names: the same archive has the same octets."""
    return v.uuid_urn(str(uuid5(NAMESPACE_OID, "\x1f".join(map(str, words)))))


def _slot(parent: etree._Element, name: str, values: Iterable[str]) -> None:
    filled = [value for value in values if value]
    if not filled:
        return
    slot = etree.SubElement(parent, f"{_R}Slot", name=name)
    rows = etree.SubElement(slot, f"{_R}ValueList")
    for value in filled:
        etree.SubElement(rows, f"{_R}Value").text = value


def _name(parent: etree._Element, text: str) -> None:
    node = etree.SubElement(parent, f"{_R}Name")
    etree.SubElement(node, f"{_R}LocalizedString", {_XML_LANG: "FR", "charset": "UTF8", "value": text})


def _classification(
    parent: etree._Element, owner: str, scheme: str, represented: str, number: int
) -> etree._Element:
    return etree.SubElement(
        parent,
        f"{_R}Classification",
        id=_urn(owner, scheme, number),
        classificationScheme=scheme,
        classifiedObject=owner,
        nodeRepresentation=represented,
    )


def _classified(parent: etree._Element, owner: str, scheme: str, code: Coded, number: int = 0) -> None:
    node = _classification(parent, owner, scheme, code.code, number)
    _slot(node, "codingScheme", [code.scheme])
    _name(node, code.label)


def _author(parent: etree._Element, owner: str, scheme: str, author: DocumentAuthor, number: int = 0) -> None:
    node = _classification(parent, owner, scheme, "", number)
    _slot(node, "authorPerson", [author.person])
    _slot(node, "authorSpecialty", [author.specialty])
    _slot(node, "authorInstitution", [author.institution])


def _external(parent: etree._Element, owner: str, scheme: str, value: str, name: str) -> None:
    node = etree.SubElement(
        parent,
        f"{_R}ExternalIdentifier",
        id=_urn(owner, scheme),
        identificationScheme=scheme,
        registryObject=owner,
        value=value,
    )
    _name(node, name)


def _write_set(parent: etree._Element, submission: Submission) -> str:
    owner = _urn(submission.unique_id)
    package = etree.SubElement(parent, f"{_R}RegistryPackage", id=owner, status=v.STATUS_APPROVED)
    _slot(package, "submissionTime", [submission.time])
    _name(package, submission.title)
    _author(package, owner, v.SET_AUTHOR, submission.author)
    _classified(package, owner, v.CONTENT_TYPE, _CONSULTATION)
    etree.SubElement(
        package,
        f"{_R}Classification",
        id=_urn(owner, v.SET_NODE),
        classificationNode=v.SET_NODE,
        classifiedObject=owner,
        nodeRepresentation="",
    )
    _external(package, owner, v.SET_PATIENT_ID, submission.patient_id, "XDSSubmissionSet.patientId")
    _external(package, owner, v.SET_SOURCE_ID, submission.source_id, "XDSSubmissionSet.sourceId")
    _external(package, owner, v.SET_UNIQUE_ID, submission.unique_id, "XDSSubmissionSet.uniqueId")
    return owner


def _write_entry(parent: etree._Element, entry: DocumentEntry, set_id: str) -> str:
    owner = _urn(set_id, entry.unique_id, entry.uri)
    node = etree.SubElement(
        parent,
        f"{_R}ExtrinsicObject",
        id=owner,
        mimeType=entry.mime_type,
        objectType=v.DOCUMENT_ENTRY,
        status=v.STATUS_APPROVED,
    )
    _slot(node, v.EXTRA_SLOT, [entry.transfer.value])
    _slot(node, "hash", [entry.hash])
    _slot(node, "size", ["" if entry.size is None else str(entry.size)])
    _slot(node, "URI", [entry.uri])
    _slot(node, "creationTime", [entry.creation_time])
    _slot(node, "languageCode", [entry.language])
    _slot(node, "legalAuthenticator", [entry.legal_authenticator])
    _slot(node, "serviceStartTime", [entry.service_start])
    _slot(node, "serviceStopTime", [entry.service_stop])
    _slot(node, "sourcePatientId", [entry.source_patient_id])
    _slot(node, "sourcePatientInfo", entry.source_patient_info)
    _name(node, entry.title)
    for number, author in enumerate(entry.authors):
        _author(node, owner, v.AUTHOR, author, number)
    for number, code in enumerate(entry.event_codes):
        _classified(node, owner, v.EVENT_CODE, code, number)
    for field, scheme in v.CLASSES.items():
        value = getattr(entry, field)
        for number, code in enumerate(value if isinstance(value, tuple) else (value,)):
            if code is not None:
                _classified(node, owner, scheme, code, number)
    _external(node, owner, v.ENTRY_PATIENT_ID, entry.patient_id, "XDSDocumentEntry.patientId")
    _external(node, owner, v.ENTRY_UNIQUE_ID, entry.unique_id, "XDSDocumentEntry.uniqueId")
    return owner


def write_metadata(submission: Submission, entries: Sequence[DocumentEntry]) -> bytes:
    """The octets of METADATA.XML, UTF-8. Raises ``ValueError`` for a text that XML cannot hold (controls)."""
    root = etree.Element(f"{{{v.LCM}}}SubmitObjectsRequest", nsmap={"lcm": v.LCM})
    objects = etree.SubElement(root, f"{_R}RegistryObjectList", nsmap=_DEFAULT)
    owner = _write_set(objects, submission)
    written = [_write_entry(objects, entry, owner) for entry in entries]
    for target in written:
        node = etree.SubElement(
            objects,
            f"{_R}Association",
            id=_urn(owner, target, "HasMember"),
            associationType=v.HAS_MEMBER,
            sourceObject=owner,
            targetObject=target,
        )
        _slot(node, "SubmissionSetStatus", ["Original"])
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


# -- reading -------------------------------------------------------------------------------------------


def _values(node: etree._Element, name: str) -> tuple[str, ...]:
    return tuple(
        (value.text or "").strip()
        for slot in node.findall(f"{_R}Slot")
        if slot.get("name") == name
        for value in slot.iter(f"{_R}Value")
    )


def _value(node: etree._Element, name: str) -> str:
    return next(iter(_values(node, name)), "")


def _label(node: etree._Element) -> str:
    found = node.find(f"{_R}Name/{_R}LocalizedString")
    return found.get("value", "") if found is not None else ""


def _codes(node: etree._Element, scheme: str) -> tuple[Coded, ...]:
    return tuple(
        Coded(each.get("nodeRepresentation", ""), _value(each, "codingScheme"), _label(each))
        for each in node.findall(f"{_R}Classification")
        if each.get("classificationScheme") == scheme
    )


def _code(node: etree._Element, scheme: str) -> Coded | None:
    return next(iter(_codes(node, scheme)), None)


def _identifier(node: etree._Element, scheme: str) -> str:
    return next(
        (
            each.get("value", "")
            for each in node.findall(f"{_R}ExternalIdentifier")
            if each.get("identificationScheme") == scheme
        ),
        "",
    )


def _read_size(node: etree._Element) -> int | None:
    text = _value(node, "size")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _read_entry(node: etree._Element) -> DocumentEntry:
    action = _value(node, v.EXTRA_SLOT)
    if action not in tuple(Transfer):
        raise UnknownTransfer(action[:20])
    return DocumentEntry(
        uri=_value(node, "URI"),
        unique_id=_identifier(node, v.ENTRY_UNIQUE_ID),
        patient_id=_identifier(node, v.ENTRY_PATIENT_ID),
        title=_label(node),
        hash=_value(node, "hash").lower(),
        size=_read_size(node),
        mime_type=node.get("mimeType", ""),
        creation_time=_value(node, "creationTime"),
        language=_value(node, "languageCode"),
        legal_authenticator=_value(node, "legalAuthenticator"),
        service_start=_value(node, "serviceStartTime"),
        service_stop=_value(node, "serviceStopTime"),
        source_patient_id=_value(node, "sourcePatientId"),
        source_patient_info=_values(node, "sourcePatientInfo"),
        authors=tuple(
            DocumentAuthor(
                _value(each, "authorPerson"),
                _value(each, "authorSpecialty"),
                _value(each, "authorInstitution"),
            )
            for each in node.findall(f"{_R}Classification")
            if each.get("classificationScheme") == v.AUTHOR
        ),
        event_codes=_codes(node, v.EVENT_CODE),
        class_code=_code(node, v.CLASSES["class_code"]),
        confidentiality=_codes(node, v.CLASSES["confidentiality"]),
        format_code=_code(node, v.CLASSES["format_code"]),
        facility=_code(node, v.CLASSES["facility"]),
        practice=_code(node, v.CLASSES["practice"]),
        type_code=_code(node, v.CLASSES["type_code"]),
        transfer=Transfer(action),
    )


def read_metadata(root: etree._Element) -> tuple[DocumentEntry, ...]:
    """The entries of a set; what they leave out is ''. Raises :class:`UnknownTransfer`."""
    return tuple(
        _read_entry(node)
        for node in root.iter(f"{_R}ExtrinsicObject")
        if node.get("objectType") == v.DOCUMENT_ENTRY
    )
