"""Patients: who is the same one, who never is, and what each one's folder is called."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from gateway.store import Store, Transaction
from teleexpertise.patients import Patient
from teleexpertise.people import Account
from tests.support.store import EXPERT, NOW, REQUESTER, database_url

HOUR = timedelta(hours=1)
INS, OTHER_INS = "257034300100138", "257034300100239"
JEANNE = Patient(birth_name="BÉNÉZET", first_names="Jeanne", birth_date=date(1957, 3, 2), sex="F")


@pytest.fixture
async def tx(tmp_path: Path) -> AsyncIterator[Transaction]:
    async with Store.open(database_url(tmp_path)) as store, store.transaction() as opened:
        yield opened


async def _id(tx: Transaction, patient: Patient) -> int:
    return (await tx.patients.find_or_add(patient, NOW)).id


@pytest.mark.parametrize(
    "same",
    [
        JEANNE,
        replace(JEANNE, birth_name="Benezet", first_names="JEANNE"),
        replace(JEANNE, birth_name=" bénézet "),
    ],
)
async def test_patient_is_recognised_by_traits(tx: Transaction, same: Patient) -> None:
    first = await tx.patients.find_or_add(JEANNE, NOW)
    assert await tx.patients.find_or_add(same, NOW + HOUR) == first
    assert first.patient == JEANNE


@pytest.mark.parametrize(
    "other",
    [
        replace(JEANNE, birth_date=date(1957, 3, 3)),
        replace(JEANNE, sex="M"),
        replace(JEANNE, first_names="Jeanne Marie"),
        replace(JEANNE, first_names="Jeanne Marie", ins=INS),
    ],
)
async def test_patient_with_another_trait_is_another(tx: Transaction, other: Patient) -> None:
    assert await _id(tx, JEANNE) != await _id(tx, other)


async def test_patient_is_recognised_by_identifier_whatever_the_traits(tx: Transaction) -> None:
    known = replace(JEANNE, ins=INS)
    first = await tx.patients.find_or_add(known, NOW, ins_oid="1.2.250.1.213.1.4.10")
    found = await tx.patients.find_or_add(replace(known, birth_name="BENEZET-ROUX"), NOW)
    assert found == first
    assert found.ins_oid == "1.2.250.1.213.1.4.10"
    assert await _id(tx, Patient(ins=INS)) == first.id


async def test_patient_stated_first_without_identifier_and_then_with_it_is_one(tx: Transaction) -> None:
    first = await tx.patients.find_or_add(JEANNE, NOW)
    second = await tx.patients.find_or_add(replace(JEANNE, ins=INS), NOW, ins_oid="1.2")
    assert second.id == first.id
    assert (second.patient.ins, second.ins_oid) == (INS, "1.2")
    assert await tx.patients.find_or_add(JEANNE, NOW) == second
    assert await _id(tx, replace(JEANNE, birth_name="ROUX", ins=INS)) == first.id


async def test_patient_stated_first_with_identifier_and_then_without_it_is_one(tx: Transaction) -> None:
    first = await tx.patients.find_or_add(replace(JEANNE, ins=INS), NOW)
    assert await tx.patients.find_or_add(JEANNE, NOW) == first


async def test_two_identifiers_are_two_patients_and_neither_is_guessed(tx: Transaction) -> None:
    first, second = replace(JEANNE, ins=INS), replace(JEANNE, ins=OTHER_INS)
    ids = [await _id(tx, patient) for patient in (first, second, JEANNE)]
    assert len(set(ids)) == 3
    assert [await _id(tx, patient) for patient in (first, second, JEANNE)] == ids
    assert await _id(tx, replace(JEANNE, ins="257034300100340")) not in ids


@pytest.mark.parametrize(
    "half",
    [
        Patient(anonymous=True),
        Patient(anonymous=True, ins=INS),
        replace(JEANNE, birth_date=None),
        replace(JEANNE, birth_name=""),
        replace(JEANNE, sex=""),
    ],
)
async def test_patient_is_never_recognised_by_half_an_identity(tx: Transaction, half: Patient) -> None:
    with pytest.raises(ValueError):
        await tx.patients.find_or_add(half, NOW)


async def test_patient_has_one_folder_in_each_account_under_a_name_of_its_own(tx: Transaction) -> None:
    for address in (REQUESTER, EXPERT):
        await tx.accounts.add(Account(address=address, name=address), "", NOW)
    jeanne, other = await _id(tx, JEANNE), await _id(tx, replace(JEANNE, sex="M"))
    assert await tx.patients.folder(REQUESTER, jeanne) is None
    await tx.patients.name_folder(REQUESTER, jeanne, "BÉNÉZET Jeanne 1957-03-02")
    await tx.patients.name_folder(EXPERT, other, "BÉNÉZET Jeanne 1957-03-02")
    assert await tx.patients.folder(REQUESTER, jeanne) == "BÉNÉZET Jeanne 1957-03-02"
    assert await tx.patients.folder(EXPERT, jeanne) is None
    assert await tx.patients.folders(REQUESTER) == {"BÉNÉZET Jeanne 1957-03-02"}
