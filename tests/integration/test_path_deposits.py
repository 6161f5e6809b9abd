"""Reports into applicative mailboxes: the national mail, receipts and failures, and who decides about it."""

from __future__ import annotations

import json
import re
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.root import cli
from gateway.register import record_treating
from gateway.services import Services
from gateway.store.rows import OutboxState
from teleexpertise.archives import open_archive
from tests.support import region
from tests.support.archives import VALIDATOR
from tests.support.forms import quoted, typed_into
from tests.support.gateway import Client, TestGateway, gateway, read, refusal_text, text_of, words_of
from tests.support.patients import PATIENTS, finalise_for_patient, new_ins
from tests.support.threads import Thread, answered, attachments, open_thread, request_form, request_values

#: "Applicative" mailboxes: where reports are to be deposited.
BOX, OTHER_BOX = region.STRANGER, region.CARDIOLOGIST


def ins_of(thread: Thread) -> str:
    return thread.values["NIR ou INS"]


EXPERT = replace(region.DERMATOLOGIST, organisation="CH Émile ROUX", finess="430000018")


async def _prepare(services: Services) -> None:
    async with services.store.transaction() as tx:
        await tx.accounts.save(EXPERT)
        await tx.deposits.add(region.GP.address, BOX.address, services.clock())
        await tx.deposits.add(region.DERMATOLOGIST.address, OTHER_BOX.address, services.clock())


@pytest.fixture(scope="module")
def deposited() -> Iterator[TestGateway]:
    """A gateway that can make national documents, whose two doctors named a mailbox each."""
    documents = f'patient_domain = "{PATIENTS}"\nnil = "DEV000001"'
    with gateway("\n[conversation]\nanswers_per_hour = 100000\n", documents) as made:
        made.ask(_prepare)
        yield made


def identified(served: TestGateway) -> Thread:
    """A conversation about a patient with a qualified INS."""
    thread = open_thread(
        served,
        nir=new_ins(),
        first="Jeanne Marie",
        born="03/02/1957",
        birth_place="43192",
        qualified="oui",
    )
    thread.tell(thread.expert, "Lésion bénigne.")
    return thread


def arrived(client: Client, thread: Thread, subject: str) -> EmailMessage:
    """The mail with the report at a mailbox outside of the conversation."""
    name = str(thread.values["Nom de naissance"])
    return client.wait(
        lambda mail: (
            str(mail["subject"]).startswith(subject)
            and (name in str(mail["subject"]) or thread.ref in str(mail["subject"]))
        )
    )


@pytest.fixture(scope="module")
def finished(deposited: TestGateway) -> Thread:
    thread = identified(deposited)
    assert "finalisée" in words_of(thread.finalise(thread.expert))
    thread.report(thread.requester)
    return thread


def test_the_form_shows_each_mailbox_to_be_unticked(deposited: TestGateway) -> None:
    thread = identified(deposited)
    form = thread.form(thread.expert, "Finaliser")
    for box, owner in ((BOX, region.GP), (OTHER_BOX, region.DERMATOLOGIST)):
        assert f"dépôt dans le dossier patient de {owner.name} ‹{box.address}›" in words_of(form)
    filled = answered(thread.expert, form, {"Conclusion": "Rien.", "Suite proposée": "Surveillance"})
    text = text_of(filled)
    line = re.search(r"\[x\] (\d+\. [^\n]*" + re.escape(OTHER_BOX.address) + ")", text)
    assert line is not None
    filled.set_content(text.replace(line[0], f"[ ] {line[1]}"))
    thread.expert.answer_to(thread.expert.send(filled))
    thread.report(thread.requester)
    deposited.settled()
    arrived(deposited.client(BOX), thread, "XDM/1.0/DDM+")
    name = str(thread.values["Nom de naissance"])
    other = deposited.client(OTHER_BOX)
    assert not [mail for mail in other.mails() if name in str(mail["subject"])]


def test_receipts_name_the_product_like_every_mail_of_ours(deposited: TestGateway) -> None:
    """ECO.2.4.3: the number of the product stands in what is written automatically, too."""
    client = deposited.client(region.GP)
    asked = client.compose(deposited.service, "Annuaire dermatologie")
    asked["Disposition-Notification-To"] = f"<{client.address}>"
    client.send(asked)
    receipt = client.wait(
        lambda mail: (
            mail.get_content_type() == "multipart/report" and mail["references"] == asked["message-id"]
        )
    )
    assert receipt["x-mss-nil"] == "DEV000001"


def test_the_mail_of_a_deposit_is_the_national_one(
    deposited: TestGateway, finished: Thread, tmp_path: Path
) -> None:
    report, pdf = finished.report(finished.requester)
    for box in (BOX, OTHER_BOX):
        mail = arrived(deposited.client(box), finished, "XDM/1.0/DDM+")
        family = str(finished.values["Nom de naissance"])
        assert str(mail["subject"]).endswith(f" {family} JEANNE 03/02/1957")
        assert (mail["x-mss-codecda"], mail["x-mss-ins"]) == ("85208-7", "O")
        assert mail["x-mss-nil"] == "DEV000001"
        assert mail["x-mss-mes"] is None
        assert str(report["message-id"]) in str(mail["references"]), "the thread holds by References"
        assert mail["in-reply-to"] == report["message-id"], "and answers no mail of another addressee"
        assert str(mail["disposition-notification-to"]).strip("<>") == str(mail["return-path"]).strip(
            "<> \r\n"
        )
        assert str(mail["to"]) == box.address, "no addressee sees the others"
        files = attachments(mail)
        (page,) = [name for name in files if name.endswith(".pdf")]
        assert re.fullmatch(rf"\d{{8}}_[^_]{{1,40}}_{family}_JEANNE_{finished.ref}\.pdf", page)
        assert files[page] == pdf, "the same PDF as in the thread"
        opened = open_archive(files["IHE_XDM.zip"])
        assert opened.findings == ()
        assert (opened.patient.ins, opened.patient.birth_name) == (ins_of(finished), family)
        path = tmp_path / "IHE_XDM.zip"
        path.write_bytes(files["IHE_XDM.zip"])
    if VALIDATOR.is_dir():
        command = [sys.executable, str(VALIDATOR / "validate.py"), str(path)]
        judge = subprocess.run(command, capture_output=True, text=True, check=False)
        assert judge.returncode == 0, judge.stdout


def test_the_command_line_makes_the_same_archive(
    deposited: TestGateway, finished: Thread, tmp_path: Path
) -> None:
    settings = deposited.services.settings
    config = settings.files.mac_key_file.parent / "gateway.toml"
    output = tmp_path / "made.zip"
    told = CliRunner().invoke(
        cli,
        ["--config", str(config), "document", "make", finished.ref, "--kind", "xdm", "--output", str(output)],
    )
    assert told.exit_code == 0, told.output
    assert open_archive(output.read_bytes()).findings == ()


def test_a_failed_integration_there_is_told_to_who_finalised(
    deposited: TestGateway, finished: Thread
) -> None:
    box = deposited.client(BOX)
    mail = arrived(box, finished, "XDM/1.0/DDM+")
    address = str(mail["disposition-notification-to"]).strip("<>")
    receipt = EmailMessage(policy=SMTP)
    receipt["From"], receipt["To"], receipt["Subject"] = (
        box.address,
        address,
        "[KO Intégration système !][903] X",
    )
    receipt["Message-ID"] = "<mdn-903@box.example>"
    receipt["MIME-Version"] = "1.0"
    raw = receipt.as_bytes()[:-2]
    raw += (
        'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n--b\r\n'
        "Content-Type: text/plain\r\n\r\nKO\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
        f"Final-Recipient: rfc822; {box.address}\r\nOriginal-Message-ID: {mail['message-id']}\r\n"
        "Disposition: automatic-action/MDN-sent-automatically; processed/error\r\n"
        "Error: 903^INS inconnu\r\n--b--\r\n"
    ).encode()
    box.send_bytes(raw, [address], "")
    notice = finished.expert.wait(
        lambda found: (
            "Document non intégré" in str(found["subject"]) and finished.ref in str(found["subject"])
        )
    )
    assert "903" in words_of(notice)
    assert notice["in-reply-to"] == mail["message-id"]


def test_without_an_ins_the_pdf_goes_alone_and_says_so(deposited: TestGateway) -> None:
    thread = open_thread(deposited)
    thread.tell(thread.expert, "Lésion bénigne.")
    thread.finalise(thread.expert)
    _, pdf = thread.report(thread.requester)
    mail = arrived(deposited.client(BOX), thread, f"[{thread.ref}")
    assert attachments(mail) == {f"{thread.ref}-v1.pdf": pdf}
    assert mail["x-mss-codecda"] is None, "only where a CDA is inside (ECO.2.4.1)"
    assert "PDF seul" in words_of(mail)
    assert thread.values["Nom de naissance"] not in str(mail["subject"])


def test_the_second_version_replaces_the_first(deposited: TestGateway, finished: Thread) -> None:
    finished.finalise(finished.expert, "Conclusion corrigée.")
    finished.report(finished.requester, 2)
    deposited.settled()
    name = str(finished.values["Nom de naissance"])
    mails = [mail for mail in deposited.client(BOX).mails() if name in str(mail["subject"])]
    assert len(mails) == 2
    first, second = (open_archive(attachments(mail)["IHE_XDM.zip"]).documents[0] for mail in mails)
    assert second.entry.transfer == "C"
    assert first.entry.transfer == ""
    assert second.header is not None
    assert second.header.replaces == first.entry.unique_id


def test_the_treating_doctor_named_in_the_request_gets_the_report(deposited: TestGateway) -> None:
    doctor = deposited.client(region.NURSE)
    thread = open_thread(deposited, treating=doctor.address.upper())
    thread.tell(thread.expert, "Lésion bénigne.")
    form = thread.form(thread.expert, "Finaliser")
    assert f"médecin traitant ‹{doctor.address}›" in words_of(form)
    thread.finalise(thread.expert)
    _, pdf = thread.report(thread.requester)
    mail = arrived(doctor, thread, f"[{thread.ref}")
    assert attachments(mail) == {f"{thread.ref}-v1.pdf": pdf}


async def _to_patients(services: Services) -> list[bytes]:
    """The mails that were put into the queue for patients."""
    async with services.store.reading() as tx:
        rows = await tx.outbox.list(tuple(OutboxState))
        mine = [r.message_id for r in rows if r.recipient.endswith(PATIENTS) and r.message_id]
        found = [await tx.messages.get_raw(message) for message in mine]
    return [raw for raw in found if raw is not None]


def test_the_patient_gets_it_only_on_request_and_the_exchange_is_closed(deposited: TestGateway) -> None:
    before = deposited.ask(_to_patients)
    thread = identified(deposited)
    thread.finalise(thread.expert)
    thread.report(thread.requester)
    deposited.settled()
    assert deposited.ask(_to_patients) == before, "nobody ticked the patient"
    asked = identified(deposited)
    finalise_for_patient(asked)
    deposited.settled()
    (raw,) = [each for each in deposited.ask(_to_patients) if each not in before]
    mail = read(raw)
    assert str(mail["to"]) == f"{ins_of(asked)}@{PATIENTS}"
    assert mail["x-mss-mes"] == "FIN"
    assert open_archive(attachments(mail)["IHE_XDM.zip"]).patient.ins == ins_of(asked)


def test_without_a_qualified_ins_the_patient_is_not_offered(deposited: TestGateway) -> None:
    without = open_thread(deposited)
    unproven = open_thread(deposited, nir=new_ins(), born="03/02/1957", birth_place="43192")
    for thread in (without, unproven):
        thread.tell(thread.expert, "Bonjour.")
        assert "le patient" not in words_of(thread.form(thread.expert, "Finaliser"))


def test_a_patient_who_writes_to_the_service_is_refused_with_a_sentence() -> None:
    # Whoever writes in the patients' domain is one: here all do.
    with gateway(documents_toml=f'patient_domain = "{region.DOMAIN}"') as made:
        client = made.client(region.GP)
        with pytest.raises(smtplib.SMTPDataError) as refusal:
            client.send(client.compose(made.service, "Annuaire"))
    assert refusal.value.smtp_code == 550
    assert "seul un professionnel" in refusal_text(refusal.value)


def test_accounts_name_their_mailboxes_at_the_command_line(deposited: TestGateway) -> None:
    config = deposited.services.settings.files.mac_key_file.parent / "gateway.toml"

    def call(*arguments: str) -> tuple[int, str]:
        told = CliRunner().invoke(cli, ["--config", str(config), "account", "deposit", *arguments])
        return told.exit_code, told.output

    code, output = call(region.NURSE.address)
    assert (code, "no deposit" in output) == (0, True)
    assert call(region.NURSE.address, "Dossier@Cabinet.mssante.example")[0] == 0
    assert "dossier@cabinet.mssante.example" in call(region.NURSE.address)[1]
    assert call(region.NURSE.address, "not an address")[0] == 1
    assert call("nobody@gateway.mssante.example", "a@b.example")[0] == 1
    assert call(region.NURSE.address, "--remove")[0] == 2
    assert "no deposit" in call(region.NURSE.address, "dossier@cabinet.mssante.example", "--remove")[1]


def finalised(thread: Thread, *untick: str) -> str:
    """Finalise with the lines that hold these words unticked; the form's words are returned."""
    form = thread.form(thread.expert, "Finaliser")
    filled = answered(thread.expert, form, {"Conclusion": "Rien.", "Suite proposée": "Surveillance"})
    text = text_of(filled)
    for words in untick:
        line = re.search(r"\[x\] (\d+\. [^\n]*" + re.escape(words) + ")", text)
        assert line is not None, words
        text = text.replace(line[0], f"[ ] {line[1]}")
    filled.set_content(text)
    thread.expert.answer_to(thread.expert.send(filled))
    thread.report(thread.requester)
    return words_of(form)


def test_each_patients_folder_is_shown_to_be_unticked(deposited: TestGateway) -> None:
    thread = identified(deposited)
    line = "classement dans le dossier du patient, chez"
    form = finalised(thread, f"{line} {region.DERMATOLOGIST.name}")
    assert f"{line} {region.GP.name}" in form
    folder = f"Patients/{thread.values['Nom de naissance']} Jeanne 1957-02-03"
    thread.requester.wait(lambda mail: thread.ref in str(mail["subject"]), folder)
    deposited.settled()
    assert folder not in thread.expert.folders()
    thread.report(thread.expert)


def asked_again(thread: Thread, treating: str = "", kept: str = "") -> Thread:
    """Another request about the same patient."""
    return open_thread(
        thread.gateway,
        nir=ins_of(thread),
        name=thread.values["Nom de naissance"],
        first="Jeanne Marie",
        born="03/02/1957",
        birth_place="43192",
        qualified="oui",
        treating=treating,
        treating_kept=kept,
    )


async def _record_doctor(services: Services, ref: str, address: str) -> None:
    async with services.store.transaction() as tx:
        row = await tx.conversations.by_ref(ref)
        assert row is not None
        known = await tx.patients.of_conversation(row.id)
        assert known is not None
        await record_treating(tx, known.id, address, "test", services.clock())


def test_the_treating_doctor_of_the_register_is_proposed_and_one_of_the_request_goes_before(
    deposited: TestGateway,
) -> None:
    nurse, secretary = region.NURSE.address, region.SECRETARY.address
    thread = identified(deposited)
    deposited.ask(lambda services: _record_doctor(services, thread.ref, nurse))
    form = finalised(thread)
    assert f"médecin traitant enregistré pour ce patient ‹{nurse}›" in form
    arrived(deposited.client(region.NURSE), thread, "XDM/1.0/DDM+")
    again = asked_again(thread, treating=secretary)
    again.tell(again.expert, "Bonjour.")
    form = words_of(again.form(again.expert, "Finaliser"))
    assert f"médecin traitant ‹{secretary}›" in form
    assert nurse not in form
    # By the form of a request it is recorded for all, and with no address forgotten.
    kept = asked_again(thread, treating=secretary, kept="toutes")
    assert f"{secretary} est enregistré pour ce patient" in words_of(kept.confirmation)
    form = words_of(thread.form(thread.expert, "Finaliser"))
    assert f"enregistré pour ce patient ‹{secretary}›" in form
    cleared = asked_again(thread, kept="toutes")
    assert "plus aucun médecin traitant" in words_of(cleared.confirmation).lower()
    assert "médecin traitant" not in words_of(thread.form(thread.expert, "Finaliser"))


def test_a_patients_mailbox_is_no_treating_doctor_and_no_deposit(deposited: TestGateway) -> None:
    patient = f"{new_ins()}@{PATIENTS}"
    client = deposited.client(region.GP)
    form = request_form(client)
    returned = client.answer_to(client.send(answered(client, form, request_values(treating=patient))))
    assert "et pas celle d'un patient" in words_of(returned)
    config = str(deposited.services.settings.files.mac_key_file.parent / "gateway.toml")
    naming = (["account", "deposit", region.NURSE.address, patient], ["patient", "treating", "1", patient])
    for arguments in naming:
        told = CliRunner().invoke(cli, ["--config", config, *arguments])
        assert told.exit_code == 1
        assert "is a patient's" in told.output
        assert patient not in told.output


def json_in(output: str) -> Any:
    """The JSON object that a command printed among log lines of the gateway."""
    return json.loads(output[output.index("{\n") : output.rindex("}") + 1])


def test_operators_show_record_and_clear_a_treating_doctor(deposited: TestGateway, finished: Thread) -> None:
    config = str(deposited.services.settings.files.mac_key_file.parent / "gateway.toml")

    def call(*arguments: str) -> str:
        told = CliRunner().invoke(cli, ["--config", config, "patient", *arguments])
        assert told.exit_code == 0, told.output
        return told.output

    number = json_in(call("search", ins_of(finished), "--json"))["patients"][0]["id"]
    assert "no treating doctor is recorded" in call("treating", str(number))
    assert region.NURSE.address in call("treating", str(number), region.NURSE.address.upper())
    assert region.NURSE.address in call("show", str(number))
    assert json_in(call("treating", str(number), "--clear", "--json"))["treating"] is None


def test_an_account_names_its_deposits_by_mail(deposited: TestGateway) -> None:
    client = deposited.client(region.CARDIOLOGIST)

    def answer(lines: str) -> EmailMessage:
        form = client.ask_service("Préférences")
        text = typed_into(text_of(form), {"Dépôt dans le dossier patient": lines})
        return client.answer_to(client.send(client.reply(form, quoted(text))))

    for wrong in (f"{new_ins()}@{PATIENTS}", "x@ailleurs.test", client.address, "pas une adresse"):
        returned = answer(f"{BOX.address}\n{wrong}")
        assert "ne peut pas recevoir vos comptes rendus" in words_of(returned)
    saved = answer(f"{BOX.address.upper()}\n{region.NURSE.address}")
    assert f"{region.NURSE.address}, {BOX.address}" in words_of(saved)
    assert f"{region.NURSE.address} {BOX.address}" in words_of(client.ask_service("Préférences"))
    assert BOX.address in words_of(answer(BOX.address))
    assert "Dépôt des comptes rendus" not in words_of(answer(""))


async def _exchanges(services: Services, patient: str) -> list[tuple[str, str, bool]]:
    async with services.store.reading() as tx:
        found = await tx.exchanges.list(10, patient=patient)
    return [(each.mailbox, each.closed_by, each.open) for each in found]


def test_what_became_of_the_patients_copy_is_kept_and_told_without_the_ins(deposited: TestGateway) -> None:
    asked = identified(deposited)
    finalise_for_patient(asked)
    deposited.settled()
    patient = f"{ins_of(asked)}@{PATIENTS}"
    (raw,) = [each for each in deposited.ask(_to_patients) if patient.encode() in each]
    assert deposited.ask(lambda services: _exchanges(services, patient)) == [
        (deposited.service, asked.expert.address, False)
    ]
    # The patients' operator is not in the trust list here: that is told in the thread.
    notice = asked.expert.wait(
        lambda mail: "Message non remis" in str(mail["subject"]) and asked.ref in str(mail["subject"])
    )
    assert "au patient" in words_of(notice)
    assert patient not in words_of(notice)
    assert str(notice["in-reply-to"]) in raw.decode("ascii", "replace")
    report, _ = asked.report(asked.requester)
    assert "le patient, dans sa messagerie sécurisée" in words_of(report)
    assert patient not in words_of(report)
