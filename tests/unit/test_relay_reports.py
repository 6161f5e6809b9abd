"""Delivery reports and the retry schedule."""

from __future__ import annotations

import email
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.policy import SMTP

import pytest

from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from gateway.intake.rawmail import wire_fault
from gateway.relay.dsn import Action, RecipientReport, ReportFacts, build_report, read_report
from gateway.relay.failure import OwnWords
from gateway.relay.schedule import next_attempt
from teleexpertise.letters import Mailbox
from teleexpertise.texts import Texts, contexts
from tests.support.samples import SERVICE

TEXTS = Texts(SERVICE, UTC)
NOW = datetime(2026, 6, 1, 8, 30, tzinfo=UTC)
FACTS = ReportFacts(
    sender=Mailbox("postmaster@gateway.example", "Téléexpertise"),
    addressee="alice@cabinet.mssante.example",
    subject="Message non remis à son destinataire",
    message_id="<rapport1@gateway.example>",
    now=NOW,
    reporting_mta="mx.gateway.example",
    arrived_at=NOW - timedelta(days=2),
    recipients=(
        RecipientReport(
            Action.FAILED,
            "5.1.1",
            "bob@b.test",
            "Bob@B.test",
            "550 5.1.1 Unknown user " + "x" * 200,
            "mx.b.test",
        ),
        RecipientReport(Action.DELAYED, "4.4.1", "carl@c.test"),
    ),
    envelope_id="Q1",
)
ORIGINAL = (
    "Message-ID: <un@cabinet.mssante.example>\r\nSubject: été\r\nX: ".encode() + b"y" * 990 + b"\r\n\r\n"
)


def test_a_report_is_mail_that_any_reader_reads() -> None:
    raw = build_report(FACTS, "Bonjour,\n\nVotre message n'a pas été remis à Bob.\n", ORIGINAL)
    assert wire_fault(raw) is None
    assert raw.isascii()
    judge = email.message_from_bytes(raw, policy=SMTP)
    assert judge.get_content_type() == "multipart/report"
    assert judge.get_param("report-type") == "delivery-status"
    assert judge["Auto-Submitted"] == "auto-replied"
    assert judge["From"] == "Téléexpertise <postmaster@gateway.example>"
    assert [part.get_content_type() for part in judge.iter_parts()] == [
        "text/plain", "message/delivery-status", "text/rfc822-headers",
    ]  # fmt: skip
    letter = read_letter(raw, IntakeLimits())
    assert letter.text == "Bonjour,\n\nVotre message n'a pas été remis à Bob."
    assert letter.subject == FACTS.subject
    assert letter.references == ("<un@cabinet.mssante.example>",)


def test_further_fields_stand_in_the_header() -> None:
    raw = build_report(replace(FACTS, fields=(("X-MSS-NIL", "DEV1"),)), "Texte", ORIGINAL)
    assert email.message_from_bytes(raw, policy=SMTP)["X-MSS-NIL"] == "DEV1"


def test_a_report_comes_back_as_it_was_written() -> None:
    report = read_report(build_report(FACTS, "Texte", ORIGINAL))
    assert report is not None
    assert report.recipients == FACTS.recipients
    assert report.envelope_id == "Q1"
    assert report.message_id == "<un@cabinet.mssante.example>"
    assert report.reporting_mta == "mx.gateway.example"


POSTFIX = b"""From: MAILER-DAEMON@mail.b.test (Mail Delivery System)
To: alice@a.test
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4D1F2.1780000000/mail.b.test"

This is a MIME-encapsulated message.

--4D1F2.1780000000/mail.b.test
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--4D1F2.1780000000/mail.b.test
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.b.test
Original-Envelope-Id: E-17
X-Postfix-Queue-ID: 4D1F2
X-Postfix-Sender: rfc822; alice@a.test
Arrival-Date: Mon,  1 Jun 2026 10:00:00 +0200 (CEST)

Final-Recipient: rfc822; bob@b.test
Original-Recipient: rfc822;Bob@b.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; inner.b.test
Diagnostic-Code: smtp; 550 5.1.1 <bob@b.test>: Recipient address rejected:
    User unknown

--4D1F2.1780000000/mail.b.test
Content-Description: Undelivered Message
Content-Type: message/rfc822

Message-ID: <deux@a.test>
Subject: x

corps
--4D1F2.1780000000/mail.b.test--
"""


def test_the_report_of_postfix() -> None:
    report = read_report(POSTFIX.replace(b"\n", b"\r\n"))
    assert report is not None
    [recipient] = report.recipients
    assert (recipient.action, recipient.status) == (Action.FAILED, "5.1.1")
    assert (recipient.final_recipient, recipient.original_recipient) == ("bob@b.test", "Bob@b.test")
    assert recipient.diagnostic == "550 5.1.1 <bob@b.test>: Recipient address rejected:    User unknown"
    assert (report.envelope_id, report.message_id) == ("E-17", "<deux@a.test>")


def test_a_signed_report() -> None:
    header, _, body = POSTFIX.partition(b"Content-Type: multipart/report")
    signed = (
        header + b"Content-Type: multipart/signed; boundary=s\n\n--s\nContent-Type: multipart/report" + body
        + b"--s\nContent-Type: application/pkcs7-signature\n\nMII\n--s--\n"
    )  # fmt: skip
    report = read_report(signed)
    assert report is not None
    assert report.envelope_id == "E-17"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Subject: x\r\n\r\nAction: failed\r\n",
        POSTFIX.replace(b"delivery-status;", b"disposition-notification;"),
        POSTFIX.replace(b"message/delivery-status", b"text/plain"),
        POSTFIX.replace(b"Action: failed", b"Action: lost"),
        POSTFIX.replace(b"Status: 5.1.1", b"Status: bad"),
        POSTFIX.replace(b"Final-Recipient", b"Final"),
        POSTFIX.replace(b"multipart/report", b"multipart/mixed"),
        b"Content-Type: multipart/mixed; boundary=o\n\n--o\n" + POSTFIX + b"\n--o--\n",
    ],
)
def test_what_is_no_report(raw: bytes) -> None:
    assert read_report(raw) is None


def test_a_report_needs_no_optional_facts() -> None:
    facts = replace(FACTS, envelope_id="", recipients=(RecipientReport(Action.FAILED, "5.0.0", "b@c.test"),))
    report = read_report(build_report(facts, "", b""))
    assert report is not None
    assert (report.envelope_id, report.message_id, report.recipients) == ("", "", facts.recipients)


def test_schedule() -> None:
    minutes = [1, 5, 15]
    times = [next_attempt(attempts, NOW, minutes) for attempts in range(5)]
    assert times == [None, *(NOW + timedelta(minutes=m) for m in minutes), None]


@pytest.mark.parametrize("words", OwnWords)
def test_why_nothing_was_sent_is_told_in_french_and_not_in_our_words(words: OwnWords) -> None:
    mail = contexts.Undelivered(recipient="a@b.test", sent_at=NOW, diagnostic=f"{words}: detail")
    text = " ".join(TEXTS.render(mail).text.split())
    assert str(words) not in text
    assert "serveur du destinataire" not in text
    assert text.count(".") >= 3
