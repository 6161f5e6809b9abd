"""Our own checks of a document, before it leaves or once it came: above all what the schematrons let pass.

Each fault has a name whose French and English sentences are in ``sentences.toml``, and the place it is at.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from teleexpertise.documents import oids
from teleexpertise.documents.codes import code_tables
from teleexpertise.documents.completeness import COG
from teleexpertise.documents.parsing import NotReadable, parse
from teleexpertise.identifiers import nir_disagreements, read_ins

__all__ = ["Fault", "check_document", "check_tree"]

_N = {"h": "urn:hl7-org:v3", "s": "urn:hl7-org:sdtc"}
_REPORT, _REQUEST = "85208-7", "75496-0"
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*)){1,63}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INSTANT = re.compile(r"\d{14}[+-]\d{4}", re.ASCII)
_DAY = re.compile(r"\d{8}", re.ASCII)
_PERSON = re.compile(r"8\d{11}", re.ASCII)
#: FINESS, SIREN, SIRET, or the practice of a professional (RPPS and rank).
_ORGANISATION = re.compile(r"1(\d\d|2[AB])\d{7}|2\d{9}|3\d{14}|4\d{11}.{0,3}", re.ASCII)
_TELECOM = re.compile(r"(tel|mailto|https?|fax|mllp|ftp|file|nfs|x-text-fax|telnet):\S+")
_ROLE = re.compile(r"G1[56]_\d\d(/[A-Z]+\d+)?")
_REPORT_TEMPLATES = {
    "2.16.840.1.113883.2.8.2.1",
    "1.2.250.1.213.1.1.1.1",
    "1.3.6.1.4.1.19376.1.2.20",
}
_REQUEST_TEMPLATES = {
    "2.16.840.1.113883.2.8.2.1",
    "1.2.250.1.213.1.1.1.1",
    "1.2.250.1.213.1.1.1.38",
}
_ACTS = ("TE1", "TE2")
_TYPE = (("root", "2.16.840.1.113883.1.3"), ("extension", "POCD_HD000040"))


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: its name, and the element where it was found."""

    reason: str
    place: str = ""


def check_document(octets: bytes, *, test_identifiers: bool | None = None) -> tuple[Fault, ...]:
    """What is wrong with a TLM-CR or TLM-DA, () for nothing.

    ``test_identifiers``: the INS is to be a test one (``True``), a real one (``False``), or either.
    """
    try:
        root = parse(octets)
    except NotReadable as error:
        return (Fault(f"wrong.{error.reason}"),)
    return check_tree(root, test_identifiers=test_identifiers)


def check_tree(root: etree._Element, *, test_identifiers: bool | None = None) -> tuple[Fault, ...]:
    """The same for a document that :func:`~teleexpertise.documents.parsing.parse` has read."""
    look = _Look(root, test_identifiers)
    found = (fault for check in _CHECKS for fault in check(look))
    return tuple(Fault(f"wrong.{fault.reason}", fault.place) for fault in found)


@dataclass(frozen=True, slots=True)
class _Look:
    """A document under examination."""

    root: etree._Element
    test_identifiers: bool | None

    def all(self, path: str, at: etree._Element | None = None) -> list[etree._Element]:
        found = (self.root if at is None else at).xpath(path, namespaces=_N)
        assert isinstance(found, list), "the paths of this module select elements"
        return [each for each in found if isinstance(each, etree._Element)]

    def first(self, path: str, at: etree._Element | None = None) -> etree._Element | None:
        return next(iter(self.all(path, at)), None)

    def attribute(self, path: str, name: str, at: etree._Element | None = None) -> str:
        """An attribute of the first element, '' where either is absent."""
        found = self.first(path, at)
        return "" if found is None else str(found.get(name, ""))

    def text(self, path: str, at: etree._Element | None = None) -> str:
        found = self.first(path, at)
        return "" if found is None else "".join(map(str, found.itertext())).strip()

    @property
    def kind(self) -> str:
        return self.attribute("h:code", "code")


def _coded(found: etree._Element | None, system: str, codes: Container[str]) -> bool:
    """Whether an element holds one of some codes, and says of which nomenclature it is."""
    return found is not None and found.get("codeSystem") == system and found.get("code", "") in codes


def _named(text: str) -> bool:
    """Whether a name has a letter: a dash or question mark in its place names nobody."""
    return any(character.isalpha() for character in text)


_Check = Callable[[_Look], Iterator[Fault]]


def _identifier_faults(found: etree._Element | None, missing: str, wrong: str) -> Iterator[Fault]:
    if found is None or not found.get("root"):
        yield Fault(missing)
    elif not (_OID.fullmatch(found.get("root", "")) or _UUID.fullmatch(found.get("root", ""))):
        yield Fault(wrong, str(found.get("root")))


def _of_document(look: _Look) -> Iterator[Fault]:
    # Software that reads the octets as UTF-8 without looking would show other names (CI-SIS wants UTF-8).
    if (look.root.getroottree().docinfo.encoding or "UTF-8").upper() != "UTF-8":
        yield Fault("encoding")
    if look.attribute("h:realmCode", "code") != "FR":
        yield Fault("realm", "realmCode")
    if [each.items() for each in look.all("h:typeId")] != [list(_TYPE)]:
        yield Fault("type_id", "typeId")
    templates = [str(each.get("root")) for each in look.all("h:templateId")]
    wanted = {_REPORT: _REPORT_TEMPLATES, _REQUEST: _REQUEST_TEMPLATES}.get(look.kind)
    if wanted is None:
        yield Fault("document_code", "code")
    elif set(templates) != wanted or len(templates) != len(wanted):
        yield Fault("templates", "templateId")
    if look.attribute("h:code", "codeSystem") != oids.LOINC or not look.attribute("h:code", "displayName"):
        yield Fault("document_code", "code")
    if not look.text("h:title"):
        yield Fault("title", "title")
    confidentiality = look.first("h:confidentialityCode")
    if not _coded(confidentiality, oids.CONFIDENTIALITY, ("N", "R", "V")):
        yield Fault("confidentiality", "confidentialityCode")
    if look.attribute("h:languageCode", "code") != "fr-FR":
        yield Fault("language", "languageCode")
    yield from _identifier_faults(look.first("h:id"), "document_id", "document_id")
    yield from _identifier_faults(look.first("h:setId"), "set_id", "set_id")


def _of_versions(look: _Look) -> Iterator[Fault]:
    version = look.attribute("h:versionNumber", "value")
    if not re.fullmatch(r"[1-9]\d{0,5}", version, re.ASCII):
        yield Fault("version", "versionNumber")
        return
    replaced = look.all("h:relatedDocument[@typeCode='RPLC']/h:parentDocument/h:id")
    if (int(version) > 1) != bool(replaced):
        yield Fault("replaced", "relatedDocument")
    own = look.first("h:id")
    if own is not None and any(own.items() == each.items() for each in replaced):
        yield Fault("replaces_itself", "relatedDocument")


def _is_instant(value: str) -> bool:
    if not _INSTANT.fullmatch(value):
        return False
    try:
        _instant(value)
    except ValueError:
        return False
    return True


def _instant(value: str) -> datetime:
    return datetime.strptime(value, "%Y%m%d%H%M%S%z")


def _is_day(value: str) -> bool:
    """Whether these are eight digits of a day of the calendar."""
    try:
        return bool(_DAY.fullmatch(value)) and bool(datetime.strptime(f"{value}Z", "%Y%m%d%z"))
    except ValueError:
        return False


def _of_times(look: _Look) -> Iterator[Fault]:
    wanted = (
        *("h:effectiveTime", "h:author/h:time", "h:legalAuthenticator/h:time"),
        "h:documentationOf[1]/h:serviceEvent/h:effectiveTime/h:low",
        "h:componentOf/h:encompassingEncounter/h:effectiveTime/h:low",
    )
    for path in wanted:
        if not _is_instant(look.attribute(path, "value")):
            yield Fault("instant", path.replace("h:", ""))
    act = "h:documentationOf[1]/h:serviceEvent/h:effectiveTime"
    high, low = look.first(f"{act}/h:high"), look.attribute(f"{act}/h:low", "value")
    end = "" if high is None else str(high.get("value", ""))
    if high is not None and not _is_instant(end):
        yield Fault("instant", "documentationOf/serviceEvent/effectiveTime/high")
    elif end and _is_instant(low) and _instant(end) < _instant(low):
        yield Fault("times_reversed", "documentationOf/serviceEvent/effectiveTime")


def _of_patient(look: _Look) -> Iterator[Fault]:
    roles = look.all("h:recordTarget/h:patientRole")
    if len(roles) != 1:
        yield Fault("patient", "recordTarget")
        return
    numbers = [each for each in look.all("h:id", roles[0]) if each.get("root") in oids.INS_OIDS]
    if len(numbers) != 1:
        yield Fault("ins_oid", "recordTarget/patientRole/id")
    for number in numbers:
        # Kept as it is: a document with spaces in the number is none that another system can match.
        value = str(number.get("extension", ""))
        read = read_ins(value)
        if not read.valid or read.value != value:
            yield Fault("ins_key" if read.problem == "nir_key" else "ins", "recordTarget/patientRole/id")
        elif _says_otherwise(look, roles[0], value):
            yield Fault("ins_traits", "recordTarget/patientRole")
        tested = number.get("root") in (oids.INS_TEST, oids.INS_DEMO)
        if look.test_identifiers is not None and tested != look.test_identifiers:
            yield Fault("ins_oid_kind", "recordTarget/patientRole/id")
    yield from _of_traits(look, roles[0])


def _says_otherwise(look: _Look, role: etree._Element, ins: str) -> bool:
    """Whether an INS is one of another sex, year or month of birth than the traits: mostly a parent's."""
    born = look.attribute("h:patient/h:birthTime", "value", role)[:8]
    day = datetime.strptime(f"{born}Z", "%Y%m%d%z").date() if _is_day(born) else None
    sex = look.attribute("h:patient/h:administrativeGenderCode", "code", role)
    return bool(nir_disagreements(ins, sex, day))


def _of_traits(look: _Look, role: etree._Element) -> Iterator[Fault]:
    place = "recordTarget/patientRole/patient"
    name = "h:patient/h:name"
    if not _named(look.text(f"{name}/h:family[@qualifier='BR']", role)):
        yield Fault("birth_name", place)
    given = look.text(f"{name}/h:given[not(@qualifier)]", role)
    first = look.text(f"{name}/h:given[@qualifier='BR']", role)
    if not _named(given):
        yield Fault("given_names", place)
    if not first or (given and not f"{given} ".startswith(f"{first} ")):
        yield Fault("first_given_name", place)
    once = ("h:family[@qualifier='BR']", "h:given[not(@qualifier)]", "h:given[@qualifier='BR']")
    if any(len(look.all(f"{name}/{each}", role)) > 1 for each in once):
        yield Fault("two_names", place)
    if not _coded(look.first("h:patient/h:administrativeGenderCode", role), oids.GENDER, ("F", "M")):
        yield Fault("sex", place)
    if not _is_day(look.attribute("h:patient/h:birthTime", "value", role)[:8]):
        yield Fault("birth_date", place)
    yield from _of_multiple_birth(look, role)
    if not COG.fullmatch(look.text("h:patient/h:birthplace/h:place/h:addr/h:county", role)):
        yield Fault("birth_place", place)


def _of_multiple_birth(look: _Look, role: etree._Element) -> Iterator[Fault]:
    """A rank is one of a multiple birth, and a multiple birth tells twins apart by their rank."""
    said = look.attribute("h:patient/s:multipleBirthInd", "value", role)
    order = look.attribute("h:patient/s:multipleBirthOrderNumber", "value", role)
    if (order or said == "true") and not (said == "true" and re.fullmatch("[1-9]", order, re.ASCII)):
        yield Fault("birth_order", "recordTarget/patientRole/patient")


def _telecoms(look: _Look) -> Iterator[Fault]:
    for each in look.all("//h:telecom[@value]"):
        if not _TELECOM.fullmatch(str(each.get("value"))):
            yield Fault("telecom", "telecom")


def _of_person(look: _Look, path: str, who: str) -> Iterator[Fault]:
    """Identifier, profession and name of an author, authenticator or performer; its organisation."""
    place, people = path.replace("h:", ""), look.all(path)
    if not people:
        yield Fault(who, place)
    for person in people:
        yield from _of_one(look, person, place, who)


def _of_one(look: _Look, person: etree._Element, place: str, who: str) -> Iterator[Fault]:
    number = look.first("h:id", person)
    if number is None or number.get("root") != oids.PROFESSIONALS:
        yield Fault(f"{who}_id", f"{place}/id")
    elif not _PERSON.fullmatch(str(number.get("extension", ""))):
        yield Fault(f"{who}_rpps", f"{place}/id")
    role = look.first("h:code", person)
    if (
        role is None
        or role.get("codeSystem") != oids.PROFESSIONS
        or not _ROLE.fullmatch(str(role.get("code", "")))
    ):
        yield Fault(f"{who}_role", f"{place}/code")
    if not _named(look.text("h:assignedPerson/h:name/h:family", person)):
        yield Fault(f"{who}_name", f"{place}/assignedPerson")
    yield from _of_organisation(look, person, place, who)


def _of_organisation(look: _Look, person: etree._Element, place: str, who: str) -> Iterator[Fault]:
    organisation = look.first("h:representedOrganization", person)
    if organisation is None:
        # A requester's practice need not be known; that of who performs and signs an expertise must be.
        if who == "performer" or look.kind == _REPORT:
            yield Fault(f"{who}_organisation", place)
        return
    if look.kind == _REPORT and not _named(look.text("h:name", organisation)):
        yield Fault(f"{who}_organisation_name", f"{place}/representedOrganization/name")
    number = look.first("h:id", organisation)
    # A requester's practice has no FINESS number more often than not.
    if _wrong_organisation(number) and not (number is None and look.kind == _REQUEST):
        yield Fault(f"{who}_organisation", f"{place}/representedOrganization/id")
    code = look.first("h:standardIndustryClassCode", organisation)
    if who == "performer" and not _coded(code, oids.SETTINGS, code_tables().practice_settings):
        yield Fault("practice_code", f"{place}/representedOrganization")


def _wrong_organisation(number: etree._Element | None) -> bool:
    return (
        number is None
        or number.get("root") != oids.ORGANISATIONS
        or not _ORGANISATION.fullmatch(str(number.get("extension", "")))
    )


def _of_people(look: _Look) -> Iterator[Fault]:
    yield from _of_person(look, "h:author/h:assignedAuthor", "author")
    if look.attribute("h:legalAuthenticator/h:signatureCode", "code") != "S":
        yield Fault("signature", "legalAuthenticator/signatureCode")
    yield from _of_person(look, "h:legalAuthenticator/h:assignedEntity", "authenticator")
    keeper = "h:custodian/h:assignedCustodian/h:representedCustodianOrganization"
    if _wrong_organisation(look.first(f"{keeper}/h:id")):
        yield Fault("custodian_id", "custodian")
    if not _named(look.text(f"{keeper}/h:name")):
        yield Fault("custodian", "custodian")
    to = "h:informationRecipient/h:intendedRecipient"
    names = ("h:informationRecipient/h:name/h:family", "h:receivedOrganization/h:name")
    recipients = look.all(to)
    if not recipients or not all(any(_named(look.text(n, each)) for n in names) for each in recipients):
        yield Fault("recipient", "informationRecipient")
    for number in look.all(f"{to}/h:id[not(@nullFlavor)]"):
        if number.get("root") != oids.PROFESSIONALS or not _PERSON.fullmatch(
            str(number.get("extension", ""))
        ):
            yield Fault("recipient_id", "informationRecipient/intendedRecipient/id")


def _of_act(look: _Look) -> Iterator[Fault]:
    event = "h:documentationOf[1]/h:serviceEvent"
    if look.attribute(f"{event}/h:code", "code") not in _ACTS:
        yield Fault("act_code", "documentationOf/serviceEvent/code")
    if look.attribute(f"{event}/h:code", "codeSystem") != oids.ACTS:
        yield Fault("act_system", "documentationOf/serviceEvent/code")
    if len(look.all(f"{event}/h:performer")) != 1:
        yield Fault("performer", "documentationOf/serviceEvent/performer")
    else:
        yield from _of_person(look, f"{event}/h:performer/h:assignedEntity", "performer")
    stay = "h:componentOf/h:encompassingEncounter"
    if not _coded(look.first(f"{stay}/h:code"), oids.ENCOUNTER, ("VR",)):
        yield Fault("encounter", "componentOf/encompassingEncounter/code")
    facility = look.first(f"{stay}/h:location/h:healthCareFacility/h:code")
    if (
        facility is None
        or facility.get("codeSystem") != oids.FACILITIES
        or not re.fullmatch(r"SA\d\d", str(facility.get("code", "")))
    ):
        yield Fault("facility_code", "componentOf/encompassingEncounter/location")
    if look.kind == _REPORT and not look.attribute("h:inFulfillmentOf/h:order/h:id", "root"):
        yield Fault("order", "inFulfillmentOf")


def _of_body(look: _Look) -> Iterator[Fault]:
    if look.kind == _REQUEST:
        if not look.text("h:component/h:structuredBody"):
            yield Fault("body", "component/structuredBody")
        return
    body = look.first("h:component/h:nonXMLBody/h:text")
    if body is None or body.get("mediaType") != "application/pdf" or body.get("representation") != "B64":
        yield Fault("body", "component/nonXMLBody")
        return
    try:
        pdf = b64decode("".join((body.text or "").split()), validate=True)
    except ValueError:
        pdf = b""
    if not pdf.startswith(b"%PDF-") or b"%%EOF" not in pdf[-1024:]:
        yield Fault("body_pdf", "component/nonXMLBody")


_CHECKS: tuple[_Check, ...] = (
    *(_of_document, _of_versions, _of_times, _of_patient, _of_people, _of_act, _of_body, _telecoms),
)
