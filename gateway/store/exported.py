"""What accounts were shown already, or have still to be told: lines of exports, items of daily digests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, delete, or_, select

from gateway.store.dialect import insert
from gateway.store.repository import ID_CHUNK, Repository, column_values
from gateway.store.schema import conversation as conversations
from gateway.store.schema import digest_item, exported_line
from teleexpertise.billing.shown import ExportedLine, Shown

__all__ = ["DigestRow", "Digests", "Exported"]


class Exported(Repository):
    """The lines that exports have shown, by conversation, role, version and account."""

    __slots__ = ()

    async def note(self, lines: Sequence[ExportedLine], now: datetime) -> None:
        """Note what an export shows; what was shown before keeps its day."""
        statement = insert(self._connection, exported_line).on_conflict_do_nothing()
        for start in range(0, len(lines), ID_CHUNK):
            some = lines[start : start + ID_CHUNK]
            rows = [{**line._asdict(), "role": str(line.role), "exported_at": now} for line in some]
            await self._connection.execute(statement, rows)

    async def of(self, refs: Sequence[str]) -> tuple[Shown, ...]:
        """What was shown of these conversations, the oldest version first."""
        found: list[Shown] = []
        for start in range(0, len(refs), ID_CHUNK):
            mine = exported_line.c.ref.in_(refs[start : start + ID_CHUNK])
            rows = await self._all(select(exported_line).where(mine).order_by(exported_line.c.version))
            found += [Shown(**row) for row in rows]
        return tuple(found)

    async def moved_away(self, accounts: Collection[str]) -> tuple[str, ...]:
        """References of which one of these accounts was shown a side that is another's now."""
        gone = or_(
            and_(exported_line.c.role == "expert", conversations.c.expert_address != exported_line.c.account),
            and_(
                exported_line.c.role == "requester",
                conversations.c.requester_address != exported_line.c.account,
            ),
        )
        joined = exported_line.join(conversations, conversations.c.ref == exported_line.c.ref)
        statement = select(exported_line.c.ref).select_from(joined).where(gone)
        mine = exported_line.c.account.in_(sorted(accounts))
        rows = await self._all(statement.where(mine).distinct().order_by(exported_line.c.ref))
        return tuple(row["ref"] for row in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestRow:
    """One thing that happened, to be told in a digest: no word of the conversation, no patient.

    It happened in the conversation ``conversation_id``, or in the one of another gateway ``mirror_id``.
    """

    address: str
    at: datetime
    event: str
    who: str
    conversation_id: UUID | None = None
    mirror_id: UUID | None = None


class Digests(Repository):
    """What is still to be told once a day, by account."""

    __slots__ = ()

    async def add(self, row: DigestRow) -> None:
        """Keep one item until the digest of its account goes out."""
        await self._add(digest_item, column_values(row))

    async def waiting(self) -> dict[str, datetime]:
        """Accounts with items, and when the oldest of each happened."""
        rows = await self._all(
            select(digest_item.c.address, digest_item.c.at).order_by(digest_item.c.id.desc())
        )
        return {row["address"]: row["at"] for row in rows}

    async def take(self, address: str) -> tuple[DigestRow, ...]:
        """The items of an account in the order they happened, taken out: they are told in this
        transaction.
        """
        taken = delete(digest_item).where(digest_item.c.address == address).returning(*digest_item.c)
        rows = sorted(await self._all(taken), key=lambda row: row["id"])
        return tuple(DigestRow(**{name: row[name] for name in row if name != "id"}) for row in rows)
