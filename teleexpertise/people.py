"""People and services: accounts of our domains, experts, members of a conversation, who may act for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

__all__ = [
    "Absence",
    "Account",
    "AccountKind",
    "Document",
    "Expert",
    "IdentityPolicy",
    "ItemKind",
    "NirPolicy",
    "NoticeMode",
    "Party",
    "PrerequisiteItem",
    "Rights",
]


class AccountKind(StrEnum):
    """The mailbox kinds of the national directory that we host (PER, ORG, APP)."""

    PERSON = "person"
    SERVICE = "service"
    APPLICATION = "application"


class NoticeMode(StrEnum):
    """How an account wants to be told: a short notice, a daily digest, or the conversation itself in INBOX.

    A digest is for what can wait: what concerns the account's own requests is told at once.
    """

    NOTICE = "notice"
    DIGEST = "digest"
    INBOX = "inbox"


class IdentityPolicy(StrEnum):
    """Whether an expert wants the patient's identity or lets the requester leave it out."""

    REQUIRED = "required"
    ANONYMOUS_ALLOWED = "anonymous_allowed"


class NirPolicy(StrEnum):
    """Whether an expert asks for the patient's NIR or INS."""

    MANDATORY = "mandatory"
    OPTIONAL = "optional"
    NOT_ASKED = "not_asked"


class ItemKind(StrEnum):
    """What satisfies a prerequisite: a photo, any attached document, or an answered line of the request."""

    IMAGE = "image"
    DOCUMENT = "document"
    FIELD = "field"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of one of our domains. ``address`` is lower case and unique; identifiers are digits, '' if
    unknown.

    ``billing_number`` is the AM number of a private practitioner, or FINESS/specialty code of a hospital
    service; ``unit`` is the code by which its hospital counts activity (unité fonctionnelle), '' for none.
    """

    address: str
    name: str
    kind: AccountKind = AccountKind.PERSON
    active: bool = True
    profession: str = ""
    specialty: str = ""
    rpps: str = ""
    finess: str = ""
    billing_number: str = ""
    organisation: str = ""
    department: str = ""
    postcode: str = ""
    town: str = ""
    notice: NoticeMode = NoticeMode.NOTICE
    files_reports: bool = True
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrerequisiteItem:
    """One element an expert wants: ``name`` as shown (French), how it can be satisfied, how many."""

    name: str
    kind: ItemKind
    mandatory: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file that the expert hands out to be filled in and returned."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Days on which an expert does not answer, both included, and the address of who does meanwhile ('' if
    nobody).
    """

    starts: date
    ends: date
    deputy: str = ""

    def covers(self, day: date) -> bool:
        """Whether the expert is away on that day."""
        return self.starts <= day <= self.ends

    def overlaps(self, other: Absence) -> bool:
        """Whether the two have a day in common: the same absence, its days maybe changed since."""
        return self.starts <= other.ends and other.starts <= self.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """The declaration of an account as an expert, as the directory shows it.

    ``description`` includes what is answered; ``limits`` what is not; ``delay_days`` is the usual delay
    announced. ``tool_url`` not '' means requests are taken by another tool and the requester is redirected.
    """

    account: Account
    description: str
    limits: str = ""
    specialties: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    delay_days: int = 7
    identity: IdentityPolicy = IdentityPolicy.REQUIRED
    nir: NirPolicy = NirPolicy.OPTIONAL
    prerequisites: str = ""
    items: tuple[PrerequisiteItem, ...] = ()
    documents: tuple[Document, ...] = ()
    tool_url: str = ""
    listed: bool = True
    absence: Absence | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """Someone in a conversation, as recorded: an account of ours (``local``) or of another operator."""

    address: str
    name: str
    local: bool = True
    rpps: str = ""
    billing_number: str = ""
    profession: str = ""
    organisation: str = ""

    @classmethod
    def of(cls, account: Account) -> Party:
        """The party that stands for an account of ours."""
        return cls(
            address=account.address,
            name=account.name,
            rpps=account.rpps,
            billing_number=account.billing_number,
            profession=account.profession or account.specialty,
            organisation=account.organisation,
        )


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may act for whom: ``delegates[principal]`` are the addresses that may write in its name."""

    delegates: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def may_act(self, actor: str, principal: str) -> bool:
        """True for oneself and for a principal that named ``actor`` a delegate (or a service of its own)."""
        return actor == principal or actor in self.delegates.get(principal, frozenset())

    def principals(self, actor: str) -> tuple[str, ...]:
        """The addresses ``actor`` may act for besides its own, sorted."""
        return tuple(sorted(p for p, names in self.delegates.items() if actor in names and p != actor))
