"""Delivery status notifications: written by a pure builder, read by a total parser (RFC 3461, 3462, 3464)."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from enum import StrEnum
from hashlib import sha256

from gateway.intake.charsets import decode_header_octets
from gateway.intake.encodedwords import encode_phrase
from gateway.intake.faults import IntakeFault
from gateway.intake.limits import IntakeLimits
from gateway.intake.rawmail import header_fields, prepend_fields, split
from gateway.intake.structure import Part, read_parts
from teleexpertise.letters import Mailbox

__all__ = ["Action", "DeliveryReport", "RecipientReport", "ReportFacts", "build_report", "read_report"]


class Action(StrEnum):
    """What became of the message for one recipient (RFC 3464 §2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """The fate of one recipient.

    ``status`` is an enhanced code, ``final_recipient`` an address, ``original_recipient`` the address as its
    sender gave it ('' unknown), ``diagnostic`` the SMTP answer and ``remote_mta`` its host ('' for none).
    """

    action: Action
    status: str
    final_recipient: str
    original_recipient: str = ""
    diagnostic: str = ""
    remote_mta: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a received report says. ``message_id`` is the original's with angle brackets, '' where it is
    not told.
    """

    recipients: tuple[RecipientReport, ...]
    envelope_id: str = ""
    message_id: str = ""
    reporting_mta: str = ""


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All that a report of ours states; ``message_id`` is the report's own, times are aware."""

    sender: Mailbox
    addressee: str
    subject: str
    message_id: str
    now: datetime
    reporting_mta: str
    arrived_at: datetime
    recipients: tuple[RecipientReport, ...]
    envelope_id: str = ""


def build_report(facts: ReportFacts, text: str, original_header: bytes) -> bytes:
    """The report as a whole mail with CRLF: ``text`` for the reader, the status, the header of the original.

    It is to be sent with a null sender (RFC 3461 §6). Lines of ``original_header`` that no wire takes are
    encoded.
    """
    parts = (
        b"Content-Type: text/plain; charset=utf-8\r\n" + _quoted(text.replace("\n", "\r\n").encode("utf-8")),
        b"Content-Type: message/delivery-status\r\n\r\n" + _status(facts),
        b"Content-Type: text/rfc822-headers\r\n" + _quoted(original_header.rstrip(b"\r\n") + b"\r\n"),
    )
    boundary = "=_" + sha256(b"".join(parts)).hexdigest()[:40]
    body = b"".join(b"--" + boundary.encode("ascii") + b"\r\n" + part + b"\r\n" for part in parts)
    fields = [
        ("From", f"{encode_phrase(facts.sender.name)} <{facts.sender.address}>"),
        ("To", facts.addressee),
        ("Subject", facts.subject),
        ("Date", format_datetime(facts.now)),
        ("Message-ID", facts.message_id),
        ("Auto-Submitted", "auto-replied"),
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/report; report-type=delivery-status; boundary="{boundary}"'),
    ]
    original_id = _original_message_id(original_header)
    if original_id:
        fields.append(("References", original_id))
    return prepend_fields(b"\r\n" + body + b"--" + boundary.encode("ascii") + b"--\r\n", fields)


def _quoted(octets: bytes) -> bytes:
    encoded = binascii.b2a_qp(octets, istext=True)
    return b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded


def _status(facts: ReportFacts) -> bytes:
    message = [("Reporting-MTA", f"dns; {facts.reporting_mta}")]
    if facts.envelope_id:
        message.append(("Original-Envelope-Id", facts.envelope_id))
    message.append(("Arrival-Date", format_datetime(facts.arrived_at)))
    groups = [prepend_fields(b"", message)]
    for recipient in facts.recipients:
        fields = [
            (
                "Original-Recipient",
                f"rfc822; {recipient.original_recipient}" if recipient.original_recipient else "",
            ),
            ("Final-Recipient", f"rfc822; {recipient.final_recipient}"),
            ("Action", recipient.action.value),
            ("Status", recipient.status),
            ("Remote-MTA", f"dns; {recipient.remote_mta}" if recipient.remote_mta else ""),
            ("Diagnostic-Code", f"smtp; {recipient.diagnostic}" if recipient.diagnostic else ""),
        ]
        groups.append(prepend_fields(b"", [(name, value) for name, value in fields if value]))
    return b"\r\n".join(groups)


_LIMITS = IntakeLimits()
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,990}>")
_STATUS = re.compile(r"([245])\.\d{1,3}\.\d{1,3}")
_MOST_RECIPIENTS = 1000
_LONGEST_STATUS = 1024 * 1024


def read_report(raw: bytes) -> DeliveryReport | None:
    """What a delivery status notification says, ``None`` for any other mail and for one that cannot be read.

    Also found inside a signed mail. Recipients without a known action or status are left out; without any
    recipient it is no report.
    """
    try:
        parts = read_parts(raw, _LIMITS)
    except IntakeFault:
        return None
    container = next((index for index, part in enumerate(parts) if _is_report(part, parts)), -1)
    children = [part for part in parts if part.parent == container and container >= 0]
    status = next((part for part in children if part.content_type.value in _STATUS_TYPES), None)
    if status is None:
        return None
    octets = status.content()[:_LONGEST_STATUS].strip(b"\r\n")
    groups = [_fields(group) for group in re.split(rb"\r?\n[ \t]*\r?\n", octets, maxsplit=_MOST_RECIPIENTS)]
    recipients = tuple(found for group in groups[1:] if (found := _recipient(group)))
    if not recipients:
        return None
    original = next((part for part in children if part.content_type.value in _ORIGINAL_TYPES), None)
    return DeliveryReport(
        recipients=recipients,
        envelope_id=groups[0].get("original-envelope-id", ""),
        message_id=_original_message_id(split(original.content())[0]) if original else "",
        reporting_mta=_typed(groups[0].get("reporting-mta", "")),
    )


_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_ORIGINAL_TYPES = (
    "message/rfc822",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global-headers",
)


def _is_report(part: Part, parts: tuple[Part, ...]) -> bool:
    if part.content_type.value != "multipart/report":
        return False
    if part.content_type.get("report-type").lower() != "delivery-status":
        return False
    if part.parent < 0:
        return True
    above = parts[part.parent]
    return above.parent < 0 and above.content_type.value == "multipart/signed" and part.position == 0


def _fields(group: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, octets in header_fields(group):
        if name:
            fields.setdefault(name, decode_header_octets(octets.partition(b":")[2]).strip())
    return fields


def _recipient(fields: dict[str, str]) -> RecipientReport | None:
    action = fields.get("action", "").split(" ")[0].lower()
    status = _STATUS.match(fields.get("status", ""))
    final = _typed(fields.get("final-recipient", ""))
    if action not in tuple(Action) or status is None or not final:
        return None
    return RecipientReport(
        action=Action(action),
        status=status.group(),
        final_recipient=final,
        original_recipient=_typed(fields.get("original-recipient", "")),
        diagnostic=_typed(fields.get("diagnostic-code", "")),
        remote_mta=_typed(fields.get("remote-mta", "")),
    )


def _typed(value: str) -> str:
    """The value behind ``type;`` without angle brackets that some writers add."""
    text = (value.partition(";")[2] if ";" in value else value).strip()
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


def _original_message_id(header: bytes) -> str:
    for name, octets in header_fields(header):
        if name == "message-id":
            match = _MESSAGE_ID.search(decode_header_octets(octets.partition(b":")[2]))
            return match.group() if match else ""
    return ""
