"""What exports read of many conversations: how each was opened, first answered and last finalised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import and_, or_, select, true

from gateway.store.repository import Repository
from gateway.store.schema import conversation as conversations
from gateway.store.schema import conversation_member, patient_conversation
from gateway.store.schema import event as events
from teleexpertise.events import Author, Completed, Declined, Opened, TakenUp, load_event
from teleexpertise.patients import Patient

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import ColumnElement, RowMapping

__all__ = ["Activities", "ActivityRow"]

_CHUNK = 500
_KINDS = ("opened", "taken_up", "completed", "declined")
# not the whole rows: decoding what nobody reads costs as much again
_READ = (
    conversations.c.id,
    conversations.c.ref,
    conversations.c.state,
    conversations.c.opened_at,
    patient_conversation.c.patient_id,
)
_REGISTERED = conversations.outerjoin(
    patient_conversation, patient_conversation.c.conversation_id == conversations.c.id
)
_TOLD = (events.c.conversation_id, events.c.at, events.c.author, events.c.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRow:
    """One conversation; what has not happened yet is None. ``finalised_at`` is that of the last
    of ``version`` finalisations. ``patient_id`` is the patient's number in the register.
    """

    ref: str
    state: str
    opened_at: datetime
    opening: Opened
    answered_at: datetime | None
    completion: Completed | None
    finalised_at: datetime | None
    finaliser: Author | None
    version: int
    finalised_first_at: datetime | None
    declined_at: datetime | None
    patient_id: int | None


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
            found = await self._all(page.order_by(conversations.c.ref).limit(_CHUNK))
            if not found:
                return
            told = await self._told([row["id"] for row in found])
            for row in found:
                activity = _activity(row, told.get(row["id"], ()))
                if activity is not None:
                    yield activity
            last = found[-1]["ref"]

    async def _told(self, ids: list[UUID]) -> dict[UUID, list[RowMapping]]:
        mine = events.c.conversation_id.in_(ids)
        wanted = select(*_TOLD).where(mine, events.c.kind.in_(_KINDS))
        told: dict[UUID, list[RowMapping]] = {}
        for row in await self._all(wanted.order_by(events.c.conversation_id, events.c.seq)):
            told.setdefault(row["conversation_id"], []).append(row)
        return told


def _of_parties(addresses: Collection[str] | None) -> ColumnElement[bool]:
    if addresses is None:
        return true()
    named = sorted(addresses)
    return or_(conversations.c.requester_address.in_(named), conversations.c.expert_address.in_(named))


def _activity(row: RowMapping, told: Iterable[RowMapping]) -> ActivityRow | None:
    """Put together what the events say; None for a conversation without opening, which a rebuild reports."""
    opening: Opened | None = None
    completion: Completed | None = None
    answered_at = finalised_at = first_at = declined_at = finaliser = None
    version = 0
    for entry in told:
        match load_event(entry["payload"]):
            case Opened() as opening:
                pass
            case TakenUp():
                answered_at = answered_at or entry["at"]
            case Completed() as completion:
                finalised_at, finaliser = entry["at"], Author(**entry["author"])
                first_at = first_at or finalised_at
                version += 1
            case Declined():
                declined_at = entry["at"]
    if opening is None:
        return None
    return ActivityRow(
        ref=row["ref"],
        state=row["state"],
        opened_at=row["opened_at"],
        opening=opening,
        answered_at=answered_at or first_at,
        completion=completion,
        finalised_at=finalised_at,
        finaliser=finaliser,
        version=version,
        finalised_first_at=first_at,
        declined_at=declined_at,
        patient_id=row["patient_id"],
    )
