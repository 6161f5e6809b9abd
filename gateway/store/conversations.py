"""Conversations: their references, their projection for lists and rights, and their record of events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Executable, Update, bindparam, delete, exists, func, select, update

from gateway.store.dialect import insert
from gateway.store.errors import AlreadyExists, NotFound, SequenceConflict
from gateway.store.repository import ID_CHUNK, Repository, column_values
from gateway.store.rows import ConversationRow, Projection
from gateway.store.schema import absence as absences
from gateway.store.schema import conversation as conversations
from gateway.store.schema import conversation_member as members
from gateway.store.schema import event as events
from gateway.store.schema import message, reference_counter
from teleexpertise.events import Author, Record, dump_event, load_event

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

__all__ = ["Conversations", "Events"]

_PROJECTED = ("state", "requester_address", "expert_address", "updated_at", "folded")


@cache
def _projecting() -> Update:
    return update(conversations).where(conversations.c.id == bindparam("conversation"))


@cache
def _advancing() -> Executable:
    """A step from the number ``first``, if it is still the next; the new one is the value of the column."""
    return _projecting().where(conversations.c.next_seq == bindparam("first"))


@cache
def _present() -> Executable:
    return select(members).where(members.c.conversation_id == bindparam("conversation"))


@cache
def _recorded() -> Executable:
    statement = select(events, message.c.mail_id).join_from(events, message)
    return statement.where(events.c.conversation_id == bindparam("conversation")).order_by(events.c.seq)


@cache
def _of_the_absent() -> Executable:
    away = (absences.c.starts <= bindparam("today")) & (absences.c.ends >= bindparam("today"))
    theirs = (conversations.c.expert_address == absences.c.address) & conversations.c.state.in_(
        bindparam("states", expanding=True)
    )
    deputy_known = exists().where(
        members.c.conversation_id == conversations.c.id,
        members.c.address == absences.c.deputy,
        members.c.address != conversations.c.requester_address,
    )
    statement = select(conversations.c.id).join_from(absences, conversations, theirs)
    return statement.where(away, ~deputy_known).order_by(conversations.c.opened_at)


class Conversations(Repository):
    """Conversations by identifier, reference or member."""

    __slots__ = ()

    async def next_reference(self, year: int) -> str:
        """The next readable reference of a year, ``TLE-2026-000123``; rolled back with the transaction."""
        counter = insert(self._connection, reference_counter).values(year=year, last=1)
        statement = counter.on_conflict_do_update(
            index_elements=["year"], set_={"last": reference_counter.c.last + 1}
        ).returning(reference_counter.c.last)
        number = (await self._connection.execute(statement)).scalar_one()
        return f"TLE-{year:04d}-{number:06d}"

    async def add(self, conversation_id: UUID, ref: str, opened_at: datetime, projection: Projection) -> None:
        """Add a conversation without events yet. Raises :class:`AlreadyExists`."""
        row = {"id": conversation_id, "ref": ref, "opened_at": opened_at, "next_seq": 1}
        row |= column_values(projection, "members")
        if not await self._add_new(conversations, row):
            raise AlreadyExists(f"{conversation_id} or {ref}")
        await self._write_members(conversation_id, projection)

    async def save(self, conversation_id: UUID, projection: Projection) -> None:
        """Replace the projection. Raises :class:`NotFound`."""
        values = column_values(projection, "members") | {"conversation": conversation_id}
        if not await self._changed(_projecting(), values):
            raise NotFound(str(conversation_id))
        await self._write_members(conversation_id, projection)

    async def _write_members(self, conversation_id: UUID, projection: Projection) -> None:
        present = await self._all(_present(), {"conversation": conversation_id})
        if {row["address"]: row["active"] for row in present} == dict(projection.members):
            return
        mine = members.c.conversation_id == conversation_id
        await self._changed(delete(members).where(mine))
        rows = [
            {"conversation_id": conversation_id, "address": address, "active": active}
            for address, active in projection.members.items()
        ]
        await self._add_all(members, rows)

    async def get(self, conversation_id: UUID) -> ConversationRow | None:
        """The conversation, or ``None``."""
        found = await self._matching(conversations.c.id == conversation_id)
        return found[0] if found else None

    async def by_ref(self, ref: str) -> ConversationRow | None:
        """The conversation of a reference, or ``None``."""
        found = await self._matching(conversations.c.ref == ref)
        return found[0] if found else None

    async def of_member(self, *addresses: str) -> tuple[ConversationRow, ...]:
        """The conversations that one of these addresses takes part in now, the last touched first."""
        mine = select(members.c.conversation_id).where(members.c.address.in_(addresses), members.c.active)
        return await self._matching(conversations.c.id.in_(mine))

    async def list(self, limit: int = 1000, states: Collection[str] = ()) -> tuple[ConversationRow, ...]:
        """The last touched conversations, of all states or some."""
        # As an expression: SQLite would take the index by state, and sort all that it finds for the last few.
        conditions = [func.coalesce(conversations.c.state, "").in_(states)] if states else []
        return await self._matching(*conditions, limit=limit)

    async def waiting(self, state: str, opened_before: datetime) -> tuple[UUID, ...]:
        """Those in a state that were opened before a moment, the oldest first."""
        here = (conversations.c.state == state) & (conversations.c.opened_at < opened_before)
        rows = await self._all(select(conversations.c.id).where(here).order_by(conversations.c.opened_at))
        return tuple(row["id"] for row in rows)

    async def of_the_absent(self, today: date, states: Collection[str]) -> tuple[UUID, ...]:
        """Those in some states whose expert is away today, the oldest first; without those that the deputy
        takes part in or took, other than by asking.
        """
        rows = await self._all(_of_the_absent(), {"today": today, "states": list(states)})
        return tuple(row["id"] for row in rows)

    async def asked_of(self, expert: str, states: Collection[str]) -> tuple[UUID, ...]:
        """Those in some states whose expert has this address, the oldest first."""
        theirs = (conversations.c.expert_address == expert) & conversations.c.state.in_(states)
        rows = await self._all(select(conversations.c.id).where(theirs).order_by(conversations.c.opened_at))
        return tuple(row["id"] for row in rows)

    async def ids(self) -> tuple[UUID, ...]:
        """All conversations in the order of their reference: what a rebuild goes through."""
        rows = await self._all(select(conversations.c.id).order_by(conversations.c.ref))
        return tuple(row["id"] for row in rows)

    async def _matching(
        self, *conditions: ColumnElement[bool], limit: int | None = None
    ) -> tuple[ConversationRow, ...]:
        statement = select(conversations).where(*conditions).limit(limit)
        rows = await self._all(
            statement.order_by(conversations.c.updated_at.desc(), conversations.c.ref.desc())
        )
        present = await self._members_of([row["id"] for row in rows])
        return tuple(_row_of(row, present.get(row["id"], {})) for row in rows)

    async def _members_of(self, ids: Sequence[UUID]) -> dict[UUID, dict[str, bool]]:
        found: dict[UUID, dict[str, bool]] = {}
        for start in range(0, len(ids), ID_CHUNK):
            some = members.c.conversation_id.in_(ids[start : start + ID_CHUNK])
            for row in await self._all(select(members).where(some).order_by(members.c.address)):
                found.setdefault(row["conversation_id"], {})[row["address"]] = row["active"]
        return found


def _row_of(row: RowMapping, present: dict[str, bool]) -> ConversationRow:
    return ConversationRow(
        id=row["id"],
        ref=row["ref"],
        opened_at=row["opened_at"],
        next_seq=row["next_seq"],
        projection=Projection(members=present, **{name: row[name] for name in _PROJECTED}),
    )


class Events(Repository):
    """The record of each conversation: what the fold reads."""

    __slots__ = ()

    async def append(self, conversation_id: UUID, records: Sequence[Record]) -> None:
        """Write records that were decided on, numbered on from the last one; their messages are stored
        already.

        Raises :class:`SequenceConflict` when the conversation has gone on meanwhile, ``ValueError`` for a
        gap.
        """
        if not records:
            return
        first, count = records[0].seq, len(records)
        if [record.seq for record in records] != list(range(first, first + count)):
            raise ValueError("sequence numbers with a gap")
        # The check and the step forward are one statement: nobody can come between them.
        step = {"conversation": conversation_id, "first": first, "next_seq": first + count}
        if not await self._changed(_advancing(), step):
            mine = conversations.c.id == conversation_id
            found = await self._first(select(conversations.c.next_seq).where(mine))
            raise SequenceConflict(conversation_id, first, found["next_seq"] if found else 0)
        rows = [_columns_of(conversation_id, record) for record in records]
        await self._add_all(events, rows)

    async def of(self, conversation_id: UUID) -> tuple[Record, ...]:
        """The whole record in commit order."""
        rows = await self._all(_recorded(), {"conversation": conversation_id})
        return tuple(map(_record_of, rows))


def _columns_of(conversation_id: UUID, record: Record) -> dict[str, Any]:
    return {
        "conversation_id": conversation_id,
        "seq": record.seq,
        "at": record.at,
        "kind": record.event.kind,
        "author": column_values(record.author),
        "message_id": record.message,
        "message_sha256": record.message_sha256,
        "payload": dump_event(record.event),
        "rules_version": record.rules,
    }


def _record_of(row: RowMapping) -> Record:
    return Record(
        seq=row["seq"],
        at=row["at"],
        author=Author(**row["author"]),
        message=row["message_id"],
        message_sha256=row["message_sha256"],
        mail_id=row["mail_id"],
        event=load_event(row["payload"]),
        rules=row["rules_version"],
    )
