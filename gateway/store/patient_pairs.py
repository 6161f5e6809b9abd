"""Pairs of patients of whom somebody said for good that they are two people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select

from gateway.store.repository import Repository, column_values
from gateway.store.schema import patient_apart as apart

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

__all__ = ["ApartRow", "PatientPairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApartRow:
    """Two patients who are two people: who said so, when, and why. ``first_id`` is the smaller number."""

    first_id: int
    second_id: int
    at: datetime
    who: str
    why: str


class PatientPairs(Repository):
    """Doubles that were dismissed, by the numbers of both."""

    __slots__ = ()

    async def tell_apart(self, row: ApartRow) -> bool:
        """Note a pair, smaller number first; ``False`` where it is noted already, which stays as it was."""
        assert row.first_id < row.second_id, "a pair begins with its smaller number"
        return await self._add_new(apart, column_values(row))

    async def forget(self, first_id: int, second_id: int) -> bool:
        """Take a pair back; ``False`` where it was not noted."""
        return bool(await self._changed(delete(apart).where(_pair(first_id, second_id))))

    async def get(self, first_id: int, second_id: int) -> ApartRow | None:
        """What was said of a pair, in either order, or ``None``."""
        row = await self._first(select(apart).where(_pair(first_id, second_id)))
        return ApartRow(**row) if row else None

    async def all(self) -> tuple[ApartRow, ...]:
        """All pairs, by number."""
        rows = await self._all(select(apart).order_by(apart.c.first_id, apart.c.second_id))
        return tuple(ApartRow(**row) for row in rows)

    async def hand_over(self, lost_id: int, kept_id: int) -> None:
        """Let what was said of one patient hold for whom that one turned out to be."""
        concerned = or_(apart.c.first_id == lost_id, apart.c.second_id == lost_id)
        rows = await self._all(delete(apart).where(concerned).returning(*apart.c))
        for row in rows:
            other = row["second_id"] if row["first_id"] == lost_id else row["first_id"]
            if other != kept_id:
                first, second = sorted((other, kept_id))
                await self._add_new(apart, {**row, "first_id": first, "second_id": second})


def _pair(one: int, other: int) -> ColumnElement[bool]:
    first, second = sorted((one, other))
    return (apart.c.first_id == first) & (apart.c.second_id == second)
