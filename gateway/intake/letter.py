"""A mail as the domain reads it, made from raw octets within bounds; :func:`read_letter` is the only door."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256

from certs.legacydisplay import without_legacy_html, without_legacy_text
from gateway.intake.addresses import read_addresses
from gateway.intake.charsets import clean_line, decode_text
from gateway.intake.encodedwords import decode_words
from gateway.intake.faults import MalformedAddress, MalformedHeader, NulOctet
from gateway.intake.filenames import safe_filename
from gateway.intake.limits import IntakeLimits
from gateway.intake.rawmail import header_fields, split
from gateway.intake.signedparts import is_signature, repeats_headers, unsigned_parts
from gateway.intake.structure import Part, read_parts
from gateway.intake.texts import plain_lines, unflow
from teleexpertise.letters import Attachment, Letter, Mailbox

__all__ = ["read_letter"]

#: Longer ones fit no line of 998 octets behind the name of a field that cites them (RFC 5322 §2.1.1).
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")
_LONGEST_DATE = 200
#: Years that every time zone can show; a date outside tells nothing.
_YEARS = (1900, 9998)


def read_letter(raw: bytes, limits: IntakeLimits, inner: bytes | None = None) -> Letter:
    """Read one mail. Identifiers keep their angle brackets; text has Unix line ends; sizes are octets of
    ``raw``.

    ``inner`` is the entity that an opaque signature or an encryption held, already opened by the caller:
    bodies and attachments are then read from it, header fields always from ``raw``. Raises an ``IntakeFault``
    for NUL, for a header that is none, for addresses a strict reader refuses, and for any limit; every other
    input gives a letter.
    """
    if b"\x00" in raw:
        raise NulOctet
    parts = read_parts(raw, limits)
    header, body = split(raw)
    if any(not name for name, _ in header_fields(header)):
        raise MalformedHeader
    top = parts[0]
    views = _read_views(parts if inner is None else read_parts(inner, limits), limits)
    senders = _mailboxes(top, "sender", limits)
    if len(senders) > 1:
        raise MalformedAddress
    return Letter(
        message_id=next(iter(_identifiers(top.first("message-id"))), ""),
        subject=clean_line(decode_words(top.first("subject"))),
        senders=_mailboxes(top, "from", limits),
        to=_mailboxes(top, "to", limits),
        cc=_mailboxes(top, "cc", limits),
        sender=next(iter(senders), None),
        reply_to=_mailboxes(top, "reply-to", limits),
        in_reply_to=_identifiers(top.first("in-reply-to")),
        references=_identifiers(top.first("references")),
        sent_at=_date(top.first("date")),
        content_type=top.content_type.value,
        content_parameters=top.content_type.parameters,
        text="\n".join(views.texts),
        html="\n".join(views.htmls),
        unsigned_text="\n".join(views.unsigned_texts),
        unsigned_html="\n".join(views.unsigned_htmls),
        attachments=tuple(views.attachments),
        headers=tuple((name, clean_line(decode_words(value))) for name, value in top.fields),
        body_sha256=sha256(body).hexdigest(),
        size=len(raw),
    )


def _mailboxes(top: Part, name: str, limits: IntakeLimits) -> tuple[Mailbox, ...]:
    found: list[Mailbox] = []
    for key, value in top.fields:
        if key.lower() == name:
            found.extend(read_addresses(value, limits.max_addresses))
    if len(found) > limits.max_addresses:
        raise MalformedAddress
    return tuple(found)


def _identifiers(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_MESSAGE_ID.findall(value)))


def _date(value: str) -> datetime | None:
    if not value or len(value) > _LONGEST_DATE:
        return None
    try:
        sent_at = parsedate_to_datetime(value)
        # An offset, its own or the reader's, may push a date over the edges of the calendar.
        sent_at = sent_at.replace(tzinfo=UTC) if sent_at.tzinfo is None else sent_at.astimezone(UTC)
        return sent_at if _YEARS[0] <= sent_at.year <= _YEARS[1] else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


@dataclass(slots=True)
class _Views:
    """What a person sees of the parts, collected in document order."""

    texts: list[str] = field(default_factory=list)
    htmls: list[str] = field(default_factory=list)
    unsigned_texts: list[str] = field(default_factory=list)
    unsigned_htmls: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)

    def add(self, kind: str, text: str, *, unsigned: bool) -> None:
        """Add one body text of type ``kind``, to what is signed or to what stands outside."""
        if kind == "text/plain":
            (self.unsigned_texts if unsigned else self.texts).append(text)
        else:
            (self.unsigned_htmls if unsigned else self.htmls).append(text)


def _read_views(parts: tuple[Part, ...], limits: IntakeLimits) -> _Views:
    views = _Views()
    shown: set[tuple[int, str]] = set()
    outside = unsigned_parts(parts)
    for index, part in enumerate(parts):
        if part.is_multipart or is_signature(part, parts):
            continue
        kind, unsigned = part.content_type.value, index in outside
        if _is_body(part, parts) and (part.parent, kind) not in shown:
            if part.parent >= 0 and parts[part.parent].content_type.value == "multipart/alternative":
                shown.add((part.parent, kind))
            views.add(kind, _text(part, parts), unsigned=unsigned)
        else:
            attachment = _attachment(part, limits, len(views.attachments) + 1)
            views.attachments.append(replace(attachment, unsigned=unsigned))
    return views


def _is_body(part: Part, parts: tuple[Part, ...]) -> bool:
    """Text to read in place: not named, not marked as attachment. Some clients put several around images."""
    if part.content_type.value not in ("text/plain", "text/html") or part.disposition.value == "attachment":
        return False
    if part.disposition.get("filename") or part.content_type.get("name"):
        return False
    in_report = part.parent >= 0 and parts[part.parent].content_type.value == "multipart/report"
    return not in_report or part.position == 0


def _text(part: Part, parts: tuple[Part, ...]) -> str:
    text = decode_text(part.content(), part.content_type.get("charset"))
    html = part.content_type.value == "text/html"
    if not html and part.content_type.get("format").lower() == "flowed":
        text = unflow(text, part.content_type.get("delsp").lower() == "yes")
    else:
        text = plain_lines(text)
    if not repeats_headers(part, parts):
        return text
    return without_legacy_html(text) if html else without_legacy_text(text)


def _attachment(part: Part, limits: IntakeLimits, ordinal: int) -> Attachment:
    content_id = part.first("content-id").strip("<> ")
    return Attachment(
        filename=safe_filename(part, limits.unnamed_stem, ordinal),
        content_type=part.content_type.value,
        content=part.content(),
        content_id=content_id,
        inline=part.disposition.value == "inline"
        or (bool(content_id) and part.disposition.value != "attachment"),
    )
