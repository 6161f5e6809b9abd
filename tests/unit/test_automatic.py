"""Mail that no person wrote now, as real programs write it."""

from typing import Any

import pytest

from teleexpertise.automatic import Automatic, classify
from tests.support.cases import letter

SOMEBODY = "lea.martin@demo.mssante.example"

EXCHANGE_ABSENCE = {
    "Auto-Submitted": "auto-generated",
    "X-Auto-Response-Suppress": "All",
    "X-MS-Exchange-Inbox-Rules-Loop": SOMEBODY,
}
GMAIL_ABSENCE = {"Auto-Submitted": "auto-replied", "Precedence": "bulk", "X-Autoreply": "yes"}


def kind(headers: dict[str, str], mail_from: str = SOMEBODY, **fields: Any) -> Automatic | None:
    return classify(letter(headers=tuple(headers.items()), **fields), mail_from)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Auto-Submitted": "no"},
        {"auto-submitted": " NO "},
        {"Auto-Submitted": "no (a person)"},
        {"Auto-Submitted": "(a person) no"},
        {"Auto-Submitted": ""},
        {"X-Auto-Response-Suppress": "DR, OOF, AutoReply"},
        {"X-Auto-Response-Suppress": "All", "X-Mailer": "Microsoft Outlook 16.0"},
        {"Precedence": "first-class"},
        {"Importance": "high", "X-Priority": "1"},
        {"Disposition-Notification-To": SOMEBODY, "Return-Receipt-To": SOMEBODY},
    ],
)
def test_a_persons_mail_is_not_automatic(headers: dict[str, str]) -> None:
    assert kind(headers) is None
    assert kind(headers, in_reply_to=("<1@client.example>",)) is None


@pytest.mark.parametrize("mail_from", ["", SOMEBODY])
@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied (vacation)", "Precedence": "bulk"},  # Dovecot's Sieve
        {"Auto-Submitted": "auto-replied"},  # RFC 5230
        {"Auto-Submitted": "Auto-Replied; owner-email=x@y.example"},
        {"Auto-Submitted": "(by rule) auto-replied"},
        GMAIL_ABSENCE,
        EXCHANGE_ABSENCE,
        {"Precedence": "auto_reply", "X-Autorespond": "Absence"},
        {"X-Autorespond": "Absence"},
    ],
)
def test_absence_notices(headers: dict[str, str], mail_from: str) -> None:
    assert kind(headers, mail_from, in_reply_to=("<1@client.example>",)) is Automatic.ABSENCE


@pytest.mark.parametrize(
    "headers",
    [
        {"List-Id": "<avis.listes.example>"},
        {"List-Post": "<mailto:avis@listes.example>", "Precedence": "list"},
        {"List-Unsubscribe": "<mailto:out@listes.example>"},
        {"Mailing-List": "list avis@listes.example; contact x@listes.example"},
        {"Precedence": "Bulk"},
        {"Precedence": "junk"},
    ],
)
def test_list_mail(headers: dict[str, str]) -> None:
    assert kind(headers) is Automatic.LIST


@pytest.mark.parametrize(
    "content_type", ["multipart/report", "message/delivery-status", "message/disposition-notification"]
)
@pytest.mark.parametrize("headers", [{}, {"Auto-Submitted": "auto-replied"}, {"Auto-Submitted": "no"}])
def test_delivery_and_reading_reports(content_type: str, headers: dict[str, str]) -> None:
    assert kind(headers, "", content_type=content_type) is Automatic.REPORT
    assert kind(headers, content_type=content_type) is Automatic.REPORT


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-generated", "Subject": "Cron <root@serveur>"},
        {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"},
        {"Auto-Submitted": "auto-notified; owner-email=x@y.example"},
        {"Auto-Submitted": "auto-something-new"},
    ],
)
def test_programs(headers: dict[str, str]) -> None:
    assert kind(headers) is Automatic.GENERATED


def test_a_null_sender_alone_is_enough() -> None:
    assert kind({}, "") is Automatic.NULL_SENDER
    assert kind({"Auto-Submitted": "no"}, "") is Automatic.NULL_SENDER


def test_one_field_that_says_automatic_counts_beside_one_that_says_no() -> None:
    found = letter(headers=(("Auto-Submitted", "no"), ("Auto-Submitted", "auto-replied")))
    assert classify(found, SOMEBODY) is Automatic.ABSENCE
