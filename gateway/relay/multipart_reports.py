"""What all reports share: a multipart/report written, its parts found, their fields read (RFC 6522)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256

from gateway.intake.charsets import decode_header_octets
from gateway.intake.encodedwords import encode_phrase, encode_words
from gateway.intake.faults import IntakeFault
from gateway.intake.limits import IntakeLimits
from gateway.intake.rawmail import header_fields, prepend_fields, split
from gateway.intake.structure import Part, read_parts
from teleexpertise.letters import Letter, Mailbox

__all__ = [
    "enclosed_ids",
    "fields_of",
    "message_id_of",
    "original_of",
    "quoted",
    "report_parts",
    "typed",
    "write_report",
]

_LIMITS = IntakeLimits()
#: Some writers leave a space inside the brackets.
_MESSAGE_ID = re.compile(r"<\s*([^<>\s]{1,990})\s*>")
_ORIGINAL_TYPES = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global-headers",
)


def quoted(octets: bytes) -> bytes:
    """A text part's transfer encoding and body, quoted-printable."""
    encoded = binascii.b2a_qp(octets, istext=True)
    return b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded


def write_report(
    kind: str,
    *,
    sender: Mailbox,
    addressee: str,
    subject: str,
    message_id: str,
    now: datetime,
    fields: Sequence[tuple[str, str]] = (),
    parts: Sequence[bytes],
    original_id: str,
) -> bytes:
    """The report as a whole mail with CRLF, ``auto-replied`` and made to be sent with a null sender.

    ``parts`` are whole entities, ``original_id`` the mail that it answers ('' unknown), ``fields`` further
    header fields.
    """
    boundary = "=_" + sha256(b"".join(parts)).hexdigest()[:40]
    body = b"".join(b"--" + boundary.encode("ascii") + b"\r\n" + part + b"\r\n" for part in parts)
    header = [
        ("From", f"{encode_phrase(sender.name)} <{sender.address}>"),
        ("To", addressee),
        ("Subject", encode_words(subject)),
        ("Date", format_datetime(now)),
        ("Message-ID", message_id),
        ("Auto-Submitted", "auto-replied"),
        *fields,
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/report; report-type={kind}; boundary="{boundary}"'),
    ]
    if original_id:
        header.append(("References", original_id))
    return prepend_fields(b"\r\n" + body + b"--" + boundary.encode("ascii") + b"--\r\n", header)


def report_parts(raw: bytes, kind: str) -> tuple[Part, ...]:
    """The parts of a report of one kind, also inside a signed mail; none for any other or unreadable mail."""
    try:
        parts = read_parts(raw, _LIMITS)
    except IntakeFault:
        return ()
    container = next((index for index, part in enumerate(parts) if _is_report(part, parts, kind)), -1)
    return tuple(part for part in parts if part.parent == container and container >= 0)


def _is_report(part: Part, parts: tuple[Part, ...], kind: str) -> bool:
    if part.content_type.value != "multipart/report":
        return False
    if part.content_type.get("report-type").lower() != kind:
        return False
    if part.parent < 0:
        return True
    above = parts[part.parent]
    return above.parent < 0 and above.content_type.value == "multipart/signed" and part.position == 0


def fields_of(group: bytes) -> dict[str, str]:
    """Header-like fields by lower-case name, the first of each."""
    fields: dict[str, str] = {}
    for name, octets in header_fields(group):
        if name:
            fields.setdefault(name, decode_header_octets(octets.partition(b":")[2]).strip())
    return fields


def typed(value: str) -> str:
    """The value behind ``type;`` without angle brackets that some writers add."""
    text = (value.partition(";")[2] if ";" in value else value).strip()
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


def message_id_of(text: str) -> str:
    """The first Message-ID in a field's text, with angle brackets; '' without one."""
    match = _MESSAGE_ID.search(text)
    return f"<{match[1]}>" if match else ""


def enclosed_ids(letter: Letter) -> tuple[str, ...]:
    """The Message-IDs of the mails that a letter encloses."""
    kinds = ("message/rfc822", "message/global")
    enclosed = [item.content for item in letter.attachments if item.content_type in kinds]
    named = [message_id_of(fields_of(split(content)[0]).get("message-id", "")) for content in enclosed]
    return tuple(filter(None, named))


def original_of(parts: Sequence[Part]) -> str:
    """The Message-ID of the original that a report encloses, '' where it encloses none."""
    enclosed = next((part for part in parts if part.content_type.value in _ORIGINAL_TYPES), None)
    return message_id_of(fields_of(split(enclosed.content())[0]).get("message-id", "")) if enclosed else ""
