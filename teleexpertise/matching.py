"""Who of the register a stated patient is: one, nobody yet, or a question. Identity is never guessed; pure.

An INS is one person: two different ones are two patients whatever the traits, and the same one with other
traits is a contradiction that somebody must settle. Without INS only the same traits make the same patient;
what is near is shown and never taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from teleexpertise.names import folded_name, names_agree
from teleexpertise.patients import Patient

__all__ = [
    "Contradicted",
    "Known",
    "Likeness",
    "Match",
    "Near",
    "Same",
    "Several",
    "Trait",
    "Unidentified",
    "Unknown",
    "contradictions",
    "doubles",
    "likeness",
    "match",
    "swapped",
    "traits_key",
]


class Trait(StrEnum):
    """A trait in which two statements contradict each other."""

    BIRTH_NAME = "birth_name"
    FIRST_NAMES = "first_names"
    BIRTH_DATE = "birth_date"
    SEX = "sex"
    BIRTH_PLACE = "birth_place"
    BIRTH_ORDER = "birth_order"


class Likeness(StrEnum):
    """Why two patients may be one."""

    SAME_TRAITS = "same_traits"
    OTHER_INS = "other_ins"
    NEAR_NAME = "near_name"
    SWAPPED_NAMES = "swapped_names"
    SWAPPED_DATE = "swapped_date"
    OTHER_SEX = "other_sex"


@dataclass(frozen=True, slots=True)
class Known:
    """A patient of the register; ``aliases`` are the keys of traits under which merged doubles were known."""

    id: int
    patient: Patient
    aliases: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Near:
    """A patient of the register who may be the stated one, and why."""

    known: Known
    why: Likeness


@dataclass(frozen=True, slots=True)
class Unidentified:
    """Anonymous, or half an identity: nobody's, and never in the register."""


@dataclass(frozen=True, slots=True)
class Same:
    """One patient of the register, beyond doubt."""

    known: Known


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody of the register; ``near`` are likely doubles, to be shown."""

    near: tuple[Near, ...] = ()


@dataclass(frozen=True, slots=True)
class Several:
    """One of these, or somebody else: a person must say."""

    candidates: tuple[Known, ...]


@dataclass(frozen=True, slots=True)
class Contradicted:
    """The INS is this patient's, but these traits are another's."""

    known: Known
    traits: tuple[Trait, ...]


Match = Unidentified | Same | Unknown | Several | Contradicted


def traits_key(patient: Patient) -> str:
    """Birth name, first names, birth date and sex together, '' where one of them is missing or the patient is
    anonymous: nobody is recognised by half an identity.
    """
    name, first_names = folded_name(patient.birth_name), folded_name(patient.first_names)
    if patient.anonymous or not name or not first_names or patient.birth_date is None or not patient.sex:
        return ""
    return f"{name}|{first_names}|{patient.birth_date.isoformat()}|{patient.sex}"


def swapped(day: date) -> date | None:
    """The date with day and month swapped, ``None`` where that is no other date."""
    if day.day > 12 or day.day == day.month:
        return None
    return date(day.year, day.day, day.month)


def contradictions(stated: Patient, known: Patient) -> tuple[Trait, ...]:
    """The traits of one INS that cannot be one person's; what a side does not state contradicts nothing."""
    found = []
    if stated.birth_name and known.birth_name and not _birth_names_agree(stated, known):
        found.append(Trait.BIRTH_NAME)
    if stated.first_names and known.first_names and not _first_names_agree(stated, known):
        found.append(Trait.FIRST_NAMES)
    for trait in (Trait.BIRTH_DATE, Trait.SEX, Trait.BIRTH_PLACE, Trait.BIRTH_ORDER):
        mine, theirs = getattr(stated, trait), getattr(known, trait)
        if mine and theirs and mine != theirs:
            found.append(trait)
    return tuple(found)


def _birth_names_agree(one: Patient, other: Patient) -> bool:
    """By birth or used name: many people state the used one where the birth name is asked."""
    return any(
        names_agree(mine, theirs)
        for mine in (one.birth_name, one.used_name)
        for theirs in (other.birth_name, other.used_name)
    )


def _first_names_agree(one: Patient, other: Patient) -> bool:
    return any(
        names_agree(mine, theirs)
        for mine in (one.first_names, one.used_first_names)
        for theirs in (other.first_names, other.used_first_names)
    )


def likeness(one: Patient, other: Patient) -> Likeness | None:
    """Why two patients may be one, ``None`` where they are two: different INS, dates or names."""
    if one.anonymous or other.anonymous or one.birth_date is None or other.birth_date is None:
        return None
    if one.ins and other.ins and one.ins != other.ins:
        return None
    if one.birth_order and other.birth_order and one.birth_order != other.birth_order:
        return None  # twins, whatever they are called
    crossed = names_agree(one.birth_name, other.first_names) and names_agree(
        one.first_names, other.birth_name
    )
    straight = _birth_names_agree(one, other) and _first_names_agree(one, other)
    if not straight and not crossed:
        return None
    if one.birth_date != other.birth_date:
        return Likeness.SWAPPED_DATE if swapped(one.birth_date) == other.birth_date else None
    if one.sex and other.sex and one.sex != other.sex:
        # Twins are often called alike; only the very same names with another sex are a slip.
        alike = folded_name(one.label) == folded_name(other.label)
        return Likeness.OTHER_SEX if alike else None
    if traits_key(one) and traits_key(one) == traits_key(other):
        return Likeness.SAME_TRAITS
    return Likeness.NEAR_NAME if straight else Likeness.SWAPPED_NAMES


def match(stated: Patient, register: Sequence[Known]) -> Match:
    """Who of the register is meant.

    ``register`` must hold all who have the INS, the traits (also by alias) or the birth date, day and month
    swapped or not; others may be there.
    """
    key = traits_key(stated)
    if stated.anonymous or not (stated.ins or key):
        return Unidentified()
    if stated.ins:
        holder = next((known for known in register if known.patient.ins == stated.ins), None)
        if holder is not None:
            against = contradictions(stated, holder.patient)
            return Contradicted(holder, against) if against else Same(holder)
    alike = [
        known for known in register if key and (key == traits_key(known.patient) or key in known.aliases)
    ]
    open_ = [known for known in alike if not (stated.ins and known.patient.ins)]
    if not open_:
        # Their INS are others': two patients, who are told apart by nothing else.
        others = tuple(Near(known, Likeness.OTHER_INS) for known in alike)
        return Unknown((*others, *_near(stated, register)))
    if len(alike) == 1 and _agrees(stated, open_[0].patient):
        return Same(open_[0])
    twin = _twin(stated, alike)
    if twin is not None and twin in open_ and _agrees(stated, twin.patient):
        return Same(twin)
    return Several(tuple(sorted(open_, key=lambda known: known.id)))


def _twin(stated: Patient, alike: Sequence[Known]) -> Known | None:
    """Of people who are called alike the one with the stated rank, where all the others have another one."""
    ranks = [known.patient.birth_order for known in alike]
    if not stated.birth_order or 0 in ranks or ranks.count(stated.birth_order) != 1:
        return None
    return alike[ranks.index(stated.birth_order)]


def _agrees(stated: Patient, known: Patient) -> bool:
    """Two people of the same names, date and sex who were born in two places, or one after the other of one
    mother, are two.
    """
    return not any(
        mine and theirs and mine != theirs
        for mine, theirs in (
            (stated.birth_place, known.birth_place),
            (stated.birth_order, known.birth_order),
        )
    )


def _near(stated: Patient, register: Iterable[Known]) -> Iterator[Near]:
    for known in register:
        why = likeness(stated, known.patient)
        if why is not None:
            yield Near(known, why)


def doubles(register: Iterable[Known]) -> Iterator[tuple[Known, Known, Likeness]]:
    """Every pair of the register that may be one patient, the older number first."""
    by_date: dict[date, list[Known]] = defaultdict(list)
    for known in register:
        born = known.patient.birth_date
        if born is not None:
            other = swapped(born)
            by_date[min(born, other) if other else born].append(known)
    for near in by_date.values():
        near.sort(key=lambda known: known.id)
        for number, first in enumerate(near):
            for second in near[number + 1 :]:
                why = likeness(first.patient, second.patient)
                if why is not None:
                    yield first, second, why
