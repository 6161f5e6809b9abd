"""Patients, recognised again by identifier or traits, and the name of each one's folder in each account."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from gateway.store.repository import Repository
from gateway.store.rows import PatientRow
from gateway.store.schema import patient as patients
from gateway.store.schema import patient_folder
from teleexpertise.patients import Patient

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

__all__ = ["Patients", "traits_key"]

_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "Œ": "OE", "Æ": "AE"})
_TRAITS = ("birth_name", "first_names", "birth_date", "sex")


def _folded(name: str) -> str:
    """A name without case, accents and punctuation: ``Lœtitia-Ève`` and ``LOETITIA EVE`` are one."""
    bare = unicodedata.normalize("NFKD", name.translate(_LIGATURES))
    letters = "".join(c if c.isalnum() else " " for c in bare if not unicodedata.combining(c))
    return " ".join(letters.casefold().split())


def traits_key(patient: Patient) -> str:
    """Birth name, first names, birth date and sex together, '' where one of them is missing or the patient is
    anonymous: nobody is recognised by half an identity.
    """
    name, first_names = _folded(patient.birth_name), _folded(patient.first_names)
    if patient.anonymous or not name or not first_names or patient.birth_date is None or not patient.sex:
        return ""
    return f"{name}|{first_names}|{patient.birth_date.isoformat()}|{patient.sex}"


class Patients(Repository):
    """The patients of the deployment."""

    __slots__ = ()

    async def find_or_add(self, patient: Patient, now: datetime, ins_oid: str = "") -> PatientRow:
        """The same patient as known before (traits stay as first stated), or a new one.

        The same is who has the same INS, or the same traits where one side has no INS: then the INS is
        completed. Two INS are two patients. Raises ``ValueError`` for an anonymous patient, and without INS
        for one with half an identity.
        """
        traits = traits_key(patient)
        if patient.anonymous or not (patient.ins or traits):
            raise ValueError("anonymous, or no INS and not all identity traits")
        known = await self._known(patient.ins, traits)
        if known is None:
            row = {name: getattr(patient, name) for name in _TRAITS}
            row |= {"ins": patient.ins or None, "traits": traits, "ins_oid": ins_oid, "created_at": now}
            added = await self._first(patients.insert().values(row).returning(patients))
            assert added is not None, "what was inserted is returned"
            return _row_of(added)
        if known.patient.ins or not patient.ins:
            return known
        mine = patients.c.id == known.id
        await self._changed(update(patients).where(mine).values(ins=patient.ins, ins_oid=ins_oid))
        return replace(known, patient=replace(known.patient, ins=patient.ins), ins_oid=ins_oid)

    async def with_ins(self, ins: str) -> PatientRow | None:
        """The patient with this INS, ``None`` where nobody has it or it is ''."""
        row = await self._first(select(patients).where(patients.c.ins == ins)) if ins else None
        return _row_of(row) if row else None

    async def _known(self, ins: str, traits: str) -> PatientRow | None:
        if ins and (row := await self._first(select(patients).where(patients.c.ins == ins))):
            return _row_of(row)
        if not traits:
            return None
        alike = [_row_of(row) for row in await self._all(select(patients).where(patients.c.traits == traits))]
        if ins:
            # Beside another INS, one without may be either patient: it is nobody else's then.
            return alike[0] if len(alike) == 1 and not alike[0].patient.ins else None
        # Of several with an INS of their own none is guessed, but one without is always the same one.
        without = [row for row in alike if not row.patient.ins]
        return (without or alike)[0] if without or len(alike) == 1 else None

    async def folder(self, account: str, patient_id: int) -> str | None:
        """The name of the patient's folder in an account, ``None`` where it has none yet."""
        mine = (patient_folder.c.account == account) & (patient_folder.c.patient_id == patient_id)
        row = await self._first(select(patient_folder.c.name).where(mine))
        return str(row["name"]) if row else None

    async def folders(self, account: str) -> frozenset[str]:
        """The names of all patients' folders in an account."""
        mine = patient_folder.c.account == account
        return frozenset(row["name"] for row in await self._all(select(patient_folder.c.name).where(mine)))

    async def name_folder(self, account: str, patient_id: int, name: str) -> None:
        """Give the patient's folder in an account its name, for good. Raises :class:`ConstraintBroken` where
        it has one, or another patient's has this name.
        """
        await self._add(patient_folder, {"account": account, "patient_id": patient_id, "name": name})


def _row_of(row: RowMapping) -> PatientRow:
    traits = {name: row[name] for name in _TRAITS} | {"ins": row["ins"] or ""}
    return PatientRow(
        id=row["id"], patient=Patient(**traits), ins_oid=row["ins_oid"], created_at=row["created_at"]
    )
