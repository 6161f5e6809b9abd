"""``gateway patient``: the register. Who somebody is is printed only where that is asked for, and audited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import uuid4

import click

from gateway.cli.context import (
    Invocation,
    as_json,
    example,
    json_option,
    now,
    operator,
    say,
    show_table,
    stamp,
)
from gateway.cli.patient_entry import add, apart
from gateway.cli.patient_mail import exchanges, treating
from gateway.cli.patient_traits import (
    checked,
    corrected,
    listed,
    note_shown,
    number_in_place,
    patient_option,
    standing,
    trait_options,
    traits_of,
    who,
)
from gateway.errors import GatewayError
from gateway.register import Desk
from gateway.store import ConversationRow, PatientRow, Store, Transaction
from teleexpertise.conversation import NotOpened, fold
from teleexpertise.matching import Known, Likeness, doubles
from teleexpertise.searching import read_query
from teleexpertise.states import IllegalStep

__all__ = ["patient"]


@click.group()
def patient() -> None:
    """Patients: enter, search, show, correct, merge doubles or tell them apart."""


patient.add_command(add)
patient.add_command(apart)
patient.add_command(exchanges)
patient.add_command(treating)


# -- looking


@patient.command(epilog=example("patient search dupont jeanne --patient", "patient search 03/02/1957"))
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="Patients at most.")
@patient_option
@json_option
@click.pass_obj
def search(invocation: Invocation, words: tuple[str, ...], limit: int, named: bool, json_: bool) -> None:
    """Find patients by the words of a name in any order, birth date, INS, or an establishment's number."""
    query = read_query(" ".join(words))
    if query.empty:
        raise click.BadParameter("there is nothing to look for in these words")

    async def read(store: Store) -> tuple[tuple[PatientRow, ...], bool]:
        async with store.reading() as tx:
            rows, more = await tx.patients.search(query, limit)
        if named:
            await note_shown(store, [row.id for row in rows])
        return rows, more

    rows, more = invocation.run_on_store(read)
    if json_:
        as_json({"patients": [listed(row, named) for row in rows], "more": more})
        return
    titles = ("patient", "identity", "in the register since", *(("who",) if named else ()))
    show_table(
        titles,
        [
            (row.id, standing(row), stamp(row.created_at), *((who(row.patient),) if named else ()))
            for row in rows
        ],
        "no patient",
    )
    if more:
        say(f"there are more than {limit}: add a word or the birth date")


@dataclass(frozen=True, slots=True)
class _Past:
    """One conversation of a history."""

    row: ConversationRow
    reports: int
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Shown:
    """What there is to show of one patient."""

    row: PatientRow
    numbers: dict[str, str]
    folders: int
    history: tuple[_Past, ...]
    treating: str = ""


@patient.command(epilog=example("patient show 12 --patient"))
@click.argument("number", type=int, metavar="ID")
@patient_option
@json_option
@click.pass_obj
def show(invocation: Invocation, number: int, named: bool, json_: bool) -> None:
    """Show a patient's history: all conversations and reports, the last opened first."""

    async def read(store: Store) -> _Shown:
        async with store.reading() as tx:
            row = await Desk(tx, operator(), now(), uuid4).known(number)
            rows = [await tx.conversations.get(each) for each in await tx.patients.history(row.id)]
            history = [await _past(tx, each) for each in rows if each is not None]
            folders = len(await tx.patient_folders.of(row.id))
            numbers = dict(await tx.patients.numbers(row.id))
            doctor = await tx.doctors.of(row.id)
        if named:
            await note_shown(store, [row.id])
        history.sort(key=lambda past: past.row.opened_at, reverse=True)
        return _Shown(row, numbers, folders, tuple(history), doctor.address if doctor else "")

    found = invocation.run_on_store(read)
    if json_:
        as_json(_described(found, named))
    else:
        _print(found, named, number)


async def _past(tx: Transaction, row: ConversationRow) -> _Past:
    try:
        folded = fold(row.id, await tx.events.of(row.id))
    except (NotOpened, IllegalStep, ValueError) as error:
        raise GatewayError(
            f"the events of {row.ref} give no state; `gateway rebuild --check` tells more"
        ) from error
    return _Past(row, len(folded.reports), folded.closed_at)


def _described(found: _Shown, named: bool) -> dict[str, Any]:
    return {
        **listed(found.row, named),
        "folders": found.folders,
        "treating": found.treating,
        **({"numbers": found.numbers} if named else {}),
        "conversations": [
            {
                "id": past.row.id,
                "ref": past.row.ref,
                "state": past.row.projection.state,
                "requester": past.row.projection.requester_address,
                "expert": past.row.projection.expert_address,
                "opened_at": past.row.opened_at,
                "closed_at": past.closed_at,
                "reports": past.reports,
            }
            for past in found.history
        ],
    }


def _print(found: _Shown, named: bool, asked: int) -> None:
    row = found.row
    say(f"patient {row.id}" + (f" (patient {asked} turned out to be this one)" if asked != row.id else ""))
    say(f"identity {standing(row)}, folders in {found.folders} mailboxes, since {stamp(row.created_at)}")
    say(f"treating {found.treating or '-'}")
    if named:
        say(f"who      {who(row.patient)}")
        for place, number in found.numbers.items():
            say(f"number   {number} in {place}")
    click.echo()
    show_table(
        ("reference", "state", "requester", "expert", "opened", "closed", "reports"),
        [
            (
                past.row.ref,
                past.row.projection.state,
                past.row.projection.requester_address,
                past.row.projection.expert_address,
                stamp(past.row.opened_at),
                stamp(past.closed_at),
                past.reports,
            )
            for past in found.history
        ],
        "no conversation",
    )


@patient.command("doubles", epilog=example("patient doubles --patient"))
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True, help="Pairs at most.")
@patient_option
@json_option
@click.pass_obj
def list_doubles(invocation: Invocation, limit: int, named: bool, json_: bool) -> None:
    """List the pairs of patients who may be one, and why. Nothing is merged; whom `patient apart` told apart
    is not listed.
    """

    async def read(store: Store) -> list[tuple[Known, Known, Likeness]]:
        async with store.reading() as tx:
            register = [known async for page in tx.patients.all() for known in page]
            apart = {(row.first_id, row.second_id) for row in await tx.patient_pairs.all()}
        pairs = (pair for pair in doubles(register) if (pair[0].id, pair[1].id) not in apart)
        found = list(islice(pairs, limit))
        if named:
            shown = {each.id for first, second, _ in found for each in (first, second)}
            await note_shown(store, sorted(shown))
        return found

    found = invocation.run_on_store(read)
    if json_:
        as_json(
            [
                {
                    "patients": [first.id, second.id],
                    "why": why,
                    **({"who": [traits_of(first.patient), traits_of(second.patient)]} if named else {}),
                }
                for first, second, why in found
            ]
        )
        return
    titles = ("patient", "patient", "why", *(("who", "who") if named else ()))
    show_table(
        titles,
        [
            (first.id, second.id, why, *((who(first.patient), who(second.patient)) if named else ()))
            for first, second, why in found
        ],
        "no likely doubles",
    )


# -- changing


@patient.command(
    epilog=example(
        "patient correct 12 --birth-name DUPONT --birth-date 1957-02-03",
        "patient correct 12 --ins 257029999912369 --ins-oid 1.2.250.1.213.1.4.10 --qualified",
        "patient correct 12 --ipp 430000018=0042317",
    )
)
@click.argument("number", type=int, metavar="ID")
@trait_options(required=False)
@json_option
@click.pass_obj
def correct(
    invocation: Invocation, /, number: int, numbers: tuple[str, ...], json_: bool, **given: Any
) -> None:
    """Correct a patient's identity. Folders are renamed in every mailbox; conversations stay as they were."""
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes and not numbers:
        raise click.UsageError("nothing to correct: name a trait")
    traits = checked(changes)
    places = [number_in_place(each) for each in numbers]

    async def work(store: Store) -> tuple[int, int]:
        async with store.transaction() as tx:
            desk = Desk(tx, operator(), now(), uuid4)
            row = await desk.known(number)
            renamed = 0
            if traits:
                renamed = await desk.correct(row, corrected(row.patient, traits))
            for place, value in places:
                await desk.set_number(row, place, value)
            return row.id, renamed

    found, renamed = invocation.run_on_store(work)
    _told(found, "corrected", renamed, json_)


@patient.command(epilog=example("patient merge 31 12 --yes"))
@click.argument("lost", type=int, metavar="ID")
@click.argument("kept", type=int, metavar="ID")
@click.option("--yes", is_flag=True, help="They are one person: this cannot be undone.")
@json_option
@click.pass_obj
def merge(invocation: Invocation, lost: int, kept: int, yes: bool, json_: bool) -> None:
    """Let the first patient be the second from now on: history, numbers and folders go over.

    Two patients with two INS are never merged.
    """
    if not yes:
        raise click.UsageError("this cannot be undone: look at both with `patient show`, then say --yes")

    async def work(store: Store) -> tuple[int, int]:
        async with store.transaction() as tx:
            desk = Desk(tx, operator(), now(), uuid4)
            into = await desk.known(kept)
            return into.id, await desk.merge(await desk.known(lost), into)

    found, moved = invocation.run_on_store(work)
    _told(found, "merged", moved, json_)


def _told(number: int, done: str, folders: int, json_: bool) -> None:
    if json_:
        as_json({"patient": number, "done": done, "folders": folders})
    else:
        say(f"patient {number}: {done}, {folders} folders to be arranged")
