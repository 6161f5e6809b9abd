"""``gateway rebuild``: the states computed anew from the events, and compared with what is stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from gateway.cli.context import Invocation, as_json, example, json_option, now, operator, say
from gateway.rebuilding import Rebuild
from gateway.rulebook import load_rulebook
from gateway.store import Store

__all__ = ["rebuild"]


@click.command(epilog=example("rebuild --check"))
@click.option("--check", is_flag=True, help="Change nothing: only tell what differs.")
@json_option
@click.pass_context
def rebuild(context: click.Context, check: bool, json_: bool) -> None:
    """Compute the state of every conversation from its events, verify stored messages and the audit chain.

    Decisions that the rules in use have made are made again. States that differ are rewritten, unless
    --check. Exit code 1 where something differs that was not mended.
    """
    invocation: Invocation = context.obj
    settings = invocation.settings()
    rules = load_rulebook(settings)

    async def work(store: Store) -> tuple[Rebuild, list[dict[str, Any]]]:
        found = []
        one = Rebuild(store, rules, check, now(), operator(), settings.zone)
        async for difference in one.differences():
            found.append(asdict(difference))
            if not json_:
                say(f"{difference.where}: {difference.what}{' (rewritten)' if difference.mended else ''}")
        return one, found

    done, found = invocation.run_on_store(work)
    counts = {
        "conversations": done.conversations,
        "events": done.events,
        "messages": done.messages,
        "decisions": done.decisions,
        "audit_lines": done.audit_lines,
        "mirrors": done.mirrors,
    }
    if json_:
        as_json({**counts, "differences": found})
    else:
        counted = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in counts.items())
        say(f"{counted}, differences {len(found)}")
    if not all(difference["mended"] for difference in found):
        context.exit(1)
