"""Replies both ways: bodies byte for byte, placing, doubt, who may write, invitations, signed mail."""

from __future__ import annotations

import re
import smtplib
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from tests.support import region
from tests.support.gateway import Client, TestGateway, octets_after_header, read, refusal_text, words_of
from tests.support.threads import Thread, attach, attachments, open_thread, photo


def ready_thread(served: TestGateway) -> Thread:
    made = open_thread(served)
    made.question(made.requester)
    made.question(made.expert)
    return made


@pytest.fixture(scope="module")
def thread(served: TestGateway) -> Thread:
    """One conversation for all tests that only add mails to it; each knows its own by Message-ID."""
    return ready_thread(served)


@pytest.fixture
def fresh(served: TestGateway) -> Thread:
    """A conversation of a test's own, which it closes or whose members it changes."""
    return ready_thread(served)


def octets_of(thread: Thread, reader: Client, sent: EmailMessage) -> bytes:
    """The body of an account's copy of a mail, as IMAP gives it."""
    thread.copy_of(reader, sent)
    mark = str(sent["message-id"]).encode()
    (raw,) = [
        raw
        for raw, _ in thread.raw_seen_by(reader)
        if mark in raw.partition(b"\r\n\r\n")[0] and read(raw)["message-id"] == sent["message-id"]
    ]
    return octets_after_header(raw)


def copies(thread: Thread, reader: Client, sent: EmailMessage) -> int:
    return sum(mail["message-id"] == sent["message-id"] for mail in thread.seen_by(reader))


@pytest.mark.parametrize("everybody", [False, True], ids=["reply", "reply all"])
def test_a_reply_reaches_both_sides_byte_for_byte(thread: Thread, everybody: bool) -> None:
    for writer in (thread.expert, thread.requester):
        newest = thread.seen_by(writer)[-1]
        text = "Voilà.\n\n.une ligne qui commence par un point\n" + "é" * 300 + "\n  espaces à la fin   \n"
        sent = attach(writer.reply(newest, text, everybody=everybody), photo("plaie é.jpg", 5000))
        raw = sent.as_bytes(policy=SMTP)
        recipients = [a.addr_spec for field in ("to", "cc") if sent[field] for a in sent[field].addresses]
        writer.send_bytes(raw, recipients)
        for reader in (thread.requester, thread.expert):
            assert octets_of(thread, reader, sent) == octets_after_header(raw)
            assert copies(thread, reader, sent) == 1
        copy = thread.copy_of(thread.requester, sent)
        assert copy["from"] == sent["from"]
        assert attachments(copy) == attachments(sent)


def test_odd_but_legal_octets_pass_unchanged(thread: Thread) -> None:
    """8-bit text in Latin-1, a multipart with preamble and odd boundaries, no line end at the end."""
    source = thread.question(thread.expert)
    (reply_to,) = source["reply-to"].addresses
    header = (
        f"From: {thread.expert.address}\r\nTo: {reply_to.addr_spec}\r\nSubject: Re: {thread.ref}\r\n"
        f"Message-ID: <odd.{thread.ref}@client.example>\r\nIn-Reply-To: {source['message-id']}\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary="=_ a b="\r\n\r\n'
    ).encode()
    body = (
        b"pr\xe9ambule\r\n--=_ a b=\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n"
        b"D\xe9j\xe0 vu. \t\r\n\r\n..\r\n.\xff\r\n--=_ a b=--\r\n\xe9pilogue"
    )
    thread.expert.send_bytes(header + body, [reply_to.addr_spec])
    sent = read(header + body)
    for reader in (thread.requester, thread.expert):
        got = octets_of(thread, reader, sent)
        assert got in (body, body + b"\r\n"), "a mail ends with a line end on the wire (RFC 5321 §4.1.1.4)"


def test_the_authors_own_copy_is_filed_once_and_read(thread: Thread) -> None:
    sent = thread.tell(thread.expert, "Je réponds.")
    thread.gateway.settled()
    flags = [
        flags
        for raw, flags in thread.raw_seen_by(thread.expert)
        if read(raw)["message-id"] == sent["message-id"]
    ]
    assert len(flags) == 1
    assert "\\Seen" in flags[0]
    unread = [
        flags
        for raw, flags in thread.raw_seen_by(thread.requester)
        if read(raw)["message-id"] == sent["message-id"]
    ]
    assert "\\Seen" not in unread[0]
    assert all(mail["message-id"] != sent["message-id"] for mail in thread.expert.mails())


def without_references(client: Client, received: EmailMessage, text: str, subject: str = "") -> EmailMessage:
    reply = client.reply(received, text)
    del reply["In-Reply-To"], reply["References"]
    if subject:
        del reply["Subject"]
        reply["Subject"] = subject
    return reply


def test_a_client_that_drops_references_is_placed_by_the_subject_that_agrees(thread: Thread) -> None:
    sent = thread.expert.send(without_references(thread.expert, thread.question(thread.expert), "Sans fil."))
    got = thread.copy_of(thread.requester, sent)
    known = [str(mail["message-id"]) for mail in thread.seen_by(thread.requester)]
    assert str(got["in-reply-to"]).strip() in known, "the reader's client still shows one thread"


def test_a_mail_that_nothing_confirms_is_held_and_its_author_asked(thread: Thread) -> None:
    doubtful = without_references(thread.expert, thread.question(thread.expert), "Autre chose.", "Bonjour")
    question = thread.expert.answer_to(thread.expert.send(attach(doubtful, photo("bras.jpg"))))
    assert f"Pour {thread.ref} ?" in str(question["subject"])
    thread.gateway.settled()
    assert copies(thread, thread.requester, doubtful) == 0
    confirm = re.search(r"objet : (Confirmer \w+)", words_of(question))
    assert confirm is not None

    released = thread.expert.compose(thread.gateway.service, confirm[1])
    thread.expert.send(released)
    got = thread.copy_of(thread.requester, doubtful)
    assert list(attachments(got)) == ["bras.jpg"]
    thread.copy_of(thread.expert, doubtful)
    again = thread.expert.ask_service(confirm[1])
    assert "reconnu" in words_of(again) or "déjà" in words_of(again)
    thread.gateway.settled()
    for reader in (thread.requester, thread.expert):
        assert copies(thread, reader, doubtful) == 1


def test_nobody_else_confirms_a_held_mail(thread: Thread, served: TestGateway) -> None:
    doubtful = without_references(thread.expert, thread.question(thread.expert), "Autre chose.", "Bonjour")
    question = thread.expert.answer_to(thread.expert.send(doubtful))
    confirm = re.search(r"objet : (Confirmer \w+)", words_of(question))
    assert confirm is not None
    served.client(region.STRANGER).ask_service(confirm[1])
    served.settled()
    assert copies(thread, thread.requester, doubtful) == 0


def test_a_held_mail_that_comes_twice_is_asked_about_once_and_released_once(thread: Thread) -> None:
    doubtful = without_references(thread.expert, thread.question(thread.expert), "Deux fois.", "Bonjour")
    thread.expert.send(doubtful)
    thread.expert.send(doubtful)
    thread.gateway.settled()
    asked = [m for m in thread.expert.mails() if str(m["in-reply-to"]).strip() == doubtful["message-id"]]
    for question in asked:
        confirm = re.search(r"objet : (Confirmer \w+)", words_of(question))
        assert confirm is not None
        thread.expert.send(thread.expert.compose(thread.gateway.service, confirm[1]))
    thread.copy_of(thread.requester, doubtful)
    thread.gateway.settled()
    assert copies(thread, thread.requester, doubtful) == 1
    assert len(asked) == 1


def test_after_completion_a_reply_is_delivered_and_marked_late(fresh: Thread) -> None:
    fresh.finalise(fresh.expert)
    fresh.report(fresh.requester)
    late = fresh.say(fresh.requester, "Merci, et encore une chose.")
    for reader in (fresh.requester, fresh.expert):
        copy = fresh.copy_of(reader, late)
        assert copy["x-tle-event"] == "late"
        assert copy["x-tle-state"] == "completed"
    doubtful = without_references(fresh.requester, fresh.seen_by(fresh.requester)[-1], "Sans fil.")
    question = fresh.requester.answer_to(fresh.requester.send(doubtful))
    assert f"Pour {fresh.ref} ?" in str(question["subject"])
    assert "close" in words_of(question)
    fresh.gateway.settled()
    assert copies(fresh, fresh.expert, doubtful) == 0


def test_two_conversations_in_one_mail_are_refused(thread: Thread, served: TestGateway) -> None:
    other = open_thread(served)
    addresses = [
        thread.question(thread.expert)["reply-to"].addresses[0].addr_spec,
        other.question(other.expert)["reply-to"].addresses[0].addr_spec,
    ]
    mail = thread.expert.compose(", ".join(addresses), f"Re: [{thread.ref}]", "Pour les deux.")
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        thread.expert.send(mail)
    assert "envoyez un message à chacune" in refusal_text(refusal.value) or "plusieurs" in refusal_text(
        refusal.value
    )
    served.settled()
    assert copies(thread, thread.requester, mail) == copies(other, other.requester, mail) == 0


def test_the_service_and_the_reply_address_together_count_once(thread: Thread) -> None:
    reply = thread.expert.reply(thread.question(thread.expert), "Une seule fois.")
    reply["Cc"] = thread.gateway.service
    thread.expert.send(reply)
    thread.copy_of(thread.requester, reply)
    thread.gateway.settled()
    assert copies(thread, thread.requester, reply) == 1


def test_a_reply_to_the_service_address_is_placed_by_what_it_cites(thread: Thread) -> None:
    reply = thread.expert.reply(thread.question(thread.expert), "À l'adresse du service.")
    del reply["To"]
    reply["To"] = thread.gateway.service
    thread.expert.send(reply)
    thread.copy_of(thread.requester, reply)


def test_mail_between_people_that_cites_the_thread_is_ordinary_mail(
    thread: Thread, served: TestGateway
) -> None:
    stranger = served.client(region.STRANGER)
    mail = thread.expert.reply(thread.question(thread.expert), "Entre nous.")
    del mail["To"]
    mail["To"] = stranger.address
    thread.expert.send(mail)
    stranger.wait(lambda found: found["message-id"] == mail["message-id"])
    served.settled()
    assert copies(thread, thread.requester, mail) == 0


def test_a_stranger_is_refused_with_a_sentence_that_says_why(thread: Thread, served: TestGateway) -> None:
    stranger = served.client(region.STRANGER)
    mail = stranger.reply(thread.question(thread.expert), "Moi aussi.")
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        stranger.send(mail)
    assert refusal_text(refusal.value).startswith("550 5.7.1")
    assert thread.ref in refusal_text(refusal.value)
    assert "ne participez pas" in refusal_text(refusal.value)
    served.settled()
    assert copies(thread, thread.requester, mail) == 0


def test_a_spoofed_from_is_refused(thread: Thread, served: TestGateway) -> None:
    stranger = served.client(region.STRANGER)
    mail = stranger.reply(thread.question(thread.expert), "Je suis l'expert.")
    del mail["From"]
    mail["From"] = thread.expert.address
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        stranger.send(mail)
    assert refusal_text(refusal.value).startswith("550 5.7.1")
    with pytest.raises(smtplib.SMTPResponseException) as at_envelope:
        stranger.send_bytes(mail.as_bytes(), [thread.gateway.service], mail_from=thread.expert.address)
    assert refusal_text(at_envelope.value).startswith("550 5.7.1")


@pytest.mark.parametrize("as_principal", [False, True], ids=["own From", "From of the delegator"])
def test_a_delegate_answers_for_the_doctor(thread: Thread, served: TestGateway, as_principal: bool) -> None:
    secretary = served.client(region.SECRETARY)
    mail = secretary.reply(thread.question(thread.requester), "Le docteur vous répond.")
    if as_principal:
        del mail["From"]
        mail["From"] = thread.requester.address
    secretary.send(mail)
    got = thread.copy_of(thread.expert, mail)
    assert got.get_all("from") == [str(mail["from"])]
    assert got.get_all("sender") == ([secretary.address] if as_principal else None)
    thread.copy_of(thread.requester, mail)
    own = [
        flags
        for raw, flags in thread.raw_seen_by(thread.requester)
        if read(raw)["message-id"] == mail["message-id"]
    ]
    assert len(own) == 1
    assert "\\Seen" in own[0]
    form = thread.form(thread.expert, "Finaliser")
    assert "Mme Nadia ROUX pour Dr Claire MARTIN" in words_of(form)


@pytest.mark.parametrize("claimed", ["the delegator", "somebody else"])
def test_a_false_sender_is_refused(thread: Thread, served: TestGateway, claimed: str) -> None:
    secretary = served.client(region.SECRETARY)
    mail = secretary.reply(thread.question(thread.requester), "Faux.")
    del mail["From"]
    mail["From"] = thread.requester.address
    mail["Sender"] = thread.requester.address if claimed == "the delegator" else region.STRANGER.address
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        secretary.send(mail)
    assert refusal_text(refusal.value).startswith("550 5.7.1")


def test_a_true_sender_stays_the_only_one(thread: Thread, served: TestGateway) -> None:
    secretary = served.client(region.SECRETARY)
    mail = secretary.reply(thread.question(thread.requester), "Vrai.")
    del mail["From"]
    mail["From"] = thread.requester.address
    mail["Sender"] = secretary.address
    secretary.send(mail)
    assert thread.copy_of(thread.expert, mail).get_all("sender") == [secretary.address]


def test_somebody_in_cc_is_invited_from_then_on_and_can_be_removed(
    fresh: Thread, served: TestGateway
) -> None:
    nurse = served.client(region.NURSE)
    before = fresh.tell(fresh.expert, "Avant l'invitation.")
    mail = fresh.requester.reply(fresh.seen_by(fresh.requester)[-1], "Avec l'infirmière.")
    mail["Cc"] = nurse.address
    fresh.requester.send(mail)
    got = fresh.copy_of(nurse, mail)
    served.settled()
    assert copies(fresh, nurse, mail) == 1
    assert all(found["message-id"] != mail["message-id"] for found in nurse.mails())
    assert [str(found["message-id"]) for found in fresh.seen_by(nurse)].count(str(before["message-id"])) == 0
    for reader in (fresh.requester, fresh.expert, nurse):
        told = fresh.wait(reader, lambda found: found["x-tle-event"] == "invitation")
        assert "Mme Lucie FAURE" in words_of(told)

    answer = nurse.send(nurse.reply(got, "Je passe demain."))
    for reader in (fresh.requester, fresh.expert, nurse):
        fresh.copy_of(reader, answer)

    done = fresh.requester.ask_service(f"Retirer {nurse.address} {fresh.ref}")
    assert "ne participe plus" in words_of(done)
    for reader in (fresh.requester, fresh.expert, nurse):
        fresh.wait(reader, lambda found: found["x-tle-event"] == "retrait")
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        nurse.send(nurse.reply(got, "Encore moi."))
    assert "ne participez pas" in refusal_text(refusal.value)
    after = fresh.tell(fresh.expert, "Après le départ.")
    served.settled()
    assert copies(fresh, nurse, after) == 0


def test_requester_and_expert_cannot_be_removed(thread: Thread) -> None:
    answer = thread.requester.ask_service(f"Retirer {thread.expert.address} {thread.ref}")
    assert "ne peut pas être retiré" in words_of(answer)
    thread.tell(thread.requester, "Toujours là ?")


@pytest.mark.parametrize("address", ["ami@webmail.example", f"personne@{region.DOMAIN}"])
def test_somebody_out_of_reach_in_cc_is_refused_and_nobody_gets_anything(
    thread: Thread, served: TestGateway, address: str
) -> None:
    mail = thread.requester.reply(thread.question(thread.requester), "Avec un ami.")
    mail["Cc"] = address
    (reply_to,) = thread.question(thread.requester)["reply-to"].addresses
    for recipients in ([reply_to.addr_spec, address], [reply_to.addr_spec]):
        with pytest.raises(smtplib.SMTPException) as refusal:
            send_all_or_nothing(thread.requester, mail, recipients)
        assert refusal_text(refusal.value).startswith("550 5.")
    served.settled()
    assert copies(thread, thread.expert, mail) == 0


def send_all_or_nothing(client: Client, mail: EmailMessage, recipients: list[str]) -> None:
    """As mail clients do: one refused recipient and nothing is sent."""
    with smtplib.SMTP("localhost", client.gateway.submission_port, timeout=30) as smtp:
        smtp.starttls(context=client.gateway.tls)
        smtp.login(client.address, client.password)
        smtp.mail(client.address)
        for recipient in recipients:
            code, text = smtp.rcpt(recipient)
            if code != 250:
                raise smtplib.SMTPRecipientsRefused({recipient: (code, text)})
        code, text = smtp.data(mail.as_bytes())
        if code != 250:
            raise smtplib.SMTPDataError(code, text)


def test_a_blind_copy_reaches_its_addressee_as_ordinary_mail(thread: Thread, served: TestGateway) -> None:
    stranger = served.client(region.STRANGER)
    mail = thread.expert.reply(thread.question(thread.expert), "Avec copie cachée.")
    (reply_to,) = mail["to"].addresses
    thread.expert.send(mail, [reply_to.addr_spec, stranger.address])
    thread.copy_of(thread.requester, mail)
    got = stranger.wait(lambda found: found["message-id"] == mail["message-id"])
    assert got["x-tle-id"] is None


def test_a_copy_of_a_command_reaches_the_colleague(served: TestGateway) -> None:
    doctor, stranger = served.client(region.GP), served.client(region.STRANGER)
    mail = doctor.compose(served.service, "Annuaire dermatologie", cc=stranger.address)
    doctor.answer_to(doctor.send(mail))
    stranger.wait(lambda found: found["message-id"] == mail["message-id"])


def test_the_same_mail_sent_twice_counts_once(thread: Thread) -> None:
    sent = thread.say(thread.expert, "Une fois.")
    thread.expert.send(sent)
    for reader in (thread.requester, thread.expert):
        thread.copy_of(reader, sent)
    thread.gateway.settled()
    for reader in (thread.requester, thread.expert):
        assert copies(thread, reader, sent) == 1


def test_the_same_message_id_with_another_body_is_another_mail(thread: Thread) -> None:
    sent = thread.tell(thread.expert, "La première.")
    other = thread.expert.reply(thread.question(thread.expert), "La seconde.")
    del other["Message-ID"]
    other["Message-ID"] = str(sent["message-id"])
    thread.expert.send(other)
    thread.gateway.settled()
    for reader in (thread.requester, thread.expert):
        assert copies(thread, reader, sent) == 2


def test_a_mail_without_message_id_is_taken(thread: Thread) -> None:
    mail = thread.expert.reply(thread.question(thread.expert), "Sans identifiant.")
    del mail["Message-ID"]
    thread.expert.send(mail)
    thread.wait(
        thread.requester,
        lambda found: "Sans identifiant." in str(found.get_content()) if not found.is_multipart() else False,
    )


def test_a_forged_authentication_result_of_ours_is_removed(thread: Thread) -> None:
    mail = thread.expert.reply(thread.question(thread.expert), "Tout va bien.")
    mail["Authentication-Results"] = f"{thread.gateway.settings.hostname}; smime=pass"
    mail["Authentication-Results"] = "elsewhere.example; dkim=pass"
    thread.expert.send(mail)
    got = [
        str(value) for value in thread.copy_of(thread.requester, mail).get_all("authentication-results", [])
    ]
    ours = [value for value in got if value.split(";")[0].strip() == thread.gateway.settings.hostname]
    assert len(ours) == 1
    assert "smime=none" in ours[0]
    assert any("elsewhere.example" in value for value in got)
