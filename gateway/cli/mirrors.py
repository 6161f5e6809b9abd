"""Conversations that other gateways hold, as ``gateway conversation`` shows them: what their mails told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import click

from gateway.cli.context import say, show_table, stamp
from gateway.cli.queue import action_json
from gateway.errors import GatewayError
from gateway.mirrored import load_mirror, mirror_named, mirrors_of_reference
from gateway.store import OutboxRow, OutboxState, Transaction
from teleexpertise.mirrors import Mirror, MirrorEvent
from teleexpertise.states import FHIR

__all__ = [
    "MirrorShown",
    "listed_mirror",
    "mirror_described",
    "mirror_shown",
    "mirrors_listed",
    "only_one",
    "print_mirror",
]


@dataclass(frozen=True, slots=True)
class MirrorShown:
    """What there is to show of one mirrored conversation."""

    mirror: Mirror
    events: tuple[MirrorEvent, ...]
    actions: tuple[OutboxRow, ...]


async def mirrors_listed(
    tx: Transaction, member: str | None, states: Collection[str], limit: int
) -> tuple[Mirror, ...]:
    """The last touched mirrors in these states (all where empty), of one member or all."""
    found = await tx.mirrors.list(limit, states) if member is None else await tx.mirrors.of_member(member)
    mirrors = [await load_mirror(tx, identifier) for identifier in found]
    return tuple(m for m in mirrors if m is not None and (not states or str(m.state) in states))[:limit]


async def only_one(tx: Transaction, name: str) -> None:
    """Raises :class:`GatewayError` where a reference is that of several holders."""
    found = await mirrors_of_reference(tx, name)
    if len(found) > 1:
        choices = ", ".join(f"{mirror.ref}@{mirror.holder}" for mirror in found)
        raise GatewayError(f"{name} is the reference of several holders: {choices}")


async def mirror_shown(tx: Transaction, name: str) -> MirrorShown | None:
    """What is known of a mirrored conversation by identifier, ``REF`` or ``REF@holder``, else ``None``."""
    mirror = await mirror_named(tx, name)
    if mirror is None:
        return None
    open_ = (OutboxState.PENDING, OutboxState.HELD, OutboxState.FAILED)
    return MirrorShown(mirror, await tx.mirrors.events(mirror.id), await tx.outbox.list(open_, mirror.id))


def listed_mirror(mirror: Mirror) -> dict[str, Any]:
    """A mirrored conversation in the list, as JSON data."""
    return {
        "id": mirror.id,
        "ref": mirror.ref,
        "held_by": mirror.holder,
        "state": mirror.state,
        "fhir": FHIR[mirror.state],
        "members": dict(mirror.members),
        "opened_at": mirror.opened_at,
        "updated_at": mirror.updated_at,
        "seq": mirror.seq,
    }


def mirror_described(shown: MirrorShown) -> dict[str, Any]:
    """A mirrored conversation with its record, as JSON data."""
    mirror = shown.mirror
    return {
        **listed_mirror(mirror),
        "reply_to": mirror.reply_to,
        "missing_mails": mirror.missing,
        "disputed_numbers": mirror.disputed,
        "events": [
            {
                "flow": event.flow,
                "event": event.event,
                "seq": event.seq,
                "state": event.state,
                "at": event.at,
                "author": event.author.shown,
                "address": event.author.address,
                "message": event.message,
                "message_sha256": event.message_sha256,
                "mail_id": event.mail_id,
            }
            for event in shown.events
        ],
        "actions": [action_json(row) for row in shown.actions],
    }


def print_mirror(shown: MirrorShown) -> None:
    """Print a mirrored conversation."""
    mirror = shown.mirror
    status = "/".join(filter(None, FHIR[mirror.state]))
    say(f"{mirror.ref}  {mirror.id}")
    say(f"held by  {mirror.holder}: what follows is what its gateway told us")
    say(f"state    {mirror.state} (FHIR {status}), number {mirror.seq}, {len(shown.events)} mails recorded")
    say(f"since    {stamp(mirror.opened_at)}, last mail {stamp(mirror.updated_at)}")
    for name in mirror.missing:
        say(f"missing  {name}: cited by the holder, not in this record (late, lost or for others only)")
    for number in mirror.disputed:
        say(f"disputed number {number}: two mails of the holder say different states")
    click.echo()
    members = [(address, "" if active else "left") for address, active in mirror.members]
    show_table(("member here", ""), members, "no member")
    click.echo()
    show_table(
        ("seq", "time (UTC)", "author", "event", "state", "message"),
        [
            (
                event.seq or "-",
                stamp(event.at),
                event.author.shown or event.author.address,
                f"{event.flow} {event.event}",
                event.state if event.seq else "-",
                event.message,
            )
            for event in sorted(shown.events, key=lambda event: event.at)
        ],
        "no mail",
    )
    click.echo()
    show_table(
        ("to be done", "action", "recipient", "state", "attempts", "last error"),
        [(a.id, a.action, a.recipient, a.state, a.attempts, a.last_error) for a in shown.actions],
        "nothing is to be done",
    )
