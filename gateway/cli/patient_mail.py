"""``gateway patient exchanges`` and ``gateway patient treating``: patients as correspondents, and the doctors
who get their reports. An INS is printed nowhere.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

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
from gateway.register import Desk, record_treating
from gateway.store import Store, Transaction
from gateway.store.doctors import DoctorRow
from teleexpertise.patient_mail import Exchange, in_patients_domain, matricule_of

__all__ = ["exchanges", "treating"]

_ADDRESS = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}@[a-z0-9-]+(\.[a-z0-9-]+)+")


@click.group(short_help="Exchanges with patients: list, close.")
def exchanges() -> None:
    """Exchanges of our mailboxes with patients: only a professional opens one, the patient answers in it."""


@exchanges.command(
    "list",
    epilog=example(
        "patient exchanges list --open", "patient exchanges list --mailbox lea.martin@demo.mssante.example"
    ),
)
@click.option("--mailbox", default="", metavar="ADDRESS", help="Only those of this mailbox.")
@click.option("--of", "number", type=int, metavar="ID", help="Only those with this patient of the register.")
@click.option("--open", "only_open", is_flag=True, help="Only those in which the patient may answer.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Exchanges at most."
)
@json_option
@click.pass_obj
def list_exchanges(
    invocation: Invocation, mailbox: str, number: int | None, only_open: bool, limit: int, json_: bool
) -> None:
    """List exchanges, the last touched first: who opened them, with which patient, who closed them."""
    domain = invocation.settings().documents.patient_domain

    async def read(store: Store) -> list[dict[str, Any]]:
        async with store.reading() as tx:
            patient = ""
            if number is not None:
                row = await Desk(tx, operator(), now(), uuid4).known(number)
                if not row.patient.ins:
                    return []
                patient = f"{row.patient.ins.lower()}@{domain}"
            found = await tx.exchanges.list(
                limit, mailbox=mailbox.strip().lower(), patient=patient, only_open=only_open
            )
            return [await _described(tx, exchange) for exchange in found]

    rows = invocation.run_on_store(read)
    if json_:
        as_json(rows)
        return
    times = ("opened", "by", "answers", "last mail", "closed", "by", "")
    show_table(
        ("exchange", "mailbox", "patient", "state", *times),
        [
            (
                row["id"],
                row["mailbox"],
                row["patient"] or "not in the register",
                "open" if row["open"] else "closed",
                stamp(row["opened_at"]),
                row["opened_by"],
                row["answers"],
                stamp(row["last_at"]),
                stamp(row["closed_at"]),
                row["closed_by"],
                f"not delivered: {row['failure']}" if row["failure"] else "",
            )
            for row in rows
        ],
        "no exchange",
    )


async def _described(tx: Transaction, exchange: Exchange) -> dict[str, Any]:
    known = await tx.patients.with_ins(matricule_of(exchange.patient))
    conversation = await tx.conversations.get(exchange.conversation_id) if exchange.conversation_id else None
    return {
        "id": exchange.id,
        "mailbox": exchange.mailbox,
        "patient": known.id if known is not None else None,
        "open": exchange.open,
        "opened_at": exchange.opened_at,
        "opened_by": exchange.opened_by,
        "answers": exchange.answers,
        "last_at": exchange.last_at,
        "closed_at": exchange.closed_at,
        "closed_by": exchange.closed_by,
        "failure": exchange.failure,
        "conversation": conversation.ref if conversation is not None else "",
    }


@exchanges.command(epilog=example("patient exchanges close 6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11"))
@click.argument("identifier", type=click.UUID, metavar="EXCHANGE")
@json_option
@click.pass_obj
def close(invocation: Invocation, identifier: UUID, json_: bool) -> None:
    """Close an exchange: the patient answers in it no more, until a professional writes again."""

    async def work(store: Store) -> bool:
        async with store.transaction() as tx:
            if await tx.exchanges.get(identifier) is None:
                raise GatewayError(f"there is no exchange {identifier}")
            closed = bool(await tx.exchanges.close([identifier], operator(), now()))
            result = "closed" if closed else "was closed already"
            await tx.audit.write(now(), operator(), "close exchange", str(identifier), result)
        return closed

    closed = invocation.run_on_store(work)
    if json_:
        as_json({"exchange": identifier, "closed": closed})
    else:
        say(f"exchange {identifier}: {'closed' if closed else 'was closed already'}")


@click.command(
    epilog=example(
        "patient treating 12",
        "patient treating 12 lea.martin@demo.mssante.example",
        "patient treating 12 --clear",
    )
)
@click.argument("number", type=int, metavar="ID")
@click.argument("address", default="")
@click.option("--clear", is_flag=True, help="No treating doctor is recorded any more.")
@json_option
@click.pass_obj
def treating(invocation: Invocation, number: int, address: str, clear: bool, json_: bool) -> None:
    """Show, record or clear a patient's treating doctor.

    The mailbox is proposed as addressee of reports, unless a request names another; who finalises may untick
    it.
    """
    mailbox = address.strip().lower()
    if clear and mailbox:
        raise click.UsageError("--clear wants no ADDRESS")
    if mailbox and not _ADDRESS.fullmatch(mailbox):
        raise GatewayError(f"{address!r} is no mail address")
    if in_patients_domain(mailbox, invocation.settings().documents.patient_domain):
        raise GatewayError(f"{address!r} is a patient's, and no doctor's")

    async def work(store: Store) -> tuple[int, DoctorRow | None]:
        async with store.transaction() as tx:
            row = await Desk(tx, operator(), now(), uuid4).known(number)
            if mailbox or clear:
                await record_treating(tx, row.id, mailbox, operator(), now())
            return row.id, await tx.doctors.of(row.id)

    found, doctor = invocation.run_on_store(work)
    if json_:
        as_json({"patient": found, "treating": asdict(doctor) if doctor else None})
    elif doctor is None:
        say(f"patient {found}: no treating doctor is recorded")
    else:
        say(f"patient {found}: {doctor.address}, recorded by {doctor.set_by} on {stamp(doctor.set_at)}")
