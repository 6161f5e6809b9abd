"""``gateway account administrator``: who sees the activity of all services of an establishment (A.45)."""

from __future__ import annotations

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
)
from gateway.errors import GatewayError
from gateway.store import Store
from teleexpertise.identifiers import read_finess

__all__ = ["administrator"]


@click.group(short_help="Administrators of establishments: add, list, remove.")
def administrator() -> None:
    """Accounts that see the exports of all services of an establishment, by its FINESS number."""


@administrator.command(
    epilog=example("account administrator add claire.martin@demo.mssante.example 430000018")
)
@click.argument("address")
@click.argument("finess")
@json_option
@click.pass_obj
def add(invocation: Invocation, address: str, finess: str, json_: bool) -> None:
    """Let ADDRESS see the exports of all services with this FINESS number."""
    _change(invocation, address, finess, "add", json_)


@administrator.command(
    epilog=example("account administrator remove claire.martin@demo.mssante.example 430000018")
)
@click.argument("address")
@click.argument("finess")
@json_option
@click.pass_obj
def remove(invocation: Invocation, address: str, finess: str, json_: bool) -> None:
    """End that. Exports that were ordered and not made yet come without these services."""
    _change(invocation, address, finess, "remove", json_)


def _change(invocation: Invocation, address: str, finess: str, action: str, json_: bool) -> None:
    lower = address.strip().lower()
    number = read_finess(finess)
    if not number.valid:
        raise GatewayError(f"{finess!r} is not a FINESS number ({number.problem})")

    async def work(store: Store) -> str:
        async with store.transaction() as tx:
            if await tx.accounts.get(lower) is None:
                raise GatewayError(f"there is no account {lower}")
            if action == "add":
                changed = await tx.administrators.add(lower, number.value, now())
                done = "added" if changed else "was one already"
            else:
                changed = await tx.administrators.remove(lower, number.value)
                done = "removed" if changed else "was none"
            detail = {"finess": number.value}
            await tx.audit.write(now(), operator(), f"administrator {action}", lower, done, detail)
        return done

    done = invocation.run_on_store(work)
    if json_:
        as_json({"address": lower, "finess": number.value, "done": done})
    else:
        say(f"{lower}, administrator of {number.value}: {done}")


@administrator.command("list")
@json_option
@click.pass_obj
def list_administrators(invocation: Invocation, json_: bool) -> None:
    """List administrators by address."""

    async def work(store: Store) -> tuple[tuple[str, str], ...]:
        async with store.reading() as tx:
            return await tx.administrators.list()

    rows = invocation.run_on_store(work)
    if json_:
        as_json([{"address": address, "finess": finess} for address, finess in rows])
        return
    show_table(("address", "establishment"), rows, "no administrator")
