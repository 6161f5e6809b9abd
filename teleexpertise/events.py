"""The events of a conversation: what the record keeps. The fold in ``conversation.py`` reads nothing else.

Each event is a frozen dataclass with a ``kind``; together they are a tagged union that :func:`dump_event` and
:func:`load_event` turn into JSON and back. An event carries the facts that it was decided on (the expert's
prerequisites, the parties as they were), so that a later change of an account never changes the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from teleexpertise.patients import Patient
from teleexpertise.people import Absence, Party, PrerequisiteItem
from teleexpertise.states import Step

__all__ = [
    "AbsenceNoted",
    "AnyEvent",
    "AttachmentNote",
    "Author",
    "Billed",
    "Cancelled",
    "Completed",
    "Declined",
    "DeliveryFailed",
    "Event",
    "Exchanged",
    "ExpertAway",
    "Held",
    "IntegrationFailed",
    "MemberJoined",
    "MemberLeft",
    "Opened",
    "Place",
    "Posted",
    "ReceiptNoted",
    "Record",
    "Redirected",
    "Reminded",
    "ReminderKind",
    "ReportMade",
    "Requeued",
    "Resumed",
    "Side",
    "TakenUp",
    "dump_event",
    "load_event",
    "step_of",
]


class Side(StrEnum):
    """On which side of the conversation someone speaks."""

    REQUESTER = "requester"
    EXPERT = "expert"
    GUEST = "guest"


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote, and for whom: ``acting_for`` is '' or the address of the member for whom it was done."""

    address: str
    name: str
    acting_for: str = ""
    acting_for_name: str = ""

    @property
    def account(self) -> str:
        """The member's address that this act counts for."""
        return self.acting_for or self.address

    @property
    def shown(self) -> str:
        """The name as record and report show it: ``Y pour X`` for a delegate."""
        return f"{self.name} pour {self.acting_for_name}" if self.acting_for else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentNote:
    """An attachment as the record remembers it; its octets stay in the message."""

    filename: str
    content_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A request was accepted. ``items`` are the expert's prerequisites as they were then.

    ``treating`` is the mailbox of the treating doctor, who gets the report, '' where none was named;
    ``order_id`` identifies the TLM-DA that asked (``root`` or ``root^extension``), '' for our own form.
    ``insured_number`` is the NIR of the person on whom the patient is insured, '' where that is the patient.
    """

    ref: str
    requester: Party
    expert: Party
    patient: Patient
    question: str
    urgency: str
    consent: bool = True
    phone: str = ""
    delay_days: int = 7
    specialties: tuple[str, ...] = ()
    items: tuple[PrerequisiteItem, ...] = ()
    prerequisites: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[AttachmentNote, ...] = ()
    images: int = 0
    documents: int = 0
    remark: str = ""
    order_id: str = ""
    insured_number: str = ""
    treating: str = ""
    absence: Absence | None = None
    """The expert's absence on the day of the request; ``deputy`` takes part on the expert's side then, away
    until ``deputy_until`` as well where that is a day.
    """
    deputy: Party | None = None
    deputy_until: date | None = None
    kind: Literal["opened"] = "opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirected:
    """The expert answers through another tool at ``url``."""

    url: str
    kind: Literal["redirected"] = "redirected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """A mail: ``late`` when the conversation was closed already, ``encrypted`` when we cannot read. ``words``
    are those of a document that the mail brought in their place.
    """

    side: Side
    attachments: tuple[AttachmentNote, ...] = ()
    images: int = 0
    documents: int = 0
    late: bool = False
    encrypted: bool = False
    signature: str = "none"
    words: str = ""
    kind: Literal["exchanged"] = "exchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenUp:
    """The expert's side has answered for the first time."""

    kind: Literal["taken_up"] = "taken_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The conversation waits for the requester: ``reason`` names the rule, ``asked`` what is waited for."""

    reason: str
    asked: tuple[str, ...] = ()
    kind: Literal["held"] = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The requester brought what was asked for; the expert had answered before."""

    kind: Literal["resumed"] = "resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """The requester brought what was asked for; the expert has not answered yet."""

    kind: Literal["requeued"] = "requeued"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a side worked on the day of the finalisation: FINESS number of the site, department, code of the
    hospital unit; '' unknown.
    """

    finess: str = ""
    department: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What one side (``expert``, ``requester``) was told that it bills.

    ``act`` is the code of the tariff table, '' without one; ``amount`` is cents, ``None`` where the table
    does not say; ``refusal`` and ``anomalies`` are the names of ``billing.rating``.
    """

    role: str
    act: str = ""
    amount: int | None = None
    refusal: str = ""
    anomalies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """Finalised: what the form said. ``exchanges`` are the sequence numbers that the report shows.

    ``level`` is the expert's act as chosen, '' where nobody was asked; ``cumulated`` that another act was
    billed with it; ``listed_patient`` whether the patient is in a situation that the act is for, ``None``
    where nobody was asked or said. The places are ``None`` in records made before they were kept. ``billed``
    is what was told then; exports rate again, since later acts and corrections change counts and never this
    record. ``unfiled`` are accounts into whose patient's folder the report does not go, though they file
    reports. ``insured_number`` is the NIR of the claim where the request gave none.
    """

    requester: Party
    expert: Party
    conclusion: str
    outcome: str = ""
    exchanges: tuple[int, ...] = ()
    addressees: tuple[str, ...] = ()
    level: str = ""
    cumulated: bool = False
    listed_patient: bool | None = None
    requester_place: Place | None = None
    expert_place: Place | None = None
    billed: tuple[Billed, ...] = ()
    unfiled: tuple[str, ...] = ()
    insured_number: str = ""
    kind: Literal["completed"] = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The expert's side declined."""

    reason: str
    kind: Literal["declined"] = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The requester's side cancelled."""

    reason: str
    kind: Literal["cancelled"] = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJoined:
    """Someone was invited; sees what follows, not what was."""

    party: Party
    kind: Literal["member_joined"] = "member_joined"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLeft:
    """A member was removed."""

    address: str
    kind: Literal["member_left"] = "member_left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A mail that the gateway wrote into the thread (``template`` names it); the text lies in its message."""

    template: str
    kind: Literal["posted"] = "posted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportMade:
    """A version of the report was made and posted; ``cda_sha256`` is of its CDA, '' where there is none."""

    version: int
    filename: str
    sha256: str
    cda_sha256: str = ""
    kind: Literal["report_made"] = "report_made"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFailed:
    """A mail of the thread did not reach ``recipient``; ``status`` is the enhanced code of ``RFC 3463``."""

    recipient: str
    status: str
    mail_id: str = ""
    kind: Literal["delivery_failed"] = "delivery_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptNoted:
    """The mailbox of ``recipient`` told what became of a mail of the thread: ``displayed``, ``deleted``,
    ``processed`` ... (``RFC 8098 §3.2.6.2``).
    """

    recipient: str
    mail_id: str
    disposition: str
    kind: Literal["receipt_noted"] = "receipt_noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationFailed:
    """The software of ``recipient`` could not take a document in; ``code`` is 900 to 906, '' for another."""

    recipient: str
    mail_id: str
    code: str = ""
    kind: Literal["integration_failed"] = "integration_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceNoted:
    """A member's absence notice came; it is shown once and changes nothing."""

    address: str
    kind: Literal["absence_noted"] = "absence_noted"


class ReminderKind(StrEnum):
    """What an unanswered request is reminded of, in the order of time."""

    PROMISE = "promise"
    """The expert's announced delay ends soon."""
    CONVENTION = "convention"
    """The seven days of the convention end soon."""
    ALERT = "alert"
    """The seven days are over without an answer: the requester is told, with other experts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminded:
    """A request without answer was reminded of. ``others`` are the experts that the requester was offered."""

    reminder: ReminderKind
    others: tuple[str, ...] = ()
    kind: Literal["reminded"] = "reminded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertAway:
    """The absence that the asked expert announced is in force while the conversation waits for the expert.

    ``deputy`` takes part on the expert's side from here on; ``None``: nobody can. ``deputy_until`` is the
    last day of the deputy's own absence, ``None`` for one who is there. ``others`` are the experts that were
    named then as who else could be asked.
    """

    absence: Absence
    deputy: Party | None = None
    deputy_until: date | None = None
    others: tuple[str, ...] = ()
    kind: Literal["expert_away"] = "expert_away"


AnyEvent = (
    Opened
    | Redirected
    | Exchanged
    | TakenUp
    | Held
    | Resumed
    | Requeued
    | Completed
    | Declined
    | Cancelled
    | MemberJoined
    | MemberLeft
    | Posted
    | ReportMade
    | DeliveryFailed
    | AbsenceNoted
    | ReceiptNoted
    | IntegrationFailed
    | Reminded
    | ExpertAway
)
Event = Annotated[AnyEvent, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One entry of a conversation's record: an event, who caused it, when, and the message that holds it.

    ``seq`` counts from 1 within the conversation. ``message`` is the stored message's id,
    ``message_sha256`` the hash of its raw bytes, ``mail_id`` its RFC 5322 Message-ID, ``rules`` the version
    of the rules that decided it.
    """

    seq: int
    at: datetime
    author: Author
    message: UUID
    message_sha256: str
    mail_id: str
    event: AnyEvent
    rules: str = ""


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[AnyEvent]:
    return TypeAdapter(Event)


def dump_event(event: AnyEvent) -> Any:
    """The event as JSON data (dict of strings, numbers, lists)."""
    return _adapter().dump_python(event, mode="json")


def load_event(data: Any) -> AnyEvent:
    """The event in JSON data; raises ``pydantic.ValidationError`` (a ``ValueError``) for anything else."""
    return _adapter().validate_python(data)


_STEPS: dict[str, Step] = {
    "opened": Step.OPENED,
    "redirected": Step.REDIRECTED,
    "taken_up": Step.TAKEN_UP,
    "held": Step.HELD,
    "resumed": Step.RESUMED,
    "requeued": Step.REQUEUED,
    "completed": Step.COMPLETED,
    "declined": Step.DECLINED,
    "cancelled": Step.CANCELLED,
}


def step_of(event: AnyEvent) -> Step | None:
    """The step of the state table that this event takes, or ``None`` for one that moves nothing."""
    return _STEPS.get(event.kind)
