"""Delivery status notifications: written by a pure builder, read by a total parser (RFC 3461, 3462, 3464)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from enum import StrEnum

from gateway.intake.rawmail import prepend_fields
from gateway.relay.multipart_reports import (
    fields_of,
    message_id_of,
    original_of,
    quoted,
    report_parts,
    typed,
    write_report,
)
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
    """All that a report of ours states; ``message_id`` is the report's own, times are aware. ``fields`` are
    further header fields of it.
    """

    sender: Mailbox
    addressee: str
    subject: str
    message_id: str
    now: datetime
    reporting_mta: str
    arrived_at: datetime
    recipients: tuple[RecipientReport, ...]
    envelope_id: str = ""
    fields: tuple[tuple[str, str], ...] = ()


def build_report(facts: ReportFacts, text: str, original_header: bytes) -> bytes:
    """The report as a whole mail with CRLF: ``text`` for the reader, the status, the header of the original.

    It is to be sent with a null sender (RFC 3461 §6). Lines of ``original_header`` that no wire takes are
    encoded.
    """
    parts = (
        b"Content-Type: text/plain; charset=utf-8\r\n" + quoted(text.replace("\n", "\r\n").encode("utf-8")),
        b"Content-Type: message/delivery-status\r\n\r\n" + _status(facts),
        b"Content-Type: text/rfc822-headers\r\n" + quoted(original_header.rstrip(b"\r\n") + b"\r\n"),
    )
    return write_report(
        "delivery-status",
        sender=facts.sender,
        addressee=facts.addressee,
        subject=facts.subject,
        message_id=facts.message_id,
        now=facts.now,
        fields=facts.fields,
        parts=parts,
        original_id=message_id_of(fields_of(original_header).get("message-id", "")),
    )


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


_STATUS = re.compile(r"([245])\.\d{1,3}\.\d{1,3}")
_MOST_RECIPIENTS = 1000
_LONGEST_STATUS = 1024 * 1024


def read_report(raw: bytes) -> DeliveryReport | None:
    """What a delivery status notification says, ``None`` for any other mail and for one that cannot be read.

    Also found inside a signed mail. Recipients without a known action or status are left out; without any
    recipient it is no report.
    """
    children = report_parts(raw, "delivery-status")
    status = next((part for part in children if part.content_type.value in _STATUS_TYPES), None)
    if status is None:
        return None
    octets = status.content()[:_LONGEST_STATUS].strip(b"\r\n")
    groups = [fields_of(group) for group in re.split(rb"\r?\n[ \t]*\r?\n", octets, maxsplit=_MOST_RECIPIENTS)]
    recipients = tuple(found for group in groups[1:] if (found := _recipient(group)))
    if not recipients:
        return None
    return DeliveryReport(
        recipients=recipients,
        envelope_id=groups[0].get("original-envelope-id", ""),
        message_id=original_of(children),
        reporting_mta=typed(groups[0].get("reporting-mta", "")),
    )


_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")


def _recipient(fields: dict[str, str]) -> RecipientReport | None:
    action = fields.get("action", "").split(" ")[0].lower()
    status = _STATUS.match(fields.get("status", ""))
    final = typed(fields.get("final-recipient", ""))
    if action not in tuple(Action) or status is None or not final:
        return None
    return RecipientReport(
        action=Action(action),
        status=status.group(),
        final_recipient=final,
        original_recipient=typed(fields.get("original-recipient", "")),
        diagnostic=typed(fields.get("diagnostic-code", "")),
        remote_mta=typed(fields.get("remote-mta", "")),
    )
