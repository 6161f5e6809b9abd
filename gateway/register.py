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
from gateway.store.patient_pairs import ApartRow
from gateway.store.rows import OutboxRow, PatientRow
from gateway.store.transaction import Transaction
from mailboxes.folders import patient_folder
from teleexpertise.conversation import Conversation
from teleexpertise.events import Opened
from teleexpertise.matching import (
    Contradicted,
    Likeness,
    Near,
    Same,
    Several,
    Unidentified,
    Unknown,
    contradictions,
    match,
)
from teleexpertise.names import name_words, search_words
from teleexpertise.patients import Patient

__all__ = [
    "Desk",
    "LikelyDoubles",
    "enter",
    "enter_new",
    "folder_name",
    "patient_of",
    "recognise",
    "record_treating",
    "settle",
]

_FIELDS = tuple(name for name in Patient.__dataclass_fields__ if name != "anonymous")
#: What is noted of the doubles that somebody was shown before entering a patient all the same.
_ENTERED_AS_ANOTHER = "shown before the patient was entered as somebody else"


class LikelyDoubles(GatewayError):
    """The patient to enter may be one of the register: a person must look at these first."""

    def __init__(self, near: tuple[Near, ...]) -> None:
        names = ", ".join(f"{each.known.id} ({each.why})" for each in near)
        super().__init__(f"may be known already: patient {names}; nothing was entered")
        self.near = near


async def enter(tx: Transaction, patient: Patient, now: datetime) -> PatientRow | None:
    """The stated patient as the register has it, entered where nobody matches.

    ``None`` where it may be several, or contradicts the register: that is somebody's to decide.
    """
    found = match(patient, await tx.patients.candidates(patient))
    match found:
        case Same():
            known = await tx.patients.get(found.known.id)
            assert known is not None, "a candidate is in the register"
            return await recognise(tx, known, patient)
        case Unknown():
            return await enter_new(tx, patient, now)
        case _:
            return None


async def recognise(tx: Transaction, known: PatientRow, stated: Patient) -> PatientRow:
    """The patient of the register that a statement means, completed by it."""
    row = await tx.patients.complete(known, stated)
    if row != known:
        await settle(tx, row.id)
    return row


async def enter_new(tx: Transaction, patient: Patient, now: datetime) -> PatientRow:
    """Enter a new patient, with the conversations that stated this one before. Raises as
    :meth:`gateway.store.patients.Patients.add` does.
    """
    row = await tx.patients.add(patient, now)
    await settle(tx, row.id)
    return row


async def settle(tx: Transaction, patient_id: int) -> int:
    """Put conversations that are in nobody's history into the patient's, as soon as there is no doubt left
    whom they mean; how many is returned. What may be several, or contradicts the register, stays. So it is
    with conversations that other gateways hold, of which nothing completes the register.
    """
    linked = 0
    undecided = set(await tx.patients.may_concern(patient_id))
    looked_at: set[UUID] = set()
    while todo := undecided - looked_at:
        conversation = min(todo)
        looked_at.add(conversation)
        opening = (await tx.events.of(conversation))[0].event
        assert isinstance(opening, Opened), "a conversation begins with its opening"
        found = match(opening.patient, await tx.patients.candidates(opening.patient))
        if not isinstance(found, Same):
            continue
        known = await tx.patients.get(found.known.id)
        assert known is not None, "a candidate is in the register"
        await tx.patients.link(conversation, known.id)
        undecided.discard(conversation)
        linked += 1
        if await tx.patients.complete(known, opening.patient) != known:
            # By what this one says, others may be told now.
            undecided |= set(await tx.patients.may_concern(known.id))
            looked_at.clear()
    for mirror, stated in await tx.mirrors.may_concern(patient_id):
        found = match(stated, await tx.patients.candidates(stated))
        if isinstance(found, Same):
            await tx.mirrors.about(mirror, found.known.id)
    return linked


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

    async def add(self, patient: Patient, *, new: bool = False) -> tuple[PatientRow, int]:
        """Enter a patient; the entry and how many earlier conversations are about this one are returned.

        Raises :class:`LikelyDoubles` where somebody of the register may be meant, unless a person who was
        shown them says that it is a ``new`` one; they are told apart for good then.
        """
        near: tuple[Near, ...] = ()
        found = match(patient, await self.tx.patients.candidates(patient))
        match found:
            case Unidentified():
                raise GatewayError(
                    "wants birth name, first names, birth date and sex: half an identity is nobody"
                )
            case Contradicted(known, traits):
                raise GatewayError(
                    f"this INS is that of patient {known.id}, who differs in {', '.join(traits)}"
                )
            case Same(known) if patient.ins and known.patient.ins == patient.ins:
                raise GatewayError(f"patient {known.id} has this INS: `gateway patient correct` completes it")
            case Same(known):
                near = (Near(known, Likeness.SAME_TRAITS),)
            case Several(candidates):
                near = tuple(Near(known, Likeness.SAME_TRAITS) for known in candidates)
            case Unknown(others):
                near = others
        if near and not new:
            raise LikelyDoubles(near)
        row = await self.tx.patients.add(patient, self.now)
        await self._audit("add patient", row.id, "entered", {"doubles shown": len(near)})
        for each in near:
            await self._told_apart(each.known.id, row.id, _ENTERED_AS_ANOTHER)
        return row, await settle(self.tx, row.id)

    async def tell_apart(self, one: PatientRow, other: PatientRow, why: str) -> None:
        """Note for good that two patients are two people, and why; they are shown as doubles no more."""
        if one.id == other.id:
            raise GatewayError("these are one patient")
        names = search_words(one.patient) | search_words(other.patient)
        numbers = {row.patient.ins for row in (one, other) if row.patient.ins}
        if names & set(name_words(why)) or any(number in "".join(why.split()) for number in numbers):
            raise GatewayError(
                "the reason names a patient: it is kept in the audit trail, where nobody's name is"
            )
        first, second = sorted((one.id, other.id))
        if await self.tx.patient_pairs.get(first, second) is not None:
            raise GatewayError(f"patients {first} and {second} are told apart already")
        await self._told_apart(first, second, why)

    async def _told_apart(self, one: int, other: int, why: str) -> None:
        first, second = sorted((one, other))
        row = ApartRow(first_id=first, second_id=second, at=self.now, who=self.who, why=why)
        await self.tx.patient_pairs.tell_apart(row)
        await self._audit("tell patients apart", first, "apart", {"other": second, "why": why})

    async def take_back(self, one: PatientRow, other: PatientRow) -> None:
        """Let two patients be likely doubles again, whom somebody told apart by mistake."""
        first, second = sorted((one.id, other.id))
        if not await self.tx.patient_pairs.forget(first, second):
            raise GatewayError(f"patients {first} and {second} were not told apart")
        await self._audit("tell patients apart", first, "taken back", {"other": second})

    async def correct(self, row: PatientRow, patient: Patient) -> int:
        """Give a patient other traits; how many folders are renamed is returned."""
        try:
            await self.tx.patients.correct(row.id, patient)
        except ConstraintBroken as error:
            raise GatewayError(
                "this INS is another patient's: `gateway patient search` finds it, `merge` makes them one"
            ) from error
        except ValueError as error:
            raise GatewayError(f"patient {row.id} would be nobody: {error}") from error
        changed = [name for name in _FIELDS if getattr(row.patient, name) != getattr(patient, name)]
        await self._audit("correct patient", row.id, "corrected", {"fields": ", ".join(changed)})
        await settle(self.tx, row.id)
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
        apart = await self.tx.patient_pairs.get(lost.id, kept.id)
        if apart is not None:
            raise GatewayError(
                f"{apart.who} said on {apart.at:%Y-%m-%d} that these are two people; "
                "`gateway patient apart --undo` takes that back"
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
        await self.tx.patient_pairs.hand_over(lost.id, kept.id)
        await self._audit("merge patient", lost.id, "merged", {"into": kept.id})
        await settle(self.tx, kept.id)
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
