"""Whose a document is that came by mail: one patient of the register for certain, or a question; pure.

An INS with its traits, of an authority of this deployment, is an identity (RNIV); anything less is shown to a
person together with who may be meant. A mistake here would put a document into another patient's folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from teleexpertise.matching import (
    Contradicted,
    Known,
    Likeness,
    Same,
    Several,
    Trait,
    Unknown,
    match,
    traits_key,
)
from teleexpertise.patients import Patient

__all__ = ["Asked", "Certain", "Uncertainty", "Whose", "enterable", "whose"]


class Uncertainty(StrEnum):
    """Why a person is asked; each has its sentence in ``forms.toml``."""

    NOT_IDENTIFIED = "not_identified"
    """The document brings no qualified identity of an authority of ours."""
    UNKNOWN = "unknown"
    """Nobody of the register is meant, nor anybody near."""
    NEAR = "near"
    """Nobody of the register, but some are near."""
    SEVERAL = "several"
    """Some of the register have these traits."""
    OTHER_INS = "other_ins"
    """These traits are in the register under another INS."""
    TRAITS = "traits"
    """This INS is in the register with traits that are not the same."""
    INS_NOT_NOTED = "ins_not_noted"
    """One of the register has these traits and no INS."""


@dataclass(frozen=True, slots=True)
class Certain:
    """The patient, beyond doubt."""

    known: Known


@dataclass(frozen=True, slots=True)
class Asked:
    """Who may be meant, why that is not certain, and for a known INS the traits that are another's."""

    why: Uncertainty
    candidates: tuple[Known, ...] = ()
    traits: tuple[Trait, ...] = ()


Whose = Certain | Asked


def whose(stated: Patient, register: Sequence[Known], *, trusted: bool) -> Whose:
    """Whose a document about ``stated`` is.

    ``trusted``: the INS is qualified and of an authority of ours; otherwise nothing is certain. ``register``
    is what :func:`teleexpertise.matching.match` wants.
    """
    if not trusted:
        stated = replace(stated, ins="", qualified=False)
    found = match(stated, register)
    if not trusted:
        return Asked(Uncertainty.NOT_IDENTIFIED, _shown(found))
    match found:
        case Same(known=known) if known.patient.ins != stated.ins:
            return Asked(Uncertainty.INS_NOT_NOTED, _shown(found))
        case Same(known=known):
            # No contradiction is not enough: what one side leaves out could be another person's.
            same = _same_traits(stated, known)
            return Certain(known) if same else Asked(Uncertainty.TRAITS, _shown(found))
        case Contradicted(traits=traits):
            return Asked(Uncertainty.TRAITS, _shown(found), traits)
        case Several():
            return Asked(Uncertainty.SEVERAL, _shown(found))
        case Unknown(near=near) if any(each.why is Likeness.OTHER_INS for each in near):
            return Asked(Uncertainty.OTHER_INS, _shown(found))
        case Unknown(near=near) if near:
            return Asked(Uncertainty.NEAR, _shown(found))
        case _:
            return Asked(Uncertainty.UNKNOWN)


def _shown(found: object) -> tuple[Known, ...]:
    """Who is offered: who has a folder's name, each once, in the order found."""
    match found:
        case Same(known=known) | Contradicted(known=known):
            candidates: Sequence[Known] = (known,)
        case Several(candidates=several):
            candidates = several
        case Unknown(near=near):
            candidates = [each.known for each in near]
        case _:
            candidates = ()
    return tuple({each.id: each for each in candidates if each.patient.birth_date is not None}.values())


def _same_traits(stated: Patient, known: Known) -> bool:
    """All four traits are the same, the first names in full or the first of them; or those of a double that
    this patient absorbed.
    """
    mine = {traits_key(replace(known.patient, first_names=names)) for names in _given(known.patient)}
    theirs = {traits_key(replace(stated, first_names=names)) for names in _given(stated)}
    return bool((theirs - {""}) & (mine | known.aliases))


def _given(patient: Patient) -> set[str]:
    names = patient.first_names.replace(",", " ").split()
    return {patient.first_names, patient.first_first_name or (names[0] if names else "")}


def enterable(stated: Patient) -> bool:
    """Whether the stated traits make a patient of the register with a folder."""
    return bool(traits_key(stated)) and stated.birth_date is not None
