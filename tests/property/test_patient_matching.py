"""Whatever is stated and whatever the register holds, two INS are never one patient and nobody is guessed."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from teleexpertise.matching import (
    Contradicted,
    Known,
    Same,
    Several,
    Unidentified,
    contradictions,
    doubles,
    match,
    traits_key,
)
from teleexpertise.names import names_agree, query_terms, search_words
from teleexpertise.patients import Patient

_NAMES = st.sampled_from(["DUPONT", "Dupond", "DE LA TOUR", "La-Tour", "MARTIN-DURAND", "Durand", "", "É"])
_DAYS = st.sampled_from([None, date(1957, 2, 3), date(1957, 3, 2), date(1957, 2, 13)])
_INS = st.sampled_from(["", "", "257029999912382", "257029999912479", "157029999912385"])

patients = st.builds(
    Patient,
    birth_name=_NAMES,
    first_names=st.sampled_from(["Jeanne", "Jeanne Marie", "Jean", "DUPONT", ""]),
    birth_date=_DAYS,
    sex=st.sampled_from(["F", "M", ""]),
    ins=_INS,
    anonymous=st.booleans(),
    birth_place=st.sampled_from(["", "43157", "99100"]),
    used_name=_NAMES,
)


@st.composite
def registers(draw: st.DrawFn) -> list[Known]:
    """A register as the store allows it: each INS once, nobody without identity."""
    found: list[Known] = []
    for patient in draw(st.lists(patients, max_size=6)):
        held = {known.patient.ins for known in found}
        fits = not patient.anonymous and (patient.ins or traits_key(patient))
        if fits and not (patient.ins and patient.ins in held):
            found.append(Known(len(found) + 1, patient))
    return found


@given(patients, registers())
def test_matching_never_merges_two_identifiers(stated: Patient, register: list[Known]) -> None:
    found = match(stated, register)
    reached: tuple[Known, ...] = (found.known,) if isinstance(found, Same) else ()
    if isinstance(found, Several):
        reached = found.candidates
    for known in reached:
        assert not (stated.ins and known.patient.ins and stated.ins != known.patient.ins)
    if isinstance(found, Same):
        assert found.known in register
        assert not stated.anonymous
        same_traits = bool(traits_key(stated)) and traits_key(stated) == traits_key(found.known.patient)
        same_number = bool(stated.ins) and stated.ins == found.known.patient.ins
        assert same_traits or same_number
        assert same_traits or not contradictions(stated, found.known.patient)
        # no other fits as well
        if not same_number:
            rivals = [k for k in register if traits_key(k.patient) == traits_key(stated)]
            assert rivals == [found.known]
    if isinstance(found, Contradicted):
        assert stated.ins == found.known.patient.ins


@given(patients, registers())
def test_the_order_of_the_register_changes_nothing(stated: Patient, register: list[Known]) -> None:
    forward, backward = match(stated, register), match(stated, register[::-1])
    assert type(forward) is type(backward)
    if isinstance(forward, Same | Several | Contradicted):
        assert forward == backward


@given(registers())
def test_no_two_identifiers_are_doubles(register: list[Known]) -> None:
    pairs = list(doubles(register))
    for first, second, _ in pairs:
        assert first.id < second.id
        assert not (first.patient.ins and second.patient.ins)
    assert len({(first.id, second.id) for first, second, _ in pairs}) == len(pairs)


@given(patients)
def test_an_anonymous_patient_is_nobody_and_has_no_words(patient: Patient) -> None:
    if patient.anonymous:
        assert isinstance(match(patient, [Known(1, patient)]), Unidentified)
        assert search_words(patient) == frozenset()


@given(st.text(max_size=60), st.text(max_size=60))
def test_names_of_any_letters_are_compared_alike_both_ways(one: str, other: str) -> None:
    assert names_agree(one, other) == names_agree(other, one)


@given(st.text(max_size=60), st.text(max_size=60))
def test_who_is_called_so_is_found_by_it(birth_name: str, first_names: str) -> None:
    words = search_words(Patient(birth_name=birth_name, first_names=first_names))
    for name in (birth_name, first_names):
        for term in query_terms(name):
            assert any(word.startswith(beginning) for beginning in term for word in words)
