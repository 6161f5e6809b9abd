"""The outbox: what is to be done after a commit, claimed by workers, in order for each recipient of a
conversation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.columns import UtcDateTime
from gateway.store.dialect import insert_new
from gateway.store.repository import ID_CHUNK, Repository, Row, column_values
from gateway.store.rows import OutboxRow, OutboxState
from gateway.store.schema import outbox

if TYPE_CHECKING:
    from sqlalchemy import Executable, RowMapping

__all__ = ["Outbox"]


def _row_of(row: RowMapping) -> OutboxRow:
    return OutboxRow(**{name: value for name, value in row.items() if name != "position"})


#: What puts a mail where its reader finds it, and what puts the mailbox in order afterwards.
_DELIVERING = ("deliver", "relay")
_FILING = ("tag", "file")
_ESCAPE = "/"


def _waits(candidate: FromClause) -> ColumnElement[bool]:
    """True for a row that must wait for an earlier one to the same recipient of the same conversation, ours
    or another gateway's.

    Mails follow one another, keywords and filing follow mails and one another. No mail waits for a keyword
    that cannot be set, and what is made (a report) neither waits nor is waited for.
    """
    earlier = outbox.alias("earlier")
    ordered = or_(
        candidate.c.action.in_(_DELIVERING) & earlier.c.action.in_(_DELIVERING),
        candidate.c.action.in_(_FILING) & earlier.c.action.in_((*_DELIVERING, *_FILING)),
    )
    before = (
        earlier.c.recipient == candidate.c.recipient,
        earlier.c.state == OutboxState.PENDING,
        earlier.c.position < candidate.c.position,
        ordered,
    )
    # Two questions and no OR: each walks its own index, and most rows have no answer to either.
    return or_(
        exists().where(earlier.c.conversation_id == candidate.c.conversation_id, *before),
        exists().where(earlier.c.mirror_id == candidate.c.mirror_id, *before),
    )


@lru_cache(maxsize=64)
def _claiming(some_actions: bool, domains: int) -> Executable:
    """The statement of :meth:`Outbox.claim`, made once: making it anew costs several times what it does."""
    candidate = outbox.alias("candidate")
    wanted: list[ColumnElement[bool]] = []
    if some_actions:
        wanted.append(candidate.c.action.in_(bindparam("actions", expanding=True)))
    wanted += [~candidate.c.recipient.like(bindparam(f"domain_{n}"), escape=_ESCAPE) for n in range(domains)]
    due = (
        select(candidate.c.position)
        .where(
            candidate.c.state == OutboxState.PENDING,
            candidate.c.next_at <= bindparam("now"),
            or_(candidate.c.claimed_until.is_(None), candidate.c.claimed_until <= bindparam("now")),
            *wanted,
            ~_waits(candidate),
        )
        .order_by(candidate.c.next_at, candidate.c.position)
        .limit(bindparam("most", type_=Integer))
        # On PostgreSQL only, where it makes the CTE be run once: as a subquery it might run for each row
        # looked at, and pass over more rows each time.
        .with_for_update(skip_locked=True, of=candidate)
        .cte("due")
    )
    claim = update(outbox).where(outbox.c.position.in_(select(due.c.position))).returning(outbox)
    return claim.values(claimed_until=bindparam("until"), attempts=outbox.c.attempts + 1)


@cache
def _first_due() -> Executable:
    """When the first of those can be claimed that wait for no other."""
    candidate = outbox.alias("candidate")
    leased = candidate.c.claimed_until > candidate.c.next_at
    moment = case((leased, candidate.c.claimed_until), else_=candidate.c.next_at)
    pending = candidate.c.state == OutboxState.PENDING
    statement = select(type_coerce(func.min(moment), UtcDateTime).label("moment"))
    return statement.where(pending, ~_waits(candidate))


@cache
def _settling() -> Executable:
    some = outbox.c.id.in_(bindparam("ids", expanding=True)) & (outbox.c.state != OutboxState.DONE)
    done = update(outbox).where(some).values(claimed_until=None, state=OutboxState.DONE, last_error="")
    return done.values(finished_at=bindparam("now"))


def _in_domain(domain: str) -> str:
    """The pattern of all recipients in a domain."""
    escaped = domain.replace(_ESCAPE, 2 * _ESCAPE).replace("%", f"{_ESCAPE}%").replace("_", f"{_ESCAPE}_")
    return f"%@{escaped}"


class Outbox(Repository):
    """Actions by identifier. ``touched`` is set when workers should look again after the commit."""

    __slots__ = ("touched",)

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection)
        self.touched = False

    async def put(self, rows: Sequence[OutboxRow]) -> None:
        """Add actions in order. A row whose key is there already, whatever became of it, is left out."""
        if rows:
            statement = insert_new(self._connection, outbox, "key")
            await self._connection.execute(statement, [column_values(row) for row in rows])
            self.touched = True

    async def claim(
        self,
        now: datetime,
        lease_seconds: float,
        limit: int,
        *,
        actions: Collection[str] = (),
        except_domains: Collection[str] = (),
    ) -> tuple[OutboxRow, ...]:
        """Take up to ``limit`` due actions for ``lease_seconds``, the longest due first; each claim is an
        attempt.

        Of these ``actions`` (of all where empty), for recipients in other domains than those named. A lease
        that ended without an answer (a worker that died) lets the action be claimed again.
        """
        values: Row = {"now": now, "until": now + timedelta(seconds=lease_seconds), "most": limit}
        if actions:
            values["actions"] = list(actions)
        values |= {f"domain_{n}": _in_domain(name) for n, name in enumerate(except_domains)}
        rows = await self._all(_claiming(bool(actions), len(except_domains)), values)
        return tuple(_row_of(row) for row in sorted(rows, key=lambda row: (row["next_at"], row["position"])))

    async def done(self, row: OutboxRow, now: datetime) -> None:
        """The action was done; that holds even when the lease had ended."""
        await self.settle([row], now)

    async def settle(self, rows: Sequence[OutboxRow], now: datetime) -> None:
        """These actions were done, see :meth:`done`."""
        for start in range(0, len(rows), ID_CHUNK):
            some = [row.id for row in rows[start : start + ID_CHUNK]]
            moved = await self._changed(_settling(), {"ids": some, "now": now})
            self.touched = self.touched or bool(moved)

    async def retry(self, row: OutboxRow, error: str, next_at: datetime) -> bool:
        """The attempt failed, try again at ``next_at``; ``False`` when the claim was no longer ours."""
        return await self._answer(row, last_error=error, next_at=next_at)

    async def hold(self, row: OutboxRow, error: str, now: datetime) -> bool:
        """Leave the action to an operator; ``False`` when the claim was no longer ours."""
        return await self._answer(row, state=OutboxState.HELD, last_error=error, finished_at=now)

    async def fail(self, row: OutboxRow, error: str, now: datetime) -> bool:
        """Give the action up; ``False`` when the claim was no longer ours."""
        return await self._answer(row, state=OutboxState.FAILED, last_error=error, finished_at=now)

    async def give_back(self, rows: Sequence[OutboxRow]) -> None:
        """End claims that came to no attempt: as if they had not been made. Others' claims stay."""
        for row in rows:
            await self._answer(row, attempts=row.attempts - 1)

    async def release(self, action_id: UUID, next_at: datetime) -> bool:
        """An operator lets a held or failed action be tried again; ``False`` when it is neither."""
        stopped = outbox.c.state.in_((OutboxState.HELD, OutboxState.FAILED))
        chosen = (outbox.c.id == action_id) & stopped
        return await self._move(chosen, state=OutboxState.PENDING, next_at=next_at, finished_at=None)

    async def release_claims(self) -> int:
        """End every claim, where all who could hold one are known to be gone (a restart of the only gateway);
        how many there were.
        """
        claimed = (outbox.c.state == OutboxState.PENDING) & outbox.c.claimed_until.is_not(None)
        return await self._changed(update(outbox).where(claimed).values(claimed_until=None))

    async def _answer(self, row: OutboxRow, **values: object) -> bool:
        # The count of attempts names the claim: a worker whose lease ended must not undo its successor's.
        own = (outbox.c.state == OutboxState.PENDING) & (outbox.c.attempts == row.attempts)
        return await self._move((outbox.c.id == row.id) & own, **values)

    async def _move(self, chosen: ColumnElement[bool], **values: object) -> bool:
        statement = update(outbox).where(chosen).values(claimed_until=None, **values)
        moved = bool(await self._changed(statement))
        self.touched = self.touched or moved
        return moved

    async def next_due(self) -> datetime | None:
        """When the next action can be claimed (an instant that may be past), ``None`` when nothing waits."""
        row = await self._first(_first_due())
        return row["moment"] if row else None

    async def oldest_pending(self) -> datetime | None:
        """When the pending action was put that waits longest, ``None`` when nothing does."""
        moment = type_coerce(func.min(outbox.c.first_at), UtcDateTime).label("moment")
        row = await self._first(select(moment).where(outbox.c.state == OutboxState.PENDING))
        return row["moment"] if row else None

    async def get(self, action_id: UUID) -> OutboxRow | None:
        """The action, or ``None``."""
        row = await self._first(select(outbox).where(outbox.c.id == action_id))
        return _row_of(row) if row else None

    async def list(
        self,
        states: Collection[OutboxState] = (OutboxState.PENDING, OutboxState.HELD),
        conversation_id: UUID | None = None,
        limit: int = 1000,
    ) -> tuple[OutboxRow, ...]:
        """Actions in these states, of one conversation (ours or mirrored) or all, in the order they were
        put.
        """
        statement = select(outbox).where(outbox.c.state.in_(states))
        if conversation_id is not None:
            place = or_(outbox.c.conversation_id == conversation_id, outbox.c.mirror_id == conversation_id)
            statement = statement.where(place)
        rows = await self._all(statement.order_by(outbox.c.position).limit(limit))
        return tuple(map(_row_of, rows))

    async def of_messages(self, message_ids: Iterable[UUID]) -> tuple[OutboxRow, ...]:
        """What was and is to be done with these messages, whatever became of it, in the order it was put."""
        wanted = list(dict.fromkeys(message_ids))
        found: list[RowMapping] = []
        for start in range(0, len(wanted), ID_CHUNK):
            some = outbox.c.message_id.in_(wanted[start : start + ID_CHUNK])
            found += await self._all(select(outbox).where(some))
        return tuple(_row_of(row) for row in sorted(found, key=lambda row: row["position"]))

    async def counts(self) -> dict[OutboxState, int]:
        """How many actions are in each state."""
        statement = select(outbox.c.state, func.count().label("rows")).group_by(outbox.c.state)
        found = {row["state"]: row["rows"] for row in await self._all(statement)}
        return {state: found.get(state, 0) for state in OutboxState}
