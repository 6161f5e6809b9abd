"""Message disposition notifications: written by a pure builder, read by a total parser (RFC 8098).

Read in both national forms of an integration that failed: the text of the error behind ``processed/Error:``
(before 2026) or in a field ``Error:`` of its own, and in the plain mail ``[KO Intégration système !][902] …``
that software sends where no notification was asked for (ANS, volet "Transmission au LPS de documents CDA").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.intake.structure import Part
from gateway.relay.multipart_reports import (
    enclosed_ids,
    fields_of,
    message_id_of,
    original_of,
    quoted,
    report_parts,
    typed,
    write_report,
)
from teleexpertise.letters import Letter, Mailbox

__all__ = [
    "Disposition",
    "DispositionReport",
    "ReceiptFacts",
    "build_receipt",
    "read_integration_mail",
    "read_receipt",
]


class Disposition(StrEnum):
    """What became of a mail after its delivery (RFC 8098 §3.2.6.2; the last three from RFC 3798)."""

    DISPLAYED = "displayed"
    DELETED = "deleted"
    PROCESSED = "processed"
    DISPATCHED = "dispatched"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DispositionReport:
    """What a receipt says. ``message_id`` is the original's with angle brackets, '' where it is not told.

    ``failed`` says that an error came with it: ``code`` is the national one (``900`` to ``906``, '' for
    another), ``diagnostic`` its words as sent. ``recipient`` is the final recipient, an address or ''.
    """

    disposition: Disposition
    message_id: str
    recipient: str = ""
    failed: bool = False
    code: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFacts:
    """All that a receipt of ours states: ``recipient`` is the address that the mail was processed at.
    ``fields`` are further header fields of it.
    """

    sender: Mailbox
    addressee: str
    subject: str
    message_id: str
    now: datetime
    reporting_ua: str
    recipient: str
    original_message_id: str
    fields: tuple[tuple[str, str], ...] = ()


def build_receipt(facts: ReceiptFacts, text: str) -> bytes:
    """The receipt ``automatic-action/MDN-sent-automatically; processed``, to be sent with a null sender.

    Nothing of the original is enclosed: its author has it.
    """
    fields = (
        ("Reporting-UA", facts.reporting_ua),
        ("Original-Recipient", f"rfc822;{facts.recipient}"),
        ("Final-Recipient", f"rfc822;{facts.recipient}"),
        ("Original-Message-ID", facts.original_message_id),
        ("Disposition", "automatic-action/MDN-sent-automatically; processed"),
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return write_report(
        "disposition-notification",
        sender=facts.sender,
        addressee=facts.addressee,
        subject=facts.subject,
        message_id=facts.message_id,
        now=facts.now,
        fields=facts.fields,
        parts=(
            b"Content-Type: text/plain; charset=utf-8\r\n"
            + quoted(text.replace("\n", "\r\n").encode("utf-8")),
            b"Content-Type: message/disposition-notification\r\n\r\n" + lines.encode("ascii", "replace"),
        ),
        original_id=facts.original_message_id,
    )


_TYPES = ("message/disposition-notification", "message/global-disposition-notification")
_LONGEST = 64 * 1024
_BLANK = re.compile(rb"\r?\n(?:[ \t]*\r?\n)+")
_DISPOSITION = re.compile(
    r"(?:.*;)?\s*(displayed|deleted|processed|dispatched|denied|failed)\s*(?:/\s*(.*))?",
    re.IGNORECASE | re.DOTALL,
)
_ERROR = re.compile(r"(?:error|failure)\s*:?\s*(.*)", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(r"\W{0,3}(90[0-6])(?!\d)")
_LONGEST_DIAGNOSTIC = 300
_KO = re.compile(r"\s*\[\s*KO\s+Int[ée]gration[^\]]{0,40}\]\s*(?:\[([^\]]{0,40})\])?", re.IGNORECASE)


def read_receipt(raw: bytes) -> DispositionReport | None:
    """What a notification says, ``None`` for any other mail and for one that cannot be read."""
    parts = report_parts(raw, "disposition-notification")
    part = next((part for part in parts if part.content_type.value in _TYPES), None)
    if part is None:
        return None
    fields = _notification(part)
    match = _DISPOSITION.fullmatch(fields.get("disposition", ""))
    if match is None:
        return None
    modifier = _ERROR.match(match[2] or "")
    words = fields.get("error") or fields.get("failure") or (modifier[1] if modifier else "")
    code = _CODE.match(words)
    return DispositionReport(
        disposition=Disposition(match[1].lower()),
        message_id=message_id_of(fields.get("original-message-id", "")) or original_of(parts),
        recipient=typed(fields.get("final-recipient", "")).lower(),
        failed=modifier is not None or bool(words) or match[1].lower() == Disposition.FAILED,
        code=code[1] if code else "",
        diagnostic=_one_line(words),
    )


def _notification(part: Part) -> dict[str, str]:
    """The fields of the notification; some software forgets the empty line before them."""
    content = part.content()[:_LONGEST].strip(b"\r\n")
    fields = fields_of(_BLANK.sub(b"\r\n", content))
    if "disposition" in fields:
        return fields
    return {name.lower(): value for name, value in part.fields}


def _one_line(text: str) -> str:
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:_LONGEST_DIAGNOSTIC]


def read_integration_mail(letter: Letter) -> DispositionReport | None:
    """What the plain mail of a failed integration says, ``None`` for any other mail.

    The original is the enclosed one, else the first that the mail cites.
    """
    match = _KO.match(letter.subject)
    if match is None:
        return None
    code = _CODE.match(match[1] or "")
    cited = (*enclosed_ids(letter), *letter.in_reply_to, *reversed(letter.references))
    return DispositionReport(
        disposition=Disposition.PROCESSED,
        message_id=next(iter(cited), ""),
        failed=True,
        code=code[1] if code else "",
    )
