"""The one decision: state, facts, policy and now go in; events, actions and the trace of why come out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from teleexpertise.actions import Action, Answer, Post, Tag
from teleexpertise.conversation import Conversation
from teleexpertise.events import AnyEvent, Held, Redirected, Requeued, Resumed, TakenUp, step_of
from teleexpertise.facts import Facts, symbols
from teleexpertise.rules import Accept, Ask, Move, Operation, Rule, RuleBook
from teleexpertise.states import CLOSED, IllegalStep, State, next_state

__all__ = ["Decision", "TraceLine", "decide"]


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One rule that was read: whether it fired and what it did, or the condition that did not hold."""

    rule: str
    fired: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from one thing that happened.

    ``conflict`` means that the state table forbade what was proposed (a second closing): nothing is recorded and the
    author is answered. ``symbols`` are the values that the conditions saw first, kept for ``gateway explain``.
    """

    before: State
    after: State
    events: tuple[AnyEvent, ...]
    actions: tuple[Action, ...]
    trace: tuple[TraceLine, ...]
    symbols: dict[str, Any]
    rules_version: str
    conflict: bool = False


@dataclass(slots=True)
class _Draft:
    """The decision while the rules are read; local to :func:`decide`."""

    facts: Facts
    state: State
    values: dict[str, Any]
    events: list[AnyEvent] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def record(self, event: AnyEvent) -> None:
        step = step_of(event)
        if step is not None:
            self.state = next_state(self.state, step)
            self.values = {**self.values, "state": str(self.state), "closed": self.state in CLOSED}
        self.events.append(event)

    def move(self, move: Move, rule: Rule) -> None:
        match move:
            case Move.TAKEN_UP:
                self.record(TakenUp())
            case Move.HELD:
                self.record(Held(reason=rule.name, asked=tuple(self.values["missing"])))
            case Move.RESUMED:
                self.record(Resumed())
            case Move.REQUEUED:
                self.record(Requeued())
            case Move.REDIRECTED:
                self.record(Redirected(url=self.facts.tool_url))

    def perform(self, operation: Operation, rule: Rule) -> None:
        match operation:
            case Accept():
                self.record(self.facts.proposed)
            case Move():
                self.move(operation, rule)
            case Ask(text):
                self.actions.append(Post(template="elements-manquants", text=text))
                self.record(Held(reason=rule.name, asked=(*self.values["missing"], text)))
            case _:
                self.actions.append(operation)


def _describe(rule: Rule) -> str:
    return rule.when or "always"


def decide(conversation: Conversation | None, facts: Facts, policy: RuleBook, now: datetime) -> Decision:
    """Read the rules of this trigger in order and say what is recorded and done. Pure and total.

    Rules see the state as the rules before them have left it. A step that the table forbids ends the reading: the first
    committed closing holds, the author of the second is answered.
    """
    values = symbols(conversation, facts, now)
    before = conversation.state if conversation else State.NEW
    draft = _Draft(facts=facts, state=before, values=values)
    trace: list[TraceLine] = []
    conflict = False
    for rule in policy.on(facts.trigger):
        if not rule.matches(draft.values):
            trace.append(TraceLine(rule.name, False, _describe(rule)))
            continue
        try:
            for operation in rule.do:
                draft.perform(operation, rule)
        except IllegalStep as error:
            trace.append(TraceLine(rule.name, True, f"refused: {error}"))
            conflict = True
            break
        trace.append(TraceLine(rule.name, True, _describe(rule)))
        if rule.stop:
            break
    if conflict:
        draft.state, draft.events, draft.actions = before, [], [Answer(template="conflit")]
    if draft.state is not before and before is not State.NEW:
        draft.actions.append(Tag())
    return Decision(
        before=before,
        after=draft.state,
        events=tuple(draft.events),
        actions=tuple(draft.actions),
        trace=tuple(trace),
        symbols=values,
        rules_version=policy.version,
        conflict=conflict,
    )
