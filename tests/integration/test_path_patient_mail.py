"""Patients as correspondents: exchanges that professionals open and end, answers known by what they cite."""

from __future__ import annotations

import io
import json
import smtplib
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from PIL import Image

from gateway.cli.root import cli
from tests.support import region
from tests.support.gateway import octets_after_header, read, refusal_text, words_of
from tests.support.patients import (
    OTHERS,
    PATIENTS,
    PatientSpace,
    address_of,
    finalise_for_patient,
    new_ins,
    patient_space,
)
from tests.support.threads import open_thread

FIRST = "Seul un professionnel peut ouvrir un echange"
CLOSED = "Le professionnel a mis fin a cet echange"
NO_ANSWER = "ne repond a aucun message de ce professionnel"
DOCTOR = region.GP.address


@pytest.fixture(scope="module")
def space() -> Iterator[PatientSpace]:
    with patient_space() as made:
        yield made
        text = " ".join(f"{line.actor} {line.target} {line.detail}" for line in made.audit())
        assert "@patient" in text
        assert "25702431920" not in text, "no INS in the journal"


def test_a_patient_opens_no_exchange(space: PatientSpace) -> None:
    patient = address_of(new_ins())
    before = len(space.audit())
    refusal = space.offer(f"Odette <{patient}>", DOCTOR)
    assert refusal.startswith("550 5.7.1"), refusal
    assert FIRST in refusal
    (line,) = space.audit()[before:]
    assert (line.action, line.detail["reason"]) == ("turn away", "patient without exchange")
    # Neither does who names another envelope sender of that operator, or none.
    for mail_from in (f"noreply@{PATIENTS}", ""):
        refusal = space.offer(patient, DOCTOR, mail_from=mail_from)
        assert refusal.startswith("550 5.7.1")
        assert FIRST in refusal
    assert FIRST in space.offer(f"support@{PATIENTS}", DOCTOR)
    assert space.exchanges(patient) == ()


def test_an_answer_is_known_by_what_it_cites_and_filed(space: PatientSpace) -> None:
    ins, known = space.registered()
    patient = address_of(ins)
    sent = space.write(region.GP, patient)
    (exchange,) = space.exchanges(patient)
    assert (exchange.mailbox, exchange.opened_by, exchange.open) == (DOCTOR, DOCTOR, True)
    # The subject never places: the same one without reference answers nothing, any other with it does.
    assert NO_ANSWER in space.offer(patient, DOCTOR, subject="Re: Vos résultats")
    subject = "XDM/1.0/DDM+Autre chose"
    detailed = DOCTOR.replace("@", "+suivi@")
    assert space.offer(patient, detailed, cites=str(sent["message-id"]), subject=subject) == ""
    client = space.gateway.client(region.GP)
    answer = client.wait(lambda mail: mail["in-reply-to"] == sent["message-id"])
    assert answer["references"] == sent["message-id"]
    assert str(answer["from"]) == patient
    folder = f"Patients/{known.birth_name} Odette 1957-02-03"
    filed = client.wait(lambda mail: mail["message-id"] == answer["message-id"], folder)
    assert octets_after_header(filed.as_bytes()) == octets_after_header(answer.as_bytes())
    assert "\\Seen" in client.raw_mails(folder)[0][1]
    (exchange,) = space.exchanges(patient)
    assert exchange.answers == 1
    # The thread goes on over the patient's own mail.
    client.send(client.reply(answer, "Prenez rendez-vous."), [patient])
    assert len(space.exchanges(patient)) == 1


def test_an_answer_to_a_patient_whom_the_register_does_not_know_for_certain_is_delivered_only(
    space: PatientSpace,
) -> None:
    ins, _ = space.registered(qualified=False)
    sent = space.write(region.NURSE, address_of(ins))
    assert space.offer(address_of(ins), region.NURSE.address, cites=str(sent["message-id"])) == ""
    client = space.gateway.client(region.NURSE)
    client.wait(lambda mail: mail["in-reply-to"] == sent["message-id"])
    assert not [name for name in client.folders() if name.startswith("Patients/QUARANTE")]


@pytest.mark.parametrize("way", ["field", "subject"])
def test_the_professional_ends_an_exchange_and_may_open_another(space: PatientSpace, way: str) -> None:
    patient = address_of(new_ins())
    first = space.write(region.GP, patient, "Premier")
    second = space.write(region.GP, patient, "Second")
    assert len(space.exchanges(patient)) == 2
    cites = str(first["message-id"])
    assert space.offer(patient, DOCTOR, cites=cites) == ""
    # Neither words that look like it end anything.
    space.write(region.GP, patient, "Re: [FIN]", References=cites)
    space.write(region.GP, patient, "Premier", References=cites, X_MSS_MES="fin")
    assert all(exchange.open for exchange in space.exchanges(patient))
    if way == "field":
        last = space.write(region.GP, patient, "Premier", References=cites, X_MSS_MES="FIN")
    else:
        last = space.write(region.GP, patient, "[FIN]")
    raw = space.queued_for(patient)[-1]
    assert (b"X-MSS-MES: FIN" in raw) is (way == "field"), "the mail goes as it was written"
    for mail in (first, last):
        refusal = space.offer(patient, DOCTOR, cites=str(mail["message-id"]))
        assert refusal.startswith("550 5.7.1")
        assert CLOSED in refusal
    # ``[FIN]`` ends all exchanges of the mailbox with the patient, the field its own.
    other = space.offer(patient, DOCTOR, cites=str(second["message-id"]))
    assert (other == "") is (way == "field")
    ended = [exchange for exchange in space.exchanges(patient) if not exchange.open]
    assert {exchange.closed_by for exchange in ended} == {DOCTOR}
    again = space.write(region.GP, patient, "Premier", References=f"{cites} {last['message-id']}")
    assert space.offer(patient, DOCTOR, cites=str(again["message-id"])) == ""
    assert CLOSED in space.offer(patient, DOCTOR, cites=cites), "what was ended stays so"


def test_nobody_else_answers_in_an_exchange(space: PatientSpace) -> None:
    patient, other = address_of(new_ins()), address_of(new_ins())
    sent = space.write(region.GP, patient)
    cites = str(sent["message-id"])
    assert FIRST in space.offer(other, DOCTOR, cites=cites)
    assert FIRST in space.offer(other, DOCTOR, cites=cites, mail_from=patient), "From says who writes"
    assert FIRST in space.offer(patient, region.NURSE.address, cites=cites)
    refusal = space.offer(patient, DOCTOR, cites=cites, certificate=space.stranger)
    assert refusal.startswith("550 5.7.1"), "another operator does not write for patients"
    assert space.offer(f"x@{OTHERS}", DOCTOR, cites=cites, certificate=space.stranger) == "", "no patient"
    # Of two recipients the one without exchange is refused before DATA, the other gets it.
    assert space.offer(patient, [DOCTOR, region.NURSE.address], cites=cites) == ""
    (exchange,) = space.exchanges(patient)
    assert exchange.answers == 1


MARKS = {
    "absence": "Auto-Submitted: auto-replied\r\n",
    "list": "List-Id: <x.patient.example>\r\n",
    "report": "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;"
    " boundary=b\r\n",
}


@pytest.mark.parametrize("mark", MARKS)
def test_marks_of_automatic_mail_open_no_way_around(space: PatientSpace, mark: str) -> None:
    patient = address_of(new_ins())
    for mail_from in (patient, ""):
        refusal = space.offer(patient, DOCTOR, fields=MARKS[mark], mail_from=mail_from)
        assert FIRST in refusal
    bounce = f"retour+{'a' * 42}@{region.DOMAIN}"
    assert space.offer(patient, [bounce, DOCTOR], fields=MARKS[mark], mail_from="") != ""
    assert not [m for m in space.gateway.client(region.GP).mails() if str(m["from"]) == patient]


def receipt_fields(cites: str) -> tuple[str, str]:
    """Header and body of a receipt as the patients' application writes it."""
    fields = (
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=disposition-notification; "
        'boundary="b"\r\n'
    )
    body = (
        "--b\r\nContent-Type: text/plain\r\n\r\nLu.\r\n--b\r\nContent-Type: message/disposition-notification"
        f"\r\n\r\nFinal-Recipient: rfc822; x@{PATIENTS}\r\nOriginal-Message-ID: {cites}\r\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\r\n--b--\r\n"
    )
    return fields, body


def test_the_receipt_of_an_ended_exchange_comes_in_and_is_no_answer(space: PatientSpace) -> None:
    patient = address_of(new_ins())
    sent = space.write(region.GP, patient, X_MSS_MES="FIN", Disposition_Notification_To=DOCTOR)
    fields, body = receipt_fields(str(sent["message-id"]))
    assert space.offer(patient, DOCTOR, fields=fields, body=body, mail_from="") == ""
    client = space.gateway.client(region.GP)
    client.wait(lambda mail: str(sent["message-id"]) in mail.as_string() and str(mail["from"]) == patient)
    (exchange,) = space.exchanges(patient)
    assert (exchange.answers, exchange.open) == (0, False)
    stray, body = receipt_fields("<none@nowhere.example>")
    assert CLOSED in space.offer(patient, DOCTOR, fields=stray, body=body, mail_from="")


def test_who_writes_for_another_opens_the_exchange_of_that_mailbox(space: PatientSpace) -> None:
    patient = address_of(new_ins())
    secretary = space.gateway.client(region.SECRETARY)
    mail = secretary.compose(patient, "Rendez-vous", "Mardi.")
    mail.replace_header("From", DOCTOR)
    secretary.send(mail)
    (exchange,) = space.exchanges(patient)
    assert (exchange.mailbox, exchange.opened_by) == (DOCTOR, region.SECRETARY.address)
    assert FIRST in space.offer(patient, region.SECRETARY.address, cites=str(mail["message-id"]))
    assert space.offer(patient, DOCTOR, cites=str(mail["message-id"])) == ""


def test_reply_to_replaces_the_sender_as_authorised_contact(space: PatientSpace) -> None:
    patient = address_of(new_ins())
    sent = space.write(region.GP, patient, Reply_To=region.SERVICE.address)
    assert [exchange.mailbox for exchange in space.exchanges(patient)] == [region.SERVICE.address]
    assert FIRST in space.offer(patient, DOCTOR, cites=str(sent["message-id"]))
    assert space.offer(patient, region.SERVICE.address, cites=str(sent["message-id"])) == ""
    elsewhere = address_of(new_ins())
    space.write(region.GP, elsewhere, Reply_To=f"accueil@{OTHERS}")
    assert space.exchanges(elsewhere) == ()


def test_a_mail_sent_again_opens_no_second_exchange_and_an_automatic_one_none(space: PatientSpace) -> None:
    patient = address_of(new_ins())
    sent = space.write(region.GP, patient)
    space.gateway.client(region.GP).send(sent)
    assert len(space.exchanges(patient)) == 1
    silent = address_of(new_ins())
    space.write(region.GP, silent, Auto_Submitted="auto-replied")
    assert space.exchanges(silent) == ()


@pytest.mark.parametrize(
    "local", ["257024319299900", "25702431929", "odette", "157024319299968x", "2570243192999"]
)
def test_an_address_without_a_valid_ins_is_refused_before_anything_is_sent(
    space: PatientSpace, local: str
) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        space.write(region.GP, f"{local}@{PATIENTS}")
    assert refusal_text(refused.value).startswith("553 5.1.3")
    assert "matricule INS" in refusal_text(refused.value)


def test_a_mail_goes_up_to_the_size_that_patients_take_and_above_it_is_told(space: PatientSpace) -> None:
    patient = address_of(new_ins())
    client = space.gateway.client(region.GP)
    most = space.gateway.settings.documents.patient_max_bytes - 4096

    def sized(octets: int) -> bytes:
        head = client.compose(patient, "Images", "x").as_bytes().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        line = b"x" * 74 + b"\r\n"
        body = line * ((octets - len(head)) // len(line))
        return head + body + b"y" * (octets - len(head) - len(body) - 2) + b"\r\n"

    client.send_bytes(sized(most), [patient])
    assert len(space.queued_for(patient)) == 1
    with pytest.raises(smtplib.SMTPDataError) as refused:
        client.send_bytes(sized(most + 1), [patient, region.NURSE.address])
    text = refusal_text(refused.value)
    assert text.startswith("552 5.3.4")
    assert "La messagerie d'un patient n'accepte que" in text
    assert len(space.queued_for(patient)) == 1, "nothing was sent, to nobody"
    client.send_bytes(sized(most + 1), [region.NURSE.address])


def test_a_report_goes_up_to_the_size_that_patients_take_and_above_it_is_told(space: PatientSpace) -> None:
    octets = io.BytesIO()
    Image.effect_noise((900, 900), 120).save(octets, "JPEG", quality=95)
    most = space.gateway.settings.documents.patient_max_bytes
    for pictures in ((), (("photo.jpg", octets.getvalue()),)):
        ins = new_ins()
        thread = open_thread(
            space.gateway, nir=ins, first="Odette", born="03/02/1957", birth_place="43192", qualified="oui"
        )
        thread.tell(thread.expert, "Avis.", *pictures)
        finalise_for_patient(thread)
        if pictures:
            told = thread.expert.wait("Compte rendu non envoyé au patient")
            assert thread.ref in str(told["subject"])
            assert "dépasse les 200 Ko qu'une messagerie de patient accepte" in words_of(told)
            assert told["in-reply-to"]
            assert space.queued_for(address_of(ins)) == []
        else:
            (raw,) = space.queued_for(address_of(ins))
            assert len(raw) <= most
            assert read(raw)["x-mss-mes"] == "FIN"


def test_no_patient_takes_part_in_a_tele_expertise(space: PatientSpace) -> None:
    thread = open_thread(space.gateway)
    thread.question(thread.expert)
    patient = address_of(new_ins())
    reply = thread.expert.reply(thread.seen_by(thread.expert)[-1], "Avis.")
    to = str(reply["to"]).partition("<")[2].rstrip(">")
    for recipients in ([to, patient], [to]):
        reply["Cc"] = patient
        with pytest.raises(smtplib.SMTPDataError) as refused:
            thread.expert.send(reply, recipients)
        assert "Un patient ne peut pas participer" in refusal_text(refused.value)
        del reply["Cc"]
    with pytest.raises(smtplib.SMTPDataError):
        thread.expert.send(thread.expert.compose(space.gateway.service, f"Inviter {patient} {thread.ref}"))
    assert space.queued_for(patient) == []
    # A patient who learned the address of a conversation says nothing in it.
    assert "seul un professionnel" in space.offer(patient, to)


def returned(status: str, diagnostic: str, original: str, recipient: str) -> tuple[str, str]:
    """Header and body of a report on a mail that was not delivered (RFC 3464)."""
    fields = (
        'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n'
        "Auto-Submitted: auto-replied\r\n"
    )
    body = (
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nNon distribué.\r\n--b\r\nContent-Type: "
        f"message/delivery-status\r\n\r\nReporting-MTA: dns; mx.{PATIENTS}\r\n\r\nFinal-Recipient: rfc822; "
        f"{recipient}\r\nAction: failed\r\nStatus: {status}\r\nDiagnostic-Code: smtp; {diagnostic}\r\n--b\r\n"
        f"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: {original}\r\nSubject: x\r\n--b--\r\n"
    )
    return fields, body


CAUSES = [
    ("5.2.1", "550 5.2.1 mailbox", "Le patient a fermé sa messagerie", f"postmaster@{PATIENTS}"),
    ("5.1.1", "550 5.1.1 <x>: unknown", "Aucune messagerie de patient", f"MAILER-DAEMON@mx.{PATIENTS}"),
    ("5.0.0", "554 usager opposé aux messages", "s'est opposé", f"postmaster@{PATIENTS}"),
    ("5.2.2", "552 full", "est pleine", f"postmaster@{PATIENTS}"),
    ("5.3.4", "552 too big", "dépasse la taille", f"MAILER-DAEMON@mx.{PATIENTS}"),
    ("5.1.3", "501 syntax", "n'est pas valable", f"postmaster@{PATIENTS}"),
    ("5.0.0", "550 espace de santé non activé", "n'a pas activé", f"postmaster@{PATIENTS}"),
    ("5.7.1", "550 5.7.1 rejected", "a refusé ce message", f"postmaster@{PATIENTS}"),
    ("5.9.9", "599 ?", "Réponse du serveur", f"postmaster@{PATIENTS}"),
]


@pytest.mark.parametrize(("status", "diagnostic", "sentence", "daemon"), CAUSES)
def test_why_a_mail_came_back_is_told_in_the_thread_once(
    space: PatientSpace, status: str, diagnostic: str, sentence: str, daemon: str
) -> None:
    patient = address_of(new_ins())
    sent = space.write(region.GP, patient)
    original = str(sent["message-id"])
    fields, body = returned(status, diagnostic, original, patient)
    client = space.gateway.client(region.GP)
    for _ in range(2):
        assert space.offer(daemon, DOCTOR, fields=fields, body=body, mail_from="") == ""
    told = client.wait(
        lambda mail: mail["in-reply-to"] == original and "non remis au patient" in str(mail["subject"])
    )
    assert sentence in words_of(told)
    assert patient not in words_of(told)
    (exchange,) = space.exchanges(patient)
    assert exchange.failure
    space.gateway.client(region.NURSE).send(
        space.gateway.client(region.NURSE).compose(DOCTOR, f"après {patient[:15]}")
    )
    client.wait(f"après {patient[:15]}")
    about = [m for m in client.mails() if m["in-reply-to"] == original and "non remis" in str(m["subject"])]
    assert len(about) == 1, "reports repeat, we do not"


def test_a_return_in_plain_words_is_understood_and_a_forged_one_is_not(space: PatientSpace) -> None:
    patient, other = address_of(new_ins()), address_of(new_ins())
    sent, mine = space.write(region.GP, patient), space.write(region.GP, other)
    words = f"Le message destiné à {patient} n'a pas été distribué : la messagerie est fermée.\r\n"
    original = str(sent["message-id"])
    subject = "=?utf-8?q?Message_non_distribu=C3=A9?="
    assert space.offer(f"noreply@{PATIENTS}", DOCTOR, cites=original, subject=subject, body=words) == ""
    client = space.gateway.client(region.GP)
    told = client.wait(
        lambda mail: mail["in-reply-to"] == original and "non remis au patient" in str(mail["subject"])
    )
    assert "a fermé sa messagerie" in words_of(told)
    fields, body = returned("5.1.1", "550", str(mine["message-id"]), other)
    forged = space.offer(
        f"postmaster@{OTHERS}", DOCTOR, fields=fields, body=body, mail_from="", certificate=space.stranger
    )
    assert forged == "", "mail like any other"
    assert [exchange.failure for exchange in space.exchanges(other)] == [""]
    daemon = f"MAILER-DAEMON@mx.{OTHERS}"
    refusal = space.offer(daemon, DOCTOR, fields=fields, body=body, mail_from="", certificate=space.stranger)
    assert refusal.startswith("550 5.7.1")


def test_operators_list_and_close_exchanges(space: PatientSpace) -> None:
    ins, _ = space.registered()
    patient = address_of(ins)
    sent = space.write(region.NURSE, patient)

    def call(*arguments: str) -> tuple[int, str]:
        told = CliRunner().invoke(cli, ["--config", str(space.config), "patient", *arguments])
        return told.exit_code, told.output

    code, output = call("exchanges", "list", "--mailbox", region.NURSE.address, "--open", "--json")
    rows = json.loads(output[output.index("[\n") : output.rindex("]") + 1])
    (row,) = [each for each in rows if each["id"] == str(space.exchanges(patient)[0].id)]
    assert code == 0
    assert (row["opened_by"], row["open"], row["answers"]) == (region.NURSE.address, True, 0)
    for shown in (
        output,
        call("exchanges", "list")[1],
        call("exchanges", "list", "--of", str(row["patient"]))[1],
    ):
        assert row["id"] in shown
        assert ins not in shown
    assert "closed" in call("exchanges", "close", row["id"])[1]
    assert "was closed already" in call("exchanges", "close", row["id"])[1]
    assert call("exchanges", "close", "6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11")[0] == 1
    assert CLOSED in space.offer(patient, region.NURSE.address, cites=str(sent["message-id"]))
    lines = [line for line in space.audit() if line.target == row["id"]]
    assert [(line.action, line.result) for line in lines] == [
        ("open exchange", "opened"),
        ("close exchange", "closed"),
        ("close exchange", "was closed already"),
    ]
