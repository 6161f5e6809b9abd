"""Automatic mail never changes a state, is never answered and never fanned out; nothing loops."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from tests.support import region
from tests.support.gateway import Client, TestGateway, gateway, read, refusal_text, words_of
from tests.support.threads import FOLDER, Thread, open_thread


def counts(served: TestGateway, *clients: Client) -> list[int]:
    """How many mails these accounts have, all folders that the service writes into."""
    served.settled()
    return [len(client.mails(folder)) for client in clients for folder in ("INBOX", FOLDER)]


def absence(client: Client, received: EmailMessage, text: str = "Je suis absent.") -> EmailMessage:
    """A vacation notice as servers write it (RFC 3834, RFC 5230)."""
    notice = client.reply(received, text)
    notice.replace_header("Subject", f"Absence : {received['subject']}")
    notice["Auto-Submitted"] = "auto-replied (vacation)"
    notice["Precedence"] = "bulk"
    return notice


def ready_thread(served: TestGateway) -> Thread:
    made = open_thread(served)
    made.question(made.expert)
    made.question(made.requester)
    return made


@pytest.fixture(scope="module")
def thread(served: TestGateway) -> Thread:
    """One conversation for all mails that must leave no trace in it."""
    return ready_thread(served)


@pytest.fixture
def fresh(served: TestGateway) -> Thread:
    """A conversation of a test's own."""
    return ready_thread(served)


def reply_address(thread: Thread) -> str:
    (address,) = thread.question(thread.expert)["reply-to"].addresses
    return str(address.addr_spec)


@pytest.mark.parametrize("mail_from", ["own", "null"])
def test_absences_of_both_sides_are_shown_once_and_change_nothing(
    fresh: Thread, served: TestGateway, mail_from: str
) -> None:
    for writer, reader in ((fresh.expert, fresh.requester), (fresh.requester, fresh.expert)):
        for attempt in range(2):
            notice = absence(writer, fresh.seen_by(writer)[-1], f"Absence {attempt} de {writer.name}.")
            raw = notice.as_bytes(policy=SMTP)
            writer.send_bytes(raw, [reply_address(fresh)], "" if mail_from == "null" else writer.address)
        words = f"Absence 0 de {writer.name}."
        fresh.wait(reader, lambda mail: mail["x-tle-event"] == "absence" and words in words_of(mail))  # noqa: B023
    served.settled()
    for reader in (fresh.requester, fresh.expert):
        shown_mails = [mail for mail in fresh.seen_by(reader) if mail["x-tle-event"] == "absence"]
        assert len(shown_mails) == 2, "one of each side"
        assert fresh.state(reader) == "requested"
        for mail in reader.mails():
            assert "Absence" not in str(mail["subject"])


def test_absences_that_answer_each_other_do_not_loop(fresh: Thread, served: TestGateway) -> None:
    """Both clients answer automatically whatever reaches them: after one notice each there is silence."""
    answered: set[str] = set()
    for _ in range(6):
        served.settled()
        for client in (fresh.requester, fresh.expert):
            for mail in (*fresh.seen_by(client), *client.mails()):
                mail_id = str(mail["message-id"])
                relevant = fresh.ref in str(mail["subject"]) or mail["x-tle-ref"] == fresh.ref
                if relevant and f"{client.address} {mail_id}" not in answered:
                    answered.add(f"{client.address} {mail_id}")
                    notice = absence(client, mail)
                    client.send_bytes(notice.as_bytes(policy=SMTP), [reply_address(fresh)], "")
    before = counts(served, fresh.requester, fresh.expert)
    for client in (fresh.requester, fresh.expert):
        notice = absence(client, fresh.seen_by(client)[-1])
        client.send_bytes(notice.as_bytes(policy=SMTP), [reply_address(fresh)], "")
    assert counts(served, fresh.requester, fresh.expert) == before


def list_mail(client: Client, to: str) -> EmailMessage:
    mail = client.compose(to, "Annuaire dermatologie", "Lettre du réseau")
    mail["List-Id"] = "<lettre.reseau.example>"
    return mail


def null_sender(client: Client, to: str) -> EmailMessage:
    return client.compose(to, "Annuaire dermatologie", "Sans expéditeur")


def auto_generated(client: Client, to: str) -> EmailMessage:
    mail = client.compose(to, "Annuaire dermatologie", "Un programme")
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def report(client: Client, to: str, kind: str, *fields: str) -> EmailMessage:
    """A report (RFC 6522) whose machine-readable part has these fields."""
    mail = client.compose(to, "Annuaire dermatologie")
    parts = [
        f"Content-Type: multipart/report; report-type={kind}; boundary=b\r\n\r\n--b",
        "Content-Type: text/plain\r\n\r\nRapport\r\n--b",
        f"Content-Type: message/{kind}\r\n\r\n" + "\r\n".join(fields) + "\r\n--b--\r\n",
    ]
    header = mail.as_bytes(policy=SMTP).partition(b"Content-Type")[0].decode()
    return read((header + "\r\n".join(parts)).encode())


def disposition(client: Client, to: str) -> EmailMessage:
    fields = (
        "Final-Recipient: rfc822; x@y.example",
        "Disposition: manual-action/MDN-sent-manually; displayed",
    )
    return report(client, to, "disposition-notification", *fields)


def delivery_status(client: Client, to: str) -> EmailMessage:
    fields = ("Reporting-MTA: dns; y.example", "", "Action: failed", "Status: 5.1.1")
    return report(client, to, "delivery-status", *fields)


AUTOMATIC = {
    "list mail": (list_mail, None),
    "null sender": (null_sender, ""),
    "auto-generated": (auto_generated, None),
    "read receipt": (disposition, None),
    "delivery report": (delivery_status, ""),
}


@pytest.mark.parametrize("where", ["service", "conversation"])
@pytest.mark.parametrize("kind", AUTOMATIC)
def test_automatic_mail_is_never_answered_nor_passed_on(
    thread: Thread, served: TestGateway, kind: str, where: str
) -> None:
    make, mail_from = AUTOMATIC[kind]
    target = served.service if where == "service" else reply_address(thread)
    before = counts(served, thread.requester, thread.expert)
    mail = make(thread.expert, target)
    assert mail["from"]
    thread.expert.send_bytes(mail.as_bytes(policy=SMTP), [target], mail_from)
    assert counts(served, thread.requester, thread.expert) == before
    assert thread.state(thread.requester) == "requested"


def test_our_own_automatic_answers_say_what_they_are(served: TestGateway, thread: Thread) -> None:
    answer = thread.requester.ask_service("Avis")
    assert answer["auto-submitted"] == "auto-replied"
    assert answer["return-path"] == "<>"
    question = thread.question(thread.expert)
    assert question["auto-submitted"] == "auto-generated"
    bounce = str(question["return-path"]).strip("<>")
    assert bounce.endswith(f"@{region.DOMAIN}")
    assert bounce not in (thread.requester.address, thread.expert.address)


def test_a_persons_mail_to_a_bounce_address_is_refused_with_a_sentence(
    thread: Thread, served: TestGateway
) -> None:
    bounce = str(thread.question(thread.expert)["return-path"]).strip("<> \r\n")
    before = counts(served, thread.requester, thread.expert)
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        thread.expert.send(thread.expert.compose(bounce, "Annuaire dermatologie", "Bonjour"))
    assert refusal_text(refusal.value).startswith("550 5.7.1 Cette adresse")
    assert counts(served, thread.requester, thread.expert) == before


# -- what the door refuses ----


def refusal_of(client: Client, recipient: str) -> str:
    """What the door says to a mail for this recipient."""
    with pytest.raises(smtplib.SMTPException) as refusal:
        client.send(client.compose(recipient, "Bonjour", "Texte"), [recipient])
    return refusal_text(refusal.value)


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        (f"personne@{region.DOMAIN}", "550 5.1.1"),
        (f"teleexpertise+{'a' * 42}@{region.DOMAIN}", "550 5.1.1"),
        (f"teleexpertise+x@{region.DOMAIN}", "550 5.1.1"),
        ("quelquun@webmail.example", "550 5.7.1"),
    ],
)
def test_who_cannot_be_reached_is_refused_at_rcpt(served: TestGateway, recipient: str, answer: str) -> None:
    assert refusal_of(served.client(region.GP), recipient).startswith(answer)


def test_a_mail_that_is_too_large_is_refused(served: TestGateway) -> None:
    doctor = served.client(region.GP)
    limit = served.settings.smtp.max_message_bytes
    with smtplib.SMTP("localhost", served.submission_port, timeout=30) as smtp:
        smtp.starttls(context=served.tls)
        smtp.login(doctor.address, doctor.password)
        code, text = smtp.mail(doctor.address, [f"SIZE={limit + 1}"])
    assert (code, text[:5]) == (552, b"5.3.4")


def raw_data(served: TestGateway, octets: bytes) -> tuple[int, bytes]:
    """The door's answer to DATA with exactly these octets before the end mark."""
    doctor = served.client(region.GP)
    smtp = smtplib.SMTP("localhost", served.submission_port, timeout=30)
    try:
        smtp.starttls(context=served.tls)
        smtp.login(doctor.address, doctor.password)
        smtp.mail(doctor.address)
        smtp.rcpt(served.service)
        assert smtp.docmd("DATA")[0] == 354
        smtp.send(octets + b"\r\n.\r\n")
        return smtp.getreply()
    finally:
        smtp.close()


HEADER = f"From: {region.GP.address}\r\nSubject: Avis\r\nMessage-ID: <raw@client.example>\r\n".encode()


@pytest.mark.parametrize("smuggled", [b"\n.\r\n", b"a\nb", b"a\rb", b"\r\n.\n", b"\n.\n"])
def test_a_bare_line_end_ends_the_session(served: TestGateway, smuggled: bytes) -> None:
    assert raw_data(served, HEADER + b"\r\n" + smuggled)[0] == 521


def test_nul_is_refused(served: TestGateway) -> None:
    assert raw_data(served, HEADER + b"\r\na\x00b")[0] == 554


def test_a_mail_that_came_a_long_way_is_a_loop(served: TestGateway) -> None:
    hops = b"".join(
        b"Received: from a%d.example by b.example; Sun, 22 Nov 2026 10:00:00 +0000\r\n" % n for n in range(51)
    )
    code, text = raw_data(served, hops + HEADER + b"\r\nAvis")
    assert (code, text[:5]) == (554, b"5.4.6")


def test_our_own_loop_mark_is_a_loop(served: TestGateway) -> None:
    code, text = raw_data(served, f"X-TLE-Loop: {region.DOMAIN}\r\n".encode() + HEADER + b"\r\nAvis")
    assert (code, text[:5]) == (554, b"5.4.6")


def test_two_authors_are_refused(served: TestGateway) -> None:
    two = HEADER.replace(b"\r\nSubject", f", {region.NURSE.address}\r\nSubject".encode())
    assert raw_data(served, two + b"\r\nAvis")[0] == 550


# -- limits ----


@pytest.fixture(scope="module")
def strict() -> Iterator[TestGateway]:
    """A gateway that gives three automatic answers an hour."""
    with gateway("\n[conversation]\nanswers_per_hour = 3\n") as made:
        yield made


def test_answers_are_limited_per_sender_and_hour_and_others_are_served(strict: TestGateway) -> None:
    doctor = strict.client(region.GP)
    for _ in range(3):
        doctor.ask_service("Avis")
    for _ in range(2):
        with pytest.raises(smtplib.SMTPDataError) as refusal:
            doctor.send(doctor.compose(strict.service, "Avis"))
        told = refusal_text(refusal.value)
        assert told.startswith("450 4.7.1")
        assert "3 reponses automatiques" in told
    strict.settled()
    assert len(doctor.mails()) == 3
    strict.client(region.NURSE).ask_service("Avis")
