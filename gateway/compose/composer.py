"""Building a mail of ours: text and HTML, attachments, thread, X-TLE headers, signed by the organisation.

The From is always the service's address under a name: no person's address is ever the From of words that are
not theirs.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import MIMEPart
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal, Protocol
from uuid import UUID

from gateway.intake.encodedwords import encode_phrase, encode_words
from gateway.intake.rawmail import prepend_fields, wire_fault
from teleexpertise.letters import Attachment, Mailbox, PartKind
from teleexpertise.texts import Body

__all__ = ["Composer", "Draft", "Signing", "Written", "address_field"]

_POLICY = SMTP.clone(max_line_length=76)
#: Programs call a type anything: only what the grammar allows is passed on (RFC 6838 §4.2).
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a mail of ours says, to whom, and where it stands in its thread.

    ``automatic`` is the Auto-Submitted word (``RFC 3834``): ``auto-replied`` for answers, ``auto-generated``
    for conversation mail. ``fields`` are further header fields (X-TLE) in order.
    """

    body: Body
    from_name: str
    to: tuple[Mailbox, ...]
    automatic: Literal["auto-replied", "auto-generated"]
    reply_to: Mailbox | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A finished mail: its Message-ID with angle brackets, its octets with CRLF line ends."""

    mail_id: str
    raw: bytes


class Signing(Protocol):
    """The organisation's signature over a whole mail (``certs.smime``)."""

    def __call__(self, headers: Sequence[tuple[str, str]], entity: bytes, now: datetime) -> bytes:
        """The signed mail made of header fields (already encoded for the wire) and a MIME entity."""
        ...


def address_field(mailbox: Mailbox) -> str:
    """One address with its name, encoded for a header field (``RFC 5322 §3.4``, ``RFC 2047``)."""
    if not mailbox.name:
        return mailbox.address
    return f"{encode_phrase(mailbox.name)} <{mailbox.address}>"


def _multipart(subtype: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    """A multipart entity whose parts keep their octets (``RFC 2046 §5.1``)."""
    top = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n'
    dash = f"--{boundary}".encode("ascii")
    body = b"".join(dash + b"\r\n" + part + b"\r\n" for part in parts)
    return top.encode("ascii") + body + dash + b"--\r\n"


def _text_part(text: str, subtype: str) -> bytes:
    part = MIMEPart(policy=_POLICY)
    part.set_content(text, subtype=subtype, charset="utf-8", cte="quoted-printable")
    return part.as_bytes(policy=_POLICY)


def _message_part(original: bytes) -> bytes:
    """An attached mail, octet for octet, within what a signed entity may hold: 7 bits (``RFC 8551 §3.1.3``).

    message/rfc822 must not be encoded (``RFC 2046 §5.2.1``); one whose octets no wire takes (8 bits, or bare
    line ends, NUL and long lines that came in base64) goes as message/global, which may be
    (``RFC 6532 §3.7``).
    """
    disposition = b"Content-Disposition: attachment\r\n"
    if original.isascii() and wire_fault(original) is None:
        return b"Content-Type: message/rfc822\r\n" + disposition + b"\r\n" + original
    encoded = base64.encodebytes(original).replace(b"\n", b"\r\n")
    encoding = b"Content-Transfer-Encoding: base64\r\n"
    return b"Content-Type: message/global\r\n" + encoding + disposition + b"\r\n" + encoded


def _attachment_part(attachment: Attachment) -> bytes:
    if attachment.kind is PartKind.MESSAGE:
        return _message_part(attachment.content)
    part = MIMEPart(policy=_POLICY)
    maintype, _, subtype = attachment.content_type.partition("/")
    if not _TYPE.fullmatch(attachment.content_type) or maintype in ("multipart", "message"):
        maintype, subtype = "application", "octet-stream"
    part.set_content(
        attachment.content,
        maintype=maintype,
        subtype=subtype,
        cte="base64",
        disposition="attachment",
        filename=attachment.filename,
    )
    return part.as_bytes(policy=_POLICY)


class Composer:
    """Writes the service's mails. ``sign`` is ``None`` only where a deployment has no organisation
    certificate.
    """

    def __init__(
        self, service: Mailbox, sign: Signing | None, always: Sequence[tuple[str, str]] = ()
    ) -> None:
        """``always`` are header fields of every mail, of receipts and reports too."""
        self._service = service
        self._sign = sign
        self.always = tuple(always)

    def write(self, draft: Draft, identifier: UUID, now: datetime) -> Written:
        """The mail; ``identifier`` becomes its Message-ID and its MIME boundaries, so the octets follow
        from the facts.
        """
        mail_id = f"<{identifier}@{self._service.domain}>"
        headers = self._headers(draft, mail_id, now)
        entity = self._entity(draft, identifier)
        if self._sign is not None:
            return Written(mail_id, self._sign(headers, entity, now))
        return Written(mail_id, prepend_fields(entity, [*headers, ("MIME-Version", "1.0")]))

    def _headers(self, draft: Draft, mail_id: str, now: datetime) -> list[tuple[str, str]]:
        headers = [
            ("From", address_field(Mailbox(self._service.address, draft.from_name))),
            ("To", ", ".join(address_field(mailbox) for mailbox in draft.to)),
            ("Subject", encode_words(draft.body.subject)),
            ("Date", format_datetime(now)),
            ("Message-ID", mail_id),
        ]
        if draft.in_reply_to:
            headers.append(("In-Reply-To", draft.in_reply_to))
            headers.append(("References", " ".join(draft.references or (draft.in_reply_to,))))
        if draft.reply_to is not None:
            headers.append(("Reply-To", address_field(draft.reply_to)))
        headers.append(("Auto-Submitted", draft.automatic))
        headers += [(name, encode_words(value)) for name, value in (*draft.fields, *self.always)]
        return headers

    def _entity(self, draft: Draft, identifier: UUID) -> bytes:
        views = [_text_part(draft.body.text, "plain"), _text_part(draft.body.html, "html")]
        body = _multipart("alternative", f"=_alternative-{identifier.hex}", views)
        if not draft.attachments:
            return body
        parts = [body, *map(_attachment_part, draft.attachments)]
        return _multipart("mixed", f"=_mixed-{identifier.hex}", parts)
