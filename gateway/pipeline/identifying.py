"""Whose request it is: the register is asked before a conversation opens, and the form goes back
where it cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from gateway.pipeline.unit import Unit
from gateway.register import enter_new, recognise
from teleexpertise.forms import NEW_PATIENT, Form, Value, candidate_value
from teleexpertise.matching import Contradicted, Known, Near, Same, Several, Unknown, match
from teleexpertise.patients import Patient

__all__ = ["Identified", "candidates_of", "enter_patient", "identify", "stated_patient"]

#: More likely doubles than these are not told: a sentence must stay one.
_MOST_NEAR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What the register says of a request: ``known`` is its patient, ``None`` for a new or anonymous one.

    ``problems`` and ``warnings`` are sentences by field name; ``candidates`` the patients to choose from.
    """

    known: int | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)
    candidates: tuple[int, ...] = ()


def stated_patient(values: Mapping[str, Value]) -> Patient:
    """The patient that a request's typed values state."""
    if values.get("anonymous") is True:
        return Patient(anonymous=True)

    def text(name: str) -> str:
        value = values.get(name, "")
        return value if isinstance(value, str) else ""

    born = text("birth_date")
    return Patient(
        birth_name=text("birth_name"),
        first_names=text("first_names"),
        birth_date=date.fromisoformat(born) if born else None,
        sex=text("sex"),
        ins=text("ins"),
        birth_place=text("birth_place"),
        qualified=values.get("qualified") is True,
        first_first_name=text("first_first_name"),
        used_name=text("used_name"),
        used_first_names=text("used_first_names"),
    )


async def candidates_of(unit: Unit, options: Mapping[str, object]) -> tuple[Known, ...]:
    """The patients of whom a form's copy let choose, as the register has them now."""
    kept = options.get("candidates", [])
    assert isinstance(kept, list), "candidates is a list of numbers"
    rows = [await unit.tx.patients.get(int(number)) for number in kept]
    return tuple({row.id: Known(row.id, row.patient) for row in rows if row is not None}.values())


async def identify(unit: Unit, form: Form, values: Mapping[str, Value], actor: str) -> Identified:
    """Ask the register about a complete request. A contradiction is an anomaly that the audit trail keeps."""
    stated = stated_patient(values)
    found = match(stated, await unit.tx.patients.candidates(stated))
    match found:
        case Same():
            return Identified(known=found.known.id)
        case Contradicted():
            await unit.audit(
                actor,
                "identify patient",
                f"patient {found.known.id}",
                "contradicted",
                traits=", ".join(found.traits),
            )
            traits = ", ".join(form.notes[f"trait_{trait}"] for trait in found.traits)
            return Identified(problems={"ins": form.say("ins_contradicted", options=traits)})
        case Several():
            return _chosen(form, values, found.candidates)
        case Unknown(near=near) if near:
            return Identified(warnings={"patient": _told(form, near)})
        case _:
            return Identified()


def _chosen(form: Form, values: Mapping[str, Value], candidates: Sequence[Known]) -> Identified:
    """What the person chose among candidates that are still these; else the question."""
    answer = values.get("patient")
    if answer == NEW_PATIENT:
        return Identified()
    for known in candidates:
        if answer == candidate_value(known.id):
            return Identified(known=known.id)
    return Identified(
        problems={"patient": form.say("patient_several")},
        candidates=tuple(known.id for known in candidates),
    )


def _told(form: Form, near: Sequence[Near]) -> str:
    """Likely doubles in one sentence: names, birth dates and why, never a number."""
    told = []
    for each in near[:_MOST_NEAR]:
        patient = each.known.patient
        born = f"{patient.birth_date:%d/%m/%Y}" if patient.birth_date else "?"
        told.append(form.notes[f"likeness_{each.why}"].format(patient=f"{patient.label} {born}"))
    return form.say("patient_near", options=", ".join(told))


async def enter_patient(unit: Unit, conversation: UUID, stated: Patient, known: int | None) -> None:
    """Note whom an opened conversation is about; who is new is entered, who is anonymous not.

    Where the register was not asked (a rule of the operator's opens a vital emergency) and has the INS, whom
    the conversation means is decided later.
    """
    row = await unit.tx.patients.get(known) if known is not None else None
    if row is not None:
        row = await recognise(unit.tx, row, stated)
    elif not stated.anonymous and await unit.tx.patients.with_ins(stated.ins) is not None:
        await unit.tx.patients.await_certainty(conversation, stated)
    elif not stated.anonymous:
        row = await enter_new(unit.tx, stated, unit.now)
    if row is not None:
        await unit.tx.patients.link(conversation, row.id)
