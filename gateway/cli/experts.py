"""``gateway expert``: who takes requests, as the directory shows them."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import click

from gateway.cli.context import (
    Failure,
    Invocation,
    as_json,
    example,
    json_option,
    now,
    operator,
    plain,
    say,
    show_table,
)
from gateway.cli.declaring import Changes, declare, set_declaration
from gateway.cli.expert_files import read_experts
from gateway.cli.showing_experts import (
    days,
    described_expert,
    print_declaration,
    print_waiting,
    state,
)
from gateway.errors import GatewayError
from gateway.pipeline.directory_pages import experts_named
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store import Store
from teleexpertise.declaring import Declaration
from teleexpertise.people import Expert

__all__ = ["expert"]


@click.group()
def expert() -> None:
    """Experts: list or find them, show and set what they declare, import many, announce an absence."""


expert.add_command(set_declaration)


@expert.command("list", epilog=example("expert list", "expert list dermatologie 43"))
@click.argument("terms", nargs=-1)
@json_option
@click.pass_obj
def list_experts(invocation: Invocation, terms: tuple[str, ...], json_: bool) -> None:
    """List the experts: all of them, or those that the directory finds for TERMS.

    TERMS are words of specialty, name, department, town or postcode, in any order, with or without accents.
    """
    if terms:

        async def search(services: Services) -> tuple[Expert, ...]:
            async with services.store.reading() as tx:
                return tuple(await experts_named(Unit(services, tx, now()), " ".join(terms)))

        found = invocation.run(search)
    else:

        async def read(store: Store) -> tuple[Expert, ...]:
            async with store.reading() as tx:
                return await tx.experts.all()

        found = invocation.run_on_store(read)
    if json_:
        as_json([described_expert(each) for each in found])
        return
    rows = [
        (
            each.account.address,
            each.account.name,
            ", ".join(each.specialties),
            ", ".join(each.departments),
            f"{each.delay_days} d",
            state(each),
        )
        for each in found
    ]
    show_table(("address", "name", "specialties", "departments", "delay", "state"), rows, "no expert")


@expert.command()
@click.argument("address")
@json_option
@click.pass_obj
def show(invocation: Invocation, address: str, json_: bool) -> None:
    """Show the declaration of one expert: what is answered, what is asked for, which documents go out."""

    async def read(store: Store) -> Expert | None:
        async with store.reading() as tx:
            return await tx.experts.get(address.strip().lower())

    found = invocation.run_on_store(read)
    if found is None:
        raise GatewayError(f"{address} is not declared as an expert")
    if json_:
        as_json(described_expert(found))
        return
    print_declaration(Declaration(account=found.account, expert=found))


@expert.command(epilog=example("expert absence avis.dermatologie@ch.example 2026-08-01 2026-08-15"))
@click.argument("address")
@click.argument("first", type=click.DateTime(["%Y-%m-%d"]), required=False)
@click.argument("last", type=click.DateTime(["%Y-%m-%d"]), required=False)
@click.option("--deputy", default="", help="Account that answers meanwhile.")
@json_option
@click.pass_obj
def absence(
    invocation: Invocation,
    address: str,
    first: datetime | None,
    last: datetime | None,
    deputy: str,
    json_: bool,
) -> None:
    """Say that an expert is away from the day FIRST to LAST (both included, YYYY-MM-DD).

    The deputy takes part in what is opened meanwhile, and from FIRST on in what waits for the expert then.
    Without days an absence is taken back; `gateway expert show` tells of it and changes nothing.
    """
    if (first is None) != (last is None) or (first and last and last < first) or (deputy and not first):
        raise click.UsageError("wants FIRST and LAST, in this order, or neither of them and no deputy")
    line = f"du {first:%d/%m/%Y} au {last:%d/%m/%Y}" if first and last else ""
    found = declare(invocation, address, Changes({"absence": line}, deputy=deputy.strip().lower()))
    declared = found.declaration
    away = declared.expert.absence if declared.expert else None
    if json_:
        shown = {"absence": asdict(away) if away else None, "waiting": asdict(found.waiting)}
        as_json({"address": declared.account.address, **shown})
        return
    back = "absence taken back" if found.changed else "not absent"
    say(f"{declared.account.address}: {'absent ' + days(away) if away else back}")
    print_waiting(declared, found.waiting)


@expert.command("import", epilog=example("expert import experts.toml"))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def import_experts(invocation: Invocation, file: Path, json_: bool) -> None:
    """Declare the experts of FILE (TOML or JSON), or replace their declarations; all of them or, for a
    mistake, none.

    FILE holds a list `experts`; each entry names an account (`address`, or `local` for one of the service's
    domain) and says `description`, `limits`, `specialties`, `departments`, `delay_days` (days), `anonymous`,
    `nir`, `prerequisites`, `items`, `documents` (paths beside FILE), `tool_url`, `listed`.
    """

    domain = invocation.settings().service.domain

    async def work(store: Store) -> dict[str, str]:
        async with store.reading() as tx:
            accounts = {each.address: each for each in await tx.accounts.list()}
        read = read_experts(file, domain, accounts)
        if read.problems:
            *first, last = map(plain, read.problems)
            for problem in first:
                click.echo(f"gateway: {problem}", err=True)
            raise Failure(f"{last}; nothing was saved")
        return await _declare(store, read.experts)

    done = invocation.run_on_store(work)
    if json_:
        as_json(done)
        return
    for address, what in done.items():
        say(f"{address}: {what}")


async def _declare(store: Store, experts: tuple[Expert, ...]) -> dict[str, str]:
    done = {}
    async with store.transaction() as tx:
        for declared in experts:
            address = declared.account.address
            known = await tx.experts.get(address)
            # A file says nothing of absences: one that was announced stays.
            each = replace(declared, absence=known.absence) if known is not None else declared
            done[address] = "unchanged" if known == each else "replaced" if known else "declared"
            if known != each:
                await tx.experts.put(each)
                await tx.audit.write(now(), operator(), "expert import", address, done[address])
    return done
