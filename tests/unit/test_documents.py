"""Reports and requests as national documents: what they say, what they lack, and that they are read back."""

from base64 import b64decode
from dataclasses import replace
from datetime import date

import pytest
from lxml import etree

from teleexpertise.archives import ArchiveDocument, build_archive, open_archive
from teleexpertise.documents.codes import code_tables
from teleexpertise.documents.facts import (
    MissingFields,
    Organisation,
    PersonName,
    birth_given_names,
    person_name,
    trait,
)
from teleexpertise.documents.oids import INS_NIA, INS_NIR, INS_TEST, document_oid
from teleexpertise.documents.reading import read_document, read_request
from teleexpertise.documents.sentences import sentences
from teleexpertise.documents.tlmcr import make_cda
from teleexpertise.documents.tlmda import make_request
from teleexpertise.patients import Patient
from tests.support.archives import NOW, SENDER
from tests.support.documents import (
    EXAMPLES,
    national_faults,
    needs_validator,
    report,
    report_facts,
    request,
    request_facts,
    small_pdf,
)

N = {"h": "urn:hl7-org:v3"}


def attributes(octets: bytes, path: str) -> dict[str, str]:
    found = etree.fromstring(octets).find(path, N)
    assert found is not None, path
    return {str(name): str(value) for name, value in found.items()}


def test_a_report_holds_the_same_pdf() -> None:
    text = etree.fromstring(report()).findtext("h:component/h:nonXMLBody/h:text", namespaces=N)
    assert text is not None
    assert b64decode(text) == small_pdf() == read_document(report()).pdf


def test_a_report_says_who_what_and_about_whom() -> None:
    facts = report_facts(0)
    octets = report(0)
    assert attributes(octets, "h:code")["code"] == "85208-7"
    act = attributes(octets, "h:documentationOf/h:serviceEvent/h:code")
    assert (act["code"], act["codeSystem"]) == ("TE2", "1.2.250.1.215.300.3")
    assert attributes(octets, "h:author/h:assignedAuthor/h:id")["extension"] == f"8{facts.author.rpps}"
    number = attributes(octets, "h:recordTarget/h:patientRole/h:id")
    assert number == {"root": "1.2.250.1.213.1.4.10", "extension": facts.patient.ins}
    order = attributes(octets, "h:inFulfillmentOf/h:order/h:id")["root"]
    assert (
        order == document_oid(facts.conversation, "request") == read_request(request(0)).document.document_id
    )


def test_versions_share_their_set_and_replace_each_other() -> None:
    first, second = read_document(report(0, version=1)), read_document(report(0, version=2))
    assert first.set_id == second.set_id
    assert (first.version, second.version) == (1, 2)
    assert second.replaces == first.document_id
    assert first.replaces == ""
    assert report(0) == report(0)


def test_a_version_that_never_left_is_not_replaced() -> None:
    first_cda = read_document(report(0, version=2, earlier=()))
    assert (first_cda.version, first_cda.replaces) == (1, "")
    third = read_document(report(0, version=3, earlier=(1,)))
    assert (third.version, third.replaces) == (2, read_document(report(0, version=1)).document_id)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"patient": Patient(anonymous=True)}, ["patient_anonymous"]),
        ({"patient": replace(report_facts(0).patient, ins="")}, ["patient_ins"]),
        ({"patient": replace(report_facts(0).patient, qualified=False)}, ["patient_qualified"]),
        # A parent's number would put the document into the parent's record.
        ({"patient": replace(report_facts(0).patient, sex="M")}, ["patient_ins_traits"]),
        ({"patient": replace(report_facts(0).patient, birth_date=date(2019, 2, 3))}, ["patient_ins_traits"]),
        ({"patient": replace(report_facts(0).patient, birth_place="")}, ["patient_birth_place"]),
        ({"patient": replace(report_facts(0).patient, sex="")}, ["patient_sex"]),
        ({"patient": replace(report_facts(0).patient, birth_date=None)}, ["patient_birth_date"]),
        ({"author": replace(report_facts(0).author, rpps="")}, ["author_rpps"]),
        ({"author": replace(report_facts(0).author, role=None)}, ["author_role"]),
        ({"author": replace(report_facts(0).author, name=PersonName(""))}, ["author_name"]),
        (
            {"author": replace(report_facts(0).author, organisation=Organisation())},
            ["author_organisation", "author_finess"],
        ),
        ({"custodian": Organisation(name="x")}, ["custodian_finess"]),
        ({"practice": "", "facility": ""}, ["practice_setting", "facility_type"]),
        ({"act": ""}, ["act"]),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_missing_is_named_and_nothing_is_made(change: dict[str, object], missing: list[str]) -> None:
    made = make_cda(report_facts(0, **change), small_pdf())
    assert made == MissingFields(tuple(f"missing.{name}" for name in missing))
    assert all(words.endswith(".") for words in sentences(made.fields))


def test_what_the_checks_refuse_never_leaves() -> None:
    patient = report_facts(0).patient
    wrong = replace(patient, ins=patient.ins[:13] + f"{(int(patient.ins[13:]) % 97) + 1:02d}")
    assert make_cda(report_facts(0, patient=wrong), small_pdf()) == MissingFields(("wrong.ins_key",))
    assert make_request(request_facts(0, patient=wrong)) == MissingFields(("wrong.ins_key",))
    # A test number on a real service, and the other way round.
    for kind, oid in ((False, INS_TEST), (True, INS_NIR)):
        mixed = {"test_identifiers": kind, "ins_oid": oid}
        assert make_cda(report_facts(0, **mixed), small_pdf()) == MissingFields(("wrong.ins_oid_kind",))
        assert make_request(request_facts(0, **mixed)) == MissingFields(("wrong.ins_oid_kind",))
    assert make_cda(report_facts(0), b"no pdf") == MissingFields(("wrong.body_pdf",))


@pytest.mark.parametrize("n", range(24))
def test_a_request_is_read_back_as_it_was(n: int) -> None:
    facts = request_facts(n)
    read = read_request(request(n))
    assert read.problems == ()
    assert set(read.warnings) <= {"doubtful.no_consent"}
    values = read.values
    assert values is not None
    assert values.question == facts.question
    assert (values.urgency, values.phone, values.remark) == (facts.urgency, facts.phone, facts.remark)
    assert values.answers == facts.answers
    assert values.consent == (True if facts.consent else None)
    assert values.patient.ins == facts.patient.ins
    assert values.patient.birth_date == facts.patient.birth_date
    assert values.patient.birth_place == facts.patient.birth_place
    assert values.patient.birth_name == trait(facts.patient.birth_name)
    assert values.patient.qualified
    assert values.ins_oid == facts.ins_oid
    assert values.requester.rpps == facts.author.rpps
    assert values.requester.mail == facts.author.mail
    assert values.expert.rpps == facts.recipient.rpps


@pytest.mark.parametrize("oid", [INS_NIR, INS_NIA, INS_TEST])
def test_twins_and_the_authority_of_an_ins_are_read_back(oid: str) -> None:
    first = replace(report_facts(2).patient, birth_order=1)
    second = replace(first, birth_order=2, first_names="Lise Anne")
    for patient in (first, second):
        octets = report(2, patient=patient, ins_oid=oid)
        read = read_document(octets)
        assert (read.patient.birth_order, read.ins_oid) == (patient.birth_order, oid)
        opened = open_archive(build_archive([ArchiveDocument(octets)], SENDER, "1.2.3.9", NOW))
        assert (opened.patient.birth_order, opened.patient.oid) == (patient.birth_order, oid)
        info = opened.documents[0].entry.source_patient_info
        assert {"PID-24|Y", f"PID-25|{patient.birth_order}"} <= set(info)
        assert opened.documents[0].entry.patient_id == f"{patient.ins}^^^&{oid}&ISO^NH"
    alone = read_document(report(2, patient=replace(first, birth_order=0)))
    assert alone.patient.birth_order == 0


def test_a_report_is_no_request() -> None:
    read = read_request(report())
    assert read.values is None
    assert read.problems == ("wrong.not_a_request",)


def test_the_agencys_own_examples_are_accepted() -> None:
    needs_validator()
    for file in EXAMPLES.glob("TLM-DA*.xml"):
        read = read_request(file.read_bytes())
        assert read.problems == ()
        assert read.values is not None
        assert "pathologies actives" in read.values.question
        assert read.values.patient.ins == "279035121518989"
        assert [piece.content[:5] for piece in read.values.attachments] == [b"%PDF-"]
    for name in ("TLM-CR_2022.01.xml", "DOC_NON_STRUCTURE_CDA-R2-N1.xml"):
        document = read_document((EXAMPLES / name).read_bytes())
        assert document.problems == ()
        assert document.pdf.startswith(b"%PDF-")
        assert document.patient.qualified


def test_an_example_without_set_is_accepted_with_a_warning() -> None:
    needs_validator()
    root = etree.fromstring((EXAMPLES / "TLM-CR_2022.01.xml").read_bytes())
    number = root.find("h:setId", N)
    assert number is not None
    root.remove(number)
    document = read_document(etree.tostring(root))
    assert document.problems == ()
    assert "doubtful.no_set_id" in document.warnings
    assert document.set_id == ""


def test_an_identity_with_a_wrong_key_is_a_problem_and_no_identity() -> None:
    octets = request(0).replace(request_facts(0).patient.ins.encode(), b"257039999900112")
    read = read_request(octets)
    assert read.values is None
    assert read.problems == ("wrong.ins_key",)
    assert read.document.patient.ins == ""
    assert not read.document.patient.qualified


@pytest.mark.parametrize("n", [0, 3, 4, 10, 12])
def test_some_documents_before_the_agencys_rules(n: int) -> None:
    """``make conformity`` judges two hundred."""
    needs_validator()
    assert national_faults(report(n), "tlm-cr-2022") == []
    assert national_faults(report(n), "tlm-cr-2026") == []
    assert national_faults(request(n), "tlm-da-2022") == []


def test_the_agencys_rules_do_refuse() -> None:
    needs_validator()
    assert national_faults(report().replace(b"85208-7", b"11488-4"), "tlm-cr-2022")


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ("Dr Nadège ARSAC", PersonName("ARSAC", "Nadège", "", "DR")),
        ("M. Jean-Paul DE LA TOUR", PersonName("DE LA TOUR", "Jean-Paul", "M", "")),
        ("Mme le Pr Ada LOVE", PersonName("LOVE", "le Pr Ada", "MME", "")),
        ("Jean Martin Dupont", PersonName("Jean Martin Dupont")),
        ("ARSAC Nadège", PersonName("ARSAC", "Nadège")),
        ("Dr", PersonName("", "", "", "DR")),
    ],
)
def test_names_of_professionals(shown: str, name: PersonName) -> None:
    assert person_name(shown) == name


def test_traits_are_capitals_without_accents() -> None:
    assert trait(" Œdème  d’Été–Lévêque ") == "OEDEME D'ETE-LEVEQUE"
    assert birth_given_names("Anne Marie, Lise") == ("ANNE MARIE LISE", "ANNE MARIE")
    assert birth_given_names("Bertille Anne") == ("BERTILLE ANNE", "BERTILLE")
    assert birth_given_names(" ") == ("", "")


@pytest.mark.parametrize(
    ("profession", "specialty", "code"),
    [
        ("Médecin généraliste", "", "G15_10/SM54"),
        ("Médecin dermatologue", "Dermatologie", "G15_10/SM15"),
        ("Médecin", "Cardiologie", "G15_10/SM04"),
        ("Médecin coordonnateur en EHPAD", "", "G15_10"),
        ("Infirmière libérale", "", "G15_60"),
        ("INFIRMIER EN PRATIQUE AVANCÉE", "", "G15_60"),
        ("Sage-femme", "Dermatologie", "G15_50"),
        ("Chirurgien-dentiste", "", "G15_40"),
        ("", "Cardiologie", None),
        ("Secrétaire médicale", "", None),
    ],
)
def test_professions_have_their_code_or_none(profession: str, specialty: str, code: str | None) -> None:
    role = code_tables().role(profession, specialty)
    assert (role.code if role else None) == code


def test_the_shipped_codes_are_those_of_the_agency() -> None:
    needs_validator()
    table = EXAMPLES.parent / "schematrons/profils/structurationMinimale/include"
    for name, codes in (
        ("461", dict(code_tables().labels)),
        ("466", dict(code_tables().facility_types)),
        ("467", dict(code_tables().practice_settings)),
    ):
        rows = etree.parse(table / f"voc-1.2.250.1.213.1.1.5.{name}-DYNAMIC.xml").getroot().iter("*")
        known = {row.get("code"): row.get("displayName") for row in rows if row.get("code")}
        assert {code: known.get(code) for code in codes} == codes
