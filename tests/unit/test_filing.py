"""Whose a document is: certain by an INS with its traits, else asked with who may be meant."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from teleexpertise.filing import Asked, Certain, Uncertainty, enterable, whose
from teleexpertise.matching import Known, Same, Several, Trait, match
from teleexpertise.patients import Patient

INS, OTHER = "257029999912382", "257029999912479"
JEANNE = Patient(
    birth_name="BENEZET", first_names="Jeanne Odile", birth_date=date(1957, 2, 3), sex="F", ins=INS
)


def known(number: int, patient: Patient, *aliases: str) -> Known:
    return Known(number, patient, frozenset(aliases))


@pytest.mark.parametrize(
    ("mine", "stated"),
    [
        (JEANNE, JEANNE),
        (JEANNE, replace(JEANNE, birth_name="Bénézet", first_names="JEANNE ODILE")),
        (JEANNE, replace(JEANNE, first_names="Jeanne", first_first_name="Jeanne")),
        (replace(JEANNE, first_names="Jeanne"), replace(JEANNE, first_first_name="Jeanne")),
        (
            replace(JEANNE, first_names="Anne Marie Lise", first_first_name="Anne Marie"),
            replace(JEANNE, first_names="Anne Marie", first_first_name="Anne Marie"),
        ),
    ],
)
def test_the_ins_and_the_four_traits_are_certain(mine: Patient, stated: Patient) -> None:
    assert whose(stated, [known(7, mine)], trusted=True) == Certain(known(7, mine))


def test_the_traits_of_a_merged_double_are_the_patients_too() -> None:
    kept = known(7, replace(JEANNE, birth_name="ROUX"), "benezet|jeanne odile|1957-02-03|F")
    assert whose(JEANNE, [kept], trusted=True) != Certain(kept), "a contradiction is asked all the same"
    near = known(7, replace(JEANNE, birth_name="BENEZET-ROUX"), "benezet|jeanne odile|1957-02-03|F")
    assert whose(JEANNE, [near], trusted=True) == Certain(near)


@pytest.mark.parametrize(
    ("register", "stated", "why", "offered", "traits"),
    [
        ([], JEANNE, Uncertainty.UNKNOWN, [], ()),
        ([replace(JEANNE, ins="")], JEANNE, Uncertainty.INS_NOT_NOTED, [1], ()),
        ([replace(JEANNE, ins=OTHER)], JEANNE, Uncertainty.OTHER_INS, [1], ()),
        ([replace(JEANNE, birth_name="ROUX")], JEANNE, Uncertainty.TRAITS, [1], (Trait.BIRTH_NAME,)),
        (
            [replace(JEANNE, birth_date=date(1957, 3, 3), sex="M")],
            JEANNE,
            Uncertainty.TRAITS,
            [1],
            (Trait.BIRTH_DATE, Trait.SEX),
        ),
        # No contradiction, and yet not the same.
        ([replace(JEANNE, birth_name="BENEZET-ROUX")], JEANNE, Uncertainty.TRAITS, [1], ()),
        ([replace(JEANNE, sex="")], JEANNE, Uncertainty.TRAITS, [1], ()),
        (
            [replace(JEANNE, ins="", birth_place="43157"), replace(JEANNE, ins="", birth_place="2A004")],
            JEANNE,
            Uncertainty.SEVERAL,
            [1, 2],
            (),
        ),
        ([replace(JEANNE, ins="", birth_name="BENEZETH")], JEANNE, Uncertainty.NEAR, [1], ()),
        # Who is known by an INS alone has no folder that could be offered.
        ([Patient(ins=INS)], JEANNE, Uncertainty.TRAITS, [], ()),
        # Twins: the first name or the order tells them apart.
        ([replace(JEANNE, ins="", first_names="Lise")], JEANNE, Uncertainty.UNKNOWN, [], ()),
        (
            [replace(JEANNE, ins="", birth_order=1)],
            replace(JEANNE, birth_order=2),
            Uncertainty.SEVERAL,
            [1],
            (),
        ),
        (
            [replace(JEANNE, birth_order=1)],
            replace(JEANNE, birth_order=2),
            Uncertainty.TRAITS,
            [1],
            (Trait.BIRTH_ORDER,),
        ),
    ],
)
def test_all_else_is_asked(
    register: list[Patient],
    stated: Patient,
    why: Uncertainty,
    offered: list[int],
    traits: tuple[Trait, ...],
) -> None:
    rows = [known(number, each) for number, each in enumerate(register, start=1)]
    found = whose(stated, rows, trusted=True)
    assert isinstance(found, Asked)
    assert (found.why, found.traits) == (why, traits)
    assert [each.id for each in found.candidates] == offered


@pytest.mark.parametrize("register", [[], [JEANNE], [replace(JEANNE, ins="")]])
def test_without_a_trusted_identity_nothing_is_certain(register: list[Patient]) -> None:
    rows = [known(number, each) for number, each in enumerate(register, start=1)]
    found = whose(JEANNE, rows, trusted=False)
    assert found == Asked(Uncertainty.NOT_IDENTIFIED, tuple(rows))


def test_the_rank_tells_twins_of_one_name_apart() -> None:
    first, second = replace(JEANNE, ins="", birth_order=1), replace(JEANNE, ins=OTHER, birth_order=2)
    register = [known(1, first), known(2, second)]
    assert match(replace(second, ins=""), register) == Same(register[1])
    assert match(replace(JEANNE, ins="", birth_order=3), register) == Several(tuple(register))
    assert match(replace(JEANNE, ins=""), register) == Several(tuple(register))
    # Her INS is not that of the second: nobody is taken for the rank alone.
    assert match(replace(JEANNE, birth_order=2), register) == Several((register[0],))


def test_half_an_identity_is_nobody_new() -> None:
    assert enterable(JEANNE)
    assert not enterable(replace(JEANNE, birth_name=""))
    assert not enterable(replace(JEANNE, first_names=""))
    assert not enterable(replace(JEANNE, sex=""))
    assert not enterable(replace(JEANNE, birth_date=None))
