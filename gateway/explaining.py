"""Why what was done was done: the path of one message or conversation, gathered from what the store keeps.

Nothing is decided here again. A path is: received when and from whom, what trust found, the outcome that the
audit trail notes, each decision with the rules that were read, the events recorded, the actions and what
became of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

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
    """The path of one message. ``signature`` is '' for a mail that the gateway wrote; ``trace`` are the
    fields that every copy of a received mail gets (Received, which names the peer, and
    Authentication-Results).
    """

    id: UUID
    mail_id: str
    direction: str
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
    trace: tuple[tuple[str, str], ...]
    audit: tuple[AuditLine, ...]
    decisions: tuple[DecisionPath, ...]
    events: tuple[RecordedEvent, ...]
    actions: tuple[TakenAction, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The conversation that the messages belong to, and its actions that carry no message (tags)."""

    id: UUID
    ref: str
    state: str
    fhir: tuple[str, str]
    jobs: tuple[TakenAction, ...]


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
    """What is known of a message (identifier, Message-ID, SMTP queue id), an action or a conversation;
    ``None`` if nothing is.
    """
    asked = name.strip()
    conversation, messages = await _named(tx, asked)
    lines: tuple[AuditLine, ...] = ()
    if not messages and _QUEUE_ID.fullmatch(asked.upper()):
        messages, lines = await _queued(tx, asked.upper())
    if conversation is None and not messages and not lines:
        return None
    if conversation is None and len({row.conversation_id for row in messages}) == 1:
        (identifier,) = {row.conversation_id for row in messages}
        conversation = await tx.conversations.get(identifier) if identifier else None
    about = await _audit_about(tx, {str(row.id) for row in messages}) if messages else ()
    places = {row.conversation_id for row in messages} | ({conversation.id} if conversation else set())
    records = await tx.events.of(conversation.id) if conversation else ()
    known = _Known.of(records, await _actions(tx, places), about)
    paths = [_path(row, await tx.decisions.of_message(row.id), known) for row in messages]
    paths.sort(key=_course)
    place = _place(conversation, known) if conversation else None
    return Explanation(asked, place, tuple(paths), lines)


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


async def _queued(tx: Transaction, queue_id: str) -> tuple[tuple[MessageRow, ...], tuple[AuditLine, ...]]:
    """The messages accepted, or the refusals, under the queue id that a peer was told in the SMTP
    dialogue.
    """
    messages, refusals = [], []
    last = 0
    while lines := await tx.audit.list(after=last):
        for line in lines:
            if line.target == queue_id:
                refusals.append(_line(line))
            elif line.detail.get("queue_id") == queue_id:
                message = await tx.messages.get(UUID(line.target))
                messages += [message] if message else []
        last = lines[-1].id
    return tuple(messages), tuple(refusals)


async def _audit_about(tx: Transaction, targets: Collection[str]) -> tuple[AuditRow, ...]:
    found: list[AuditRow] = []
    last = 0
    while lines := await tx.audit.list(after=last):
        found += (line for line in lines if line.target in targets)
        last = lines[-1].id
    return tuple(found)


async def _actions(tx: Transaction, conversations: Iterable[UUID | None]) -> tuple[OutboxRow, ...]:
    """All actions of these conversations; for a mail outside any, the store can only list all there are."""
    wanted = set(conversations)
    found: list[OutboxRow] = []
    for identifier in [None] if None in wanted and len(wanted) == 1 else wanted - {None}:
        found += await tx.outbox.list(tuple(OutboxState), identifier, _ALL)
    return tuple(found)


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


def _place(row: ConversationRow, known: _Known) -> Place:
    state = State(row.projection.state)
    return Place(row.id, row.ref, str(state), FHIR[state], tuple(known.actions.get(None, ())))


def _path(row: MessageRow, decisions: Iterable[DecisionRow], known: _Known) -> MessagePath:
    kept = row.envelope
    return MessagePath(
        id=row.id,
        mail_id=row.mail_id,
        direction=str(row.direction),
        at=row.received_at,
        size=row.size,
        purged=row.purged,
        sender=row.sender,
        login=str(kept.get("login", "")),
        mail_from=str(kept.get("mail_from", "")),
        recipients=tuple(map(str, kept.get("recipients", ()))),
        queue_id=str(kept.get("queue_id", "")),
        signature=str(kept.get("signature", "")) if row.direction is Direction.RECEIVED else "",
        signature_reason=str(kept.get("reason", "")),
        trace=tuple((str(name), str(value)) for name, value in kept.get("trace", ())),
        audit=tuple(known.audit.get(str(row.id), ())),
        decisions=tuple(map(_decided, decisions)),
        events=tuple(known.events.get(row.id, ())),
        actions=tuple(known.actions.get(row.id, ())),
    )


def _course(path: MessagePath) -> tuple[datetime, float]:
    """Messages of one instant in the order of their events; notices and answers have none and come last."""
    return path.at, path.events[0].seq if path.events else math.inf


def _decided(row: DecisionRow) -> DecisionPath:
    rules = tuple(RuleRead(str(rule), bool(fired), str(why)) for rule, fired, why in row.trace)
    return DecisionPath(row.at, row.trigger, row.rules_version, dict(row.facts), rules)
