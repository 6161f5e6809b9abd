"""``gateway patient add`` and ``apart``: nobody is entered twice by accident, a double is dismissed once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from hashlib import sha256
from itertools import count

import pytest

from gateway.pipeline.unit import projection
from gateway.services import Services
from gateway.store import AuditRow, Transaction
from teleexpertise.conversation import fold
from teleexpertise.events import Author, Record
from teleexpertise.identifiers import nir_key
from teleexpertise.patients import Patient
from tests.support import region
from tests.support.cases import opened
from tests.support.deployment import Deployment, deployed
from tests.support.store import message

_LETTERS = str.maketrans("0123456789", "ghijklmnop")
#: No two of them are near: what the register takes for a slip of the keyboard is what is tested here.
_NAMES = ("X" + sha256(bytes([n])).hexdigest().translate(_LETTERS)[:12].upper() for n in count())
_ORDERS = count(600)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def matricule() -> str:
    """A test INS of a woman born in February 1957 that nobody else here has."""
    body = f"2570299999{next(_ORDERS)}"
    return body + nir_key(body)


def person(name: str = "", **changes: str) -> Patient:
    """A woman of a name that nobody else here has."""
    jeanne = Patient(
        birth_name=name or next(_NAMES), first_names="Jeanne", birth_date=date(1957, 2, 3), sex="F"
    )
    return replace(jeanne, **changes)  # type: ignore[arg-type]


def options(patient: Patient) -> list[str]:
    """The options that enter somebody."""
    typed = {
        "--birth-name": patient.birth_name,
        "--first-names": patient.first_names,
        "--birth-date": f"{patient.birth_date:%d/%m/%Y}",
        "--sex": patient.sex,
        "--ins": patient.ins,
        "--birth-place": patient.birth_place,
    }
    return [word for name, value in typed.items() if value for word in (name, value)]


def entered(deployment: Deployment, patient: Patient, *more: str) -> int:
    return int(deployment.json("patient", "add", *options(patient), *more)["patient"])


def audited(deployment: Deployment, number: int) -> list[AuditRow]:
    async def read(services: Services) -> list[AuditRow]:
        async with services.store.reading() as tx:
            return list(await tx.audit.about([f"patient {number}"]))

    return deployment.work(read)


def asked_before(deployment: Deployment, patient: Patient) -> str:
    """A conversation from before the register: it states a patient and is in nobody's history."""

    async def work(services: Services) -> str:
        async with services.store.transaction() as tx:
            return await _asked(tx, services, patient)

    return deployment.work(work)


async def _asked(tx: Transaction, services: Services, patient: Patient) -> str:
    identifier, now = services.new_id(), services.clock()
    row = message(f"Subject: {identifier}\r\n\r\n".encode())
    ref = await tx.conversations.next_reference(now.year)
    event = replace(opened(), ref=ref, patient=patient)
    record = Record(
        seq=1, at=now, author=Author(region.GP.address, region.GP.name), message=row.id,
        message_sha256=row.sha256, mail_id=row.mail_id, event=event,
    )  # fmt: skip
    await tx.messages.add(row, b"Subject: x\r\n\r\n")
    await tx.conversations.add(identifier, ref, now, projection(fold(identifier, [record])))
    await tx.events.append(identifier, [record])
    await tx.patients.await_certainty(identifier, patient)
    return ref


def history(deployment: Deployment, number: int) -> set[str]:
    return {each["ref"] for each in deployment.json("patient", "show", number)["conversations"]}


def test_all_traits_are_entered_checked_and_printed_only_where_that_is_asked_for(
    deployment: Deployment,
) -> None:
    patient, number = person(), matricule()
    told = deployment.json(
        "patient", "add", *options(replace(patient, first_names="Anne Marie, Jeanne", ins=number)),
        "--first-first-name", "Anne Marie", "--used-name", "ROUX", "--used-first-names", "Annie",
        "--birth-place", "2a 004", "--ins-oid", "1.2.250.1.213.1.4.10", "--qualified",
        "--ipp", "430000018=0042317",
    )  # fmt: skip
    assert (told["done"], told["conversations"], told["warnings"]) == ("entered", 0, [])
    assert patient.birth_name not in json.dumps(told)
    shown = deployment.json("patient", "show", told["patient"], "--patient")
    assert shown["patient"] == {
        "birth_name": patient.birth_name, "first_names": "Anne Marie, Jeanne", "birth_date": "1957-02-03",
        "sex": "F", "ins": number, "birth_place": "2A004", "qualified": True,
        "first_first_name": "Anne Marie", "used_name": "ROUX", "used_first_names": "Annie",
        "ins_oid": "1.2.250.1.213.1.4.10", "birth_order": 0,
    }  # fmt: skip
    assert shown["numbers"] == {"430000018": "0042317"}
    line = audited(deployment, told["patient"])[0]
    assert (line.action, line.result) == ("add patient", "entered")
    assert patient.birth_name not in str(line)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--ins", "123"), "--ins is not valid (nir_length)"),
        (("--ins-oid", "1.2.250.1.213.1.4.10"), "--ins-oid goes with --ins"),
        (("--qualified",), "without INS"),
        (("--first-first-name", "Marie"), "--first-names begins with"),
        (("--birth-place", "43000"), "cog_place"),
        (("--birth-date", "2999-01-01"), "to come"),
        (("--ipp", "0042317"), "PLACE=NUMBER"),
    ],
)
def test_what_is_wrong_enters_nobody(deployment: Deployment, more: tuple[str, ...], said: str) -> None:
    patient = person()
    told = deployment.call("patient", "add", *options(patient), *more)
    assert (told.exit_code, told.stdout) == (1, "")
    assert said in told.stderr
    assert deployment.json("patient", "search", patient.birth_name)["patients"] == []


def test_a_number_that_another_patient_has_there_enters_nobody(deployment: Deployment) -> None:
    entered(deployment, person(), "--ipp", "690000001=77")
    patient = person()
    told = deployment.call("patient", "add", *options(patient), "--ipp", "690000001=77")
    assert "another patient has this number" in told.stderr
    assert deployment.json("patient", "search", patient.birth_name)["patients"] == []


def test_likely_doubles_are_shown_and_nobody_is_entered_unless_they_are_said_to_be_others(
    deployment: Deployment,
) -> None:
    known = person()
    number = entered(deployment, known)
    for near, why in (
        (known, "same_traits"),
        (replace(known, birth_date=date(1957, 3, 2)), "swapped_date"),
        (replace(known, first_names="Jeanne Marie"), "near_name"),
        (replace(known, sex="M"), "other_sex"),
        (replace(known, birth_name=known.first_names, first_names=known.birth_name), "swapped_names"),
    ):
        told = deployment.call("patient", "add", *options(near), "--json")
        assert told.exit_code == 1
        shown = told.stdout[: told.stdout.rindex("}") + 1]
        assert json.loads(shown) == {"done": "refused", "doubles": [{"id": number, "why": why}]}
        assert "nothing was entered (--new enters somebody else)" in told.stderr
        assert known.birth_name not in told.output
    assert [line.action for line in audited(deployment, number)] == ["add patient"]
    named = deployment.call("patient", "add", *options(known), "--patient")
    assert f"{known.birth_name} Jeanne, F, born 1957-02-03" in named.stdout
    assert [line.action for line in audited(deployment, number)] == ["add patient", "show patient"]
    twin = entered(deployment, replace(known, first_names="Jeanne Marie"), "--new")
    pairs = [pair["patients"] for pair in deployment.json("patient", "doubles")]
    assert [number, twin] not in pairs
    (apart,) = [row for row in deployment.json("patient", "apart") if row["patients"] == [number, twin]]
    assert "shown before" in apart["why"]


def test_an_ins_is_one_person_whatever_is_said(deployment: Deployment) -> None:
    known = person(ins=matricule())
    number = entered(deployment, known)
    for other, said in (
        (known, f"patient {number} has this INS"),
        (
            replace(person(), ins=known.ins),
            f"this INS is that of patient {number}, who differs in birth_name",
        ),
    ):
        told = deployment.call("patient", "add", *options(other), "--new")
        assert (told.exit_code, told.stdout) == (1, "")
        assert said in told.stderr


def test_a_double_that_was_dismissed_is_shown_no_more_and_who_said_so_why_is_kept(
    deployment: Deployment,
) -> None:
    known = person()
    first, second = entered(deployment, known), entered(deployment, person())
    deployment.done("patient", "correct", second, "--birth-name", f"{known.birth_name}E")

    def pair() -> list[object]:
        return [each for each in deployment.json("patient", "doubles") if each["patients"] == [first, second]]

    assert len(pair()) == 1
    for why in ("", "x" * 201, f"M. {known.birth_name.capitalize()} vu"):
        assert deployment.call("patient", "apart", second, first, "--why", why).exit_code in (1, 2)
    assert len(pair()) == 1
    told = deployment.json("patient", "apart", second, first, "--why", "papers of both seen")
    assert told == {"patients": [first, second], "done": "apart"}
    assert pair() == []
    (row,) = [row for row in deployment.json("patient", "apart") if row["patients"] == [first, second]]
    assert (row["who"].split()[0], row["why"]) == ("operator", "papers of both seen")
    line = audited(deployment, first)[-1]
    assert (line.action, line.result) == ("tell patients apart", "apart")
    assert dict(line.detail) == {"other": second, "why": "papers of both seen"}
    again = deployment.call("patient", "apart", first, second, "--why", "again")
    assert "told apart already" in again.stderr
    merged = deployment.call("patient", "merge", second, first, "--yes")
    assert "these are two people" in merged.stderr
    deployment.done("patient", "apart", first, second, "--undo")
    assert len(pair()) == 1
    assert "were not told apart" in deployment.call("patient", "apart", first, second, "--undo").stderr
    assert deployment.call("patient", "apart", first).exit_code == 2
    assert deployment.call("patient", "apart", first, first, "--why", "x").exit_code == 1


def test_what_was_said_of_a_double_holds_for_whom_it_turned_out_to_be(deployment: Deployment) -> None:
    known = person()
    first = entered(deployment, known)
    other = entered(deployment, replace(known, first_names="Jeanne Marie"), "--new")
    lost = entered(deployment, person())
    deployment.done("patient", "apart", lost, other, "--why", "papers of both seen")
    deployment.done("patient", "merge", lost, first, "--yes")
    pairs = [row["patients"] for row in deployment.json("patient", "apart")]
    assert pairs.count([first, other]) == 1
    assert not [pair for pair in pairs if lost in pair]


def test_earlier_conversations_join_the_history_of_who_is_entered(deployment: Deployment) -> None:
    stated, stranger = person(), person()
    mine = {asked_before(deployment, stated) for _ in range(2)}
    asked_before(deployment, stranger)
    asked_before(deployment, replace(stated, sex="M"))
    told = deployment.json("patient", "add", *options(stated))
    assert told["conversations"] == 2
    assert history(deployment, told["patient"]) == mine


def test_a_conversation_that_may_mean_two_joins_neither_until_that_is_settled(deployment: Deployment) -> None:
    stated = person()
    numbers = [entered(deployment, replace(stated, ins=matricule()))]
    numbers.append(entered(deployment, replace(stated, ins=matricule()), "--new"))
    ref = asked_before(deployment, stated)
    deployment.done("patient", "correct", numbers[0], "--used-name", "ROUX")
    assert [history(deployment, number) for number in numbers] == [set(), set()]
    # One of them was somebody else: there is no doubt left.
    deployment.done("patient", "correct", numbers[1], "--birth-name", next(_NAMES))
    deployment.done("patient", "correct", numbers[0], "--used-name", "")
    assert [history(deployment, number) for number in numbers] == [{ref}, set()]


def test_an_ins_that_is_given_brings_the_conversations_that_state_it(deployment: Deployment) -> None:
    known, ins = person(), matricule()
    number = entered(deployment, known)
    married = replace(known, birth_name=f"{known.birth_name} ROUX", ins=ins)
    ref, wrong = asked_before(deployment, married), asked_before(deployment, replace(person(), ins=ins))
    assert history(deployment, number) == set()
    deployment.done("patient", "correct", number, "--ins", ins)
    assert history(deployment, number) == {ref}, "the other states the number with another name"
    assert wrong not in history(deployment, number)
