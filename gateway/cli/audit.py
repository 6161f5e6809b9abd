"""``gateway audit``: whether the trail of what was done is whole."""

from __future__ import annotations

from dataclasses import asdict

import click

from gateway.cli.context import Invocation, as_json, json_option, say
from gateway.store import AuditCheck, Store

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


async def _verify(store: Store) -> AuditCheck:
    async with store.reading() as tx:
        return await tx.audit.verify()
