"""The state table: what moves, what stays closed, and its national meaning."""

from dataclasses import fields
from itertools import product
from typing import get_args

import pytest

from teleexpertise.events import AnyEvent, Posted, step_of
from teleexpertise.states import CLOSED, FHIR, TABLE, IllegalStep, State, Step, diagram, next_state
from tests.support.cases import completed, opened

ALLOWED = {
    "new": {"opened": "requested"},
    "requested": {
        "redirected": "redirected",
        "taken_up": "in_progress",
        "held": "on_hold",
        "completed": "completed",
        "declined": "declined",
        "cancelled": "cancelled",
    },
    "in_progress": {
        "held": "on_hold",
        "completed": "completed",
        "declined": "declined",
        "cancelled": "cancelled",
    },
    "on_hold": {
        "held": "on_hold",
        "resumed": "in_progress",
        "requeued": "requested",
        "completed": "completed",
        "declined": "declined",
        "cancelled": "cancelled",
    },
    "completed": {"completed": "completed"},
    "declined": {},
    "cancelled": {},
    "redirected": {},
}


@pytest.mark.parametrize(("state", "step"), list(product(State, Step)))
def test_only_listed_pairs_move(state: State, step: Step) -> None:
    after = ALLOWED[state].get(step)
    if after is not None:
        assert next_state(state, step) == after
        return
    with pytest.raises(IllegalStep) as refused:
        next_state(state, step)
    assert (refused.value.state, refused.value.step) == (state, step)


def test_every_state_can_be_reached() -> None:
    reached = {State.NEW}
    while more := {after for (state, _), after in TABLE.items() if state in reached} - reached:
        reached |= more
    assert reached == set(State)


def test_closed_states_are_never_left() -> None:
    assert all(after is state for (state, _), after in TABLE.items() if state in CLOSED)


def test_every_open_state_can_be_closed_by_both_sides() -> None:
    for state in set(TABLE.values()) - CLOSED:
        assert {next_state(state, step) for step in (Step.COMPLETED, Step.DECLINED, Step.CANCELLED)} <= CLOSED


def test_every_existing_state_has_a_national_status() -> None:
    assert set(FHIR) == set(State) - {State.NEW}
    codes = {"draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"}
    assert {status for status, _ in FHIR.values()} <= codes
    assert all((status == "active") == bool(split) for status, split in FHIR.values())


def test_the_diagram_shows_every_arrow_once() -> None:
    lines = diagram().splitlines()
    arrows = [line for line in lines if line.count(":") == 1]
    assert len(arrows) == len(set(arrows)) == len(TABLE)
    assert "    [*] --> requested: opened" in lines
    assert {line for line in lines if line.endswith("--> [*]")} == {
        f"    {state} --> [*]" for state in CLOSED
    }


def test_each_step_belongs_to_exactly_one_kind_of_event() -> None:
    kinds = [{field.name: field.default for field in fields(kind)}["kind"] for kind in get_args(AnyEvent)]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) >= set(Step)
    assert step_of(opened()) is Step.OPENED
    assert step_of(completed()) is Step.COMPLETED
    assert step_of(Posted(template="rapport")) is None
