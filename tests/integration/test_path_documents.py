"""The report as a national document: what a CDA lacks is said; a whole one holds the PDF of the mail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pypdf import PdfReader

from gateway.cli.root import cli
from gateway.services import Services
from teleexpertise.documents.checks import check_document
from teleexpertise.documents.reading import read_document, read_request
from teleexpertise.events import Record, ReportMade
from tests.support import region
from tests.support.archives import archive, repacked
from tests.support.documents import ins, national_faults, needs_validator
from tests.support.gateway import TestGateway, gateway, words_of
from tests.support.threads import Thread, open_thread

COMPLETE = replace(region.DERMATOLOGIST, organisation="CH LE PUY", finess="430000018")
NUMBER = ins("F", date(1957, 2, 3), "2A004", 901)
INSURED = ins("M", date(1950, 5, 9), "43157", 902)


@pytest.fixture(scope="module")
def served() -> Iterator[TestGateway]:
    """A gateway of its own: the expert's account is completed here."""
    with gateway("\n[conversation]\nanswers_per_hour = 100000\n") as made:
        yield made


def records(gateway_: TestGateway, thread: Thread) -> tuple[Record, ...]:
    async def read(services: Services) -> tuple[Record, ...]:
        async with services.store.reading() as tx:
            row = await tx.conversations.by_ref(thread.ref)
            assert row is not None
            return await tx.events.of(row.id)

    found: tuple[Record, ...] = gateway_.ask(read)
    return found


def report_made(gateway_: TestGateway, thread: Thread) -> ReportMade:
    (event,) = [r.event for r in records(gateway_, thread) if isinstance(r.event, ReportMade)]
    return event


def command(gateway_: TestGateway, *arguments: Any) -> Result:
    path = gateway_.settings.pki.anchors.parent.parent / "gateway.toml"
    return CliRunner().invoke(cli, ["--config", str(path), *map(str, arguments)])


def test_what_a_cda_lacks_is_said_to_who_finalises_and_in_the_report_mail(served: TestGateway) -> None:
    thread = open_thread(served)
    told = words_of(thread.finalise(thread.expert))
    for words in (
        "Le compte rendu sera un PDF seul, sans document national (CDA)",
        "l'INS du patient n'est pas connue ;",
        "numéro FINESS de l'établissement",
    ):
        assert words in told
    mail, _ = thread.report(thread.requester)
    assert "Ce compte rendu est un PDF seul, sans document national (CDA)" in words_of(mail)
    assert "l'INS du patient n'est pas connue." in words_of(mail)
    assert report_made(served, thread).cda_sha256 == ""


def test_a_wrong_birth_place_is_asked_back_and_not_taken(served: TestGateway) -> None:
    with pytest.raises(AssertionError, match="code INSEE"):
        open_thread(served, nir=NUMBER, birth_place="Ajaccio")


@pytest.fixture(scope="module")
def cda(served: TestGateway, whole: Thread, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CDA of that report, as the command line makes it."""
    whole.report(whole.requester)
    path = tmp_path_factory.mktemp("cda") / "report.xml"
    made = command(served, "document", "make", whole.ref, "--kind", "cda", "--output", path)
    assert made.exit_code == 0, made.output
    return path


@pytest.fixture(scope="module")
def whole(served: TestGateway) -> Thread:
    """Finalised with all that a CDA needs."""

    async def complete(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.accounts.save(COMPLETE)

    served.ask(complete)
    traits: dict[str, Any] = {
        "first": "Anne Marie, Jeanne",
        "first_first": "Anne Marie",
        "used": "Roux",
        "used_first": "Annie",
    }
    thread = open_thread(served, nir=NUMBER, birth_place="2a004", qualified="oui", insured=INSURED, **traits)
    told = words_of(thread.finalise(thread.expert))
    assert "PDF seul" not in told
    return thread


def test_a_whole_report_is_made_as_cda_around_the_pdf_of_the_mail(
    served: TestGateway, whole: Thread, cda: Path
) -> None:
    mail, pdf = whole.report(whole.requester)
    assert "PDF seul" not in words_of(mail)
    octets = cda.read_bytes()
    assert cda.stat().st_mode & 0o777 == 0o600
    assert sha256(octets).hexdigest() == report_made(served, whole).cda_sha256
    assert check_document(octets, test_identifiers=True) == ()
    document = read_document(octets)
    patient = document.patient
    assert (patient.first_first_name, patient.used_name, patient.used_first_names) == (
        "ANNE MARIE",
        "ROUX",
        "ANNIE",
    )
    # The act is billed on the insured person's number; the document is the patient's and names no other.
    assert patient.ins == NUMBER
    assert INSURED.encode() not in octets
    assert document.pdf == pdf
    # The report says the act, too (art. R6316-4 CSP).
    printed = " ".join(" ".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages).split())
    assert "Acte TE2, Acte de téléexpertise" in printed
    assert (document.patient.ins, document.patient.birth_place) == (NUMBER, "2A004")
    assert document.author.name == "DR Rémy PERRET"
    assert document.recipient.rpps == region.GP.rpps
    needs_validator()
    assert national_faults(octets, "tlm-cr-2022") == []
    assert national_faults(octets, "tlm-cr-2026") == []


def test_the_command_line_makes_and_checks(
    served: TestGateway, whole: Thread, cda: Path, tmp_path: Path
) -> None:
    _, pdf = whole.report(whole.expert)
    out = tmp_path / "r.pdf"
    assert command(served, "document", "make", whole.ref, "--output", out).exit_code == 0
    assert out.read_bytes() == pdf
    again = command(served, "document", "make", whole.ref, "--output", out)
    assert again.exit_code == 1
    right = command(served, "document", "check", cda)
    assert (right.exit_code, "no fault found" in right.output) == (0, True)
    altered = tmp_path / "r.xml"
    altered.write_bytes(cda.read_bytes().replace(NUMBER.encode(), NUMBER[:13].encode() + b"00"))
    wrong = command(served, "document", "check", altered)
    assert wrong.exit_code == 1
    for words in ("wrong.ins_key", "la clé de l'INS", "the key of the patient's INS"):
        assert words in wrong.output
    packed = tmp_path / "r.zip"
    packed.write_bytes(archive(cda.read_bytes()))
    assert command(served, "document", "check", packed).exit_code == 0
    packed.write_bytes(repacked(packed.read_bytes(), {"IHE_XDM/SUBSET01/DOC0001.XML": altered.read_bytes()}))
    broken = command(served, "document", "check", packed)
    assert broken.exit_code == 1
    for words in ("archive.wrong_hash", "DOC0001.XML: recordTarget/patientRole/id [wrong.ins_key]"):
        assert words in broken.output
    assert command(served, "document", "check", tmp_path / "absent.xml").exit_code == 1
    assert command(served, "document", "check", out).exit_code == 1


def test_the_command_line_names_what_is_missing(served: TestGateway, whole: Thread, tmp_path: Path) -> None:
    """The requesters' settings are not there, so that there is no request; an open one has no report."""
    refused = command(served, "document", "make", whole.ref, "--kind", "request", "--output", tmp_path / "d")
    assert refused.exit_code == 1
    assert "missing.practice_setting" in refused.output
    assert not (tmp_path / "d").exists()
    thread = open_thread(served)
    early = command(served, "document", "make", thread.ref, "--output", tmp_path / "e")
    assert early.exit_code == 1
    assert "not finalised" in early.output


def test_a_request_read_back_names_the_conversation_the_report_answers(
    served: TestGateway, whole: Thread, cda: Path, tmp_path: Path
) -> None:
    path = served.settings.pki.anchors.parent.parent / "gateway.toml"
    text = path.read_text("utf-8")
    setting = 'requester_practice_setting = "AMBULATOIRE"\nrequester_facility_type = "SA08"\n'
    path.write_text(text.replace("[documents]\n", f"[documents]\n{setting}"), "utf-8")
    demand = tmp_path / "d.xml"
    made = command(served, "document", "make", whole.ref, "--kind", "request", "--output", demand)
    assert made.exit_code == 1, "the practice of the requester has no name"
    assert "missing.author_organisation" in made.output

    async def complete(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.accounts.save(replace(region.GP, organisation="Cabinet de Brioude"))

    served.ask(complete)
    assert (
        command(served, "document", "make", whole.ref, "--kind", "request", "--output", demand).exit_code == 0
    )
    read = read_request(demand.read_bytes())
    assert read.values is not None
    assert read.values.question == whole.values["Question"]
    assert read.values.requester.rpps == region.GP.rpps
    assert read_document(cda.read_bytes()).order_id == read.document.document_id
    needs_validator()
    assert national_faults(demand.read_bytes(), "tlm-da-2022") == []


def test_a_correction_replaces_the_document_before_it(
    served: TestGateway, whole: Thread, cda: Path, tmp_path: Path
) -> None:
    whole.finalise(whole.expert, "Exérèse large.")
    _, pdf = whole.report(whole.requester, 2)
    second = tmp_path / "v2.xml"
    assert command(served, "document", "make", whole.ref, "--kind", "cda", "--output", second).exit_code == 0
    first, later = read_document(cda.read_bytes()), read_document(second.read_bytes())
    assert (first.version, later.version) == (1, 2)
    assert (later.set_id, later.replaces) == (first.set_id, first.document_id)
    assert later.pdf == pdf != first.pdf
