"""What is remembered between two mails of a person: forms sent out, letters held in doubt, answers already
given.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from uuid import UUID

from sqlalchemy import Executable, bindparam, delete, select, update

from gateway.store.dialect import insert
from gateway.store.repository import Repository, column_values
from gateway.store.rows import BounceRow, FormRow, HeldRow, HeldState
from gateway.store.schema import answer_count, bounce_token, form_copy, held_letter

__all__ = ["Answers", "Bounces", "Forms", "Held"]


class Forms(Repository):
    """Copies of forms by the identifier that stands sealed in them."""

    __slots__ = ()

    async def add(self, row: FormRow) -> None:
        """Remember a form that goes out. Raises :class:`ConstraintBroken` for an identifier that is taken."""
        await self._add(form_copy, column_values(row))

    async def get(self, form_id: UUID) -> FormRow | None:
        """The form, used and expired ones too, or ``None``."""
        row = await self._first(select(form_copy).where(form_copy.c.id == form_id))
        return FormRow(**row) if row else None

    async def use(self, form_id: UUID, now: datetime) -> bool:
        """Mark a form used; ``False`` when it was used before or is not there: of two answers one counts."""
        fresh = (form_copy.c.id == form_id) & form_copy.c.used_at.is_(None)
        return bool(await self._changed(update(form_copy).where(fresh).values(used_at=now)))

    async def forget_expired(self, now: datetime) -> int:
        """Delete the forms whose time has passed; how many."""
        return await self._changed(delete(form_copy).where(form_copy.c.expires_at <= now))


@cache
def _held_for() -> Executable:
    statement = select(held_letter).where(held_letter.c.conversation_id == bindparam("conversation"))
    return statement.order_by(held_letter.c.created_at, held_letter.c.id)


class Held(Repository):
    """Letters whose author is asked which conversation they are for."""

    __slots__ = ()

    async def add(self, row: HeldRow) -> None:
        """Hold a letter. Raises :class:`ConstraintBroken` for an identifier that is taken."""
        await self._add(held_letter, column_values(row))

    async def get(self, held_id: UUID) -> HeldRow | None:
        """The held letter, or ``None``."""
        row = await self._first(select(held_letter).where(held_letter.c.id == held_id))
        return HeldRow(**row) if row else None

    async def of(self, conversation_id: UUID) -> tuple[HeldRow, ...]:
        """The letters held for a conversation, oldest first, whatever became of them."""
        rows = await self._all(_held_for(), {"conversation": conversation_id})
        return tuple(HeldRow(**row) for row in rows)

    async def waiting_since(self, moment: datetime, limit: int) -> tuple[HeldRow, ...]:
        """The oldest letters held from before ``moment``."""
        waiting = (held_letter.c.state == HeldState.HELD) & (held_letter.c.created_at < moment)
        statement = select(held_letter).where(waiting).order_by(held_letter.c.created_at).limit(limit)
        return tuple(HeldRow(**row) for row in await self._all(statement))

    async def settle(self, held_id: UUID, state: HeldState) -> bool:
        """Release or drop a letter; ``False`` when it is held no longer: a confirmation counts once."""
        still = (held_letter.c.id == held_id) & (held_letter.c.state == HeldState.HELD)
        return bool(await self._changed(update(held_letter).where(still).values(state=state)))


class Answers(Repository):
    """How many automatic answers each sender was given in each hour."""

    __slots__ = ()

    async def count(self, sender: str, at: datetime) -> int:
        """Count one more answer to ``sender``; how many it is in that hour, this one included."""
        hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        row = insert(self._connection, answer_count).values(sender=sender, hour=hour, count=1)
        statement = row.on_conflict_do_update(
            index_elements=["sender", "hour"], set_={"count": answer_count.c["count"] + 1}
        ).returning(answer_count.c["count"])
        return int((await self._connection.execute(statement)).scalar_one())

    async def forget_before(self, moment: datetime) -> int:
        """Delete the counts of hours that began before ``moment``; how many."""
        return await self._changed(delete(answer_count).where(answer_count.c.hour < moment))


class Bounces(Repository):
    """What each of our bounce addresses stands for."""

    __slots__ = ()

    async def add(self, row: BounceRow) -> None:
        """Remember a bounce address; nothing changes where it is known, since a retry uses the same one."""
        await self._add_new(bounce_token, column_values(row))

    async def get(self, token_id: UUID) -> BounceRow | None:
        """What the address stands for, or ``None``."""
        row = await self._first(select(bounce_token).where(bounce_token.c.id == token_id))
        return BounceRow(**row) if row else None
