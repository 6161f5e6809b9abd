"""Deciding again: whether the rules in use still say what they said, on what the store kept of a decision.

Pure. A decision is made again where its rules are still those in use and what it accepted was recorded: the
event is what was proposed, the record before it the state. What recorded nothing (a refused second closing, a
request that was answered "call 15") left no proposal behind and cannot be made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from uuid import UUID

from gateway.store import DecisionRow
from teleexpertise.conversation import Conversation, apply, fold
from teleexpertise.decision import Decision, decide
from teleexpertise.events import AnyEvent, Opened, Record, Side
from teleexpertise.facts import Facts, Trigger
from teleexpertise.rules import RuleBook

__all__ = ["Redeciding"]

#: The kind of event that is proposed on each trigger.
_PROPOSED: Mapping[Trigger, str] = MappingProxyType(
    {
        Trigger.REQUEST: "opened",
        Trigger.MESSAGE: "exchanged",
        Trigger.ASK: "held",
        Trigger.FINALISE: "completed",
        Trigger.DECLINE: "declined",
        Trigger.CANCEL: "cancelled",
        Trigger.INVITE: "member_joined",
        Trigger.REMOVE: "member_left",
        Trigger.REPORT: "report_made",
        Trigger.ABSENCE: "absence_noted",
        Trigger.BOUNCE: "delivery_failed",
        Trigger.INTEGRATION: "integration_failed",
        Trigger.REMINDER: "reminded",
        Trigger.AWAY: "expert_away",
    }
)


def _states(conversation: UUID, records: Sequence[Record]) -> dict[int, Conversation | None]:
    """The conversation before each record, by its sequence number."""
    before: dict[int, Conversation | None] = {}
    state: Conversation | None = None
    for record in records:
        before[record.seq] = state
        state = fold(conversation, [record]) if state is None else apply(state, record)
    return before


def _proposal(trigger: Trigger, recorded: Sequence[Record]) -> Record | None:
    """The record of what was proposed, ``None`` where none or no certain one is left."""
    found = [record for record in recorded if record.event.kind == _PROPOSED[trigger]]
    if not found or (trigger is Trigger.ASK and len(found) > 1):
        return None  # rules may hold by themselves, which looks the same as the hold that was asked for
    return found[0]


def _unnamed(event: AnyEvent) -> AnyEvent:
    """The event as it was decided on: a request gets its reference only when it is recorded."""
    return replace(event, ref="") if isinstance(event, Opened) else event


@dataclass(slots=True)
class Redeciding:
    """Decisions of one conversation, made again by ``rules`` in the readers' ``zone``; ``count`` is how many
    could be so far.
    """

    rules: RuleBook
    conversation: UUID
    records: Sequence[Record]
    zone: tzinfo = UTC
    count: int = field(default=0, init=False)

    def differences(self, decisions: Sequence[DecisionRow]) -> Iterator[str]:
        """A sentence for each decision that comes out otherwise; ``decisions`` are all of the
        conversation, in order.

        Raises ``IllegalStep`` or ``NotOpened`` for a record that gives no state.
        """
        before = _states(self.conversation, self.records)
        left: dict[tuple[UUID, datetime], list[Record]] = {}
        for record in self.records:
            left.setdefault((record.message, record.at), []).append(record)
        for row in decisions:
            recorded = left.get((row.message_id, row.at), []) if row.message_id else []
            if row.rules_version != self.rules.version:
                recorded.clear()
                continue
            proposal = _proposal(Trigger(row.trigger), recorded)
            if proposal is None:
                continue
            self.count += 1
            again = self._decided(row, proposal, before[recorded[0].seq])
            for what in _compared(row, again, recorded):
                yield f"decision {row.id} on {row.trigger} of message {row.message_id}: {what}"
            del recorded[: len(again.events)]

    def _decided(self, row: DecisionRow, proposal: Record, before: Conversation | None) -> Decision:
        facts = Facts(
            trigger=Trigger(row.trigger),
            author=proposal.author,
            proposed=_unnamed(proposal.event),
            side=Side(row.facts["side"]),
            tool_url=row.facts["expert_tool_url"],
            allows_anonymous=row.facts["expert_allows_anonymous"],
        )
        return decide(before, facts, self.rules, row.at.astimezone(self.zone))


def _compared(row: DecisionRow, again: Decision, recorded: Sequence[Record]) -> Iterator[str]:
    values = {**again.symbols, "state_after": str(again.after)}
    other = sorted(
        name for name in values.keys() | row.facts.keys() if values.get(name) != row.facts.get(name)
    )
    if other:
        yield f"other values of {', '.join(other)}"
    if [[line.rule, line.fired, line.why] for line in again.trace] != list(row.trace):
        yield "the rules say otherwise now"
    if list(again.events) != [_unnamed(record.event) for record in recorded[: len(again.events)]]:
        yield "other events follow from it"
