"""The metadata that the header of a CDA R2 gives (ANS annex on CDA headers and XDS metadata)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from lxml import etree

from teleexpertise.archives.entries import (
    INS_OIDS,
    ArchivePatient,
    Coded,
    DocumentAuthor,
    DocumentEntry,
    Transfer,
)

__all__ = ["CDA_ROOT", "Header", "entry_of", "header_of", "utc"]

CDA_ROOT = "{urn:hl7-org:v3}ClinicalDocument"
_N = {"h": "urn:hl7-org:v3", "s": "urn:hl7-org:sdtc"}
_PDF_FORMAT = Coded(
    "urn:ihe:iti:xds-sd:pdf:2008", "1.3.6.1.4.1.19376.1.2.3", "Document à corps non structuré en Pdf/A-1"
)
#: Structured documents have a format of their own, by the code of the document.
_FORMATS = {
    "75496-0": Coded(
        "urn:asip:ci-sis:tlm-da:2020", "1.2.250.1.213.1.1.4.2.282", "Demande d'acte de télémédecine"
    )
}
#: ASS_X04: both documents of telemedicine are of the class "compte rendu".
_CLASS = Coded("10", "1.2.250.1.213.1.1.4.1", "Compte rendu")
_PERSON_AUTHORITY = "&1.2.250.1.71.4.2.1&ISO"
_STRUCTURE_OID = "1.2.250.1.71.4.2.2"


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a document says beyond its entry: code, version, PDF body, patient."""

    code: str
    label: str
    set_id: str
    version: str
    replaces: str
    patient: ArchivePatient
    structured: bool


def utc(moment: str) -> str:
    """An HL7 instant in UTC without zone; one without a zone or shorter than seconds stays as it is."""
    if not re.fullmatch(r"\d{14}[+-]\d{4}", moment):
        return moment
    try:
        return datetime.strptime(moment, "%Y%m%d%H%M%S%z").astimezone(UTC).strftime("%Y%m%d%H%M%S")
    except (ValueError, OverflowError):
        return moment


def _text(root: etree._Element, path: str) -> str:
    found = root.xpath(f"string({path})", namespaces=_N)
    return " ".join(str(found).split())


def _first(root: etree._Element, path: str) -> etree._Element | None:
    return root.find(path, _N)


def _hl7(text: str) -> str:
    """A text inside an HL7 v2 field: its separators escaped (HL7 v2.5 §2.7.1)."""
    escapes = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
    return "".join(escapes.get(character, character) for character in text)


def _identifier(node: etree._Element | None) -> str:
    if node is None:
        return ""
    root, extension = node.get("root", ""), node.get("extension", "")
    return f"{root}^{extension}" if extension else root


def _cx(node: etree._Element, kind: str) -> str:
    return f"{_hl7(node.get('extension', ''))}^^^&{node.get('root', '')}&ISO^{kind}"


def _coded(node: etree._Element | None) -> Coded | None:
    if node is None or not node.get("code"):
        return None
    return Coded(
        node.get("code", ""), node.get("codeSystem", ""), " ".join(node.get("displayName", "").split())
    )


def _person(entity: etree._Element) -> str:
    """XCN: ``801234567123^DUMAS^Olivier^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS``."""
    identifier = entity.find("h:id", _N)
    number = identifier.get("extension", "") if identifier is not None else ""
    family, given = (
        _text(entity, "h:assignedPerson/h:name/h:family"),
        _text(entity, "h:assignedPerson/h:name/h:given"),
    )
    if not number and not family:
        return ""
    return f"{_hl7(number)}^{_hl7(family)}^{_hl7(given)}^^^^^^{_PERSON_AUTHORITY}^D^^^IDNPS"


def _institution(entity: etree._Element) -> str:
    organisation = entity.find("h:representedOrganization", _N)
    if organisation is None:
        return ""
    number = next(
        (i.get("extension", "") for i in organisation.findall("h:id", _N) if i.get("root") == _STRUCTURE_OID),
        "",
    )
    name = _hl7(_text(organisation, "h:name"))
    return f"{name}^^^^^&{_STRUCTURE_OID}&ISO^IDNST^^^{_hl7(number)}" if number else name


def _authors(root: etree._Element) -> tuple[DocumentAuthor, ...]:
    found = []
    for entity in root.findall("h:author/h:assignedAuthor", _N):
        specialty = _coded(entity.find("h:code", _N))
        words = f"{specialty.code}^{_hl7(specialty.label)}^{specialty.scheme}" if specialty else ""
        found.append(DocumentAuthor(_person(entity), words, _institution(entity)))
    return tuple(found)


def _birth_date(value: str) -> date | None:
    try:
        return datetime.strptime(value[:8], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _rank(value: str) -> int:
    return int(value) if re.fullmatch("[1-9]", value, re.ASCII) else 0


def _patient(root: etree._Element) -> ArchivePatient:
    role = "h:recordTarget/h:patientRole"
    name = f"{role}/h:patient/h:name"
    ids = root.findall(f"{role}/h:id", _N)
    ins = next((i for i in ids if i.get("root") in INS_OIDS), None)
    family = _text(root, f"{name}/h:family[@qualifier='BR']") or _text(
        root, f"{name}/h:family[not(@qualifier)]"
    )
    return ArchivePatient(
        ins=ins.get("extension", "") if ins is not None else "",
        oid=ins.get("root", "") if ins is not None else "",
        birth_name=family,
        first_name=_text(root, f"{name}/h:given[@qualifier='BR']"),
        first_names=_text(root, f"{name}/h:given[not(@qualifier)]"),
        birth_date=_birth_date(_text(root, f"{role}/h:patient/h:birthTime/@value")),
        sex=_text(root, f"{role}/h:patient/h:administrativeGenderCode/@code"),
        birthplace=_text(root, f"{role}/h:patient/h:birthplace/h:place/h:addr/h:county"),
        birth_order=_rank(_text(root, f"{role}/h:patient/s:multipleBirthOrderNumber/@value")),
    )


def header_of(root: etree._Element) -> Header:
    """What the header says; '' for what it leaves out. Total: any tree gives an answer."""
    code = _coded(_first(root, "h:code"))
    parent = _first(root, "h:relatedDocument[@typeCode='RPLC']/h:parentDocument/h:id")
    version = _first(root, "h:versionNumber")
    return Header(
        code=code.code if code else "",
        label=code.label if code else "",
        set_id=_identifier(_first(root, "h:setId")),
        version=version.get("value", "") if version is not None else "",
        replaces=_identifier(parent),
        patient=_patient(root),
        structured=_first(root, "h:component/h:nonXMLBody") is None,
    )


def _patient_info(patient: ArchivePatient) -> tuple[str, ...]:
    """The traits as fields of an HL7 v2 PID segment: names, birth date, sex, birthplace, rank of a twin."""
    first, others = (
        patient.first_name or patient.first_names.split(" ")[0],
        patient.first_names or patient.first_name,
    )
    born = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    fields = [("PID-5", f"{_hl7(patient.birth_name)}^{_hl7(first)}^{_hl7(others)}^^^^L")]
    if born:
        fields.append(("PID-7", born))
    if patient.sex:
        fields.append(("PID-8", patient.sex))
    if patient.birthplace:
        fields.append(("PID-11", f"^^^^^^BDL^^{_hl7(patient.birthplace)}"))
    if patient.birth_order:
        fields += [("PID-24", "Y"), ("PID-25", str(patient.birth_order))]
    return tuple(f"{name}|{value}" for name, value in fields)


def entry_of(content: bytes, root: etree._Element, uri: str, transfer: Transfer) -> DocumentEntry:
    """The entry of a CDA as its header gives it; what the header lacks stays ''."""
    header = header_of(root)
    ids = root.findall("h:recordTarget/h:patientRole/h:id", _N)
    own = next((i for i in ids if i.get("root") in INS_OIDS), None)
    local = next((i for i in ids if i.get("root") not in INS_OIDS and i.get("extension")), None)
    source = local if local is not None else own
    event = "h:documentationOf[1]/h:serviceEvent"
    events = [_coded(node) for node in root.findall("h:documentationOf/h:serviceEvent/h:code", _N)]
    signer = _first(root, "h:legalAuthenticator/h:assignedEntity")
    performer = f"{event}/h:performer/h:assignedEntity/h:representedOrganization"
    format_code = _FORMATS.get(header.code, _PDF_FORMAT) if header.structured else _PDF_FORMAT
    return DocumentEntry(
        uri=uri,
        unique_id=_identifier(_first(root, "h:id")),
        patient_id=_cx(own, "NH") if own is not None else _cx(local, "PI") if local is not None else "",
        title=_text(root, "h:title"),
        hash=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        size=len(content),
        creation_time=utc(_text(root, "h:effectiveTime/@value")),
        language=_text(root, "h:languageCode/@code"),
        legal_authenticator=_person(signer) if signer is not None else "",
        service_start=utc(_text(root, f"{event}/h:effectiveTime/h:low/@value")),
        service_stop=utc(_text(root, f"{event}/h:effectiveTime/h:high/@value")),
        source_patient_id=_cx(source, "PI" if local is not None else "NH") if source is not None else "",
        source_patient_info=_patient_info(header.patient),
        authors=_authors(root),
        event_codes=tuple(code for code in events if code is not None),
        class_code=_CLASS,
        confidentiality=tuple(
            code for node in root.findall("h:confidentialityCode", _N) if (code := _coded(node)) is not None
        ),
        format_code=format_code,
        facility=_coded(
            _first(root, "h:componentOf/h:encompassingEncounter/h:location/h:healthCareFacility/h:code")
        ),
        practice=_coded(_first(root, f"{performer}/h:standardIndustryClassCode")),
        type_code=_coded(_first(root, "h:code")),
        transfer=transfer,
        replaces=header.replaces,
    )
