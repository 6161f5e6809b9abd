"""The fold: a conversation is what its record says, read in commit order, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from teleexpertise.events import (
    AbsenceNoted,
    AttachmentNote,
    Author,
    Billed,
    Cancelled,
    Completed,
    Declined,
    DeliveryFailed,
    Exchanged,
    ExpertAway,
    Held,
    IntegrationFailed,
    MemberJoined,
    MemberLeft,
    Opened,
    Posted,
    ReceiptNoted,
    Record,
    Redirected,
    Reminded,
    ReminderKind,
    ReportMade,
    Side,
    step_of,
)
from teleexpertise.patients import Patient
from teleexpertise.people import Absence, Party, PrerequisiteItem
from teleexpertise.prerequisites import Given, missing
from teleexpertise.states import CLOSED, State, Step, next_state

__all__ = ["Completion", "Conversation", "Exchange", "Member", "NotOpened", "Receipt", "apply", "fold"]


class NotOpened(Exception):
    """A record that does not begin with ``opened`` is no conversation."""


@dataclass(frozen=True, slots=True)
class Member:
    """A party of the conversation, from which sequence number on, and whether still in it."""

    party: Party
    since: int
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One mail of a member, as lists and the report refer to it; ``words`` where a document said them."""

    seq: int
    at: datetime
    author: Author
    side: Side
    message: UUID
    mail_id: str
    attachments: tuple[AttachmentNote, ...] = ()
    late: bool = False
    encrypted: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the side of ``recipient`` told of one mail of the thread: ``word`` is the disposition, or
    ``error`` and the code of an integration that failed.
    """

    mail_id: str
    recipient: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The last finalisation and who did it for whom."""

    requester: Party
    expert: Party
    conclusion: str
    outcome: str
    exchanges: tuple[int, ...]
    addressees: tuple[str, ...]
    finaliser: Author
    at: datetime
    level: str = ""
    cumulated: bool = False
    listed_patient: bool | None = None
    billed: tuple[Billed, ...] = ()
    unfiled: tuple[str, ...] = ()
    insured_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The state of one tele-expertise after its record so far.

    ``opening`` keeps the request as accepted; ``completion`` the last finalisation, ``closing_reason`` the
    words of a refusal or cancellation; ``closed_by`` who closed it; ``acted_at`` is when it was finalised
    first, which is the moment of the act; ``version`` counts finalisations; ``reports`` the versions made,
    ``reminded`` what was reminded of; ``away`` are the expert's absences that were noted after the opening.
    ``asked`` is what the conversation waits for, empty unless it is on hold.
    """

    id: UUID
    ref: str
    state: State
    opening: Opened
    opened_at: datetime
    updated_at: datetime
    seq: int
    members: tuple[Member, ...]
    given: Given
    exchanges: tuple[Exchange, ...] = ()
    asked: tuple[str, ...] = ()
    expert_has_written: bool = False
    completion: Completion | None = None
    closing_reason: str = ""
    closed_by: Author | None = None
    closed_at: datetime | None = None
    acted_at: datetime | None = None
    version: int = 0
    reports: tuple[int, ...] = ()
    absences: tuple[str, ...] = ()
    redirect_url: str = ""
    thread: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    receipts: tuple[Receipt, ...] = ()
    reminded: tuple[ReminderKind, ...] = ()
    away: tuple[ExpertAway, ...] = ()

    @property
    def requester(self) -> Party:
        """The requester: the one chosen at finalisation, else the one who opened."""
        return self.completion.requester if self.completion else self.opening.requester

    @property
    def expert(self) -> Party:
        """The expert: the one chosen at finalisation, else the one asked."""
        return self.completion.expert if self.completion else self.opening.expert

    @property
    def patient(self) -> Patient:
        """The patient as the request stated."""
        return self.opening.patient

    @property
    def items(self) -> tuple[PrerequisiteItem, ...]:
        """The expert's prerequisites as they were at the opening."""
        return self.opening.items

    @property
    def missing(self) -> tuple[str, ...]:
        """Mandatory elements that nobody has brought yet."""
        return missing(self.items, self.given)

    @property
    def closed(self) -> bool:
        """No further step but a new version of the report."""
        return self.state in CLOSED

    @property
    def promised_at(self) -> datetime:
        """When the expert's announced delay ends."""
        return self.opened_at + timedelta(days=self.opening.delay_days)

    def active(self) -> tuple[Party, ...]:
        """The parties still in the conversation, in the order they came."""
        return tuple(member.party for member in self.members if member.active)

    def member(self, address: str) -> Party | None:
        """The active party with this address, whatever its case, or ``None``."""
        lower = address.lower()
        return next((party for party in self.active() if party.address == lower), None)

    @property
    def known_absences(self) -> tuple[Absence, ...]:
        """The expert's absences that the members know of: that of the opening, those noted after it."""
        first = self.opening.absence
        return (*((first,) if first is not None else ()), *(noted.absence for noted in self.away))

    @property
    def deputies(self) -> tuple[Party, ...]:
        """Who came to answer for the absent expert, in that order, still here or not."""
        came = (self.opening.deputy, *(noted.deputy for noted in self.away))
        return tuple(party for party in came if party is not None)

    @property
    def deputy(self) -> Party | None:
        """Who answers for the absent expert: of those still in the conversation the last who came."""
        here = (self.member(party.address) for party in reversed(self.deputies))
        return next((party for party in here if party is not None), None)

    def side(self, address: str) -> Side:
        """The side of a member: the two parties of the request, an absent expert's deputies with the expert,
        everybody else a guest.
        """
        if address in (self.opening.expert.address, self.expert.address):
            return Side.EXPERT
        if address in (self.opening.requester.address, self.requester.address):
            return Side.REQUESTER
        if any(address == deputy.address for deputy in self.deputies):
            return Side.EXPERT
        return Side.GUEST


def _opened(conversation_id: UUID, record: Record, event: Opened) -> Conversation:
    fields = frozenset(name for name, answer in event.answers if answer)
    question = Exchange(
        seq=record.seq,
        at=record.at,
        author=record.author,
        side=Side.REQUESTER,
        message=record.message,
        mail_id=record.mail_id,
        attachments=event.attachments,
    )
    parties = (event.requester, event.expert, *((event.deputy,) if event.deputy else ()))
    return Conversation(
        id=conversation_id,
        ref=event.ref,
        state=next_state(State.NEW, Step.OPENED),
        opening=event,
        opened_at=record.at,
        updated_at=record.at,
        seq=record.seq,
        members=tuple(Member(party, record.seq) for party in parties),
        given=Given(images=event.images, documents=event.documents, fields=fields),
        exchanges=(question,),
    )


def _exchanged(conversation: Conversation, record: Record, event: Exchanged) -> Conversation:
    exchange = Exchange(
        seq=record.seq,
        at=record.at,
        author=record.author,
        side=event.side,
        message=record.message,
        mail_id=record.mail_id,
        attachments=event.attachments,
        late=event.late,
        encrypted=event.encrypted,
        words=event.words,
    )
    given = conversation.given
    if event.side is not Side.EXPERT:
        # What the expert sends back (an annotated photo, a protocol) is no element of the request.
        given += Given(images=event.images, documents=event.documents)
    return replace(
        conversation,
        exchanges=(*conversation.exchanges, exchange),
        given=given,
        expert_has_written=conversation.expert_has_written or event.side is Side.EXPERT,
    )


def _joined(conversation: Conversation, record: Record, party: Party) -> Conversation:
    others = tuple(m for m in conversation.members if m.party.address != party.address)
    return replace(conversation, members=(*others, Member(party, record.seq)))


def _away(conversation: Conversation, record: Record, event: ExpertAway) -> Conversation:
    after = replace(conversation, away=(*conversation.away, event))
    return after if event.deputy is None else _joined(after, record, event.deputy)


def _left(conversation: Conversation, event: MemberLeft) -> Conversation:
    members = tuple(
        replace(member, active=False) if member.party.address == event.address else member
        for member in conversation.members
    )
    return replace(conversation, members=members)


def _closed(
    conversation: Conversation, record: Record, event: Completed | Declined | Cancelled
) -> Conversation:
    closed = replace(conversation, closed_by=record.author, closed_at=record.at)
    if isinstance(event, Declined | Cancelled):
        return replace(closed, closing_reason=event.reason)
    completion = Completion(
        requester=event.requester,
        expert=event.expert,
        conclusion=event.conclusion,
        outcome=event.outcome,
        exchanges=event.exchanges,
        addressees=event.addressees,
        finaliser=record.author,
        at=record.at,
        level=event.level,
        cumulated=event.cumulated,
        listed_patient=event.listed_patient,
        billed=event.billed,
        unfiled=event.unfiled,
        insured_number=event.insured_number,
    )
    return replace(
        closed,
        completion=completion,
        acted_at=conversation.acted_at or record.at,
        version=conversation.version + 1,
    )


def apply(conversation: Conversation, record: Record) -> Conversation:
    """The conversation after one more record; raises :class:`IllegalStep` where the table forbids it."""
    event = record.event
    step = step_of(event)
    state = conversation.state if step is None else next_state(conversation.state, step)
    match event:
        case Exchanged():
            after = _exchanged(conversation, record, event)
        case Completed() | Declined() | Cancelled():
            after = _closed(conversation, record, event)
        case MemberJoined():
            after = _joined(conversation, record, event.party)
        case MemberLeft():
            after = _left(conversation, event)
        case Held():
            wrote = conversation.side(record.author.account) is Side.EXPERT
            after = replace(
                conversation,
                asked=event.asked,
                expert_has_written=conversation.expert_has_written or wrote,
            )
        case ReportMade():
            after = replace(conversation, reports=(*conversation.reports, event.version))
        case DeliveryFailed():
            failures = (*conversation.failures, (event.mail_id, event.recipient))
            after = replace(conversation, failures=failures)
        case ReceiptNoted():
            receipt = Receipt(event.mail_id, event.recipient, event.disposition)
            after = replace(conversation, receipts=(*conversation.receipts, receipt))
        case IntegrationFailed():
            receipt = Receipt(event.mail_id, event.recipient, f"error {event.code}".strip())
            after = replace(conversation, receipts=(*conversation.receipts, receipt))
        case AbsenceNoted():
            after = replace(conversation, absences=(*conversation.absences, event.address))
        case Redirected():
            after = replace(conversation, redirect_url=event.url)
        case Reminded():
            after = replace(conversation, reminded=(*conversation.reminded, event.reminder))
        case ExpertAway():
            after = _away(conversation, record, event)
        case _:
            after = conversation
    threaded = isinstance(event, Posted | Exchanged) and bool(record.mail_id)
    # One copy for all: copying is what folding a long record costs.
    return replace(
        after,
        state=state,
        seq=record.seq,
        updated_at=record.at,
        asked=after.asked if state is State.ON_HOLD else (),
        thread=(*after.thread, record.mail_id) if threaded else after.thread,
    )


def fold(conversation_id: UUID, records: Iterable[Record]) -> Conversation:
    """Read a record from its start.

    Raises :class:`NotOpened` or :class:`IllegalStep` for one that cannot be ours.
    """
    entries = iter(records)
    first = next(entries, None)
    if first is None or not isinstance(first.event, Opened):
        raise NotOpened(str(conversation_id))
    conversation = _opened(conversation_id, first, first.event)
    for record in entries:
        conversation = apply(conversation, record)
    return conversation
