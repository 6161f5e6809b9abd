"""``gateway patient``: the register. Who somebody is is printed only where that is asked for, and audited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
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
from gateway.errors import GatewayError
from gateway.register import Desk
from gateway.store import ConversationRow, PatientRow, Store, Transaction
from teleexpertise.conversation import NotOpened, fold
from teleexpertise.identifiers import Identifier, nir_disagreements, read_cog, read_ins, read_ins_oid
from teleexpertise.matching import Known, Likeness, doubles
from teleexpertise.patients import Patient
from teleexpertise.searching import read_query
from teleexpertise.states import IllegalStep

__all__ = ["patient"]

patient_option = click.option(
    "--patient", "named", is_flag=True, help="Also who the patient is; the audit trail notes it."
)
_DAY = click.DateTime(formats=["%Y-%m-%d", "%d/%m/%Y"])


@click.group()
def patient() -> None:
    """Patients: search, show a history, correct, merge doubles."""


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
            await _note(store, "show patient", [row.id for row in rows])
        return rows, more

    rows, more = invocation.run_on_store(read)
    if json_:
        as_json({"patients": [_listed(row, named) for row in rows], "more": more})
        return
    titles = ("patient", "identity", "in the register since", *(("who",) if named else ()))
    show_table(
        titles,
        [
            (row.id, _standing(row), stamp(row.created_at), *((_who(row.patient),) if named else ()))
            for row in rows
        ],
        "no patient",
    )
    if more:
        say(f"there are more than {limit}: add a word or the birth date")


async def _note(store: Store, action: str, patients: Sequence[int]) -> None:
    """Note in the audit trail whose identities were shown."""
    async with store.transaction() as tx:
        for number in patients:
            await tx.audit.write(now(), operator(), action, f"patient {number}", "shown")


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
            await _note(store, "show patient", [row.id])
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
        **_listed(found.row, named),
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
    say(f"identity {_standing(row)}, folders in {found.folders} mailboxes, since {stamp(row.created_at)}")
    say(f"treating {found.treating or '-'}")
    if named:
        say(f"who      {_who(row.patient)}")
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
    """List the pairs of patients who may be one, and why. Nothing is merged."""

    async def read(store: Store) -> list[tuple[Known, Known, Likeness]]:
        async with store.reading() as tx:
            register = [known async for page in tx.patients.all() for known in page]
        found = [pair for pair, _ in zip(doubles(register), range(limit), strict=False)]
        if named:
            shown = {each.id for first, second, _ in found for each in (first, second)}
            await _note(store, "show patient", sorted(shown))
        return found

    found = invocation.run_on_store(read)
    if json_:
        as_json(
            [
                {
                    "patients": [first.id, second.id],
                    "why": why,
                    **({"who": [_traits(first.patient), _traits(second.patient)]} if named else {}),
                }
                for first, second, why in found
            ]
        )
        return
    titles = ("patient", "patient", "why", *(("who", "who") if named else ()))
    show_table(
        titles,
        [
            (first.id, second.id, why, *((_who(first.patient), _who(second.patient)) if named else ()))
            for first, second, why in found
        ],
        "no likely doubles",
    )


# -- changing


@patient.command(
    epilog=example(
        "patient correct 12 --birth-name DUPONT --birth-date 1957-02-03",
        "patient correct 12 --ins 257029999912382 --ins-oid 1.2.250.1.213.1.4.10 --qualified",
        "patient correct 12 --ipp 430000018=0042317",
    )
)
@click.argument("number", type=int, metavar="ID")
@click.option("--birth-name", help="Birth name.")
@click.option("--first-names", help="All birth first names.")
@click.option("--first-first-name", help="The first of them, where that is more than one word.")
@click.option("--birth-date", type=_DAY, metavar="DATE", help="Birth date, 1957-02-03 or 03/02/1957.")
@click.option("--sex", type=click.Choice(["F", "M"]), help="Sex.")
@click.option("--birth-place", metavar="COG", help="COG code of the commune or country of birth.")
@click.option("--used-name", help="Name of daily life, '' for none.")
@click.option("--used-first-names", help="First names of daily life, '' for none.")
@click.option("--ins", help="INS, 15 characters; '' for none.")
@click.option("--ins-oid", metavar="OID", help="OID of the INS.")
@click.option(
    "--qualified/--not-qualified", default=None, help="Whether the national service gave INS and traits."
)
@click.option(
    "--ipp",
    "numbers",
    multiple=True,
    metavar="PLACE=IPP",
    help="Number in an establishment ('PLACE=' removes it); may be repeated.",
)
@json_option
@click.pass_obj
def correct(
    invocation: Invocation, /, number: int, numbers: tuple[str, ...], json_: bool, **given: Any
) -> None:
    """Correct a patient's identity. Folders are renamed in every mailbox; conversations stay as they were."""
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes and not numbers:
        raise click.UsageError("nothing to correct: name a trait")
    oid = _read("--ins-oid", read_ins_oid, changes.pop("ins_oid", None))
    traits = _checked(changes)
    places = [_number(each) for each in numbers]

    async def work(store: Store) -> tuple[int, int]:
        async with store.transaction() as tx:
            desk = Desk(tx, operator(), now(), uuid4)
            row = await desk.known(number)
            renamed = 0
            if traits or oid is not None:
                corrected = _corrected(row.patient, traits)
                kept = row.ins_oid if oid is None else oid
                renamed = await desk.correct(row, corrected, kept if corrected.ins else "")
            for place, value in places:
                await desk.set_number(row, place, value)
            return row.id, renamed

    found, renamed = invocation.run_on_store(work)
    _told(found, "corrected", renamed, json_)


def _corrected(known: Patient, traits: dict[str, Any]) -> Patient:
    """The patient after a correction. Identity that changes is qualified no longer unless that is said."""
    after = replace(known, **traits)
    if after.qualified and not after.ins:
        raise GatewayError("without INS an identity is not qualified")
    if known.qualified and "qualified" not in traits and after != known:
        after = replace(after, qualified=False)
    wrong = nir_disagreements(after.ins, after.sex, after.birth_date)
    if after.qualified and wrong:
        raise GatewayError(f"this INS says otherwise ({', '.join(wrong)}): not qualified")
    return after


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
    """The new traits, typed. Raises :class:`GatewayError` that names the option."""
    traits = dict(changes)
    for name in ("birth_name", "first_names", "first_first_name", "used_name", "used_first_names"):
        if name in traits:
            traits[name] = " ".join(traits[name].split())
            if len(traits[name]) > 100 or not traits[name].isprintable():
                raise GatewayError(f"--{name.replace('_', '-')} wants a name of at most 100 letters")
    for name in ("birth_name", "first_names"):
        if traits.get(name) == "":
            raise GatewayError(f"--{name.replace('_', '-')} cannot be empty")
    if "birth_date" in traits:
        traits["birth_date"] = born = traits["birth_date"].date()
        if born > now().date():
            raise GatewayError("--birth-date is to come")
    for name, read in (("ins", read_ins), ("birth_place", read_cog)):
        if name in traits:
            traits[name] = _read(f"--{name.replace('_', '-')}", read, traits[name])
    return traits


def _read(option: str, read: Any, text: str | None) -> str | None:
    """An identifier; '' and ``None`` stay so. What is wrong is named by its code, never repeated."""
    if not text:
        return text
    found: Identifier = read(text)
    if not found.valid:
        raise GatewayError(f"{option} is not valid ({found.problem})")
    return found.value


def _number(text: str) -> tuple[str, str]:
    place, sign, value = (part.strip() for part in text.partition("="))
    if not sign or not place or not (place + value).isprintable() or len(text) > 200:
        raise GatewayError("--ipp wants PLACE=NUMBER")
    return place, value


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


# -- printing


def _standing(row: PatientRow) -> str:
    if not row.patient.ins:
        return "without INS"
    return "qualified" if row.patient.qualified else "INS, not qualified"


def _who(known: Patient) -> str:
    used = " ".join(filter(None, (known.used_name, known.used_first_names)))
    return ", ".join(
        filter(
            None,
            (
                known.label,
                f"used {used}" if used else "",
                known.sex,
                f"born {known.birth_date or '?'}" + (f" in {known.birth_place}" if known.birth_place else ""),
                f"INS {known.ins or '-'}",
            ),
        )
    )


def _traits(known: Patient) -> dict[str, Any]:
    traits = asdict(known)
    del traits["anonymous"]
    return traits


def _listed(row: PatientRow, named: bool) -> dict[str, Any]:
    listed: dict[str, Any] = {
        "id": row.id,
        "ins_known": bool(row.patient.ins),
        "qualified": row.patient.qualified,
        "created_at": row.created_at,
    }
    return listed | ({"patient": _traits(row.patient), "ins_oid": row.ins_oid} if named else {})
