"""Documents received: what they say, tolerant where the sender left something out, strict about their form.

Never a guess: a value that is not there is '' or ``None``, and what is wrong is named.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, field, replace
from datetime import date

from lxml import etree

from teleexpertise.documents import oids
from teleexpertise.documents.checks import check_tree
from teleexpertise.documents.completeness import COG
from teleexpertise.documents.facts import birth_given_names
from teleexpertise.documents.parsing import NotReadable, parse
from teleexpertise.documents.tlmda import LOINC_REQUEST, ROW
from teleexpertise.identifiers import read_idnps, read_ins
from teleexpertise.letters import Attachment
from teleexpertise.patients import Patient

__all__ = ["ReadDocument", "ReadPerson", "ReadRequest", "RequestValues", "read_document", "read_request"]

_N = {"h": "urn:hl7-org:v3"}
_H = "{urn:hl7-org:v3}"
#: Faults that leave nothing to work with; all others are told as warnings.
_FATAL = frozenset({"wrong.patient", "wrong.ins_key"})
_MAX_WORDS = 20_000
_EXTENSIONS = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPerson:
    """A professional as a document names them; every field '' where it does not."""

    rpps: str = ""
    name: str = ""
    role: str = ""
    mail: str = ""
    organisation: str = ""
    finess: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDocument:
    """Any document of the national form. Identifiers are ``root`` or ``root^extension``.

    ``pdf`` is the body of an unstructured one. ``problems`` forbid automatic work with it, ``warnings`` do
    not; both are names of :mod:`teleexpertise.documents.sentences`.
    """

    code: str = ""
    title: str = ""
    document_id: str = ""
    set_id: str = ""
    version: int | None = None
    replaces: str = ""
    created_at: str = ""
    patient: Patient = Patient()
    ins_oid: str = ""
    author: ReadPerson = ReadPerson()
    recipient: ReadPerson = ReadPerson()
    order_id: str = ""
    pdf: bytes = b""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestValues:
    """What a TLM-DA asks, in the terms of the request form. ``consent`` ``None``: the document is silent."""

    patient: Patient
    ins_oid: str
    requester: ReadPerson
    expert: ReadPerson
    order_id: str
    question: str
    urgency: str = ""
    phone: str = ""
    remark: str = ""
    consent: bool | None = None
    answers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """A request read back: its values, ``None`` where ``problems`` forbid to open anything with it."""

    values: RequestValues | None = None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    document: ReadDocument = field(default_factory=ReadDocument)


def read_document(octets: bytes) -> ReadDocument:
    """What any CDA document says. Never raises: what cannot be read is a problem."""
    try:
        root = parse(octets)
    except NotReadable as error:
        return ReadDocument(problems=(f"wrong.{error.reason}",))
    return _document(root)


def read_request(octets: bytes) -> ReadRequest:
    """The request in a TLM-DA of any software. Never raises."""
    try:
        root = parse(octets)
    except NotReadable as error:
        return ReadRequest(problems=(f"wrong.{error.reason}",))
    document = _document(root)
    problems = list(document.problems)
    if document.code != LOINC_REQUEST:
        problems.append("wrong.not_a_request")
    if problems:
        return ReadRequest(problems=tuple(problems), warnings=document.warnings, document=document)
    values = _request(root, document)
    doubts = [
        ("doubtful.no_question", not values.question),
        ("doubtful.no_urgency", not values.urgency),
        ("doubtful.no_consent", values.consent is None),
    ]
    warnings = (*document.warnings, *(name for name, holds in doubts if holds))
    return ReadRequest(values=values, warnings=warnings, document=document)


# -- the header ----------------------------------------------------------------------------------------------


def _all(at: etree._Element, path: str) -> list[etree._Element]:
    found = at.xpath(path, namespaces=_N)
    assert isinstance(found, list), "the paths of this module select elements"
    return [each for each in found if isinstance(each, etree._Element)]


def _attribute(at: etree._Element, path: str, name: str) -> str:
    found = _all(at, path)
    return str(found[0].get(name, "")).strip() if found else ""


def _text(at: etree._Element, path: str) -> str:
    found = _all(at, path)
    return " ".join("".join(map(str, found[0].itertext())).split()) if found else ""


def _identifier(at: etree._Element, path: str) -> str:
    root, extension = _attribute(at, path, "root"), _attribute(at, path, "extension")
    return f"{root}^{extension}" if root and extension else root


def _document(root: etree._Element) -> ReadDocument:
    faults = tuple(dict.fromkeys(fault.reason for fault in check_tree(root)))
    code = _attribute(root, "h:code", "code")
    set_id = _identifier(root, "h:setId")
    doubtful = ("doubtful.no_set_id",) if not set_id else ()
    version = _attribute(root, "h:versionNumber", "value")
    patient, ins_oid = _patient(root)
    return ReadDocument(
        code=code,
        title=_text(root, "h:title"),
        document_id=_identifier(root, "h:id"),
        set_id=set_id,
        version=int(version) if re.fullmatch(r"[1-9]\d{0,5}", version, re.ASCII) else None,
        replaces=_identifier(root, "h:relatedDocument[@typeCode='RPLC']/h:parentDocument/h:id"),
        created_at=_attribute(root, "h:effectiveTime", "value"),
        patient=patient,
        ins_oid=ins_oid,
        author=_person(root, "h:author/h:assignedAuthor", "h:assignedPerson", "h:representedOrganization"),
        recipient=_person(
            root,
            "h:informationRecipient/h:intendedRecipient",
            "h:informationRecipient",
            "h:receivedOrganization",
        ),
        order_id=_identifier(root, "h:inFulfillmentOf/h:order/h:id"),
        pdf=_body(root),
        problems=tuple(reason for reason in faults if reason in _FATAL),
        warnings=doubtful + tuple(r for r in faults if r not in _FATAL and r != "wrong.set_id"),
    )


def _day(value: str) -> date | None:
    match = re.match(r"(\d{4})(\d\d)(\d\d)", value, re.ASCII)
    if match is None:
        return None
    try:
        return date(*(int(part) for part in match.groups()))
    except ValueError:
        return None


def _patient(root: etree._Element) -> tuple[Patient, str]:
    """The patient and the authority of the INS; a number whose key is wrong is no INS."""
    roles = _all(root, "h:recordTarget/h:patientRole")
    if not roles:
        return Patient(), ""
    role = roles[0]
    numbers = [each for each in _all(role, "h:id") if each.get("root") in oids.INS_OIDS]
    read = read_ins(str(numbers[0].get("extension", ""))) if len(numbers) == 1 else None
    ins = read.value if read is not None and read.valid else ""
    given = _text(role, "h:patient/h:name/h:given[not(@qualifier)]")
    first = _text(role, "h:patient/h:name/h:given[@qualifier='BR']")
    place = _text(role, "h:patient/h:birthplace/h:place/h:addr/h:county")
    sex = _attribute(role, "h:patient/h:administrativeGenderCode", "code")
    patient = Patient(
        birth_name=_text(role, "h:patient/h:name/h:family[@qualifier='BR']")
        or _text(role, "h:patient/h:name/h:family"),
        first_names=given or first,
        birth_date=_day(_attribute(role, "h:patient/h:birthTime", "value")),
        sex=sex if sex in ("F", "M") else "",
        ins=ins,
        birth_place=place if COG.fullmatch(place) else "",
        # The first of the list by itself says nothing more than the list.
        first_first_name=first if given and first != birth_given_names(given)[1] else "",
        used_name=_text(role, "h:patient/h:name/h:family[@qualifier='CL']"),
        used_first_names=_text(role, "h:patient/h:name/h:given[@qualifier='CL']"),
    )
    whole = all((patient.birth_name, first, patient.birth_date, patient.sex, ins, patient.birth_place))
    # Only a qualified identity may be sent with its INS: with all traits beside it the sender answers for it.
    return replace(patient, qualified=whole), (str(numbers[0].get("root")) if ins else "")


def _person(root: etree._Element, path: str, person: str, organisation: str) -> ReadPerson:
    found = _all(root, path)
    if not found:
        return ReadPerson()
    at = found[0]
    read = read_idnps(_attribute(at, f"h:id[@root='{oids.PROFESSIONALS}']", "extension"))
    house = _attribute(at, f"{organisation}/h:id[@root='{oids.ORGANISATIONS}']", "extension")
    mails = [str(each.get("value", "")) for each in _all(at, "h:telecom")]
    mail = next((value[7:] for value in mails if value.lower().startswith("mailto:")), "")
    name = f"{person}/h:name"
    words = (_text(at, f"{name}/h:{part}") for part in ("suffix", "given", "family"))
    return ReadPerson(
        rpps=read.value[1:] if read.valid and read.value.startswith("8") else "",
        name=" ".join(word for word in words if word),
        role=_attribute(at, "h:code", "displayName"),
        mail=mail.strip().lower(),
        organisation=_text(at, f"{organisation}/h:name"),
        finess=house[1:] if re.fullmatch(r"1(\d\d|2[AB])\d{7}", house, re.ASCII) else "",
    )


def _decoded(element: etree._Element) -> bytes:
    try:
        return b64decode("".join((element.text or "").split()), validate=True)
    except ValueError:
        return b""


def _body(root: etree._Element) -> bytes:
    found = _all(root, "h:component/h:nonXMLBody/h:text[@representation='B64']")
    octets = _decoded(found[0]) if found else b""
    return octets if octets.startswith(b"%PDF-") else b""


# -- the body of a request -----------------------------------------------------------------------------------


def _request(root: etree._Element, document: ReadDocument) -> RequestValues:
    rows = {
        str(row.get("ID"))[len(ROW) :]: _cells(row)
        for row in _all(root, f"h:component/h:structuredBody//h:tr[starts-with(@ID, '{ROW}')]")
    }
    answers = tuple(cells for name, cells in rows.items() if name.startswith("answer-"))
    urgency = next((name[8:] for name in rows if name.startswith("urgency-")), "")
    own = "question" in rows
    return RequestValues(
        patient=document.patient,
        ins_oid=document.ins_oid,
        requester=document.author,
        expert=document.recipient,
        order_id=document.document_id,
        question=rows["question"][1] if own else _all_words(root),
        urgency=urgency,
        phone=rows.get("phone", ("", ""))[1],
        remark=rows.get("remark", ("", ""))[1],
        consent=True if "consent-oui" in rows else None,
        answers=answers,
        attachments=_media(root),
    )


def _cells(row: etree._Element) -> tuple[str, str]:
    head, value = _all(row, "h:th"), _all(row, "h:td")
    return (_words(head[0]) if head else "", _words(value[0]) if value else "")


def _words(element: etree._Element) -> str:
    """The text below an element, ``br`` as a line end."""
    words: list[str] = [element.text or ""]
    for child in element:
        words.append("\n" if child.tag == f"{_H}br" else _words(child))
        words.append(child.tail or "")
    return "".join(words)


def _all_words(root: etree._Element) -> str:
    """Every section of a foreign request as text: its title, then its narrative, rows as lines."""
    said: list[str] = []
    for section in _all(root, "h:component/h:structuredBody//h:section"):
        narrative = _all(section, "h:text")
        if not narrative:
            continue
        rows = _all(narrative[0], ".//h:tr")
        lines = [" | ".join(_flat(cell) for cell in row if _flat(cell)) for row in rows] or [
            _flat(narrative[0])
        ]
        body = "\n".join(line for line in lines if line)
        if body:
            title = _text(section, "h:title")
            said.append(f"{title}\n{body}" if title else body)
    return "\n\n".join(said)[:_MAX_WORDS]


def _flat(element: etree._Element) -> str:
    return " ".join(_words(element).split())


def _media(root: etree._Element) -> tuple[Attachment, ...]:
    """Pictures and documents that the request carries within."""
    found = []
    values = _all(root, "h:component/h:structuredBody//h:observationMedia/h:value[@representation='B64']")
    for number, value in enumerate(values, start=1):
        octets, kind = _decoded(value), str(value.get("mediaType", "")).lower()
        if octets and kind in _EXTENSIONS:
            found.append(Attachment(f"document-{number}.{_EXTENSIONS[kind]}", kind, octets))
    return tuple(found)
