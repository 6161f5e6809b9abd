"""What a review found and was mended, as clients see it: split transactions, crossing finalisations, those
who left, absences at the envelope sender, opaque signed mail, words outside a form's lines.
"""

from __future__ import annotations

import io
import re
import shutil
import smtplib
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.support import region
from tests.support.forms import quoted, typed_into
from tests.support.gateway import Client, TestGateway, html_of, refusal_text, text_of, words_of
from tests.support.signing import signed
from tests.support.threads import (
    FOLDER,
    Thread,
    answered,
    attach,
    attachments,
    open_thread,
    photo,
    reference_in,
    request_form,
    request_values,
)


def ready_thread(served: TestGateway) -> Thread:
    made = open_thread(served)
    made.question(made.requester)
    made.question(made.expert)
    return made


@pytest.fixture(scope="module")
def thread(served: TestGateway) -> Thread:
    """One conversation for all tests that only add mails to it."""
    return ready_thread(served)


@pytest.fixture(scope="module")
def party(served: TestGateway) -> Thread:
    """A conversation to which somebody new is invited."""
    return ready_thread(served)


@pytest.fixture
def fresh(served: TestGateway) -> Thread:
    """A conversation of a test's own."""
    return ready_thread(served)


def reply_address(thread: Thread) -> str:
    return str(thread.question(thread.expert)["reply-to"].addresses[0].addr_spec)


def times(client: Client, sent: EmailMessage) -> int:
    """How often an account has a mail, wherever the service puts mail."""
    return sum(
        mail["message-id"] == sent["message-id"]
        for folder in ("INBOX", FOLDER)
        for mail in client.mails(folder)
    )


def answers(client: Client, sent: EmailMessage) -> list[EmailMessage]:
    """What the service answered to a mail."""
    return [mail for mail in client.mails() if str(mail["in-reply-to"]).strip() == sent["message-id"]]


def refusal(client: Client, mail: EmailMessage, recipients: Sequence[str] = ()) -> str:
    with pytest.raises(smtplib.SMTPDataError) as error:
        client.send(mail, recipients)
    return refusal_text(error.value)


def pdf_text(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages)


def confirm_command(question: EmailMessage) -> str:
    found = re.search(r"objet : (Confirmer \w+)", words_of(question))
    assert found is not None
    return found[1]


# -- the same octets in two transactions ----

ORDERS = pytest.mark.parametrize("first", ["colleague", "service"])


def in_two_transactions(
    client: Client, mail: EmailMessage, first: str, ours: str, colleague: Client, again: bool = True
) -> None:
    """The same octets to a colleague and to us, each on its own; then a true duplicate to us."""
    targets = [colleague.address, ours] if first == "colleague" else [ours, colleague.address]
    raw = mail.as_bytes(policy=SMTP)
    for target in [*targets, ours] if again else targets:
        client.send_bytes(raw, [target])


@ORDERS
def test_a_reply_split_per_recipient_reaches_conversation_and_colleague_once(
    thread: Thread, served: TestGateway, first: str
) -> None:
    stranger = served.client(region.STRANGER)
    mail = thread.expert.reply(thread.question(thread.expert), f"En deux envois, {first} d'abord.")
    in_two_transactions(thread.expert, mail, first, reply_address(thread), stranger)
    for reader in (thread.requester, thread.expert):
        thread.copy_of(reader, mail)
    served.settled()
    assert [times(reader, mail) for reader in (thread.requester, thread.expert, stranger)] == [1, 1, 1]


@ORDERS
def test_a_mail_in_doubt_split_per_recipient_is_asked_about_and_released_once(
    thread: Thread, served: TestGateway, first: str
) -> None:
    stranger = served.client(region.STRANGER)
    mail = thread.expert.compose(reply_address(thread), "Bonjour", "Sans rien qui le place.")
    in_two_transactions(thread.expert, mail, first, reply_address(thread), stranger)
    question = thread.expert.answer_to(mail)
    thread.expert.send(thread.expert.compose(served.service, confirm_command(question)))
    thread.copy_of(thread.requester, mail)
    thread.expert.send(mail)
    served.settled()
    assert len(answers(thread.expert, mail)) == 1
    assert [times(reader, mail) for reader in (thread.requester, thread.expert, stranger)] == [1, 1, 1]


@ORDERS
def test_a_command_split_per_recipient_is_answered_once(served: TestGateway, first: str) -> None:
    doctor, stranger = served.client(region.GP), served.client(region.STRANGER)
    mail = doctor.compose(served.service, "Annuaire dermatologie")
    in_two_transactions(doctor, mail, first, served.service, stranger)
    served.settled()
    assert (len(answers(doctor, mail)), times(stranger, mail)) == (1, 1)


@ORDERS
def test_a_filled_form_split_per_recipient_opens_one_conversation(served: TestGateway, first: str) -> None:
    doctor, stranger = served.client(region.GP), served.client(region.STRANGER)
    mail = attach(answered(doctor, request_form(doctor), request_values()), photo())
    in_two_transactions(doctor, mail, first, served.service, stranger)
    served.settled()
    (confirmation,) = answers(doctor, mail)
    assert "ouverte" in str(confirmation["subject"])
    assert times(stranger, mail) == 1


# -- finalisations that cross ----


def filled_finalisation(client: Client, form: EmailMessage, conclusion: str) -> EmailMessage:
    values = {"Conclusion": conclusion, "Suite proposée": "Surveillance"}
    return client.send(answered(client, form, values))


def test_of_two_finalisation_forms_the_first_answered_holds(fresh: Thread, served: TestGateway) -> None:
    expert = fresh.expert
    first, second = fresh.form(expert, "Finaliser"), fresh.form(expert, "Finaliser")
    done = expert.answer_to(filled_finalisation(expert, second, "La bonne conclusion."))
    assert "finalisée" in str(done["subject"])
    told = expert.answer_to(filled_finalisation(expert, first, "Une conclusion de trop."))
    assert "Déjà close" in str(told["subject"])
    assert f"Finaliser {fresh.ref}" in words_of(told), "how to correct deliberately"
    mail, pdf = fresh.report(fresh.requester)
    served.settled()
    assert "La bonne conclusion." in words_of(mail)
    assert "La bonne conclusion." in pdf_text(pdf)
    versions = [name for mail in fresh.seen_by(fresh.requester) for name in attachments(mail) if "-v" in name]
    assert versions == [f"{fresh.ref}-v1.pdf"]


# -- absences at the envelope sender ----


def test_an_absence_at_the_envelope_sender_is_shown_once_like_one_at_the_reply_address(
    fresh: Thread, served: TestGateway
) -> None:
    sent = fresh.tell(fresh.requester, "Êtes-vous là ?")
    copy = fresh.copy_of(fresh.expert, sent)
    bounce = str(copy["return-path"]).strip("<> \r\n")
    assert bounce.startswith("retour+")
    for number, target in enumerate((bounce, reply_address(fresh), bounce)):
        notice = fresh.expert.compose(target, f"Absence : {copy['subject']}", f"Absent, avis {number}.")
        notice["In-Reply-To"] = str(copy["message-id"])
        notice["Auto-Submitted"] = "auto-replied (vacation)"
        fresh.expert.send_bytes(notice.as_bytes(policy=SMTP), [target], "")
    shown = fresh.wait(fresh.requester, lambda mail: mail["x-tle-event"] == "absence")
    served.settled()
    assert "Absent, avis 0." in words_of(shown)
    notices = [mail for mail in fresh.seen_by(fresh.requester) if mail["x-tle-event"] == "absence"]
    assert len(notices) == 1
    assert fresh.state(fresh.requester) == "requested"


# -- who has left stays out, and may come back by command ----


def test_somebody_removed_is_not_invited_again_by_an_old_copy_line_but_by_command(
    fresh: Thread, served: TestGateway
) -> None:
    nurse = served.client(region.NURSE)
    invitation = fresh.requester.reply(fresh.question(fresh.requester), "Avec l'infirmière.")
    invitation["Cc"] = nurse.address
    fresh.requester.send(invitation)
    received = fresh.copy_of(fresh.expert, invitation)
    fresh.copy_of(nurse, invitation)
    fresh.requester.ask_service(f"Retirer {nurse.address} {fresh.ref}")
    fresh.wait(nurse, lambda mail: mail["x-tle-event"] == "retrait")

    late = fresh.expert.reply(received, "À tous, d'après une ancienne liste.", everybody=True)
    assert nurse.address in str(late["cc"])
    told = fresh.expert.answer_to(fresh.expert.send(late))
    fresh.copy_of(fresh.requester, late)
    served.settled()
    assert times(nurse, late) == 0, "neither in the conversation nor as ordinary mail"
    assert [mail["x-tle-event"] for mail in fresh.seen_by(fresh.expert)].count("invitation") == 1
    assert f"{nurse.address} ne participe plus" in words_of(told)
    assert f"Inviter {nurse.address} {fresh.ref}" in words_of(told)
    assert "mailto:" in html_of(told)
    assert "n'a pas été pris en compte" not in words_of(told), "all others have it"

    blind = fresh.expert.reply(received, "En copie cachée.")
    fresh.expert.send(blind, [reply_address(fresh), nurse.address])
    fresh.copy_of(fresh.requester, blind)
    served.settled()
    assert times(nurse, blind) == 0
    assert nurse.address in words_of(fresh.expert.answer_to(blind))

    done = fresh.expert.ask_service(f"Inviter {nurse.address} {fresh.ref}")
    assert "Mme Lucie FAURE participe désormais" in words_of(done)
    back = fresh.tell(fresh.requester, "De nouveau ensemble.")
    fresh.copy_of(nurse, back)
    fresh.copy_of(fresh.requester, nurse.send(nurse.reply(fresh.copy_of(nurse, back), "Me revoilà.")))


def test_somebody_new_is_invited_by_command(party: Thread, served: TestGateway) -> None:
    stranger = served.client(region.STRANGER)
    done = party.requester.ask_service(f"Inviter {stranger.address} {party.ref}")
    assert "Dr Paul PETIT participe désormais" in words_of(done)
    for reader in (party.requester, party.expert, stranger):
        assert "Dr Paul PETIT" in words_of(
            party.wait(reader, lambda mail: mail["x-tle-event"] == "invitation")
        )
    party.copy_of(stranger, party.tell(party.expert, "Bienvenue."))
    party.requester.ask_service(f"Inviter {stranger.address} {party.ref}")
    served.settled()
    assert [mail["x-tle-event"] for mail in party.seen_by(stranger)].count("invitation") == 1


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (f"personne@{region.DOMAIN}", "n'existe pas"),
        ("ami@webmail.example", "n'appartient pas a l'espace de confiance"),
    ],
)
def test_nobody_out_of_reach_is_invited(thread: Thread, served: TestGateway, address: str, why: str) -> None:
    command = thread.requester.compose(served.service, f"Inviter {address} {thread.ref}")
    said = refusal(thread.requester, command)
    assert said.startswith("550 5.7.1")
    assert address in said
    assert why in said


def test_strangers_invite_nobody(thread: Thread, served: TestGateway) -> None:
    stranger = served.client(region.STRANGER)
    command = stranger.compose(served.service, f"Inviter {stranger.address} {thread.ref}")
    assert "Aucune teleexpertise a laquelle vous participez" in refusal(stranger, command)


# -- opaque signed mail ----

OPAQUE = (
    b"Content-Type: multipart/mixed; boundary=frontier\r\n\r\n--frontier\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n%s\r\n"
    b"--frontier\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename=%s\r\n\r\n/9j/4AAQSkZJRgABAQ==\r\n--frontier--\r\n"
)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_opaque_signed_mail_is_read_everywhere(fresh: Thread, served: TestGateway, tmp_path: Path) -> None:
    expert = fresh.expert
    placed = expert.reply(fresh.question(expert), "")
    doubtful = expert.compose(reply_address(fresh), "Bonjour")
    for draft, words, name in (
        (placed, b"L=C3=A9sion sign=C3=A9e.", b"signee.jpg"),
        (doubtful, b"Retenue puis confirm=C3=A9e.", b"retenue.jpg"),
    ):
        raw = signed(served.settings, tmp_path, draft, OPAQUE % (words, name), expert.address, "-nodetach")
        assert b"application/pkcs7-mime" in raw
        assert b"Content-Disposition: attachment; filename=%s" % name not in raw, "it is inside"
        expert.send_bytes(raw, [reply_address(fresh)])
    expert.send(expert.compose(served.service, confirm_command(expert.answer_to(doubtful))))
    for reader in (fresh.requester, expert):
        for draft in (placed, doubtful):
            assert fresh.copy_of(reader, draft).get_content_type() == "application/pkcs7-mime"
    form = text_of(fresh.form(expert, "Finaliser"))
    assert re.search(r"\[x\] 1\. .*\(\+1\).*Lésion signée\.", form)
    assert re.search(r"\[x\] 2\. .*\(\+1\).*Retenue puis confirmée\.", form)
    fresh.finalise(expert)
    _, pdf = fresh.report(fresh.requester)
    for said in ("Lésion signée.", "Retenue puis confirmée.", "signee.jpg", "retenue.jpg"):
        assert said in pdf_text(pdf)


# -- words outside a form's lines ----


def with_words_above(client: Client, form: EmailMessage, words: str, values: dict[str, str]) -> EmailMessage:
    return client.reply(form, f"{words}\n\n{quoted(typed_into(text_of(form), values))}")


def test_words_above_a_form_about_a_conversation_are_told_back(fresh: Thread, served: TestGateway) -> None:
    words = "Je vous appelle demain à ce sujet."
    for command, values in (
        ("Compléments", {"Éléments demandés": "Une vue de face"}),
        ("Décliner", {"Motif": "Hors de mon domaine."}),
    ):
        filled = with_words_above(fresh.expert, fresh.form(fresh.expert, command), words, values)
        confirmation = fresh.expert.answer_to(fresh.expert.send(filled))
        assert f"n'ont pas été transmis : « {words} »" in words_of(confirmation)
    served.settled()
    assert not [mail for mail in fresh.seen_by(fresh.requester) if words in words_of(mail)]


def test_words_above_a_request_form_stand_in_the_question(served: TestGateway) -> None:
    doctor, expert = served.client(region.GP), served.client(region.DERMATOLOGIST)
    filled = with_words_above(doctor, request_form(doctor), "Cher confrère, merci.", request_values())
    sent = doctor.send(attach(filled, photo()))
    thread = Thread(reference_in(doctor.answer_to(sent)), doctor, expert, sent, sent)
    question = words_of(thread.question(expert))
    assert "Mot du demandeur" in question
    assert "Cher confrère, merci." in question


# -- what a guest may not see, what is not for choice, what a client left out ----


def test_a_synthesis_is_not_a_guests_business(party: Thread, served: TestGateway) -> None:
    stranger = served.client(region.STRANGER)
    party.requester.ask_service(f"Inviter {stranger.address} {party.ref}")
    said = refusal(stranger, stranger.compose(served.service, f"Synthèse {party.ref}"))
    assert said.startswith("550 5.7.1 La synthese de la teleexpertise")
    assert party.ref in said


def test_the_question_is_not_for_choice(party: Thread) -> None:
    party.tell(party.expert, "Un message à choisir.")
    for command in ("Finaliser", "Synthèse"):
        listed = re.findall(r"^ *\[x\] \d+\. (.*)$", text_of(party.form(party.expert, command)), re.MULTILINE)
        exchanges = [line for line in listed if re.match(r"\d\d/\d\d/\d{4}, ", line)]
        assert "Un message à choisir." in exchanges[-1]
        assert not [line for line in exchanges if party.requester.name in line]


def test_a_mail_without_message_id_and_date_reaches_the_others_with_both_and_threads(thread: Thread) -> None:
    mail = thread.expert.reply(thread.question(thread.expert), "Sans date ni identifiant.")
    del mail["Message-ID"], mail["Date"]
    thread.expert.send(mail)
    copies = [
        thread.wait(reader, lambda found: found["x-tle-event"] == "message" and is_it(found))
        for reader in (thread.requester, thread.expert)
    ]
    mail_id = copies[0]["message-id"]
    for copy in copies:
        assert copy.get_all("message-id") == [mail_id]
        assert len(copy.get_all("date", [])) == 1
    answer = thread.requester.send(thread.requester.reply(copies[0], "Bien reçu."))
    got = thread.copy_of(thread.expert, answer)
    assert mail_id in str(got["references"]).split()
    assert not answers(thread.requester, answer), "no doubt: what it cites is known"


def is_it(mail: EmailMessage) -> bool:
    return not mail.is_multipart() and "Sans date ni identifiant." in text_of(mail)
