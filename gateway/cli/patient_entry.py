"""``gateway patient add`` and ``apart``: who is entered is looked for first; who is two is said once."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import click

from gateway.cli.context import (
    Failure,
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
from gateway.cli.patient_traits import (
    checked,
    corrected,
    note_shown,
    number_in_place,
    patient_option,
    trait_options,
    traits_of,
    who,
)
from gateway.errors import GatewayError
from gateway.register import Desk, LikelyDoubles
from gateway.store import Store
from gateway.store.patient_pairs import ApartRow
from teleexpertise.identifiers import nir_disagreements, read_ins
from teleexpertise.matching import Near
from teleexpertise.patients import Patient

__all__ = ["add", "apart"]

_LONGEST_REASON = 200


@click.command(
    epilog=example(
        "patient add --birth-name DUPONT --first-names 'Jeanne Marie' --birth-date 1957-02-03 --sex F",
        "patient add --birth-name DUPONT --first-names Jeanne --birth-date 1957-02-03 --sex F \\\n"
        "      --birth-place 43157 --ins 257029999912369 --ins-oid 1.2.250.1.213.1.4.10 --qualified \\\n"
        "      --ipp 430000018=0042317",
    )
)
@trait_options(required=True)
@click.option("--new", is_flag=True, help="It is none of the likely doubles that were shown.")
@patient_option
@json_option
@click.pass_obj
def add(
    invocation: Invocation,
    /,
    numbers: tuple[str, ...],
    new: bool,
    named: bool,
    json_: bool,
    **given: Any,
) -> None:
    """Enter a patient. Who may be known already is shown, and nobody is entered without --new.

    With --new those who were shown are told apart from this one for good. Conversations in nobody's history
    that mean this patient without doubt go into the new one's.
    """
    stated = {name: value for name, value in given.items() if value is not None}
    patient = corrected(Patient(), checked(stated))
    places = [number_in_place(each) for each in numbers]

    async def work(store: Store) -> tuple[int, int]:
        try:
            async with store.transaction() as tx:
                desk = Desk(tx, operator(), now(), uuid4)
                row, linked = await desk.add(patient, new=new)
                for place, value in places:
                    await desk.set_number(row, place, value)
                return row.id, linked
        except LikelyDoubles as doubles:
            if named:
                await note_shown(store, sorted({each.known.id for each in doubles.near}))
            raise

    try:
        number, linked = invocation.run_on_store(work)
    except LikelyDoubles as doubles:
        _show_near(doubles.near, named, json_)
        raise Failure(f"{doubles} (--new enters somebody else)") from doubles
    warnings = _warnings(patient)
    if json_:
        as_json({"patient": number, "done": "entered", "conversations": linked, "warnings": warnings})
        return
    say(f"patient {number}: entered, {linked} earlier conversations put into the history")
    for warning in warnings:
        say(f"to be checked: {warning}")


def _warnings(patient: Patient) -> list[str]:
    """What is doubtful about the number, by its code."""
    if not patient.ins:
        return []
    return [*read_ins(patient.ins).warnings, *nir_disagreements(patient.ins, patient.sex, patient.birth_date)]


def _show_near(near: tuple[Near, ...], named: bool, json_: bool) -> None:
    """Print who may be meant, on standard output: the refusal goes to standard error."""
    if json_:
        rows = [
            {
                "id": each.known.id,
                "why": each.why,
                **({"patient": traits_of(each.known.patient)} if named else {}),
            }
            for each in near
        ]
        as_json({"done": "refused", "doubles": rows})
        return
    titles = ("patient", "why", *(("who",) if named else ()))
    cells = [(each.known.id, each.why, *((who(each.known.patient),) if named else ())) for each in near]
    show_table(titles, cells, "no likely doubles")


@click.command(
    epilog=example(
        'patient apart 12 31 --why "papers of both seen"',
        "patient apart 12 31 --undo",
        "patient apart",
    )
)
@click.argument("one", type=int, metavar="[ID", required=False)
@click.argument("other", type=int, metavar="ID]", required=False)
@click.option("--why", default="", help="The reason, without a name or number of a patient.")
@click.option("--undo", is_flag=True, help="Take it back: they are listed as doubles again.")
@json_option
@click.pass_obj
def apart(
    invocation: Invocation, one: int | None, other: int | None, why: str, undo: bool, json_: bool
) -> None:
    """Say for good that two patients are two people: `patient doubles` lists them no more.

    Who said so, when and why is kept here and in the audit trail. Without numbers: list who was told apart.
    """
    if one is None or other is None:
        if one is not None or why or undo:
            raise click.UsageError("wants the numbers of two patients")
        _list(invocation, json_)
        return
    reason = " ".join(why.split())
    if bool(reason) == undo:
        raise click.UsageError("wants --why, or --undo alone")
    if len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise GatewayError(f"--why wants one line of at most {_LONGEST_REASON} characters")

    async def work(store: Store) -> tuple[int, int]:
        async with store.transaction() as tx:
            desk = Desk(tx, operator(), now(), uuid4)
            first, second = await desk.known(one), await desk.known(other)
            if undo:
                await desk.take_back(first, second)
            else:
                await desk.tell_apart(first, second, reason)
            smaller, larger = sorted((first.id, second.id))
            return smaller, larger

    pair = invocation.run_on_store(work)
    done = "taken back" if undo else "apart"
    if json_:
        as_json({"patients": list(pair), "done": done})
    else:
        say(f"patients {pair[0]} and {pair[1]}: {done}")


def _list(invocation: Invocation, json_: bool) -> None:
    async def read(store: Store) -> tuple[ApartRow, ...]:
        async with store.reading() as tx:
            return await tx.patient_pairs.all()

    found = invocation.run_on_store(read)
    if json_:
        as_json(
            [
                {"patients": [row.first_id, row.second_id], "at": row.at, "who": row.who, "why": row.why}
                for row in found
            ]
        )
        return
    cells = [(row.first_id, row.second_id, stamp(row.at), row.who, row.why) for row in found]
    show_table(("patient", "patient", "since", "said by", "why"), cells, "nobody was told apart")
