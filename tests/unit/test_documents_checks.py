"""Our own checks refuse each mistake that the agency's rules let pass, and the coarse ones too."""

from base64 import b64encode
from collections.abc import Callable

import pytest
from lxml import etree

from teleexpertise.documents.checks import check_document
from teleexpertise.documents.sentences import reasons, sentence
from tests.support.documents import VALIDATOR, national_faults, needs_validator, report, request

N = {"h": "urn:hl7-org:v3"}
AUTHOR = "h:author/h:assignedAuthor"
PERFORMER = "h:documentationOf/h:serviceEvent/h:performer/h:assignedEntity"
FACILITY = "h:componentOf/h:encompassingEncounter/h:location/h:healthCareFacility/h:code"
ROLE = "h:recordTarget/h:patientRole"

Change = Callable[[etree._Element], None]


def found(root: etree._Element, path: str) -> etree._Element:
    element = root.find(path, N)
    assert element is not None, path
    return element


def put(path: str, name: str, value: str) -> Change:
    return lambda root: found(root, path).set(name, value)


def drop(path: str) -> Change:
    def change(root: etree._Element) -> None:
        element = found(root, path)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return change


def write(path: str, text: str) -> Change:
    def change(root: etree._Element) -> None:
        found(root, path).text = text

    return change


def wrong_key(root: etree._Element) -> None:
    number = found(root, f"{ROLE}/h:id")
    value = number.get("extension", "")
    number.set("extension", value[:13] + f"{(int(value[13:]) % 97) + 1:02d}")


def rank(multiple: str, order: str) -> Change:
    """Say of the patient what twins say."""

    def change(root: etree._Element) -> None:
        born = found(root, f"{ROLE}/h:patient/h:birthTime")
        for name, value in (("multipleBirthOrderNumber", order), ("multipleBirthInd", multiple)):
            if value:
                said = etree.Element(f"{{urn:hl7-org:sdtc}}{name}", value=value)
                born.addnext(said)

    return change


def twin(root: etree._Element, path: str) -> etree._Element:
    """A copy of an element behind it."""
    element = found(root, path)
    copied = etree.fromstring(etree.tostring(element))
    element.addnext(copied)
    return copied


def twice(path: str) -> Change:
    def change(root: etree._Element) -> None:
        twin(root, path)

    return change


def second_author(number: str) -> Change:
    """One more author, whose number is this."""
    return lambda root: found(twin(root, "h:author"), "h:assignedAuthor/h:id").set("extension", number)


#: What the agency's rules say nothing against: the measured list of blind spots, and more of the kind.
BLIND_SPOTS: dict[str, tuple[Change, str]] = {
    "ins-key": (wrong_key, "ins_key"),
    "ins-spaces": (put(f"{ROLE}/h:id", "extension", "2 57 03 99 999 001 13"), "ins"),
    "ins-length": (put(f"{ROLE}/h:id", "extension", "2570399999001"), "ins"),
    "author-oid": (put(f"{AUTHOR}/h:id", "root", "1.2.3.4"), "author_id"),
    "rpps-length": (put(f"{AUTHOR}/h:id", "extension", "81099990000"), "author_rpps"),
    "rpps-without-8": (put(f"{AUTHOR}/h:id", "extension", "10999900000"), "author_rpps"),
    "author-organisation": (
        put(f"{AUTHOR}/h:representedOrganization/h:id", "root", "1.2.3"),
        "author_organisation",
    ),
    "performer-organisation": (
        put(f"{PERFORMER}/h:representedOrganization/h:id", "root", "1.2.3"),
        "performer_organisation",
    ),
    "performer-finess": (
        put(f"{PERFORMER}/h:representedOrganization/h:id", "extension", "439900010"),
        "performer_organisation",
    ),
    "performer-oid": (put(f"{PERFORMER}/h:id", "root", "1.2.3"), "performer_id"),
    "author-role": (drop(f"{AUTHOR}/h:code"), "author_role"),
    "author-name": (drop(f"{AUTHOR}/h:assignedPerson"), "author_name"),
    "recipient": (drop("h:informationRecipient"), "recipient"),
    "day-only": (put("h:effectiveTime", "value", "20260322"), "instant"),
    "no-zone": (put("h:effectiveTime", "value", "20260322103000"), "instant"),
    "no-seconds": (put("h:effectiveTime", "value", "202603221030+0100"), "instant"),
    "author-time": (put("h:author/h:time", "value", "20260322"), "instant"),
    "event-time": (
        put("h:documentationOf/h:serviceEvent/h:effectiveTime/h:low", "value", "20260322"),
        "instant",
    ),
    "body-no-pdf": (
        write("h:component/h:nonXMLBody/h:text", b64encode(b"%PDX-1.4 %%EOF").decode()),
        "body_pdf",
    ),
    "body-cut": (
        write("h:component/h:nonXMLBody/h:text", b64encode(b"%PDF-1.4\n1 0 obj").decode()),
        "body_pdf",
    ),
    "order": (drop("h:inFulfillmentOf"), "order"),
    "custodian-oid": (
        put("h:custodian/h:assignedCustodian/h:representedCustodianOrganization/h:id", "root", "1.2"),
        "custodian_id",
    ),
    "version-2-replaces-nothing": (put("h:versionNumber", "value", "2"), "replaced"),
    "given-list": (write(f"{ROLE}/h:patient/h:name/h:given[@qualifier='BR']", "AUTRE"), "first_given_name"),
    "given-twice": (twice(f"{ROLE}/h:patient/h:name/h:given"), "two_names"),
    "birth-name-twice": (twice(f"{ROLE}/h:patient/h:name/h:family"), "two_names"),
    "birth-name-mark": (write(f"{ROLE}/h:patient/h:name/h:family", "?"), "birth_name"),
    "given-mark": (write(f"{ROLE}/h:patient/h:name/h:given", "-"), "given_names"),
    "no-such-day": (put(f"{ROLE}/h:patient/h:birthTime", "value", "19050231"), "birth_date"),
    "another-birth": (put(f"{ROLE}/h:patient/h:birthTime", "value", "19120101"), "ins_traits"),
    "another-sex": (put(f"{ROLE}/h:patient/h:administrativeGenderCode", "code", "M"), "ins_traits"),
    "sex-oid": (put(f"{ROLE}/h:patient/h:administrativeGenderCode", "codeSystem", "2.16.840.1.1"), "sex"),
    "confidentiality-oid": (put("h:confidentialityCode", "codeSystem", "2.16.840.1.1"), "confidentiality"),
    "encounter-oid": (put("h:componentOf/h:encompassingEncounter/h:code", "codeSystem", "1.2"), "encounter"),
    "author-mark": (write(f"{AUTHOR}/h:assignedPerson/h:name/h:family", "?"), "author_name"),
    "second-author": (second_author("8109999"), "author_rpps"),
    "author-nowhere": (drop(f"{AUTHOR}/h:representedOrganization"), "author_organisation"),
    "performer-organisation-name": (
        drop(f"{PERFORMER}/h:representedOrganization/h:name"),
        "performer_organisation_name",
    ),
    "custodian-mark": (
        write("h:custodian/h:assignedCustodian/h:representedCustodianOrganization/h:name", "..."),
        "custodian",
    ),
    "second-recipient": (
        lambda root: found(twin(root, "h:informationRecipient"), "h:intendedRecipient").clear(),
        "recipient",
    ),
    "ends-before-it-begins": (
        put("h:documentationOf/h:serviceEvent/h:effectiveTime/h:high", "value", "20200101000000+0100"),
        "times_reversed",
    ),
    "birth-place": (write(f"{ROLE}/h:patient/h:birthplace/h:place/h:addr/h:county", "PARIS"), "birth_place"),
}
#: The measured list beside the validator: its name of each mutation -> ours.
MEASURED: dict[str, str] = {
    "code 75496-0 (demande) instead of 85208-7": "request-code",
    "code 11488-4": "code",
    "code not in JDV_J07 (99999-9)": "unknown-code",
    "no templateId 1.3.6.1.4.1.19376.1.2.20": "template",
    "no setId": "set",
    "no versionNumber": "version",
    "no confidentialityCode": "no-confidentiality",
    "no legalAuthenticator": "no-authenticator",
    "no componentOf": "no-encounter",
    "no documentationOf": "no-act",
    "serviceEvent code TE1 -> RQD (2022 volet)": "act",
    "INS patient without birthplace (COG)": "no-birth-place",
    "INS patient without birth name": "birth-name",
    "INS OID 1.2.250.1.213.1.4.8 (production)": "real-oid",
    "INS matricule wrong key (…90)": "ins-key",
    "author speciality not in JDV_J01": "unknown-role",
    "author id root not RPPS oid": "author-oid",
    "RPPS wrong length": "rpps-length",
    "practiceSetting not in JDV_J04": "practice",
    "healthCareFacility not in JDV_J02": "unknown-facility",
    "performer org id not FINESS/struct oid": "performer-organisation",
    "telecom without scheme": "telecom",
    "effectiveTime bad (2020-03-27)": "no-instant",
    "first documentationOf without performer": "performer",
    "4th templateId in N1": "fourth-template",
    "body not a PDF": "body-no-pdf",
}
#: Against the form of the XML itself, which the agency's schema refuses.
SCHEMA_ALONE = {"(none)", "unknown element"}
OTHERS: dict[str, tuple[Change, str]] = {
    "code": (put("h:code", "code", "11488-4"), "document_code"),
    "template": (drop("h:templateId"), "templates"),
    "fourth-template": (twice("h:templateId"), "templates"),
    "realm": (put("h:realmCode", "code", "DE"), "realm"),
    "type": (put("h:typeId", "extension", "X"), "type_id"),
    "type-root": (put("h:typeId", "root", "1.2.3"), "type_id"),
    "title": (write("h:title", " "), "title"),
    "id": (put("h:id", "root", "not an oid"), "document_id"),
    "set": (drop("h:setId"), "set_id"),
    "version": (drop("h:versionNumber"), "version"),
    "language": (put("h:languageCode", "code", "de"), "language"),
    "confidentiality": (put("h:confidentialityCode", "code", "U"), "confidentiality"),
    "patient": (drop("h:recordTarget"), "patient"),
    "two-patients": (twice("h:recordTarget"), "patient"),
    "ins-oid": (put(f"{ROLE}/h:id", "root", "1.2.3"), "ins_oid"),
    "birth-name": (drop(f"{ROLE}/h:patient/h:name/h:family"), "birth_name"),
    "given": (drop(f"{ROLE}/h:patient/h:name/h:given"), "given_names"),
    "sex": (put(f"{ROLE}/h:patient/h:administrativeGenderCode", "code", "U"), "sex"),
    "birth": (put(f"{ROLE}/h:patient/h:birthTime", "value", "1957"), "birth_date"),
    "no-author": (drop(AUTHOR), "author"),
    "signature": (drop("h:legalAuthenticator/h:signatureCode"), "signature"),
    "authenticator": (drop("h:legalAuthenticator/h:assignedEntity"), "authenticator"),
    "act": (put("h:documentationOf/h:serviceEvent/h:code", "code", "RQD"), "act_code"),
    "act-oid": (put("h:documentationOf/h:serviceEvent/h:code", "codeSystem", "1.2"), "act_system"),
    "performer": (drop("h:documentationOf/h:serviceEvent/h:performer"), "performer"),
    "practice": (
        put(f"{PERFORMER}/h:representedOrganization/h:standardIndustryClassCode", "code", "X"),
        "practice_code",
    ),
    "encounter": (put("h:componentOf/h:encompassingEncounter/h:code", "code", "AMB"), "encounter"),
    "facility": (put(FACILITY, "codeSystem", "1.2"), "facility_code"),
    "no-body": (drop("h:component/h:nonXMLBody"), "body"),
    "custodian": (
        drop("h:custodian/h:assignedCustodian/h:representedCustodianOrganization/h:name"),
        "custodian",
    ),
    "request-code": (put("h:code", "code", "75496-0"), "templates"),
    "unknown-code": (put("h:code", "code", "99999-9"), "document_code"),
    "no-confidentiality": (drop("h:confidentialityCode"), "confidentiality"),
    "no-authenticator": (drop("h:legalAuthenticator"), "signature"),
    "no-encounter": (drop("h:componentOf"), "encounter"),
    "no-act": (drop("h:documentationOf"), "act_code"),
    "no-birth-place": (drop(f"{ROLE}/h:patient/h:birthplace"), "birth_place"),
    "real-oid": (put(f"{ROLE}/h:id", "root", "1.2.250.1.213.1.4.8"), "ins_oid_kind"),
    "unknown-role": (put(f"{AUTHOR}/h:code", "code", "G99_10/SM26"), "author_role"),
    "unknown-facility": (put(FACILITY, "code", "XX01"), "facility_code"),
    "telecom": (put(f"{ROLE}/h:telecom", "value", "0471000000"), "telecom"),
    "no-instant": (put("h:effectiveTime", "value", "2020-03-27"), "instant"),
    "rank-0": (rank("true", "0"), "birth_order"),
    "rank-without-birth": (rank("false", "2"), "birth_order"),
    "birth-without-rank": (rank("true", ""), "birth_order"),
}


def mutated(change: Change, octets: bytes) -> bytes:
    root = etree.fromstring(octets)
    change(root)
    return etree.tostring(root)


def told(octets: bytes) -> set[str]:
    return {fault.reason for fault in check_document(octets, test_identifiers=True)}


@pytest.mark.parametrize("name", [*BLIND_SPOTS, *OTHERS])
def test_each_mistake_is_refused_by_its_name(name: str) -> None:
    change, reason = (BLIND_SPOTS | OTHERS)[name]
    assert check_document(report()) == ()
    assert f"wrong.{reason}" in told(mutated(change, report()))


def test_the_measured_list_is_covered_whole() -> None:
    """Each mutation of the list beside the validator has one of ours, which our own checks refuse."""
    needs_validator()
    rows = [row.split("|") for row in (VALIDATOR / "blind-spots.md").read_text("utf-8").splitlines()]
    listed = {row[1].strip() for row in rows if len(row) > 5} - {"mutation", "---"}
    assert listed == set(MEASURED) | SCHEMA_ALONE
    assert set(MEASURED.values()) <= set(BLIND_SPOTS | OTHERS)


def test_the_agency_lets_the_blind_spots_pass() -> None:
    """Otherwise the list above is no list of blind spots any more."""
    needs_validator()
    passing = {
        name
        for name, (change, _) in BLIND_SPOTS.items()
        if not national_faults(mutated(change, report()), "tlm-cr-2026")
    }
    assert passing >= {
        *("ins-key", "author-oid", "rpps-length", "performer-organisation", "author-role", "author-name"),
        *("recipient", "day-only", "no-zone", "given-twice", "birth-name-twice", "birth-name-mark"),
        *("another-birth", "another-sex", "sex-oid", "confidentiality-oid", "encounter-oid"),
        *("author-mark", "second-author", "author-nowhere", "performer-organisation-name"),
        *("custodian-mark", "ends-before-it-begins"),
    }


def test_test_and_real_identities_are_kept_apart() -> None:
    assert check_document(report(), test_identifiers=True) == ()
    (fault,) = check_document(report(), test_identifiers=False)
    assert fault.reason == "wrong.ins_oid_kind"


def test_a_second_version_names_the_first() -> None:
    octets = report(version=2)
    assert b'typeCode="RPLC"' in octets
    assert told(mutated(drop("h:relatedDocument"), octets)) == {"wrong.replaced"}
    own = etree.fromstring(octets).find("h:id", N)
    assert own is not None
    itself = put("h:relatedDocument/h:parentDocument/h:id", "root", own.get("root", ""))
    assert told(mutated(itself, octets)) == {"wrong.replaces_itself"}


def test_a_request_is_checked_too() -> None:
    assert check_document(request()) == ()
    assert told(mutated(drop("h:component/h:structuredBody"), request())) == {"wrong.body"}


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "xml_malformed"),
        (b"<a>", "xml_malformed"),
        (b"\xff\xfe<\x00a\x00", "xml_malformed"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "xml_malformed"),
        (b"<ClinicalDocument/>", "not_a_document"),
        (b"%PDF-1.4", "is_pdf"),
        (b"PK\x03\x04", "is_archive"),
        (
            b'<!DOCTYPE a [<!ENTITY x "y">]><ClinicalDocument xmlns="urn:hl7-org:v3">&x;</ClinicalDocument>',
            "xml_doctype",
        ),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "xml_doctype"),
        (b"<a>" * 100 + b"</a>" * 100, "xml_bounds"),
        (b"<a>" + b"<b/>" * 100_001 + b"</a>", "xml_bounds"),
        (b" " * (40 * 1024 * 1024 + 1), "xml_bounds"),
        (b"<a " + b"".join(b"a%d='' " % n for n in range(600_001)) + b"/>", "xml_bounds"),
    ],
    ids=range(13),
)
def test_hostile_files_are_refused_before_they_are_read(octets: bytes, reason: str) -> None:
    assert told(octets) == {f"wrong.{reason}"}


@pytest.mark.parametrize("encoding", ["UTF-16", "ISO-8859-1", "KOI8-R"])
def test_other_encodings_than_utf_8_are_refused(encoding: str) -> None:
    """Names would read otherwise where the octets are taken for UTF-8, or the declaration for true."""
    octets = report()
    assert told(octets) == set()
    declared = octets.replace(b"encoding='UTF-8'", f"encoding='{encoding}'".encode())
    assert declared != octets
    if encoding == "UTF-16":
        declared = declared.decode("utf-8").encode("utf-16")
    assert "wrong.encoding" in told(declared)


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    for reason in reasons():
        for language in ("fr", "en"):
            words = sentence(reason, language)
            assert words.endswith(".")
            assert words[0].islower()
    assert {f"wrong.{reason}" for _, reason in (BLIND_SPOTS | OTHERS).values()} <= reasons()
