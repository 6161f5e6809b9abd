"""The plain specification of a year: who is there, and what is done when. No type of the product is in it,
so that whoever reckons from it reckons apart.

Moments are aware; addresses are lower case. ``Case.number`` counts in the order of the openings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

__all__ = [
    "CHANGES",
    "DOMAIN",
    "PARIS",
    "Act",
    "Adviser",
    "Case",
    "Closing",
    "Fate",
    "Member",
    "Moment",
    "Person",
    "Size",
    "Year",
]

DOMAIN = "region.mssante.example"
PARIS = ZoneInfo("Europe/Paris")
#: The first days of rules (``domain.md`` B): a year has finalisations on both sides of each that falls in it.
CHANGES = (
    date(2019, 2, 10),
    date(2021, 6, 1),
    date(2022, 4, 1),
    date(2023, 3, 23),
    date(2024, 3, 1),
    date(2025, 1, 18),
    date(2026, 1, 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many of each; experts are among the professionals or services beside them."""

    professionals: int = 500
    experts: int = 60
    patients: int = 20_000
    conversations: int = 10_000

    def scaled(self, conversations: int) -> Size:
        """As many conversations, and people in proportion, but never too few to meet each other."""
        share = conversations / self.conversations
        return Size(
            professionals=max(30, round(self.professionals * share)),
            experts=max(12, round(self.experts * share)),
            patients=max(40, round(self.patients * share)),
            conversations=conversations,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An account: a person, or with ``service`` a legal entity. Numbers are '' where nobody gave them."""

    address: str
    name: str
    profession: str
    department: str
    town: str
    service: bool = False
    specialty: str = ""
    rpps: str = ""
    finess: str = ""
    number: str = ""
    organisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adviser:
    """What an account declares as an expert; ``delegates`` may answer for it."""

    address: str
    specialty: str
    departments: tuple[str, ...]
    delay_days: int
    anonymous: bool
    wants_picture: bool
    tool_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A patient; ``ins`` is '' where none is known."""

    birth_name: str
    first_names: str
    birth_date: date
    sex: str
    ins: str


class Fate(StrEnum):
    """How a request ends."""

    FINALISED = "finalised"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    REDIRECTED = "redirected"
    UNANSWERED = "unanswered"
    UNFINISHED = "unfinished"
    """Answered, not finalised."""
    WAITING = "waiting"
    """A picture that the expert demands never came."""
    VITAL = "vital"
    """Answered "appeler le 15": nothing is opened."""


class Act(StrEnum):
    """What is done about an opened request."""

    OPEN = "open"
    BRING = "bring"
    """The requester sends the picture that was missing."""
    ANSWER = "answer"
    ASK = "ask"
    """The expert asks for an element."""
    RETURN = "return"
    """The requester brings it."""
    CLOSE = "close"
    DECLINE = "decline"
    CANCEL = "cancel"
    CLOCK = "clock"
    """The time itself: a reminder may be due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """One finalisation: what its form says, and ``by`` whom it was filled in."""

    at: datetime
    by: str
    requester: str
    requester_number: str
    expert: str
    expert_number: str
    outcome: str
    conclusion: str
    cumulated: bool = False
    level: str = ""
    listed: bool | None = None
    """Whether the patient is in a situation that some acts are for; ``None`` where nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request and what became of it. ``patient`` is an index, ``None`` for one who stays anonymous;
    ``by`` wrote it, the requester or a delegate. ``closings`` are the finalisations, the second a correction.
    """

    number: int
    at: datetime
    requester: str
    by: str
    requester_number: str
    expert: str
    patient: int | None
    urgency: str
    question: str
    fate: Fate
    pictures: int
    insured_number: str = ""
    acts: tuple[tuple[datetime, Act], ...] = ()
    closings: tuple[Closing, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """One thing that happens; ordered by time. ``step`` is its place in its case."""

    at: datetime
    case: int
    step: int
    act: Act = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """All of it. ``delegations`` are (principal, delegate); ``exports`` the moments at which everything was
    exported, after which corrections still come.
    """

    year: int
    seed: int
    members: tuple[Member, ...]
    advisers: tuple[Adviser, ...]
    delegations: tuple[tuple[str, str], ...]
    patients: tuple[Person, ...]
    cases: tuple[Case, ...]
    exports: tuple[datetime, ...]

    def moments(self) -> list[Moment]:
        """What happens, in the order of time."""
        found = []
        for case in self.cases:
            steps = [(case.at, Act.OPEN), *case.acts, *((one.at, Act.CLOSE) for one in case.closings)]
            found += [Moment(at, case.number, step, act) for step, (at, act) in enumerate(steps)]
        return sorted(found)
