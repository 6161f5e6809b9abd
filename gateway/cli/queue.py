"""``gateway queue``: what is still to be done, what waits for an operator, and letting it go on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import click

from gateway.cli.context import (
    Invocation,
    as_json,
    conversation_of,
    example,
    json_option,
    now,
    operator,
    say,
    show_table,
    stamp,
)
from gateway.errors import GatewayError
from gateway.store import OutboxRow, OutboxState, Store, Transaction

__all__ = ["action_json", "queue"]

_OPEN = (OutboxState.PENDING, OutboxState.HELD, OutboxState.FAILED)
_HIDDEN = ("key", "payload", "mail_from")


@click.group()
def queue() -> None:
    """The queue: deliveries and other actions that are pending, held, failed or done."""


@queue.command("list", epilog=example("queue list --state held", "queue list --conversation TLE-2026-000123"))
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in OutboxState]),
    help="Only actions in this state; may be repeated. Absent: all but done.",
)
@click.option(
    "--conversation", "name", metavar="REF", help="Only those of a conversation (reference or identifier)."
)
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Actions at most.")
@json_option
@click.pass_obj
def list_actions(
    invocation: Invocation, states: tuple[str, ...], name: str | None, limit: int, json_: bool
) -> None:
    """List actions in the order they were put. Patients' addresses are masked."""

    async def work(store: Store) -> tuple[OutboxRow, ...]:
        async with store.reading() as tx:
            only = (await conversation_of(tx, name)).id if name else None
            chosen = tuple(map(OutboxState, states)) or _OPEN
            return await tx.outbox.list(chosen, only, limit)

    found = invocation.run_on_store(work)
    if json_:
        as_json([action_json(row) for row in found])
        return
    show_table(
        ("id", "action", "recipient", "state", "attempts", "next attempt", "last error"),
        [
            (row.id, row.action, row.recipient, row.state, row.attempts, _next(row), row.last_error)
            for row in found
        ],
        "the queue is empty",
    )


def action_json(row: OutboxRow) -> dict[str, Any]:
    """An action as JSON data: what names, places and dates it, not what it carries."""
    return {name: value for name, value in asdict(row).items() if name not in _HIDDEN}


def _next(row: OutboxRow) -> str:
    return stamp(row.next_at) if row.state is OutboxState.PENDING else "-"


@queue.command()
@click.argument("action", metavar="ID", type=click.UUID)
@json_option
@click.pass_obj
def retry(invocation: Invocation, action: UUID, json_: bool) -> None:
    """Try an action again now: one that failed, is held, or waits for its next attempt.

    A running gateway takes it up within half a minute.
    """
    _moved(invocation, action, json_, "retry", _OPEN)


@queue.command()
@click.argument("action", metavar="ID", type=click.UUID)
@json_option
@click.pass_obj
def release(invocation: Invocation, action: UUID, json_: bool) -> None:
    """Let an action go on that is held."""
    _moved(invocation, action, json_, "release", (OutboxState.HELD,))


@queue.command()
@click.argument("action", metavar="ID", type=click.UUID)
@json_option
@click.pass_obj
def hold(invocation: Invocation, action: UUID, json_: bool) -> None:
    """Keep an action back until it is released; what comes after it to the same recipient goes on without
    it.
    """
    _moved(invocation, action, json_, "hold", (OutboxState.PENDING,))


def _moved(
    invocation: Invocation, action: UUID, json_: bool, verb: str, states: Collection[OutboxState]
) -> None:
    """Do one of the verbs on an action that is in one of ``states``, with its audit line, and tell its new
    state.
    """

    async def work(store: Store) -> OutboxRow:
        moment = now()
        async with store.transaction() as tx:
            row = await tx.outbox.get(action)
            if row is None:
                raise GatewayError(f"there is no action {action}")
            if row.state not in states:
                raise GatewayError(f"cannot {verb} an action that is {row.state}")
            await _move(tx, row, verb, moment)
            await tx.audit.write(moment, operator(), f"queue {verb}", str(action), "done")
            after = await tx.outbox.get(action)
        assert after is not None, "an action is never removed within a transaction"
        return after

    row = invocation.run_on_store(work)
    if json_:
        as_json(action_json(row))
    else:
        say(
            f"{row.id}: {row.state}"
            + (f", due {stamp(row.next_at)}" if row.state is OutboxState.PENDING else "")
        )


async def _move(tx: Transaction, row: OutboxRow, verb: str, moment: datetime) -> None:
    if row.state is not OutboxState.PENDING:
        await tx.outbox.release(row.id, moment)
        return
    if row.claimed_until is not None and row.claimed_until > moment:
        raise GatewayError(f"a worker is at it until {stamp(row.claimed_until)} at the latest")
    if verb == "hold":
        await tx.outbox.hold(row, f"held by {operator()}", moment)
    else:
        await tx.outbox.retry(row, row.last_error, moment)
