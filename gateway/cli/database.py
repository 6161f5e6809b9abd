"""``gateway database``: what the database is and holds, and taking all of it into another one."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import make_url

from config import Settings
from config.settings import Database
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
from gateway.store import OutboxState, Store
from gateway.store.copying import CopiedTable, Copying
from gateway.store.engines import has_secret, shown
from gateway.store.inventory import Inventory, take_inventory
from gateway.store.migration import SCHEMA_REVISION

if TYPE_CHECKING:
    from gateway.rebuilding import Difference, Rebuild
    from teleexpertise.rules import RuleBook

__all__ = ["database"]

_VARIABLE = "TLE_DATABASE_URL"


@click.group(short_help="The database: status, copy to another.")
def database() -> None:
    """The database of the deployment, SQLite or PostgreSQL."""


@database.command(epilog=example("database status"))
@json_option
@click.pass_obj
def status(invocation: Invocation, json_: bool) -> None:
    """Tell what the database is, how large, what waits in its queue, and the rows of each table."""
    found = invocation.run_on_store(take_inventory)
    address = shown(make_url(invocation.settings().database.url.get_secret_value()))
    if json_:
        as_json({"url": address, **asdict(found), "program_revision": SCHEMA_REVISION})
        return
    _tell(found, address)
    show_table(("table", "rows"), sorted(found.rows.items()), "no table")


def _tell(found: Inventory, address: str) -> None:
    say(f"{found.engine} {found.version}: {address}")
    say(f"revision {found.revision}, {found.octets / 1e6:.1f} MB")
    say("a gateway serves it" if found.served else "no gateway serves it")
    queue = ", ".join(f"{found.queue[state]} {state}" for state in OutboxState)
    oldest = f"; the oldest pending is of {stamp(found.oldest_pending)}" if found.oldest_pending else ""
    say(f"queue: {queue}{oldest}")
    say(f"last line of the audit trail: {stamp(found.last_audit_line)}")


@database.command(
    short_help="Copy all into an empty database of either kind.",
    epilog=example(
        "database copy --to 'postgresql://gateway@/gateway?host=/var/run/postgresql'",
        "database copy --to sqlite:///state.sqlite3",
    ),
)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="URL",
    envvar="TLE_COPY_TO",
    show_envvar=True,
    help="An empty database, as [database] url would name it.",
)
@json_option
@click.pass_context
def copy(context: click.Context, target: str, json_: bool) -> None:
    """Copy the whole database into an empty one, SQLite or PostgreSQL, while no gateway serves either.

    One transaction: after a failure the other database is as empty as before. What was written is read back
    and compared, then the copy's audit trail is verified and its states are computed anew. Settings and the
    old database are left as they are.
    """
    # Here and not above: rules and all that they decide on are heavy, and `status` needs none of it.
    from gateway.rulebook import load_rulebook

    invocation: Invocation = context.obj
    settings = invocation.settings()
    rules = load_rulebook(settings)
    url = _url(invocation, target)
    copied = invocation.run_on_store(lambda store: _copied(store, url))
    check, differences = invocation.run_on_store(lambda store: _checked(store, rules, settings), url)
    if json_:
        as_json(_data(copied, check, differences, url))
    else:
        _tell_copy(copied, check, differences)
        _tell_settings(invocation, url)
    if differences:
        context.exit(1)


def _url(invocation: Invocation, target: str) -> str:
    """The address as the settings would understand it: a relative file counts from their folder."""
    section = Database.model_validate({"url": target}, context={"folder": invocation.path.parent})
    return section.url.get_secret_value()


async def _copied(store: Store, url: str) -> tuple[CopiedTable, ...]:
    """Copy, with a progress bar on a terminal."""
    terminal = Console(stderr=True)
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task("copying", total=None)
        return await Copying(store, url, operator(), now()).run(
            lambda total: bar.update(task, total=total),
            lambda what, done: bar.update(task, description=what, completed=done),
        )


async def _checked(store: Store, rules: RuleBook, settings: Settings) -> tuple[Rebuild, list[Difference]]:
    from gateway.rebuilding import Rebuild

    check = Rebuild(store, rules, True, now(), operator(), settings.zone)
    return check, [difference async for difference in check.differences()]


def _data(
    copied: tuple[CopiedTable, ...], check: Rebuild, differences: list[Difference], url: str
) -> dict[str, Any]:
    return {
        "tables": {table.name: {"rows": table.rows, "hash": table.hash} for table in copied},
        "rows": sum(table.rows for table in copied),
        "conversations": check.conversations,
        "audit_lines": check.audit_lines,
        "differences": [asdict(difference) for difference in differences],
        "database": {"url": shown(make_url(url))},
    }


def _tell_copy(copied: tuple[CopiedTable, ...], check: Rebuild, differences: list[Difference]) -> None:
    say(f"{sum(table.rows for table in copied)} rows of {len(copied)} tables copied, and read back alike")
    for difference in differences:
        say(f"{difference.where}: {difference.what}")
    if differences:
        say(f"differences {len(differences)}: the copy is exact, they are in the old database too")
    else:
        say(f"audit trail ({check.audit_lines} lines) and states ({check.conversations}) hold in the copy")


def _tell_settings(invocation: Invocation, url: str) -> None:
    address = make_url(url)
    where = _VARIABLE if _VARIABLE in os.environ else str(invocation.path)
    say(f"to be changed in {where}, before the gateway is started:")
    say("[database]")
    say(f'url = "{shown(address)}"')
    if has_secret(address):
        say(f"with its password in ~/.pgpass, or the whole address in {_VARIABLE}")
