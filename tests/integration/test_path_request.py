"""The request form as clients really answer it, and the conversation that a good answer opens."""

from __future__ import annotations

import re
import smtplib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from email.message import EmailMessage
from email.policy import SMTP
from html import escape

import pytest

from tests.support import region
from tests.support.forms import form_of, quoted, typed_into
from tests.support.gateway import Client, TestGateway, octets_after_header, refusal_text, text_of, words_of
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


@pytest.fixture
def doctor(served: TestGateway) -> Client:
    return served.client(region.GP)


@pytest.fixture
def expert(served: TestGateway) -> Client:
    return served.client(region.DERMATOLOGIST)


def html_only(doctor: Client, form: EmailMessage, filled: str) -> EmailMessage:
    """A reply of a client that writes HTML alone, one ``div`` per line as in the form's own HTML."""
    rows = "".join(
        f"<div>{escape(line).replace(' :', '&nbsp;:') or '<br>'}</div>" for line in filled.splitlines()
    )
    html = f"<html><body><p>Bonjour,</p><blockquote type=cite>{rows}</blockquote></body></html>"
    reply = doctor.reply(form, "")
    reply.clear_content()
    reply.add_alternative(html, subtype="html")
    return reply


def reordered(filled: str) -> str:
    """The lines with a label in reverse order, between the marks."""
    begin, *lines, end = [line for line in filled.splitlines() if line and not line.startswith("(?)")]
    return "\n".join([begin, *reversed(lines), end])


CLIENTS: dict[str, Callable[[str], str]] = {
    "quoted": lambda filled: quoted(filled),
    "unquoted": lambda filled: filled,
    "top-posted": lambda filled: f"Merci d'avance.\n\n{filled}\n\nLe 22/11/2026, le service a écrit :\n",
    "reordered": lambda filled: quoted(reordered(filled)),
    "no-break spaces": lambda filled: filled.replace(" :", "\u00a0:").replace(": ", ":\u202f"),
    "doubly quoted": lambda filled: quoted(quoted(filled), "| "),
}


@pytest.mark.parametrize("client", [*CLIENTS, "html only"])
def test_a_form_opens_a_conversation_from_every_client(
    served: TestGateway, doctor: Client, expert: Client, client: str
) -> None:
    values = request_values(phone="04.71-00 00.00", question=f"Question de {client} ?")
    form = request_form(doctor)
    filled = typed_into(form_of(text_of(form)), values)
    if client == "html only":
        reply = html_only(doctor, form, filled)
    else:
        original = quoted(text_of(form)) if client == "top-posted" else ""
        reply = doctor.reply(form, CLIENTS[client](filled) + original)
    confirmation = doctor.answer_to(doctor.send(attach(reply, photo())))
    assert "Votre demande est ouverte" in words_of(confirmation) + str(confirmation["subject"]), text_of(
        confirmation
    )
    thread = Thread(reference_in(confirmation), doctor, expert, reply, confirmation)
    question = words_of(thread.question(expert))
    for words in (values["Nom de naissance"], "03/02/1957", "04 71 00 00 00", values["Question"], "7 jours"):
        assert words in question


def test_wrong_and_missing_values_come_back_beside_their_line_and_nothing_is_lost(
    doctor: Client, expert: Client
) -> None:
    first = photo("premiere.jpg")
    values = request_values(born="31/02/1957", urgency="bientôt", question="")
    returned = doctor.answer_to(doctor.send(attach(answered(doctor, request_form(doctor), values), first)))
    form = form_of(text_of(returned))
    for label, complaint in (
        ("Date de naissance", "la date « 31/02/1957 » n'existe pas"),
        ("Urgence", "« bientôt » n'est pas proposé"),
        ("Question", "cette ligne est à compléter"),
    ):
        above = re.search(rf"((?:/!\\ .*\n)+)(?:\(\?\).*\n)*{label}[^:]*:", form)
        assert above is not None, f"no sentence above {label}"
        assert complaint in " ".join(above[1].replace("/!\\", "").split()).replace("\u00a0", " ")
    assert f"Nom de naissance : {values['Nom de naissance']}" in form
    assert "premiere.jpg" in text_of(returned)

    again = answered(
        doctor, returned, {"Date de naissance": "03/02/1957", "Urgence": "24 heures", "Question": "Et ceci ?"}
    )
    second = photo("seconde.jpg")
    confirmation = doctor.answer_to(doctor.send(attach(again, second)))
    thread = Thread(reference_in(confirmation), doctor, expert, again, confirmation)
    for reader in (doctor, expert):
        assert attachments(thread.question(reader)) == dict([first, second])
    assert values["Nom de naissance"] in words_of(thread.question(expert))


def test_a_wrong_key_of_a_nir_comes_back(doctor: Client) -> None:
    values = request_values(nir="257024315700100")
    returned = doctor.answer_to(doctor.send(answered(doctor, request_form(doctor), values)))
    assert "la clé (les 2 derniers chiffres) ne correspond pas" in words_of(returned)


def test_a_nir_with_its_right_key_is_taken(served: TestGateway) -> None:
    body = "2570243157001"
    key = 97 - int(body) % 97
    open_thread(served, nir=f"2 57 02 43 157 001 {key:02d}")


def test_without_consent_nothing_is_opened(doctor: Client) -> None:
    values = request_values(consent="non")
    returned = doctor.answer_to(doctor.send(answered(doctor, request_form(doctor), values)))
    assert "une téléexpertise demande le consentement préalable du patient" in words_of(returned)
    assert "TLE-" not in str(returned["subject"])


def test_two_different_unquoted_values_are_asked_back(doctor: Client) -> None:
    form = request_form(doctor)
    filled = typed_into(form_of(text_of(form)), request_values())
    doubled = filled.replace("Sexe (F ou M) : F", "Sexe (F ou M) : F\nSexe (F ou M) : M")
    assert doubled != filled
    returned = doctor.answer_to(doctor.send(doctor.reply(form, doubled)))
    assert "deux valeurs différentes ont été lues, « F » et « M »" in words_of(returned)


def test_an_unquoted_value_beats_a_quoted_one(doctor: Client, expert: Client) -> None:
    values = request_values(question="Celle du haut ?")
    form = request_form(doctor)
    filled = typed_into(form_of(text_of(form)), values)
    below = typed_into(form_of(text_of(form)), {**values, "Question": "Celle du bas ?"})
    confirmation = doctor.answer_to(
        doctor.send(attach(doctor.reply(form, f"{filled}\n\n{quoted(below)}"), photo()))
    )
    thread = Thread(reference_in(confirmation), doctor, expert, form, confirmation)
    assert "Celle du haut ?" in words_of(thread.question(expert))
    assert "Celle du bas ?" not in words_of(thread.question(expert))


def test_the_form_of_another_person_is_refused_in_the_dialogue(served: TestGateway, doctor: Client) -> None:
    form = request_form(doctor)
    stranger = served.client(region.STRANGER)
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        stranger.send(answered(stranger, form, request_values()))
    assert refusal.value.smtp_code == 550
    assert "Ce formulaire a" in refusal_text(refusal.value)


def test_a_used_form_counts_no_more(served: TestGateway, doctor: Client) -> None:
    form = request_form(doctor)
    values = request_values()
    doctor.answer_to(doctor.send(attach(answered(doctor, form, values), photo())))
    again = doctor.answer_to(doctor.send(attach(answered(doctor, form, values), photo())))
    assert "Ce formulaire a déjà été pris en compte" in words_of(again)


def test_a_form_that_is_too_old_counts_no_more(served: TestGateway, doctor: Client) -> None:
    form = request_form(doctor)
    path = served.settings.database.url.get_secret_value().partition(":///")[2]
    with closing(sqlite3.connect(path, timeout=30)) as database, database:
        database.execute("UPDATE form_copy SET expires_at = created_at")
    answer = doctor.answer_to(doctor.send(answered(doctor, form, request_values())))
    assert "Ce formulaire n'est pas reconnu ou n'est plus valable" in words_of(answer)


@pytest.mark.parametrize("forge", ["other id", "no id of ours"])
def test_a_forged_form_is_not_recognised(doctor: Client, forge: str) -> None:
    form = request_form(doctor)
    filled = typed_into(form_of(text_of(form)), request_values())
    identifier = filled.splitlines()[0].split()[4]
    wrong = identifier[:-4] + ("aaaa" if identifier[-4:] != "aaaa" else "bbbb")
    if forge == "no id of ours":
        wrong = "a" * len(identifier)
    reply = doctor.reply(form, filled.replace(identifier, wrong))
    answer = doctor.answer_to(doctor.send(reply))
    assert "Ce formulaire n'est pas reconnu ou n'est plus valable" in words_of(answer)


def test_a_reply_that_lost_the_form_gets_another_one(doctor: Client) -> None:
    form = request_form(doctor)
    again = doctor.answer_to(doctor.send(doctor.reply(form, "Voici ma question, sans formulaire.")))
    assert form_of(text_of(again)) != form_of(text_of(form))


def test_an_anonymous_request_is_opened_where_the_expert_allows_it(
    served: TestGateway, doctor: Client, expert: Client
) -> None:
    values = {
        "Patient anonyme": "oui",
        "Sexe": "F",
        "Consentement": "oui",
        "Urgence": "7 jours",
        "Question": "Sans nom ?",
    }
    sent = doctor.send(attach(answered(doctor, request_form(doctor), values), photo()))
    confirmation = doctor.answer_to(sent)
    thread = Thread(reference_in(confirmation), doctor, expert, sent, confirmation)
    assert "anonyme" in words_of(thread.question(expert)).lower()


def test_an_anonymous_request_is_not_offered_where_the_expert_wants_an_identity(doctor: Client) -> None:
    form = request_form(doctor, region.SERVICE)
    assert "Patient anonyme" not in text_of(form)
    filled = quoted("Patient anonyme : oui\n" + text_of(form))
    returned = doctor.answer_to(doctor.send(doctor.reply(form, filled)))
    assert "Nom de naissance : cette ligne est à compléter" in words_of(returned)


def test_a_vital_emergency_opens_nothing_and_answers_with_the_15(
    served: TestGateway, doctor: Client, expert: Client
) -> None:
    served.settled()
    before = [len(expert.mails(folder)) for folder in ("INBOX", FOLDER)]
    values = request_values(urgency="vitale")
    answer = doctor.answer_to(doctor.send(attach(answered(doctor, request_form(doctor), values), photo())))
    assert "appelez le 15" in words_of(answer)
    assert "vital" in str(answer["subject"]).lower()
    served.settled()
    assert [len(expert.mails(folder)) for folder in ("INBOX", FOLDER)] == before
    worklist = words_of(doctor.ask_service("Mes téléexpertises"))
    assert values["Nom de naissance"] not in worklist


def test_a_secretary_asks_for_the_doctor_and_the_record_names_both(
    served: TestGateway, expert: Client
) -> None:
    secretary, doctor = served.client(region.SECRETARY), served.client(region.GP)
    form = request_form(secretary)
    assert region.GP.name in form_of(text_of(form)), "the form offers the account that she may act for"
    values = request_values(acting=region.GP.name, billing="431000018")
    sent = secretary.send(attach(answered(secretary, form, values), photo()))
    confirmation = secretary.answer_to(sent)
    assert "Mme Nadia ROUX pour Dr Claire MARTIN" in words_of(confirmation)
    thread = Thread(reference_in(confirmation), doctor, expert, sent, confirmation)
    for reader in (doctor, expert):
        assert "Mme Nadia ROUX pour Dr Claire MARTIN" in words_of(thread.question(reader))


def test_nobody_asks_in_the_name_of_somebody_who_did_not_delegate(served: TestGateway) -> None:
    stranger = served.client(region.STRANGER)
    values = request_values(acting=region.GP.name, billing="431000018")
    returned = stranger.answer_to(stranger.send(answered(stranger, request_form(stranger), values)))
    assert "n'est pas proposé" in words_of(returned)


def test_a_form_that_comes_twice_opens_one_conversation(
    served: TestGateway, doctor: Client, expert: Client
) -> None:
    values = request_values()
    reply = attach(answered(doctor, request_form(doctor), values), photo())
    raw = reply.as_bytes(policy=SMTP)
    doctor.send_bytes(raw, [served.service])
    doctor.send_bytes(raw, [served.service])
    doctor.answer_to(reply)
    served.settled()
    name = values["Nom de naissance"].encode()
    assert sum(name in octets_after_header(raw) for raw, _ in expert.raw_mails(FOLDER)) == 1
    answers = [mail for mail in doctor.mails() if str(mail["in-reply-to"]).strip() == reply["message-id"]]
    assert len(answers) == 1
