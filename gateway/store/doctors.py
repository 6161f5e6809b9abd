"""The treating doctors recorded for patients of the register."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from gateway.store.dialect import insert
from gateway.store.repository import Repository, column_values
from gateway.store.schema import patient_doctor as doctors

__all__ = ["DoctorRow", "Doctors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRow:
    """The mailbox of a patient's treating doctor, who recorded it and when."""

    patient_id: int
    address: str
    set_by: str
    set_at: datetime


class Doctors(Repository):
    """Treating doctors by the number of the patient; one each, addresses in lower case."""

    __slots__ = ()

    async def of(self, patient_id: int) -> DoctorRow | None:
        """The treating doctor of a patient, ``None`` where none is recorded."""
        row = await self._first(select(doctors).where(doctors.c.patient_id == patient_id))
        return DoctorRow(**row) if row else None

    async def record(self, row: DoctorRow) -> None:
        """Record the treating doctor of a patient, in place of the one before."""
        values = column_values(row)
        statement = insert(self._connection, doctors).on_conflict_do_update(
            index_elements=["patient_id"], set_=column_values(row, "patient_id")
        )
        await self._connection.execute(statement, values)

    async def clear(self, patient_id: int) -> bool:
        """Record none; ``False`` where there was none."""
        return bool(await self._changed(delete(doctors).where(doctors.c.patient_id == patient_id)))

    async def hand_over(self, lost: int, kept: int) -> None:
        """A patient turned out to be another, whose own treating doctor, if there is one, stays."""
        if await self.of(kept) is None:
            mine = doctors.c.patient_id == lost
            await self._changed(update(doctors).where(mine).values(patient_id=kept))
        await self.clear(lost)
