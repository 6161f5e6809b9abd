"""``gateway explain``: prints the path of a message or conversation, narrow enough for a terminal of 100
columns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from gateway.cli.context import Invocation, as_json, example, json_option, plain, stamp
from gateway.cli.mirrors import only_one
from gateway.errors import GatewayError
from gateway.explaining import DecisionPath, Explanation, MessagePath, TakenAction
from gateway.explaining import explain as gather
from gateway.store import Store

__all__ = ["explain"]

#: What the identifiers that the pipeline keeps mean to an operator.
_ENCRYPTION = {
    "decrypted": "decrypted: encrypted to a certificate of ours; the stored original is the ciphertext",
    "between-users": "not decrypted: encrypted end to end, not to a certificate of ours; passed on untouched",
    "not-opened": "not decrypted: encrypted to us and to others, not opened or not authenticated; passed on",
}
_FINDINGS = {
    "unsigned-part": 'unsigned-part: something stands outside of the signed part (shown as "partie non '
    "signée\", never taken as the author's words)",
    "display-name-address": "display-name-address: the display name of From shows another address",
}
_COLUMNS = 100
_LABEL = 11


@click.command(
    epilog=example(
        "explain TLE-2026-000123",
        "explain '<20260302.1@client.example>'",
        "explain 6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11 --json",
    ),
)
@click.argument("name", metavar="ID")
@json_option
@click.pass_obj
def explain(invocation: Invocation, name: str, json_: bool) -> None:
    """Show the path of a message or conversation: verdicts, rules and why, events, actions and their state,
    and the mails that the gateway wrote because of it.

    ID is a reference, the identifier of a conversation, message or action, a Message-ID, or the queue id that
    the SMTP dialogue told. TLE-2026-000123@DOMAIN names a conversation that the gateway of DOMAIN holds.
    """

    async def work(store: Store) -> Explanation | None:
        async with store.reading() as tx:
            found = await gather(tx, name)
            if found is None:
                await only_one(tx, name)
            return found

    found = invocation.run_on_store(work)
    if found is None:
        raise GatewayError(f"nothing is known of {name}")
    if json_:
        as_json(asdict(found))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: Explanation) -> Iterator[str]:
    place = found.conversation
    if place is not None:
        status = "/".join(filter(None, place.fhir))
        held = f", held by {place.held_by}" if place.held_by else ""
        yield plain(f"{place.ref}  {place.id}  {place.state} (FHIR {status}){held}")
        yield ""
    for line in found.audit:
        yield from _labelled(line.action, f"{line.result}, {stamp(line.at)}, {line.actor}")
    for message in found.messages:
        yield from _message(message)
        yield ""
    if place is not None and place.jobs:
        yield "Actions of the conversation without a message"
        yield from _actions(place.jobs)


def _message(message: MessagePath) -> Iterator[str]:
    purged = ", purged" if message.purged else ""
    yield plain(
        f"Message {message.id}  {message.direction} {stamp(message.at)} UTC, {message.size} octets{purged}"
    )
    yield from _labelled("Message-ID", message.mail_id or "-")
    yield from _labelled("from", message.sender)
    if message.direction == "received":
        yield from _labelled("login", message.login or "-")
        yield from _labelled("envelope", f"<{message.mail_from}> to {', '.join(message.recipients) or '-'}")
        yield from _labelled("queue id", message.queue_id or "-")
        yield from _labelled("signature", f"{message.signature or '-'} {message.signature_reason}".strip())
        if message.encryption:
            yield from _labelled("encryption", _ENCRYPTION.get(message.encryption, message.encryption))
        for finding in message.findings:
            yield from _labelled("finding", _FINDINGS.get(finding, finding))
    elif message.cause is not None:
        yield from _labelled("because of", str(message.cause))
    for name, value in message.trace:
        yield from _labelled("", f"{name}: {value}")
    for line in message.audit:
        yield from _labelled("outcome", f"{line.action}: {line.result} ({line.actor})")
    for decision in message.decisions:
        yield from _decision(decision)
    for event in message.events:
        yield from _labelled("event", f"{event.seq} {event.kind}, {stamp(event.at)}, {event.author}")
    yield from _actions(message.actions)


def _decision(decision: DecisionPath) -> Iterator[str]:
    yield from _labelled(
        "decision", f"on {decision.trigger}, {stamp(decision.at)}, rules {decision.rules_version}"
    )
    yield from _labelled("", _values(decision.symbols))
    for rule in decision.rules:
        yield from _labelled(
            "fired" if rule.fired else "not fired", f"{rule.rule}: {' '.join(rule.why.split())}", indent=4
        )


def _values(symbols: Mapping[str, Any]) -> str:
    """The symbols of a decision that say something: those that are neither empty, zero nor false."""
    return ", ".join(f"{name} = {_value(value)}" for name, value in symbols.items() if value)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value)


def _actions(actions: Iterable[TakenAction]) -> Iterator[str]:
    for each in actions:
        to = f" to {each.recipient}" if each.recipient else ""
        when = stamp(each.finished_at) if each.finished_at else f"next {stamp(each.next_at)}"
        attempts = f"{each.attempts} attempt{'' if each.attempts == 1 else 's'}"
        yield from _labelled("action", f"{each.action}{to}: {each.state}, {attempts}, {when}, {each.id}")
        if each.last_error:
            yield from _labelled("", each.last_error)


def _labelled(label: str, text: str, indent: int = 2) -> list[str]:
    """A label and its text, folded to the width of the terminal; a word is broken only where it is wider."""
    start = " " * indent + f"{label:<{_LABEL}} "
    return textwrap.wrap(
        plain(text),
        width=_COLUMNS,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
    ) or [start.rstrip()]
