"""What a decision asks the shell to do: actions are data, the shell makes mails, rows and jobs of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "Action",
    "Answer",
    "DeliverLetter",
    "FileReport",
    "HandOver",
    "MakeReport",
    "Notify",
    "Post",
    "Reader",
    "Tag",
    "Voice",
]


class Voice(StrEnum):
    """In whose name a mail of the gateway speaks: only the display name, never a person's address."""

    EXPERT = "expert"
    REQUESTER = "requester"
    SERVICE = "service"


class Reader(StrEnum):
    """Who of a conversation a mail is for, where it is not for all its members."""

    EXPERT = "expert"
    DEPUTY = "deputy"
    REQUESTER = "requester"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An automatic answer to the author alone, by the template of that name."""

    template: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A mail of the gateway into the thread, to every member.

    ``documents`` attaches the expert's documents to fill in, ``letter`` the attachments of the author's mail;
    ``to`` are its only readers, where that is not empty.
    """

    template: str
    voice: Voice = Voice.SERVICE
    documents: bool = False
    letter: bool = False
    text: str = ""
    to: tuple[Reader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverLetter:
    """Fan the author's mail out to the other members, byte for byte, and file it in the acting account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """Send the thread so far to who stands in for the expert, as the expert got it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """A short notice without patient data into the INBOX of the other members of our domains, or of those
    whom ``to`` names.
    """

    subject: str
    to: tuple[Reader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Let the IMAP keywords of the conversation's mails follow its state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeReport:
    """Make the report of the finalisation; what happens then is decided when it is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """File the report into the patient's folder of each member of our domains who wants it."""


Action = Answer | Post | DeliverLetter | HandOver | Notify | Tag | MakeReport | FileReport
