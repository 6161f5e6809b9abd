"""What exports read of many conversations: how each was opened, first answered and last finalised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from pydantic import TypeAdapter
from sqlalchemy import Text, and_, cast, or_, select, true

from gateway.store.repository import Repository
from gateway.store.schema import conversation as conversations
from gateway.store.schema import conversation_member, patient_conversation
from gateway.store.schema import event as events
from teleexpertise.events import Author, Place
from teleexpertise.patients import Patient
from teleexpertise.people import Party

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping, Select, Subquery

__all__ = ["Activities", "ActivityRow", "Asking", "Finalisation"]

_CHUNK = 500
_KINDS = ("opened", "taken_up", "completed", "declined")
_READ = (conversations.c.id, conversations.c.ref, conversations.c.state, patient_conversation.c.patient_id)
_REGISTERED = conversations.outerjoin(
    patient_conversation, patient_conversation.c.conversation_id == conversations.c.id
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What exports and figures read of ``events.Opened``, whose fields these are."""

    requester: Party
    expert: Party
    patient: Patient
    urgency: str
    delay_days: int = 7
    specialties: tuple[str, ...] = ()
    insured_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalisation:
    """What exports and figures read of ``events.Completed``, whose fields these are."""

    requester: Party
    expert: Party
    outcome: str = ""
    level: str = ""
    cumulated: bool = False
    listed_patient: bool | None = None
    requester_place: Place | None = None
    expert_place: Place | None = None
    insured_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRow:
    """One conversation; what has not happened yet is None. ``finalised_at`` is that of the last
    of ``version`` finalisations. ``patient_id`` is the patient's number in the register, ``asked_of`` the
    account that was asked. Of one that another gateway holds, ``held_by`` is its domain, ``ours`` are the
    accounts of ours that are or were members; ``patient_told`` is False where it keeps the patient back,
    ``specialty_told`` where it does not say what was asked.
    """

    ref: str
    state: str
    opened_at: datetime
    opening: Asking
    answered_at: datetime | None
    completion: Finalisation | None
    finalised_at: datetime | None
    finaliser: Author | None
    version: int
    finalised_first_at: datetime | None
    declined_at: datetime | None
    patient_id: int | None
    asked_of: str
    held_by: str = ""
    ours: frozenset[str] = frozenset()
    patient_told: bool = True
    specialty_told: bool = True


@dataclass(frozen=True, slots=True)
class _Readers:
    """From JSON text to what is read of it, in one pass: a tree of all that the events hold, first made and
    then checked, took most of the time of a large export.
    """

    asking: TypeAdapter[Asking]
    finalisation: TypeAdapter[Finalisation]
    author: TypeAdapter[Author]


@lru_cache(maxsize=1)
def _readers() -> _Readers:
    return _Readers(TypeAdapter(Asking), TypeAdapter(Finalisation), TypeAdapter(Author))


class Activities(Repository):
    """Conversations as exports see them, a few hundred in memory at a time."""

    __slots__ = ()

    async def of(self, addresses: Collection[str] | None) -> AsyncIterator[ActivityRow]:
        """Those whose requester or expert is one of the addresses now (None: all), by reference."""
        async for activity in self._matching(_of_parties(addresses)):
            yield activity

    async def experts_for(self, services: Collection[str]) -> frozenset[str]:
        """Who are the experts now of conversations in which one of these accounts is a member."""
        members = select(conversation_member.c.conversation_id).where(
            conversation_member.c.address.in_(sorted(services))
        )
        found = select(conversations.c.expert_address).where(conversations.c.id.in_(members)).distinct()
        return frozenset(row["expert_address"] for row in await self._all(found))

    async def of_patient(
        self, addresses: Collection[str], patient_id: int | None, patient: Patient, since: datetime
    ) -> AsyncIterator[ActivityRow]:
        """Those of the addresses to which anything happened since a moment and whose patient may be this one:
        the register's, or, of whom the register says nothing, the same INS, or without INS the same birth
        date. Whether it is, the caller finds out.
        """
        said = events.c.payload["patient"]
        if patient_id is not None:
            mine = and_(_of_parties(addresses), conversations.c.updated_at >= since)
            async for activity in self._matching(and_(mine, patient_conversation.c.patient_id == patient_id)):
                yield activity
            return
        if patient.ins:
            same = said["ins"].as_string() == patient.ins
        else:
            born = patient.birth_date.isoformat() if patient.birth_date else ""
            same = said["birth_date"].as_string() == born
        first = and_(events.c.conversation_id == conversations.c.id, events.c.seq == 1)
        opened = select(events.c.id).where(first, same).exists()
        mine = and_(_of_parties(addresses), conversations.c.updated_at >= since, opened)
        async for activity in self._matching(mine):
            yield activity

    async def named(self, refs: Sequence[str]) -> AsyncIterator[ActivityRow]:
        """Those of these references."""
        for start in range(0, len(refs), _CHUNK):
            async for activity in self._matching(conversations.c.ref.in_(refs[start : start + _CHUNK])):
                yield activity

    async def _matching(self, mine: ColumnElement[bool]) -> AsyncIterator[ActivityRow]:
        last = ""
        while True:
            page = select(*_READ).select_from(_REGISTERED).where(mine, conversations.c.ref > last)
            rows = await self._all(_told(page.order_by(conversations.c.ref).limit(_CHUNK).subquery()))
            if not rows:
                return
            for _, told in groupby(rows, key=lambda row: row["ref"]):
                activity = _activity(list(told))
                if activity is not None:
                    yield activity
            last = rows[-1]["ref"]


def _told(page: Subquery) -> Select[*tuple[object, ...]]:
    """The events of a page's conversations in order, as text; a conversation without any is one row."""
    columns = (
        events.c.kind,
        events.c.at,
        cast(events.c.author, Text).label("author"),
        cast(events.c.payload, Text).label("payload"),
    )
    of_page = and_(events.c.conversation_id == page.c.id, events.c.kind.in_(_KINDS))
    joined = page.outerjoin(events, of_page)
    statement = select(page.c.ref, page.c.state, page.c.patient_id, *columns).select_from(joined)
    return statement.order_by(page.c.ref, events.c.seq)


def _of_parties(addresses: Collection[str] | None) -> ColumnElement[bool]:
    if addresses is None:
        return true()
    named = sorted(addresses)
    return or_(conversations.c.requester_address.in_(named), conversations.c.expert_address.in_(named))


def _activity(told: Sequence[RowMapping]) -> ActivityRow | None:
    """Put together what the events say; None for a conversation without opening, which a rebuild reports."""
    opened, completed = None, None
    answered_at = first_at = declined_at = None
    version = 0
    for entry in told:
        match entry["kind"]:
            case "opened":
                opened = entry
            case "taken_up":
                answered_at = answered_at or entry["at"]
            case "completed":
                completed = entry
                first_at = first_at or entry["at"]
                version += 1
            case "declined":
                declined_at = entry["at"]
    if opened is None:
        return None
    readers = _readers()
    opening = readers.asking.validate_json(opened["payload"])
    return ActivityRow(
        ref=opened["ref"],
        state=opened["state"],
        opened_at=opened["at"],
        opening=opening,
        answered_at=answered_at or first_at,
        completion=readers.finalisation.validate_json(completed["payload"]) if completed else None,
        finalised_at=completed["at"] if completed else None,
        finaliser=readers.author.validate_json(completed["author"]) if completed else None,
        version=version,
        finalised_first_at=first_at,
        declined_at=declined_at,
        patient_id=opened["patient_id"],
        asked_of=opening.expert.address,
    )
