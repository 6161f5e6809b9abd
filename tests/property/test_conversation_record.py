"""The record: random steps through the table, events through JSON, the fold as repeated application."""

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import date
from enum import StrEnum
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import given
from hypothesis import strategies as st

from teleexpertise.conversation import apply, fold
from teleexpertise.events import AnyEvent, dump_event, load_event, step_of
from teleexpertise.states import CLOSED, TABLE, IllegalStep, State, Step, next_state
from tests.support.cases import CONVERSATION, opened, record
from tests.support.courses import courses, play

SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(),
    bool: st.booleans(),
    date: st.dates(),
    type(None): st.none(),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that events are made of."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    arguments = get_args(kind)
    if get_origin(kind) is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if get_origin(kind) is tuple:
        return st.tuples(*map(values, arguments))
    if isinstance(kind, UnionType):
        return st.one_of(*map(values, arguments))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from(list(kind))
    assert is_dataclass(kind), kind
    hints = get_type_hints(kind)
    filled = {part.name: values(hints[part.name]) for part in fields(kind) if part.name != "kind"}
    build: Callable[..., Any] = kind  # type: ignore[assignment]
    return st.builds(build, **filled)


@given(st.one_of(*map(values, get_args(AnyEvent))))
def test_every_event_is_the_same_after_json(event: AnyEvent) -> None:
    data = json.loads(json.dumps(dump_event(event)))
    assert load_event(data) == event
    assert data["kind"] == event.kind


@given(st.lists(st.sampled_from(list(Step)), max_size=30))
def test_random_steps_move_by_the_table_and_closed_stays_closed(steps: list[Step]) -> None:
    state = State.NEW
    for step in steps:
        try:
            after = next_state(state, step)
        except IllegalStep:
            assert (state, step) not in TABLE
            continue
        assert after is TABLE[state, step]
        assert after is not State.NEW
        if state in CLOSED:
            assert after is state
        state = after


@given(st.lists(st.one_of(*map(values, get_args(AnyEvent))), max_size=12))
def test_any_events_fold_or_are_illegal_steps(events: list[AnyEvent]) -> None:
    found = fold(CONVERSATION, [record(1, opened())])
    for seq, event in enumerate(events, 2):
        step = step_of(event)
        allowed = step is None or (found.state, step) in TABLE
        try:
            after = apply(found, record(seq, event))
        except IllegalStep:
            assert not allowed
            continue
        assert allowed
        assert after.seq == seq
        assert after.state is (found.state if step is None else TABLE[found.state, step])
        assert not after.asked or after.state is State.ON_HOLD
        found = after


@given(courses())
def test_the_fold_is_repeated_application(course: Any) -> None:
    records = play(course).records
    for end in range(1, len(records)):
        assert apply(fold(CONVERSATION, records[:end]), records[end]) == fold(
            CONVERSATION, records[: end + 1]
        )
