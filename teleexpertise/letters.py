"""A received mail as the domain reads it: headers, readable views and attachments, nothing of transport.

The gateway's intake makes a :class:`Letter` from raw bytes; the raw bytes themselves stay what is stored
and relayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Attachment", "Letter", "Mailbox", "PartKind"]


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address with its display name (``RFC 5322 §3.4``); ``address`` is lower-cased, ``name`` decoded,
    maybe ''.
    """

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part after the last ``@``, '' where there is none."""
        return self.address.rpartition("@")[2] if "@" in self.address else ""


class PartKind(StrEnum):
    """What an attachment is to the prerequisites and the report."""

    IMAGE = "image"
    DOCUMENT = "document"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One leaf part that is not the body text: decoded bytes, a safe file name, MIME type in lower case."""

    filename: str
    content_type: str
    content: bytes
    content_id: str = ""
    inline: bool = False
    unsigned: bool = False
    """It stands outside of the signed part of a mail of which only a part is signed."""

    @property
    def kind(self) -> PartKind:
        """Image, attached message, or document (anything else)."""
        if self.content_type.startswith("image/"):
            return PartKind.IMAGE
        if self.content_type == "message/rfc822":
            return PartKind.MESSAGE
        return PartKind.DOCUMENT


@dataclass(frozen=True, slots=True)
class Letter:
    """A parsed mail. Every string is decoded Unicode without CR, LF or NUL in header values.

    ``senders`` holds every address of every From field (exactly one is the rule, more is a fault for the
    trust doors). ``headers`` are (name as written, unfolded decoded value) in order. ``text`` is the first
    text/plain view, '' when there is none; ``html`` the first text/html view. ``body_sha256`` is over the
    raw bytes after the header section.

    Of a mail of which only a part is signed, ``text`` and ``html`` are the signed part's alone: what stands
    outside (a list's footer, words put in on the way) is in ``unsigned_text`` and ``unsigned_html`` and is
    never taken for the author's words.
    """

    message_id: str
    subject: str
    senders: tuple[Mailbox, ...]
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    sender: Mailbox | None = None
    reply_to: tuple[Mailbox, ...] = ()
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    sent_at: datetime | None = None
    content_type: str = "text/plain"
    content_parameters: tuple[tuple[str, str], ...] = ()
    text: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body_sha256: str = ""
    size: int = 0
    unsigned_text: str = ""
    unsigned_html: str = ""

    @property
    def has_unsigned(self) -> bool:
        """Whether a part of it is signed and something stands outside of that part."""
        return bool(self.unsigned_text or self.unsigned_html) or any(a.unsigned for a in self.attachments)

    @property
    def signed_attachments(self) -> tuple[Attachment, ...]:
        """The attachments without those outside of the signed part; all of them where there is no such."""
        return tuple(attachment for attachment in self.attachments if not attachment.unsigned)

    def values(self, name: str) -> Iterator[str]:
        """Every value of a header field, in order, the name compared without case."""
        wanted = name.lower()
        return (value for key, value in self.headers if key.lower() == wanted)

    def first(self, name: str) -> str:
        """The first value of a header field, '' when it is absent."""
        return next(self.values(name), "")

    @property
    def author(self) -> Mailbox | None:
        """The single From address, or ``None`` where there is not exactly one."""
        return self.senders[0] if len(self.senders) == 1 else None
