"""What is done to the register of patients, by requests and by operators: recognised, corrected, merged.

Everything happens within the transaction of the caller; folders follow by the outbox action ``arrange``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.errors import GatewayError
from gateway.store.doctors import DoctorRow
from gateway.store.errors import ConstraintBroken
from gateway.store.rows import OutboxRow, PatientRow
from gateway.store.transaction import Transaction
from mailboxes.folders import patient_folder
from teleexpertise.conversation import Conversation
from teleexpertise.matching import Same, Unknown, contradictions, match
from teleexpertise.patients import Patient

__all__ = ["Desk", "enter", "folder_name", "patient_of", "record_treating"]


async def enter(tx: Transaction, patient: Patient, now: datetime) -> PatientRow | None:
    """The stated patient as the register has it, entered where nobody matches.

    ``None`` where it may be several, or contradicts the register: that is somebody's to decide.
    """
    found = match(patient, await tx.patients.candidates(patient))
    match found:
        case Same():
            known = await tx.patients.get(found.known.id)
            assert known is not None, "a candidate is in the register"
            return await tx.patients.complete(known, patient)
        case Unknown():
            return await tx.patients.add(patient, now)
        case _:
            return None


async def patient_of(tx: Transaction, conversation: Conversation, now: datetime) -> PatientRow | None:
    """The patient whom a conversation is about; an old one is recognised by what it states."""
    known = await tx.patients.of_conversation(conversation.id)
    if known is None:
        known = await enter(tx, conversation.patient, now)
        if known is not None:
            await tx.patients.link(conversation.id, known.id)
    return known


async def record_treating(tx: Transaction, patient_id: int, address: str, who: str, now: datetime) -> bool:
    """Record the mailbox of a patient's treating doctor, or with '' none; ``False`` where nothing changes."""
    before = await tx.doctors.of(patient_id)
    if (before.address if before else "") == address:
        return False
    if address:
        await tx.doctors.record(DoctorRow(patient_id=patient_id, address=address, set_by=who, set_at=now))
    else:
        await tx.doctors.clear(patient_id)
    await tx.audit.write(
        now, who, "treating doctor", f"patient {patient_id}", "set" if address else "cleared"
    )
    return True


def folder_name(patient: Patient, taken: Collection[str], current: str = "") -> str:
    """The name of a patient's folder beside those that are taken; one that fits stays, with its number."""
    assert patient.birth_date is not None, "folders are named by the birth date"
    base = patient_folder(patient.birth_name, patient.first_names, patient.birth_date)[-1]
    number = current.removeprefix(base).strip()
    if current.startswith(base) and (not number or (number[0] == "(" and number[1:-1].isdigit())):
        return current
    return patient_folder(patient.birth_name, patient.first_names, patient.birth_date, taken)[-1]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where an operator changes the register: ``who`` stands in the audit trail. Raises GatewayError for what
    cannot be done.
    """

    tx: Transaction
    who: str
    now: datetime
    new_id: Callable[[], UUID]

    async def known(self, patient_id: int) -> PatientRow:
        """The patient of a number, or whom that one turned out to be."""
        row = await self.tx.patients.get(patient_id)
        if row is None:
            raise GatewayError(f"there is no patient {patient_id}")
        return row

    async def correct(self, row: PatientRow, patient: Patient, ins_oid: str) -> int:
        """Give a patient other traits; how many folders are renamed is returned."""
        try:
            await self.tx.patients.correct(row.id, patient, ins_oid)
        except ConstraintBroken as error:
            raise GatewayError(
                "this INS is another patient's: `gateway patient search` finds it, `merge` makes them one"
            ) from error
        except ValueError as error:
            raise GatewayError(f"patient {row.id} would be nobody: {error}") from error
        changed = [name for name in _FIELDS if getattr(row.patient, name) != getattr(patient, name)]
        if row.ins_oid != ins_oid:
            changed.append("ins_oid")
        await self._audit("correct patient", row.id, "corrected", {"fields": ", ".join(changed)})
        return await self._rename_folders(row.id, patient)

    async def set_number(self, row: PatientRow, establishment: str, number: str) -> None:
        """Give a patient a number in an establishment, or with '' none."""
        try:
            await self.tx.patients.set_number(row.id, establishment, number)
        except ConstraintBroken as error:
            raise GatewayError(f"another patient has this number in {establishment}") from error
        result = "set" if number else "removed"
        await self._audit("patient number", row.id, result, {"establishment": establishment})

    async def merge(self, lost: PatientRow, kept: PatientRow) -> int:
        """Let ``lost`` be ``kept`` from now on; how many folders are moved is returned."""
        if lost.id == kept.id:
            raise GatewayError("these are one patient already")
        if lost.patient.ins and kept.patient.ins:
            raise GatewayError(
                "these have two INS and are two patients; where one is wrong, correct it first"
            )
        with_ins, other = (lost, kept) if lost.patient.ins else (kept, lost)
        if with_ins.patient.ins and (against := contradictions(other.patient, with_ins.patient)):
            traits = ", ".join(against)
            raise GatewayError(f"an INS is one identity, and these differ in {traits}: correct one first")
        folders = await self.tx.patient_folders.of(lost.id)
        try:
            await self.tx.patients.merge(lost, kept)
        except ValueError as error:
            raise GatewayError(
                f"patients {lost.id} and {kept.id} have {error}: remove the wrong one first"
            ) from error
        await self.tx.doctors.hand_over(lost.id, kept.id)
        await self._audit("merge patient", lost.id, "merged", {"into": kept.id})
        for folder in folders:
            if await self.tx.patient_folders.get(folder.account, kept.id) is None:
                await self.tx.patient_folders.hand_over(folder, kept.id)
            else:
                await self._arrange(folder.account, lost.id)
        merged = await self.known(kept.id)
        return len(folders) + await self._rename_folders(kept.id, merged.patient)

    async def _rename_folders(self, patient_id: int, patient: Patient) -> int:
        """Let every folder be looked at whose name does not fit; its work finds the name."""
        wrong = [
            folder
            for folder in await self.tx.patient_folders.of(patient_id)
            if folder.wanted or folder_name(patient, (), folder.name) != folder.name
        ]
        for folder in wrong if patient.birth_date is not None else ():
            await self._arrange(folder.account, patient_id)
        return len(wrong)

    async def _arrange(self, account: str, patient_id: int) -> None:
        identifier = self.new_id()
        row = OutboxRow(
            id=identifier,
            key=f"arrange:{identifier}",
            action="arrange",
            recipient=account,
            first_at=self.now,
            next_at=self.now,
            payload={"patient": patient_id},
        )
        await self.tx.outbox.put([row])

    async def _audit(self, action: str, patient_id: int, result: str, detail: dict[str, object]) -> None:
        await self.tx.audit.write(self.now, self.who, action, f"patient {patient_id}", result, detail)


_FIELDS = tuple(name for name in Patient.__dataclass_fields__ if name != "anonymous")
