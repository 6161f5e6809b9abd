"""The one decision: state, facts, policy and now go in; events, actions and the trace of why come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from teleexpertise.actions import Action, Answer, Post, Tag
from teleexpertise.conditions import ConditionError
from teleexpertise.conversation import Conversation
from teleexpertise.events import AnyEvent, Held, Redirected, Requeued, Resumed, TakenUp, step_of
from teleexpertise.facts import Facts, symbols
from teleexpertise.rules import Accept, Ask, Move, Operation, Rule, RuleBook
from teleexpertise.states import CLOSED, IllegalStep, State, next_state

__all__ = ["Decision", "TraceLine", "decide"]


class _NoOtherTool(Exception):
    """The expert names no other tool to send the requester to."""

    def __init__(self) -> None:
        super().__init__("the expert names no other tool")


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One rule that was read: whether it fired and what it did, or the condition that did not hold."""

    rule: str
    fired: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from one thing that happened.

    ``conflict`` means that the state table forbade what was proposed (a second closing): nothing is
    recorded and the author is answered. ``symbols`` are the values that the conditions saw first, kept for
    ``gateway explain``.
    """

    before: State
    after: State
    events: tuple[AnyEvent, ...]
    actions: tuple[Action, ...]
    trace: tuple[TraceLine, ...]
    symbols: dict[str, Any]
    rules_version: str
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class _Draft:
    """The decision so far, while the rules are read. A rule that fails half way leaves it as it was."""

    facts: Facts
    state: State
    values: Mapping[str, Any]
    events: tuple[AnyEvent, ...] = ()
    actions: tuple[Action, ...] = ()
    trace: tuple[TraceLine, ...] = ()
    conflict: bool = False
    ended: bool = False

    def traced(self, rule: Rule, why: str, *, fired: bool = False) -> _Draft:
        """With one more line of the trace."""
        return replace(self, trace=(*self.trace, TraceLine(rule.name, fired, why)))

    def recorded(self, event: AnyEvent) -> _Draft:
        """With one more event; raises :class:`IllegalStep`."""
        step = step_of(event)
        state = self.state if step is None else next_state(self.state, step)
        values = {**self.values, "state": str(state), "closed": state in CLOSED}
        return replace(self, state=state, values=values, events=(*self.events, event))

    def acted(self, action: Action) -> _Draft:
        """With one more action; the same action twice is done once."""
        return self if action in self.actions else replace(self, actions=(*self.actions, action))

    def performed(self, operation: Operation, rule: Rule) -> _Draft:
        """After one operation of a rule; raises :class:`IllegalStep` or :class:`_NoOtherTool`."""
        match operation:
            case Move.REDIRECTED | Answer(template="redirection") if not self.facts.tool_url:
                raise _NoOtherTool
            case Accept():
                return self if self.facts.proposed in self.events else self.recorded(self.facts.proposed)
            case Move():
                return self.recorded(_moved(operation, rule, self))
            case Ask(text):
                asked = (*self.values["missing"], text)
                held = self.recorded(Held(reason=rule.name, asked=asked))
                return held.acted(Post(template="elements-manquants", text=text))
            case _:
                return self.acted(operation)


def _moved(move: Move, rule: Rule, draft: _Draft) -> AnyEvent:
    match move:
        case Move.TAKEN_UP:
            return TakenUp()
        case Move.HELD:
            return Held(reason=rule.name, asked=tuple(draft.values["missing"]))
        case Move.RESUMED:
            return Resumed()
        case Move.REQUEUED:
            return Requeued()
        case Move.REDIRECTED:
            return Redirected(url=draft.facts.tool_url)


def _read(rule: Rule, draft: _Draft) -> _Draft:
    """The draft after one rule, with the line that says why."""
    why = rule.when or "always"
    try:
        if not rule.matches(draft.values):
            return draft.traced(rule, why)
    except ConditionError as error:
        return draft.traced(rule, f"{why}: {error}")
    after = draft
    try:
        for operation in rule.do:
            after = after.performed(operation, rule)
    except _NoOtherTool as error:
        return draft.traced(rule, f"refused: {error}")
    except IllegalStep as error:
        conflict = error.step is step_of(draft.facts.proposed)
        return replace(draft.traced(rule, f"refused: {error}"), conflict=conflict, ended=conflict)
    return replace(after.traced(rule, why, fired=True), ended=rule.stop)


def decide(conversation: Conversation | None, facts: Facts, policy: RuleBook, now: datetime) -> Decision:
    """Read the rules of this trigger in order and say what is recorded and done. Pure and total.

    Rules see the state as the rules before them have left it. Where the table forbids what was proposed, the
    reading ends: the first committed closing holds, the author of the second is answered. A rule whose own
    move is forbidden, or whose condition has no answer, is passed over with a line in the trace: a rule
    loses no mail. ``now`` is in the zone of the service, for the symbol ``hour``.
    """
    values = symbols(conversation, facts, now)
    before = conversation.state if conversation else State.NEW
    draft = _Draft(facts=facts, state=before, values=values)
    for rule in policy.on(facts.trigger):
        draft = _read(rule, draft)
        if draft.ended:
            break
    if draft.conflict:
        draft = replace(draft, state=before, events=(), actions=(Answer(template="conflit"),))
    if draft.state is not before and before is not State.NEW:
        draft = draft.acted(Tag())
    return Decision(
        before=before,
        after=draft.state,
        events=draft.events,
        actions=draft.actions,
        trace=draft.trace,
        symbols=values,
        rules_version=policy.version,
        conflict=draft.conflict,
    )
