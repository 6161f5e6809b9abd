"""``gateway conversation``: where tele-expertises stand; nothing of the patient unless that is asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
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
from gateway.cli.mirrors import (
    MirrorShown,
    listed_mirror,
    mirror_described,
    mirror_shown,
    mirrors_listed,
    only_one,
    print_mirror,
)
from gateway.cli.queue import action_json
from gateway.cli.showing_experts import days
from gateway.errors import GatewayError
from gateway.store import ConversationRow, OutboxRow, OutboxState, Store, Transaction
from teleexpertise.conversation import Conversation, NotOpened, fold
from teleexpertise.events import Exchanged, Posted, Record
from teleexpertise.people import Absence
from teleexpertise.states import FHIR, IllegalStep, State

__all__ = ["Delivery", "conversation", "delivery_states"]

_STATES = [str(state) for state in State if state is not State.NEW]


@click.group()
def conversation() -> None:
    """Conversations: list them, show where one stands."""


@conversation.command(
    "list",
    epilog=example(
        "conversation list --state requested --state on_hold", "conversation list --member ADDRESS"
    ),
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES),
    help="Only in this state; may be repeated.",
)
@click.option("--member", metavar="ADDRESS", help="Only those that ADDRESS takes part in now.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Conversations at most."
)
@json_option
@click.pass_obj
def list_conversations(
    invocation: Invocation, states: tuple[str, ...], member: str | None, limit: int, json_: bool
) -> None:
    """List conversations, the last touched first, those that other gateways hold among them."""
    wanted = member.strip().lower() if member is not None else None

    async def read(store: Store) -> list[dict[str, Any]]:
        async with store.reading() as tx:
            if wanted is None:
                rows = await tx.conversations.list(limit, states)
            else:
                mine = await tx.conversations.of_member(wanted)
                rows = tuple(row for row in mine if not states or row.projection.state in states)
            mirrors = await mirrors_listed(tx, wanted, states, limit)
        both = [*map(_listed, rows), *map(listed_mirror, mirrors)]
        return sorted(both, key=lambda each: each["updated_at"], reverse=True)[:limit]

    found = invocation.run_on_store(read)
    if json_:
        as_json(found)
        return
    show_table(
        ("reference", "state", "requester", "expert", "held by", "opened", "touched"),
        [
            (
                each["ref"],
                each["state"],
                each.get("requester", "-"),
                each.get("expert", "-"),
                each["held_by"],
                stamp(each["opened_at"]),
                stamp(each["updated_at"]),
            )
            for each in found
        ],
        "no conversation",
    )


def _listed(row: ConversationRow) -> dict[str, Any]:
    projection = row.projection
    return {
        "id": row.id,
        "ref": row.ref,
        "held_by": "",
        "state": projection.state,
        "fhir": FHIR[State(projection.state)],
        "requester": projection.requester_address,
        "expert": projection.expert_address,
        "members": dict(projection.members),
        "opened_at": row.opened_at,
        "updated_at": projection.updated_at,
        "events": row.next_seq - 1,
    }


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one mail of the thread for one recipient.

    ``state`` is ``delivered``, ``waiting`` or ``failed``; ``told`` is what the recipient's side said of it
    (displayed, processed, error 902 ...), '' for nothing.
    """

    seq: int
    recipient: str
    state: str
    at: datetime | None
    told: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """What there is to show of one conversation."""

    row: ConversationRow
    conversation: Conversation
    records: tuple[Record, ...]
    actions: tuple[OutboxRow, ...]
    deliveries: tuple[Delivery, ...]


@conversation.command(epilog=example("conversation show TLE-2026-000123"))
@click.argument("name", metavar="REF|ID")
@click.option("--patient", is_flag=True, help="Also who the patient is; the audit trail notes it.")
@json_option
@click.pass_obj
def show(invocation: Invocation, name: str, patient: bool, json_: bool) -> None:
    """Show one conversation: members, state, missing elements, events, exchanges, what is still to be
    done.

    Of one that another gateway holds: what its mails told. REF@DOMAIN names it where references are alike.
    """

    async def read(store: Store) -> _Shown | MirrorShown:
        async with store.reading() as tx:
            mirror = await mirror_shown(tx, name)
            ours = await _is_ours(tx, name)
            if not ours:
                await only_one(tx, name)
            if mirror is not None and not ours:
                if patient:
                    raise GatewayError(
                        f"only {mirror.mirror.holder} knows the patient of {mirror.mirror.ref}"
                    )
                return mirror
            row = await conversation_of(tx, name)
            records, folded = await _folded(tx, row)
            open_ = (OutboxState.PENDING, OutboxState.HELD, OutboxState.FAILED)
            actions = await tx.outbox.list(open_, row.id)
            deliveries = await delivery_states(tx, row.id)
        if patient:
            async with store.transaction() as tx:
                await tx.audit.write(now(), operator(), "show patient", str(row.id), "shown")
        return _Shown(row, folded, records, actions, deliveries)

    found = invocation.run_on_store(read)
    if isinstance(found, MirrorShown):
        as_json(mirror_described(found)) if json_ else print_mirror(found)
    elif json_:
        as_json(_described(found, patient))
    else:
        _print(found, patient)


async def delivery_states(tx: Transaction, identifier: UUID) -> tuple[Delivery, ...]:
    """Where the mails of a conversation went, in the order of its thread: our queue and the reports tell."""
    records = await tx.events.of(identifier)
    folded = fold(identifier, records)
    mails = {r.message: r for r in records if isinstance(r.event, Posted | Exchanged)}
    rows = [row for row in await tx.outbox.of_messages(mails) if row.action in ("deliver", "relay")]
    found = []
    for row in rows:
        assert row.message_id is not None, "it was found by its message"
        mail = mails[row.message_id]
        failed = (mail.mail_id, row.recipient) in folded.failures or row.state is OutboxState.FAILED
        state = "failed" if failed else "delivered" if row.state is OutboxState.DONE else "waiting"
        told = [
            receipt.word
            for receipt in folded.receipts
            if (receipt.mail_id, receipt.recipient) == (mail.mail_id, row.recipient)
        ]
        at = row.finished_at if state != "waiting" else None
        found.append(Delivery(mail.seq, row.recipient, state, at, ", ".join(told)))
    return tuple(sorted(found, key=lambda each: each.seq))


async def _is_ours(tx: Transaction, name: str) -> bool:
    """Whether a name is that of a conversation of ours: a reference of ours goes before a peer's."""
    try:
        await conversation_of(tx, name)
    except (GatewayError, click.BadParameter):
        return False
    return True


async def _folded(tx: Transaction, row: ConversationRow) -> tuple[tuple[Record, ...], Conversation]:
    """The record and the state that it gives. Raises :class:`GatewayError` for a record that gives none."""
    try:
        records = await tx.events.of(row.id)
        return records, fold(row.id, records)
    except (NotOpened, IllegalStep, ValueError) as error:
        raise GatewayError(
            f"the events of {row.ref} give no state; `gateway rebuild --check` tells more"
        ) from error


def _described(found: _Shown, patient: bool) -> dict[str, Any]:
    now_ = found.conversation
    described = {
        **_listed(found.row),
        "members": [
            {
                "address": member.party.address,
                "name": member.party.name,
                "local": member.party.local,
                "side": now_.side(member.party.address),
                "since": member.since,
                "active": member.active,
            }
            for member in now_.members
        ],
        "absences": [asdict(absence) for absence in _absences(now_)],
        "promised_at": now_.promised_at,
        "missing": now_.missing,
        "asked": now_.asked,
        "version": now_.version,
        "reports": now_.reports,
        "closed_at": now_.closed_at,
        "closed_by": now_.closed_by.shown if now_.closed_by else None,
        "events": [
            {
                "seq": record.seq,
                "at": record.at,
                "author": record.author.shown,
                "address": record.author.address,
                "kind": record.event.kind,
                "message": record.message,
                "mail_id": record.mail_id,
            }
            for record in found.records
        ],
        "exchanges": [
            {
                "seq": exchange.seq,
                "at": exchange.at,
                "author": exchange.author.shown,
                "side": exchange.side,
                "attachments": len(exchange.attachments),
                "late": exchange.late,
                "encrypted": exchange.encrypted,
                "message": exchange.message,
            }
            for exchange in now_.exchanges
        ],
        "deliveries": [asdict(delivery) for delivery in found.deliveries],
        "actions": [action_json(row) for row in found.actions],
    }
    return described | ({"patient": asdict(now_.patient)} if patient else {})


def _print(found: _Shown, patient: bool) -> None:
    now_ = found.conversation
    status = "/".join(filter(None, FHIR[now_.state]))
    say(f"{found.row.ref}  {found.row.id}")
    say(f"state    {now_.state} (FHIR {status}), {found.row.next_seq - 1} events")
    say(f"opened   {stamp(now_.opened_at)}, answer promised by {stamp(now_.promised_at)}")
    for absence in _absences(now_):
        say(f"absent   {days(absence)}")
    if now_.closed_by:
        say(f"closed   {stamp(now_.closed_at)} by {now_.closed_by.shown}, version {now_.version}")
    if patient:
        say(f"patient  {_patient(now_)}")
    for label, names in (("missing", now_.missing), ("asked", now_.asked)):
        if names:
            say(f"{label:<8} {', '.join(names)}")
    click.echo()
    rows = [
        (m.party.address, m.party.name, now_.side(m.party.address), "" if m.active else "left")
        for m in now_.members
    ]
    show_table(("member", "name", "side", ""), rows, "no member")
    click.echo()
    show_table(
        ("seq", "time (UTC)", "author", "event", "message"),
        [(r.seq, stamp(r.at), r.author.shown, r.event.kind, r.message) for r in found.records],
        "no event",
    )
    click.echo()
    show_table(
        ("exchange", "author", "side", "attachments", ""),
        [
            (e.seq, e.author.shown, e.side, len(e.attachments), "late" if e.late else "")
            for e in now_.exchanges
        ],
        "no exchange",
    )
    click.echo()
    show_table(
        ("seq", "sent to", "state", "time (UTC)", "told"),
        [(d.seq, d.recipient, d.state, stamp(d.at), d.told) for d in found.deliveries],
        "nothing was sent",
    )
    click.echo()
    show_table(
        ("to be done", "action", "recipient", "state", "attempts", "last error"),
        [
            (row.id, row.action, row.recipient, row.state, row.attempts, row.last_error)
            for row in found.actions
        ],
        "nothing is to be done",
    )


def _absences(now_: Conversation) -> list[Absence]:
    """The expert's absences that concerned the conversation, each with the deputy who came, if one did."""
    opening = now_.opening
    noted = [(opening.absence, opening.deputy), *((each.absence, each.deputy) for each in now_.away)]
    return [
        replace(absence, deputy=deputy.address if deputy is not None else "")
        for absence, deputy in noted
        if absence is not None
    ]


def _patient(now_: Conversation) -> str:
    patient = now_.patient
    if patient.anonymous:
        return "anonymous"
    return f"{patient.label}, {patient.sex}, born {patient.birth_date or '?'}, INS {patient.ins or '-'}"
