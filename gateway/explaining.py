"""Why what was done was done: the path of one message or conversation, gathered from what the store keeps.

Nothing is decided here again. A path is: received when and from whom, what trust found, the outcome that the
audit trail notes, each decision with the rules that were read, the events recorded, the actions and what
became of them; then the mails that the gateway wrote because of it, each with its own path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.mirrored import load_mirror, mirror_named
from gateway.store import (
    AuditRow,
    ConversationRow,
    DecisionRow,
    Direction,
    MessageRow,
    OutboxRow,
    OutboxState,
    Transaction,
)
from teleexpertise.events import Record
from teleexpertise.mirrors import Mirror
from teleexpertise.states import FHIR, State

__all__ = [
    "AuditLine",
    "DecisionPath",
    "Explanation",
    "MessagePath",
    "Place",
    "RecordedEvent",
    "RuleRead",
    "TakenAction",
    "explain",
]

_REFERENCE = re.compile(r"TLE-\d{4}-\d{6,}")
_QUEUE_ID = re.compile(r"[0-9A-F]{16}")
#: The outbox lists up to a limit; an explanation wants all of one conversation.
_ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the audit trail, without its hashes."""

    at: datetime
    actor: str
    action: str
    target: str
    result: str


@dataclass(frozen=True, slots=True)
class RuleRead:
    """One rule as the decision read it: whether it fired, and its condition or why it could not."""

    rule: str
    fired: bool
    why: str


@dataclass(frozen=True, slots=True)
class DecisionPath:
    """One decision: what it was on, the values that the conditions saw first, the rules in the order read."""

    at: datetime
    trigger: str
    rules_version: str
    symbols: dict[str, Any]
    rules: tuple[RuleRead, ...]


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One event of the record; ``author`` as shown (``Y pour X``)."""

    seq: int
    at: datetime
    kind: str
    author: str


@dataclass(frozen=True, slots=True)
class TakenAction:
    """One row of the outbox: an action and what became of it."""

    id: UUID
    action: str
    recipient: str
    state: str
    attempts: int
    next_at: datetime
    finished_at: datetime | None
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePath:
    """The path of one message. ``signature`` is '' for a mail that the gateway wrote; ``findings`` are to be
    known beside it (differing fields by name, a part outside of the signed one); ``encryption`` says whether
    it came encrypted and what was done about it, '' for clear mail. ``trace`` are the fields that every copy
    of a received mail gets (Received, which names the peer, and
    Authentication-Results). ``cause`` is the message that the gateway wrote this one for.
    """

    id: UUID
    mail_id: str
    direction: str
    cause: UUID | None
    at: datetime
    size: int
    purged: bool
    sender: str
    login: str
    mail_from: str
    recipients: tuple[str, ...]
    queue_id: str
    signature: str
    signature_reason: str
    findings: tuple[str, ...]
    encryption: str
    trace: tuple[tuple[str, str], ...]
    audit: tuple[AuditLine, ...]
    decisions: tuple[DecisionPath, ...]
    events: tuple[RecordedEvent, ...]
    actions: tuple[TakenAction, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The conversation that the messages belong to, and its actions that carry no message (tags).

    ``held_by`` is the domain of the gateway that holds it, '' for ours.
    """

    id: UUID
    ref: str
    state: str
    fhir: tuple[str, str]
    jobs: tuple[TakenAction, ...]
    held_by: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything known under one name. ``audit`` holds lines about it that belong to no stored message:
    refusals.
    """

    asked: str
    conversation: Place | None
    messages: tuple[MessagePath, ...]
    audit: tuple[AuditLine, ...]


async def explain(tx: Transaction, name: str) -> Explanation | None:
    """What is known of a message (identifier, Message-ID, SMTP queue id), an action or a conversation, with
    the mails that it made the gateway write; ``None`` if nothing is.
    """
    asked = name.strip()
    mirror = await mirror_named(tx, asked)
    conversation, messages = await _named(tx, asked)
    lines: tuple[AuditLine, ...] = ()
    if not messages and _QUEUE_ID.fullmatch(asked.upper()):
        messages = await tx.messages.by_queue_id(asked.upper())
        lines = tuple(map(_line, await tx.audit.about([asked.upper()])))
    if conversation is not None:
        mirror = None
    elif mirror is not None:
        messages = await _of_mirror(tx, mirror)
    if conversation is None and not messages and not lines:
        return None
    if conversation is None and len({row.conversation_id for row in messages}) == 1:
        (identifier,) = {row.conversation_id for row in messages}
        conversation = await tx.conversations.get(identifier) if identifier else None
    if conversation is None and mirror is None and len(messages) == 1:
        found = await tx.mirrors.of_message(messages[0].id)
        mirror = await load_mirror(tx, found) if found else None
    messages = await _with_consequences(tx, messages)
    known = await _known(tx, messages, conversation, mirror)
    paths = [_path(row, await tx.decisions.of_message(row.id), known) for row in messages]
    paths.sort(key=_course)
    return Explanation(asked, _where(conversation, mirror, known), tuple(paths), lines)


async def _of_mirror(tx: Transaction, mirror: Mirror) -> tuple[MessageRow, ...]:
    """The messages of a mirrored conversation: those of its record."""
    wanted = dict.fromkeys(event.message for event in await tx.mirrors.events(mirror.id))
    found = [await tx.messages.get(message) for message in wanted]
    return tuple(row for row in found if row is not None)


async def _named(tx: Transaction, asked: str) -> tuple[ConversationRow | None, tuple[MessageRow, ...]]:
    """The conversation or messages of a name that the store can look up."""
    if _REFERENCE.fullmatch(asked.upper()):
        return await _whole(tx, await tx.conversations.by_ref(asked.upper()))
    try:
        identifier = UUID(asked)
    except ValueError:
        bare = asked.removeprefix("<").removesuffix(">")
        return None, await tx.messages.by_mail_id(f"<{bare}>")
    message = await tx.messages.get(identifier)
    if message is None:
        action = await tx.outbox.get(identifier)
        message = await tx.messages.get(action.message_id) if action and action.message_id else None
    if message is not None:
        return None, (message,)
    return await _whole(tx, await tx.conversations.get(identifier))


async def _whole(
    tx: Transaction, conversation: ConversationRow | None
) -> tuple[ConversationRow | None, tuple[MessageRow, ...]]:
    return conversation, await tx.messages.of(conversation.id) if conversation else ()


async def _with_consequences(tx: Transaction, messages: Iterable[MessageRow]) -> tuple[MessageRow, ...]:
    """These messages and all that was written because of them, and because of that (a notice of failure)."""
    found = {row.id: row for row in messages}
    latest: Collection[UUID] = tuple(found)
    while latest:
        new = {row.id: row for row in await tx.messages.caused_by(latest) if row.id not in found}
        found |= new
        latest = new.keys()
    return tuple(found.values())


async def _known(
    tx: Transaction,
    messages: Iterable[MessageRow],
    conversation: ConversationRow | None,
    mirror: Mirror | None,
) -> _Known:
    """What the store keeps about these messages, and the jobs of the conversation that carry no message."""
    identifiers = [row.id for row in messages]
    places = dict.fromkeys(row.conversation_id for row in messages if row.conversation_id)
    actions = list(await tx.outbox.of_messages(identifiers))
    for place in (conversation, mirror):
        if place is not None:
            whole = await tx.outbox.list(tuple(OutboxState), place.id, _ALL)
            actions += (row for row in whole if row.message_id is None)
    records = [record for place in places for record in await tx.events.of(place)]
    known = _Known.of(records, actions, await tx.audit.about(map(str, identifiers)))
    for event in await tx.mirrors.events(mirror.id) if mirror else ():
        shown = RecordedEvent(event.seq, event.at, f"{event.flow} {event.event}", event.author.shown)
        known.events.setdefault(event.message, []).append(shown)
    return known


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read, by message."""

    events: dict[UUID, list[RecordedEvent]]
    actions: dict[UUID | None, list[TakenAction]]
    audit: dict[str, list[AuditLine]]

    @classmethod
    def of(cls, records: Iterable[Record], actions: Iterable[OutboxRow], audit: Iterable[AuditRow]) -> _Known:
        known = cls({}, {}, {})
        for record in records:
            event = RecordedEvent(record.seq, record.at, record.event.kind, record.author.shown)
            known.events.setdefault(record.message, []).append(event)
        for row in actions:
            known.actions.setdefault(row.message_id, []).append(_taken(row))
        for line in audit:
            known.audit.setdefault(line.target, []).append(_line(line))
        return known


def _taken(row: OutboxRow) -> TakenAction:
    return TakenAction(
        id=row.id,
        action=row.action,
        recipient=row.recipient,
        state=str(row.state),
        attempts=row.attempts,
        next_at=row.next_at,
        finished_at=row.finished_at,
        last_error=row.last_error,
    )


def _line(row: AuditRow) -> AuditLine:
    return AuditLine(row.at, row.actor, row.action, row.target, row.result)


def _where(row: ConversationRow | None, mirror: Mirror | None, known: _Known) -> Place | None:
    if row is not None:
        return _place(row, known)
    if mirror is None:
        return None
    jobs = tuple(known.actions.get(None, ()))
    return Place(mirror.id, mirror.ref, str(mirror.state), FHIR[mirror.state], jobs, mirror.holder)


def _place(row: ConversationRow, known: _Known) -> Place:
    state = State(row.projection.state)
    return Place(row.id, row.ref, str(state), FHIR[state], tuple(known.actions.get(None, ())))


def _path(row: MessageRow, decisions: Iterable[DecisionRow], known: _Known) -> MessagePath:
    kept = row.envelope
    return MessagePath(
        id=row.id,
        mail_id=row.mail_id,
        direction=str(row.direction),
        cause=row.cause_id,
        at=row.received_at,
        size=row.size,
        purged=row.purged,
        sender=row.sender,
        login=str(kept.get("login", "")),
        mail_from=str(kept.get("mail_from", "")),
        recipients=tuple(map(str, kept.get("recipients", ()))),
        queue_id=row.queue_id,
        signature=str(kept.get("signature", "")) if row.direction is Direction.RECEIVED else "",
        signature_reason=str(kept.get("reason", "")),
        findings=tuple(map(str, kept.get("findings", ()))),
        encryption=str(kept.get("encryption", "")),
        trace=tuple((str(name), str(value)) for name, value in kept.get("trace", ())),
        audit=tuple(known.audit.get(str(row.id), ())),
        decisions=tuple(map(_decided, decisions)),
        events=tuple(known.events.get(row.id, ())),
        actions=tuple(known.actions.get(row.id, ())),
    )


def _course(path: MessagePath) -> tuple[datetime, float, bool]:
    """Messages of one instant in the order of their events; notices and answers have none and come last,
    after the command that they answer.
    """
    return path.at, path.events[0].seq if path.events else math.inf, path.cause is not None


def _decided(row: DecisionRow) -> DecisionPath:
    rules = tuple(RuleRead(str(rule), bool(fired), str(why)) for rule, fired, why in row.trace)
    return DecisionPath(row.at, row.trigger, row.rules_version, dict(row.facts), rules)
