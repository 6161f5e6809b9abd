"""``gateway delegation``: who may act for whom (A.42-A.44)."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import click

from config import Settings
from gateway.cli.context import (
    Invocation,
    as_json,
    example,
    json_option,
    now,
    operator,
    say,
    show_table,
)
from gateway.cli.sessions import end_sessions
from gateway.delegations import Change, Changed, change, consequences
from gateway.errors import GatewayError
from gateway.mailserver import dovecot_settings, refresh_logins
from gateway.store import Store, Transaction
from gateway.store.rows import OutboxRow

__all__ = ["delegation"]

#: Longer than the mailbox server takes to follow.
_PRECAUTION = timedelta(minutes=1)


@click.group()
def delegation() -> None:
    """Delegations: who may read the folders of an account and write in its name."""


@delegation.command(
    epilog=example("delegation add claire.martin@demo.mssante.example nadia@demo.mssante.example")
)
@click.argument("principal")
@click.argument("delegate")
@json_option
@click.pass_obj
def add(invocation: Invocation, principal: str, delegate: str, json_: bool) -> None:
    """Let DELEGATE act for PRINCIPAL. If DELEGATE is a service, all who act for it may."""
    wanted = Change(actor=operator(), principal=_lower(principal), add=[_lower(delegate)])
    changed = _carry_out(invocation, wanted)
    _told(wanted.principal, _lower(delegate), "added" if changed.added else "was a delegate already", json_)


@delegation.command(
    epilog=example("delegation remove claire.martin@demo.mssante.example nadia@demo.mssante.example")
)
@click.argument("principal")
@click.argument("delegate")
@json_option
@click.pass_obj
def remove(invocation: Invocation, principal: str, delegate: str, json_: bool) -> None:
    """Withdraw DELEGATE from PRINCIPAL and end the mail sessions of everybody who loses a right by that."""
    wanted = Change(actor=operator(), principal=_lower(principal), remove=[_lower(delegate)])
    changed = _carry_out(invocation, wanted)
    done = "removed" if changed.removed else "was no delegate"
    if changed.still:
        done += ", may act all the same: a service that is a delegate names them"
    _told(wanted.principal, _lower(delegate), done, json_)


@delegation.command(epilog=example("delegation reading avis.dermatologie@demo.mssante.example common"))
@click.argument("principal")
@click.argument("marks", type=click.Choice(["common", "own"]))
@json_option
@click.pass_obj
def reading(invocation: Invocation, principal: str, marks: str, json_: bool) -> None:
    """Choose whether what one delegate of PRINCIPAL has read counts as read for all of them."""
    _carry_out(invocation, Change(actor=operator(), principal=_lower(principal), common=marks == "common"))
    if json_:
        as_json({"principal": _lower(principal), "reading": marks})
    else:
        say(f"{_lower(principal)}: marks of reading are {marks}")


@delegation.command("list", epilog=example("delegation list --all"))
@click.argument("account", default="")
@click.option("--all", "all_", is_flag=True, help="Also those who may act by way of a service.")
@json_option
@click.pass_obj
def list_delegations(invocation: Invocation, account: str, all_: bool, json_: bool) -> None:
    """List who may act for whom, of everybody or where ACCOUNT is on either side."""
    wanted = _lower(account)

    async def work(store: Store) -> list[tuple[str, str, str]]:
        async with store.reading() as tx:
            direct = await tx.delegations.direct()
            rights = await tx.delegations.rights()
        return [
            (principal, delegate, "named" if delegate in direct[principal] else "by a service")
            for principal, delegates in sorted(rights.delegates.items())
            for delegate in sorted(delegates)
            if all_ or delegate in direct[principal]
        ]

    rows = [row for row in invocation.run_on_store(work) if not wanted or wanted in row[:2]]
    if json_:
        as_json([dict(zip(("principal", "delegate", "how"), row, strict=True)) for row in rows])
        return
    show_table(("principal", "delegate", "how"), rows, "no delegation")


def _lower(address: str) -> str:
    return address.strip().lower()


def _carry_out(invocation: Invocation, wanted: Change) -> Changed:
    """Save a change and see the mailbox server follow it before anything is said; the running gateway tells
    the delegates by mail.

    It is also ordered to do the whole a minute later, and that order is taken back here: so the mailbox
    server follows even where this process is killed in between. Raises :class:`GatewayError`.
    """
    settings = invocation.settings()

    async def work(store: Store) -> Changed:
        async with store.transaction() as tx:
            await _check(tx, wanted)
            changed = await change(tx, now(), wanted)
            payload = await consequences(tx, wanted.principal, changed)
            precaution = _order(payload, now() + _PRECAUTION)
            await tx.outbox.put([precaution])
        await _follow(store, settings, changed)
        async with store.transaction() as tx:
            await tx.outbox.done(precaution, now())
            await tx.outbox.put([_order({**payload, "ended": []}, now())])
        return changed

    return invocation.run_on_store(work)


def _order(payload: dict[str, object], due: datetime) -> OutboxRow:
    """The action ``share`` without anybody to be answered."""
    identifier = uuid4()
    return OutboxRow(
        id=identifier,
        key=f"share:{identifier}",
        action="share",
        recipient="",
        first_at=now(),
        next_at=due,
        payload={"name": "", "in_reply_to": "", **payload},
    )


async def _check(tx: Transaction, wanted: Change) -> None:
    for address in (wanted.principal, *wanted.add):
        if await tx.accounts.get(address) is None:
            raise GatewayError(f"there is no account {address}")
    if wanted.principal in wanted.add:
        raise GatewayError("nobody is their own delegate")


async def _follow(store: Store, settings: Settings, changed: Changed) -> None:
    """Write the rights to read and end the sessions of who lost one."""
    if not settings.mailboxes.embedded:
        return
    try:
        await refresh_logins(store, settings)
    except OSError as error:
        raise GatewayError(f"saved, but the mailbox server was not told: {error}") from error
    if changed.ended:
        await end_sessions(dovecot_settings(settings), *changed.ended)


def _told(principal: str, delegate: str, done: str, json_: bool) -> None:
    if json_:
        as_json({"principal": principal, "delegate": delegate, "done": done})
    else:
        say(f"{delegate} for {principal}: {done}")
