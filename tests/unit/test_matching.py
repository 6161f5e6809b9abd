"""Who a stated patient is: the tables of what agrees, what contradicts, what is near, and what is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from teleexpertise.matching import (
    Contradicted,
    Known,
    Likeness,
    Match,
    Near,
    Same,
    Several,
    Trait,
    Unidentified,
    Unknown,
    contradictions,
    doubles,
    likeness,
    match,
    swapped,
    traits_key,
)
from teleexpertise.names import name_words, names_agree, query_terms, words_near
from teleexpertise.patients import Patient
from teleexpertise.searching import Query, read_query

INS, OTHER = "257029999912382", "257029999912479"
JEANNE = Patient(birth_name="DUPONT-ÉVRARD", first_names="Jeanne Marie", birth_date=date(1957, 2, 3), sex="F")


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("DUPONT", "dupont", True),
        ("Évrard", "EVRARD", True),
        ("Œuvrard", "OEUVRARD", True),
        ("DE LA FONTAINE", "Fontaine", True),
        ("d'Almeida", "D ALMEIDA", True),
        ("dAlmeida", "D'ALMEIDA", True),
        ("VON DÜREN", "Duren", True),
        ("LE GOFF", "LEGOFF", True),
        ("MARTIN-DURAND", "DURAND MARTIN", True),
        ("MARTIN-DURAND", "MARTIN", True),
        ("Jean-Pierre", "Jean Pierre", True),
        ("Jean-Pierre", "Jeanpierre", True),
        ("DUPONT", "DUPOND", True),
        ("DUPONT", "DUPNOT", True),
        ("LE", "LE", True),
        ("MARTIN", "DURAND", False),
        ("LÉA", "LÉO", False),
        ("ROUX", "ROUSSEL", False),
        ("MARTIN", "", False),
        ("", "", False),
        ("---", "...", False),
    ],
)
def test_names_agree(one: str, other: str, agree: bool) -> None:
    assert names_agree(one, other) is agree
    assert names_agree(other, one) is agree


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("ali", "aly", False),
        ("anne", "anna", True),
        ("marie", "maire", True),
        ("dupont", "dupo", False),
        ("kowalczyk", "kovalczik", True),
        ("kowalczyk", "kavalczik", False),
    ],
)
def test_short_words_forgive_nothing_and_long_ones_two_slips(one: str, other: str, near: bool) -> None:
    assert words_near(one, other) is near


def test_a_name_of_particles_alone_is_a_name() -> None:
    assert name_words("LE") == ("le",)
    assert name_words("de") == ("de",)
    assert query_terms("le") == (frozenset({"le"}),)


def test_words_may_be_written_together_with_their_neighbours() -> None:
    assert query_terms("Le Goff Anaïs") == (
        frozenset({"goff", "legoff", "goffanais"}),
        frozenset({"anais", "goffanais"}),
    )


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("03/02/1957", Query(born=date(1957, 2, 3))),
        ("1957-02-03", Query(born=date(1957, 2, 3))),
        ("3.2.1957", Query(born=date(1957, 2, 3))),
        ("31/02/1957", Query(number="31/02/1957")),
        ("2 57 02 99 999 123 82", Query(ins=INS)),
        ("2A0000014", Query(number="2A0000014")),
        ("", Query()),
    ],
)
def test_a_search_is_taken_apart(typed: str, query: Query) -> None:
    assert read_query(typed) == query
    assert read_query(typed).empty is (query == Query())


@pytest.mark.parametrize(
    ("day", "other"),
    [
        (date(1957, 2, 3), date(1957, 3, 2)),
        (date(1957, 2, 13), None),
        (date(1957, 2, 2), None),
        (date(2024, 12, 1), date(2024, 1, 12)),
    ],
)
def test_day_and_month_are_swapped_where_that_is_another_date(day: date, other: date | None) -> None:
    assert swapped(day) == other
    assert other is None or swapped(other) == day


@pytest.mark.parametrize(
    ("changes", "traits"),
    [
        ({}, ()),
        ({"birth_name": "Dupont Evrard"}, ()),
        ({"birth_name": "EVRARD"}, ()),
        ({"birth_name": "DUPOND-EVRARD"}, ()),
        ({"birth_name": ""}, ()),
        ({"birth_name": "ROUX", "used_name": "Dupont"}, ()),
        ({"birth_name": "ROUX"}, (Trait.BIRTH_NAME,)),
        ({"first_names": "Marie"}, ()),
        ({"first_names": "Paule"}, (Trait.FIRST_NAMES,)),
        ({"birth_date": date(1957, 3, 2)}, (Trait.BIRTH_DATE,)),
        ({"birth_date": None}, ()),
        ({"sex": "M"}, (Trait.SEX,)),
        ({"sex": ""}, ()),
        ({"birth_place": "43157"}, ()),
        ({"birth_name": "ROUX", "sex": "M"}, (Trait.BIRTH_NAME, Trait.SEX)),
    ],
)
def test_one_number_with_other_traits_is_a_contradiction(
    changes: dict[str, object], traits: tuple[Trait, ...]
) -> None:
    known = Known(1, replace(JEANNE, ins=INS))
    stated = replace(JEANNE, ins=INS, **changes)  # type: ignore[arg-type]
    assert contradictions(stated, known.patient) == contradictions(known.patient, stated) == traits
    expected: Match = Contradicted(known, traits) if traits else Same(known)
    assert match(stated, [known]) == expected


def test_two_places_of_birth_contradict_each_other() -> None:
    here, there = replace(JEANNE, ins=INS, birth_place="43157"), replace(JEANNE, birth_place="99100")
    assert contradictions(here, there) == (Trait.BIRTH_PLACE,)
    assert match(there, [Known(1, here)]) == Several((Known(1, here),))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, Likeness.SAME_TRAITS),
        ({"birth_name": "DUPOND-ÉVRARD"}, Likeness.NEAR_NAME),
        ({"birth_name": "DUPONT"}, Likeness.NEAR_NAME),
        ({"first_names": "Jeanne"}, Likeness.NEAR_NAME),
        ({"birth_name": "ROUX", "used_name": "EVRARD"}, Likeness.NEAR_NAME),
        ({"birth_name": "Jeanne Marie", "first_names": "Dupont Evrard"}, Likeness.SWAPPED_NAMES),
        ({"birth_date": date(1957, 3, 2)}, Likeness.SWAPPED_DATE),
        ({"birth_date": date(1957, 3, 2), "birth_name": "DUPONT"}, Likeness.SWAPPED_DATE),
        ({"sex": "M"}, Likeness.OTHER_SEX),
        ({"sex": "M", "first_names": "Jean"}, None),
        ({"first_names": "Paule"}, None),
        ({"birth_date": date(1957, 2, 4)}, None),
        ({"birth_date": date(1958, 2, 3)}, None),
        ({"birth_date": None}, None),
        ({"ins": OTHER}, None),
        ({"anonymous": True}, None),
    ],
)
def test_likely_doubles(changes: dict[str, object], why: Likeness | None) -> None:
    known, other = replace(JEANNE, ins=INS), replace(JEANNE, **changes)  # type: ignore[arg-type]
    assert likeness(known, other) is likeness(other, known) is why
    pairs = [(Known(1, known), Known(2, other), why)] if why else []
    assert list(doubles([Known(2, other), Known(1, known)])) == pairs
    if why not in (None, Likeness.SAME_TRAITS):
        assert match(other, [Known(1, known)]) == Unknown((Near(Known(1, known), why),))


@pytest.mark.parametrize(
    "half",
    [
        Patient(anonymous=True),
        replace(JEANNE, anonymous=True, ins=INS),
        replace(JEANNE, birth_date=None),
        replace(JEANNE, first_names=" "),
        Patient(),
    ],
)
def test_nobody_is_recognised_by_half_an_identity(half: Patient) -> None:
    register = [Known(1, JEANNE), Known(2, replace(JEANNE, ins=INS)), Known(3, Patient(anonymous=True))]
    assert match(half, register) == Unidentified()


def test_the_same_traits_are_the_same_patient_where_there_is_one() -> None:
    without, with_ins, other = (Known(n, replace(JEANNE, ins=i)) for n, i in ((1, ""), (2, INS), (3, OTHER)))
    assert match(JEANNE, [without]) == Same(without)
    assert match(JEANNE, [with_ins]) == Same(with_ins)
    assert match(replace(JEANNE, ins=INS), [without]) == Same(without)
    assert match(replace(JEANNE, ins=INS), [other]) == Unknown((Near(other, Likeness.OTHER_INS),))
    # several: never a silent choice
    assert match(JEANNE, [with_ins, other]) == Several((with_ins, other))
    assert match(JEANNE, [without, with_ins]) == Several((without, with_ins))
    assert match(replace(JEANNE, ins=INS), [without, other]) == Several((without,))
    # beside them the number decides
    assert match(replace(JEANNE, ins=INS), [without, with_ins, other]) == Same(with_ins)


def test_a_merged_double_is_still_known_by_its_old_traits() -> None:
    old = replace(JEANNE, birth_name="DUPON")
    known = Known(1, JEANNE, frozenset({traits_key(old)}))
    assert match(old, [known]) == Same(known)
