"""What is kept of patients as correspondents: exchanges by what they cite, treating doctors over a merge."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from gateway.register import Desk, enter, record_treating
from gateway.store import Store, Transaction
from teleexpertise.patient_mail import Exchange
from teleexpertise.patients import Patient
from tests.support.store import NOW, database_url

HOUR = timedelta(hours=1)
MAILBOX, PATIENT = "a@gateway.example", "257024319299785@patient.example"
ONE = Exchange(
    id=UUID(int=1),
    mailbox=MAILBOX,
    patient=PATIENT,
    opened_by="b@gateway.example",
    opened_at=NOW,
    last_at=NOW,
)
TWO = replace(ONE, id=UUID(int=2), opened_at=NOW + HOUR, last_at=NOW + HOUR)


@pytest.fixture
async def tx(tmp_path: Path) -> AsyncIterator[Transaction]:
    async with Store.open(database_url(tmp_path)) as store, store.transaction() as opened:
        yield opened


async def test_exchanges_are_found_by_their_mails_and_closed_once(tx: Transaction) -> None:
    exchanges = tx.exchanges
    for one in (ONE, TWO):
        await exchanges.add(one)
        assert await exchanges.note_mail(one.id, f"<{one.id.int}@x>", one.opened_at)
        assert not await exchanges.note_mail(one.id, f"<{one.id.int}@x>", one.opened_at, answer=True)
    many = [f"<no{number}@x>" for number in range(1200)]
    found = await exchanges.citing(MAILBOX, PATIENT, [*many, "<1@x>", "<2@x>"])
    assert {name: one.id.int for name, one in found.items()} == {"<1@x>": 1, "<2@x>": 2}
    assert await exchanges.citing("other@gateway.example", PATIENT, ["<1@x>"]) == {}
    assert await exchanges.citing(MAILBOX, PATIENT, []) == {}
    assert [one.id.int for one in await exchanges.sent([*many, "<2@x>"])] == [2]
    assert await exchanges.close([ONE.id], "c@gateway.example", NOW + HOUR) == 1
    assert await exchanges.close([ONE.id, TWO.id], "d@gateway.example", NOW + HOUR) == 1
    closed = await exchanges.get(ONE.id)
    assert closed is not None
    assert (closed.closed_by, closed.open) == ("c@gateway.example", False)


async def test_a_failure_is_noted_once_a_mail_and_forgotten_with_the_next(tx: Transaction) -> None:
    await tx.exchanges.add(ONE)
    await tx.exchanges.note_mail(ONE.id, "<1@x>", NOW)
    assert await tx.exchanges.note_failure(ONE.id, ["<0@x>", "<1@x>"], "full") == ("<1@x>", NOW)
    assert await tx.exchanges.note_failure(ONE.id, ["<1@x>"], "closed") is None
    assert await tx.exchanges.note_failure(ONE.id, ["<0@x>"], "closed") is None
    (one,) = await tx.exchanges.between(MAILBOX, PATIENT)
    assert one.failure == "full"
    await tx.exchanges.note_mail(ONE.id, "<2@x>", NOW + HOUR)
    (one,) = await tx.exchanges.list(10, only_open=True)
    assert (one.failure, one.last_at) == ("", NOW + HOUR)


async def test_what_has_outlived_the_retention_is_forgotten(tx: Transaction) -> None:
    for one in (ONE, TWO):
        await tx.exchanges.add(one)
        await tx.exchanges.note_mail(one.id, "<1@x>", one.last_at)
    assert await tx.exchanges.forget_before(NOW + HOUR) == 1
    assert [one.id for one in await tx.exchanges.sent(["<1@x>"])] == [TWO.id]


@pytest.mark.parametrize(
    ("lost", "kept", "after"), [("l@x", "", "l@x"), ("l@x", "k@x", "k@x"), ("", "k@x", "k@x")]
)
async def test_a_merged_patient_keeps_a_treating_doctor(
    tx: Transaction, lost: str, kept: str, after: str
) -> None:
    numbers = []
    for name, doctor in (("AUBERT", lost), ("BERGER", kept)):
        patient = Patient(birth_name=name, first_names="Odette", birth_date=date(1957, 2, 3), sex="F")
        row = await enter(tx, patient, NOW)
        assert row is not None
        numbers.append(row)
        assert await record_treating(tx, row.id, doctor, "test", NOW) is bool(doctor)
    await Desk(tx, "test", NOW, uuid4).merge(*numbers)
    found = await tx.doctors.of(numbers[1].id)
    assert found is not None
    assert found.address == after
    assert await tx.doctors.of(numbers[0].id) is None
    assert not await record_treating(tx, numbers[1].id, after, "test", NOW), "nothing changes"
    assert await record_treating(tx, numbers[1].id, "", "test", NOW)
    lines = [line for line in await tx.audit.list() if line.action == "treating doctor"]
    assert lines[-1].result == "cleared"
