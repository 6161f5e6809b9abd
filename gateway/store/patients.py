"""Patients, recognised again by identifier or traits, and the name of each one's folder in each account."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from gateway.store.repository import Repository
from gateway.store.rows import PatientRow
from gateway.store.schema import patient as patients
from gateway.store.schema import patient_folder
from teleexpertise.patients import Patient

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

__all__ = ["Patients", "lookup_key"]

_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "Œ": "OE", "Æ": "AE"})
_TRAITS = ("birth_name", "first_names", "birth_date", "sex", "ins")


def _folded(name: str) -> str:
    """A name without case, accents and punctuation: ``Lœtitia-Ève`` and ``LOETITIA EVE`` are one."""
    bare = unicodedata.normalize("NFKD", name.translate(_LIGATURES))
    letters = "".join(c if c.isalnum() else " " for c in bare if not unicodedata.combining(c))
    return " ".join(letters.casefold().split())


def lookup_key(patient: Patient) -> str:
    """What makes a patient the same one: the INS, else birth name, first names, birth date and sex together.

    Raises ``ValueError`` where the traits do not suffice: nobody is recognised by half an identity.
    """
    if patient.ins:
        return f"ins {patient.ins}"
    name, first_names = _folded(patient.birth_name), _folded(patient.first_names)
    if patient.anonymous or not name or not first_names or patient.birth_date is None or not patient.sex:
        raise ValueError("no INS and not all identity traits")
    return f"traits {name}|{first_names}|{patient.birth_date.isoformat()}|{patient.sex}"


class Patients(Repository):
    """The patients of the deployment."""

    __slots__ = ()

    async def get(self, patient_id: int) -> PatientRow | None:
        """The patient, or ``None``."""
        row = await self._first(select(patients).where(patients.c.id == patient_id))
        return _row_of(row) if row else None

    async def find_or_add(self, patient: Patient, now: datetime, ins_oid: str = "") -> PatientRow:
        """The patient known by the same :func:`lookup_key` (traits stay as first stated), or a new one."""
        key = lookup_key(patient)
        traits = {name: getattr(patient, name) for name in _TRAITS}
        row = {**traits, "lookup": key, "ins_oid": ins_oid, "created_at": now}
        await self._add_new(patients, row)
        found = await self._first(select(patients).where(patients.c.lookup == key))
        assert found is not None
        return _row_of(found)

    async def folder(self, account: str, patient_id: int, wanted: str) -> str:
        """The name of the patient's folder in an account: always the same one once given.

        ``wanted`` is taken the first time, with `` (2)``, `` (3)`` … where another patient of the account
        has it.
        """
        mine = patient_folder.c.account == account
        named = await self._first(
            select(patient_folder.c.name).where(mine, patient_folder.c.patient_id == patient_id)
        )
        if named:
            return str(named["name"])
        taken = {row["name"] for row in await self._all(select(patient_folder.c.name).where(mine))}
        name, number = wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted} ({number})"
        row = {"account": account, "patient_id": patient_id, "name": name}
        await self._add(patient_folder, row)
        return name


def _row_of(row: RowMapping) -> PatientRow:
    return PatientRow(
        id=row["id"],
        patient=Patient(**{name: row[name] for name in _TRAITS}),
        ins_oid=row["ins_oid"],
        created_at=row["created_at"],
    )
