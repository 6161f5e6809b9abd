"""What the folder of each patient is called in each account, and what it is to be called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from gateway.store.repository import Repository
from gateway.store.schema import patient_folder as folders

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

__all__ = ["FolderRow", "PatientFolders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRow:
    """The folder of a patient in an account: its name, and the one that it is to have ('': the same)."""

    account: str
    patient_id: int
    name: str
    wanted: str = ""

    @property
    def last(self) -> str:
        """The name in the end."""
        return self.wanted or self.name


class PatientFolders(Repository):
    """The folders of patients by account and patient."""

    __slots__ = ()

    async def get(self, account: str, patient_id: int) -> FolderRow | None:
        """The patient's folder in an account, ``None`` where it has none yet."""
        mine = (folders.c.account == account) & (folders.c.patient_id == patient_id)
        row = await self._first(select(folders).where(mine))
        return _row_of(row) if row else None

    async def of(self, patient_id: int) -> tuple[FolderRow, ...]:
        """The folders of a patient in all accounts."""
        mine = select(folders).where(folders.c.patient_id == patient_id)
        return tuple(_row_of(row) for row in await self._all(mine.order_by(folders.c.account)))

    async def taken(self, account: str, but: int | None = None) -> frozenset[str]:
        """The names that patients' folders in an account have or are to have, those of ``but`` left out."""
        rows = await self._all(select(folders).where(folders.c.account == account))
        found = [_row_of(row) for row in rows if row["patient_id"] != but]
        return frozenset(name for row in found for name in (row.name, row.last))

    async def name(self, account: str, patient_id: int, name: str) -> None:
        """Give the patient's folder in an account its first name. Raises :class:`ConstraintBroken` where it
        has one, or another patient's has this name.
        """
        await self._add(folders, {"account": account, "patient_id": patient_id, "name": name})

    async def want(self, row: FolderRow, name: str) -> None:
        """The folder is going to be renamed: from now on its mails may be under either name."""
        await self._changed(update(folders).where(_is(row)).values(wanted=name))

    async def renamed(self, row: FolderRow) -> None:
        """The folder has the name that it was to have."""
        await self._changed(update(folders).where(_is(row)).values(name=row.last, wanted=None))

    async def hand_over(self, row: FolderRow, patient_id: int) -> None:
        """The folder is another patient's from now on."""
        await self._changed(update(folders).where(_is(row)).values(patient_id=patient_id))

    async def drop(self, row: FolderRow) -> None:
        """The folder is no more."""
        await self._changed(delete(folders).where(_is(row)))


def _is(row: FolderRow) -> ColumnElement[bool]:
    return (folders.c.account == row.account) & (folders.c.patient_id == row.patient_id)


def _row_of(row: RowMapping) -> FolderRow:
    return FolderRow(
        account=row["account"], patient_id=row["patient_id"], name=row["name"], wanted=row["wanted"] or ""
    )
