"""Receipts: ours as any reader reads them, those of others in every form that is in use."""

from __future__ import annotations

import email
from datetime import UTC, datetime
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from gateway.intake.rawmail import wire_fault
from gateway.relay.mdn import (
    Disposition,
    ReceiptFacts,
    build_receipt,
    read_integration_mail,
    read_receipt,
)
from teleexpertise.letters import Mailbox

FACTS = ReceiptFacts(
    sender=Mailbox("teleexpertise@gateway.example", "Téléexpertise"),
    addressee="alice@cabinet.mssante.example",
    subject="Accusé de traitement",
    message_id="<accuse1@gateway.example>",
    now=datetime(2026, 6, 1, 8, 30, tzinfo=UTC),
    reporting_ua="mx.gateway.example",
    recipient="teleexpertise@gateway.example",
    original_message_id="<un@cabinet.mssante.example>",
)

#: As the national guide shows it (versions before 2026), with its blanks and its missing ones.
OLD = """\
Reporting-UA: pfi.chb.mssante.example; PFI
Original-Recipient: rfc822;service_auto@chb.mssante.example
Final-Recipient: rfc822; Service_auto@chb.mssante.example
Original-Message-ID: <199509192301.23456 >
Disposition:automatic-action/MDN-sent-automatically; processed/Error: 902^Identifiant de patient inconnu^x|E
"""
NEW = """\
Final-Recipient: rfc822;service_auto@chb.mssante.example
Original-Message-ID: <199509192301.23456>
Disposition: automatic-action/MDN-sent-automatically; processed/error
Error: 902^Identifiant de patient inconnu^applicationErrorCondition| E^Error^errorSeverity
"""


def notification(fields: str, *, blank: bool = True, enclosed: str = "") -> bytes:
    """A notification as software writes it; without ``blank`` it forgets the empty line before the fields."""
    original = f"--b\nContent-Type: message/rfc822\n\n{enclosed}\n" if enclosed else ""
    gap = "\n" if blank else ""
    text = (
        "From: a@b.example\nMessage-ID: <r@b.example>\nMIME-Version: 1.0\nContent-Type: multipart/report;\n"
        ' report-type=disposition-notification; boundary="b"\n\n--b\nContent-Type: text/plain\n\nTexte\n'
        f"--b\nContent-Type: message/disposition-notification\n{gap}{fields}\n{original}--b--\n"
    )
    return text.replace("\n", "\r\n").encode()


def test_ours_is_mail_that_any_reader_reads() -> None:
    raw = build_receipt(FACTS, "Votre message a été traité.\n")
    assert wire_fault(raw) is None
    assert raw.isascii()
    judge = email.message_from_bytes(raw, policy=SMTP)
    assert judge.get_content_type() == "multipart/report"
    assert judge.get_param("report-type") == "disposition-notification"
    assert judge["Auto-Submitted"] == "auto-replied"
    assert judge["Subject"] == "Accusé de traitement"
    assert judge["Disposition-Notification-To"] is None
    text, fields = judge.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert fields.get_content_type() == "message/disposition-notification"
    letter = read_letter(raw, IntakeLimits())
    assert letter.references == ("<un@cabinet.mssante.example>",)
    report = read_receipt(raw)
    assert report is not None
    assert report.disposition is Disposition.PROCESSED
    assert report.message_id == "<un@cabinet.mssante.example>"
    assert report.recipient == "teleexpertise@gateway.example"
    assert not report.failed


@pytest.mark.parametrize(
    ("fields", "blank"),
    [(OLD, True), (OLD, False), (NEW, True), (NEW, False)],
    ids=["old", "old run in", "new", "new run in"],
)
def test_both_national_forms_say_the_same(fields: str, blank: bool) -> None:
    report = read_receipt(notification(fields, blank=blank))
    assert report is not None
    assert report.failed
    assert report.code == "902"
    assert report.message_id == "<199509192301.23456>"
    assert report.recipient == "service_auto@chb.mssante.example"
    assert report.diagnostic.startswith("902^Identifiant de patient inconnu")


@pytest.mark.parametrize("code", ["900", "901", "902", "903", "904", "905", "906"])
def test_every_national_code_is_known(code: str) -> None:
    report = read_receipt(notification(NEW.replace("902", code)))
    assert report is not None
    assert report.code == code


@pytest.mark.parametrize("word", list(Disposition))
def test_every_disposition_is_known(word: Disposition) -> None:
    fields = f"Original-Message-ID: <a@b>\nDisposition: Manual-action/MDN-Sent-Manually; {word.upper()}\n"
    report = read_receipt(notification(fields))
    assert report is not None
    assert report.disposition is word
    assert report.failed is (word is Disposition.FAILED)
    assert not report.code


def test_the_enclosed_original_names_itself_where_the_field_is_missing() -> None:
    fields = "Disposition: manual-action/MDN-sent-manually; displayed\n"
    report = read_receipt(notification(fields, enclosed="Message-ID: <o@b.example>\nSubject: x\n\nTexte"))
    assert report is not None
    assert report.message_id == "<o@b.example>"
    assert read_receipt(notification("Final-Recipient: rfc822; a@b\n")) is None
    assert read_receipt(notification("Disposition: x/y; swallowed\n")) is None


def test_the_plain_mail_of_a_failed_integration() -> None:
    raw = (
        b"From: a@b.example\r\nMessage-ID: <k@b.example>\r\nMIME-Version: 1.0\r\n"
        b"Subject: =?utf-8?q?=5BKO_Int=C3=A9gration_syst=C3=A8me_!=5D=5B904=5D?= XDM/1.0/DDM+CR X Y\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nT\r\n'
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <o@c.example>\r\n\r\nx\r\n--b--\r\n"
    )
    report = read_integration_mail(read_letter(raw, IntakeLimits()))
    assert report is not None
    assert report.failed
    assert report.code == "904"
    assert report.message_id == "<o@c.example>"
    other = raw.replace(b"KO_Int", b"OK_Int")
    assert read_integration_mail(read_letter(other, IntakeLimits())) is None


_START = notification("")[: -len("\r\n--b--\r\n")]
_FRAGMENTS = [
    b"Disposition: a/b; processed/Error: 902^x\r\n",
    b"Disposition: ;;;/;processed/",
    b"Original-Message-ID: <a@b>\r\n",
    b"Error: \xff\xfe903\r\n",
    b"\r\n",
    b"--b\r\n",
    b"--b--\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b";" * 50,
    b" " * 50,
    b"\x00",
]


@given(st.lists(st.one_of(st.sampled_from(_FRAGMENTS), st.binary(max_size=8)), max_size=30))
def test_any_octets_give_a_receipt_or_none(fragments: list[bytes]) -> None:
    report = read_receipt(_START + b"".join(fragments))
    if report is not None:
        assert report.disposition in Disposition
        assert report.diagnostic.isprintable()
        assert len(report.code) in (0, 3)
