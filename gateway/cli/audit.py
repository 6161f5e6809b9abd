"""``gateway audit``: what was done, how often, and whether the trail of it is whole."""

from __future__ import annotations

from dataclasses import asdict

import click

from gateway.cli.context import Invocation, as_json, example, json_option, say, show_table, stamp
from gateway.store import AuditCheck, AuditRow, Store

__all__ = ["audit"]


@click.group()
def audit() -> None:
    """The audit trail: who did what, as a chain of hashes."""


@audit.command()
@json_option
@click.pass_context
def verify(context: click.Context, json_: bool) -> None:
    """Check that no line of the trail was changed, removed or slipped in.

    Lines cut off at the end leave a chain that holds: note count and head elsewhere and compare.
    """
    invocation: Invocation = context.obj
    check = invocation.run_on_store(_verify)
    if json_:
        as_json({**asdict(check), "holds": check.holds})
    elif check.holds:
        say(f"the chain holds: {check.count} lines, head {check.head or '-'}")
    else:
        say(f"line {check.broken_at} does not fit: the {check.count} lines before it hold")
    if not check.holds:
        context.exit(1)


@audit.command("list", epilog=example("audit list --action disbelieve", "audit list --count"))
@click.option("--action", default="", metavar="ACTION", help="Only lines about this action.")
@click.option("--count", is_flag=True, help="How often each action ended how, in place of the lines.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="The last lines at most."
)
@json_option
@click.pass_obj
def list_lines(invocation: Invocation, action: str, count: bool, limit: int, json_: bool) -> None:
    """List the last lines of the trail: who did what to what, and how it ended."""
    if count:
        _print_counts(invocation, action, json_)
        return

    async def read(store: Store) -> tuple[AuditRow, ...]:
        async with store.reading() as tx:
            return await tx.audit.latest(action, limit)

    lines = invocation.run_on_store(read)
    if json_:
        as_json([asdict(line) for line in lines])
        return
    show_table(
        ("time (UTC)", "actor", "action", "target", "result"),
        [(stamp(line.at), line.actor, line.action, line.target, line.result) for line in lines],
        "no line",
    )


def _print_counts(invocation: Invocation, action: str, json_: bool) -> None:
    async def read(store: Store) -> tuple[tuple[str, str, int], ...]:
        async with store.reading() as tx:
            return await tx.audit.counts(action)

    found = invocation.run_on_store(read)
    if json_:
        as_json([{"action": name, "result": result, "lines": lines} for name, result, lines in found])
        return
    show_table(("action", "result", "lines"), found, "no line")


async def _verify(store: Store) -> AuditCheck:
    async with store.reading() as tx:
        return await tx.audit.verify()
