"""Two operators that both run the gateway: a user of one asks an expert of the other; nothing ever loops."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.services import Services
from teleexpertise.archives import open_archive
from teleexpertise.documents.reading import read_document
from tests.support import region
from tests.support.documents import ins
from tests.support.gateway import Client, TestGateway, eventually, octets_after_header, text_of
from tests.support.neighbours import THERE, Neighbours, deployment, mirror, neighbours
from tests.support.operators import opened, operator_session, own_certificate, resident
from tests.support.threads import (
    Thread,
    answered,
    attachments,
    open_thread,
)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def both() -> Iterator[Neighbours]:
    with neighbours() as made:
        yield made


def asked_there(asking: Client, subject: str, service: str) -> EmailMessage:
    """The answer of the other operator's service to a command."""
    return asking.answer_to(asking.send(asking.compose(service, subject)))


def asked_there_by_form(both: Neighbours) -> Thread:
    """The doctor here asks the expert there."""
    return opened(both.doctor, both.expert, both.there.service)


def got(client: Client, thread: Thread, words: str) -> EmailMessage:
    """A mail of a conversation that the other gateway holds: it lies in the thread as one of ours would."""
    return thread.wait(client, lambda mail: words in str(mail["subject"]))


def vacation(client: Client, received: EmailMessage, to: str) -> EmailMessage:
    """An absence notice as mail servers make them (RFC 3834), sent with a null sender."""
    notice = client.compose(to, f"Absence : {received['subject']}", "Je suis absent jusqu'au 30.")
    notice["Auto-Submitted"] = "auto-replied (vacation)"
    notice["In-Reply-To"] = str(received["message-id"])
    notice["References"] = str(received["message-id"])
    client.send_bytes(notice.as_bytes(), [to], "")
    return notice


def address_of(mail: EmailMessage, field: str) -> str:
    """The address in a field with one."""
    return str(mail[field].addresses[0].addr_spec)


def test_a_whole_tele_expertise_between_two_gateways(both: Neighbours) -> None:
    doctor, expert = both.doctor, both.expert
    directory = asked_there(doctor, "Annuaire dermatologie 43", both.there.service)
    assert both.expert.address in text_of(directory)
    thread = asked_there_by_form(both)

    question = thread.question(expert)
    assert attachments(question)["photo é.jpg"] == thread.photos[0][1]
    answer = expert.send(expert.reply(question, "Exérèse conseillée."))
    here = thread.copy_of(doctor, answer)
    raw = next(raw for raw, _ in thread.raw_seen_by(doctor) if str(answer["message-id"]).encode() in raw)
    assert octets_after_header(raw) == octets_after_header(answer.as_bytes())

    reply = doctor.send(doctor.reply(here, "Merci, je l'organise."))
    thread.copy_of(expert, reply)
    thread.finalise(expert)
    _, report = thread.report(doctor)
    assert report.startswith(b"%PDF-")
    settled = both.quiet()
    assert both.quiet() == settled


def test_absence_notices_of_both_sides_are_shown_once_and_answered_by_nobody(both: Neighbours) -> None:
    thread = asked_there_by_form(both)
    question = thread.question(both.expert)
    theirs = got(both.doctor, thread, "Demande de téléexpertise")
    before = both.quiet()
    for _ in range(3):
        vacation(both.doctor, theirs, address_of(theirs, "reply-to"))
        vacation(both.expert, question, address_of(question, "reply-to"))
        vacation(both.doctor, theirs, both.there.service)
        vacation(both.expert, question, both.there.service)
    after = both.quiet()
    assert both.quiet() == after
    # Each absence is shown once to each side and noticed in INBOX; twelve notices did no more.
    assert 0 < sum(after[:6]) - sum(before[:6]) <= 6
    assert thread.state(both.expert) == "requested"


def test_a_service_address_that_writes_to_the_other_gets_one_answer_that_nobody_answers(
    both: Neighbours,
) -> None:
    before = both.quiet()
    mail = both.doctor.compose(both.there.service, "Annuaire dermatologie 43")
    mail.replace_header("From", both.here.service)
    with operator_session(
        both.there.settings.smtp.mx_port, own_certificate(both.here.settings).client_tls
    ) as smtp:
        smtp.sendmail(both.here.service, [both.there.service], mail.as_bytes())
    after = both.quiet()
    assert both.quiet() == after
    assert after[:6] == before[:6]
    assert sum(after[6:]) - sum(before[6:]) <= 1


def test_both_service_addresses_in_one_mail_answer_once_each(both: Neighbours) -> None:
    doctor = both.doctor
    before = both.quiet()
    mail = doctor.compose(both.here.service, "Annuaire cardiologie", cc=both.there.service)
    doctor.send(mail)

    def answers() -> bool:
        mine = [m for m in doctor.mails() if str(m["in-reply-to"]).strip() == mail["message-id"]]
        return {address_of(m, "from") for m in mine} == {both.here.service, both.there.service}

    eventually(answers, "an answer of each service")
    after = both.quiet()
    assert both.quiet() == after
    assert after[0] - before[0] == 2


def test_the_own_service_in_cc_of_a_reply_keeps_no_mail_from_the_conversation(both: Neighbours) -> None:
    thread = asked_there_by_form(both)
    theirs = got(both.doctor, thread, "Demande de téléexpertise")
    reply = both.doctor.reply(theirs, "Avec le service de chez nous en copie.")
    reply["Cc"] = both.here.service
    both.doctor.send(reply)
    thread.copy_of(both.expert, reply)
    quiet = both.quiet()
    assert both.quiet() == quiet

    # The service is no person: it is not invited, and what the expert writes next is not answered by it.
    answer = both.expert.send(both.expert.reply(thread.copy_of(both.expert, reply), "Bien reçu."))
    thread.copy_of(both.doctor, answer)
    quiet = both.quiet()
    assert both.quiet() == quiet
    assert not [mail for mail in both.expert.mails() if address_of(mail, "from") == both.here.service]
    assert not [mail for mail in thread.seen_by(both.expert) if "invité" in str(mail["subject"])]


def test_one_mail_to_conversations_of_both_gateways_joins_neither_to_the_other(both: Neighbours) -> None:
    doctor, ours = both.doctor, both.here.client(region.DERMATOLOGIST)
    thread, other = asked_there_by_form(both), open_thread(both.here)
    theirs = got(doctor, thread, "Demande de téléexpertise")
    reply = doctor.reply(other.question(doctor), "Pour les deux avis.")
    reply["Cc"] = address_of(theirs, "reply-to")
    doctor.send(reply)
    other.copy_of(ours, reply)
    settled = both.quiet()
    assert both.quiet() == settled
    for conversation, client in ((thread, both.expert), (other, ours)):
        subjects = [str(mail["subject"]) for mail in conversation.seen_by(client)]
        assert not [subject for subject in subjects if "invité" in subject]


def test_a_service_that_another_gateway_made_a_member_answers_nobody(both: Neighbours) -> None:
    before = both.quiet()
    mail = both.expert.compose(both.here.service, "Re: [TLE-2026-000001 - en cours] Demande", "Bien reçu.")
    mail["X-TLE-Id"] = "5b0c8d0e-0000-4000-8000-000000000001"
    tls = own_certificate(both.there.settings).client_tls
    with operator_session(both.here.settings.smtp.mx_port, tls) as smtp:
        smtp.sendmail(both.expert.address, [both.here.service], mail.as_bytes())
    assert both.quiet() == before


def exported(gateway: TestGateway, folder: Path, ref: str, *options: str) -> list[dict[str, str]]:
    """The lines of one conversation in an export at the command line."""
    out = folder / f"{uuid4()}.csv"
    deployment(gateway.settings).done("export", "--out", out, *options)
    rows = csv.DictReader(io.StringIO(out.read_text("utf-8-sig")), delimiter=";")
    return [row for row in rows if row["Référence"] == ref]


def test_a38_who_asked_an_expert_elsewhere_has_an_own_line_here_and_no_other(
    both: Neighbours, tmp_path: Path
) -> None:
    thread = asked_there_by_form(both)
    name, doctor = f"{thread.ref}@{THERE}", both.doctor

    def told(version: int) -> bool:
        found = mirror(both.here, thread.ref, THERE)
        return found is not None and found.told is not None and found.told.version == version

    eventually(lambda: told(0), "what the holder tells of the request")
    (row,) = exported(both.here, tmp_path, name, "--pending")
    assert (row["Rôle"], row["Compte"], row["État"]) == ("demandeur", doctor.address, "demandée")
    assert row["Tenue par un autre opérateur"] == THERE
    assert row["Compte du correspondant"] == both.expert.address
    assert row["Patient : nom de naissance"] == thread.values["Nom de naissance"]
    assert row["À régulariser"] == ""

    thread.finalise(both.expert)
    eventually(lambda: told(1), "what the holder tells of the finalisation")
    assert exported(both.here, tmp_path, name, "--pending") == []
    (row,) = exported(both.here, tmp_path, name)
    there = {each["Rôle"]: each for each in exported(both.there, tmp_path, thread.ref)}
    assert set(there) == {"demandeur", "expert"}
    assert (row["Rôle"], row["Acte"], row["Rang dans l'année"]) == ("demandeur", "RQD", "1")
    assert row["RPPS"] == region.GP.rpps, "of our own account we know more than the holder"
    number = "Numéro de facturation du correspondant (prescripteur)"
    assert row[number] == there["demandeur"][number] != ""
    for same in ("Numéro de facturation", "Date de l'acte", "Finalisée le", "Finalisée par"):
        assert row[same] == there["demandeur"][same], same
    amounts = (row["Montant (€)"], there["demandeur"]["Montant (€)"])
    assert amounts == ("10,00", ""), "the holder does not know where she works"
    ((_, content),) = attachments(doctor.ask_service("Export demandeur csv")).items()
    assert name in content.decode("utf-8-sig"), "by mail it is the same line"
    figures = deployment(both.here.settings).json("stats", "--account", doctor.address, "--role", "requester")
    assert figures["elsewhere"]["counted"] >= 1
    assert (figures["elsewhere"]["specialty"], figures["elsewhere"]["answer"]) == (0, 0)
    assert "Dermatologie" in [group["name"] for group in figures["specialties"]]
    # Once the register here knows the patient by a request of hers, the search finds both conversations.
    own = open_thread(both.here, name=thread.values["Nom de naissance"])
    found = " ".join(text_of(doctor.ask_service(f"Patient {thread.values['Nom de naissance']}")).split())
    assert f"{thread.ref} - terminée" in found
    assert f"{THERE} (autre opérateur)" in found
    assert f"{own.ref} - demandée" in found
    assert deployment(both.here.settings).json("rebuild", "--check")["differences"] == []


def test_the_report_is_filed_into_the_patients_folder_of_the_other_operator_too(both: Neighbours) -> None:
    number, doctor = ins("F", date(1957, 2, 3), "43157", 871), both.doctor
    expert = replace(resident(region.DERMATOLOGIST, THERE), organisation="CH LE PUY", finess="430000018")

    async def complete(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.accounts.save(expert)

    both.there.ask(complete)
    about = {"nir": number, "birth_place": "43157", "qualified": "oui"}
    thread = opened(doctor, both.expert, both.there.service, **about)
    thread.finalise(both.expert)
    report, pdf = thread.report(doctor)
    assert report["x-mss-codecda"] == "85208-7"
    (document,) = open_archive(attachments(report)["IHE_XDM.zip"]).documents
    assert read_document(document.content or b"").pdf == pdf
    # Her own operator does not know the patient yet, whom the other one was asked about.
    asked = doctor.wait(
        lambda mail: "à classer" in str(mail["subject"]) and mail["in-reply-to"] == report["message-id"]
    )
    told = doctor.answer_to(doctor.send(answered(doctor, asked, {"Dossier du patient": "nouveau"})))
    assert "Document classé" in str(told["subject"])
    # From now on it is certain.
    again = answered(both.expert, thread.form(both.expert, "Finaliser"), {"Conclusion": "Corrigée."})
    both.expert.answer_to(both.expert.send(again))
    second, _ = thread.report(doctor, 2)
    (folder,) = [name for name in doctor.folders() if name.startswith("Patients/")]
    versions = {report["message-id"], second["message-id"]}
    eventually(lambda: versions <= {m["message-id"] for m in doctor.mails(folder)}, "both versions filed")
