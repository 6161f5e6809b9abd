"""When an unanswered request is reminded of: moments, and what must hold whatever the delays are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleexpertise.conversation import Conversation
from teleexpertise.events import Exchanged, Reminded, ReminderKind, Side
from teleexpertise.facts import Trigger
from teleexpertise.reminding import Timetable, reminder_due, timetable
from teleexpertise.states import State
from tests.support.cases import START, Play, opened

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = Timetable(12 * HOUR, 24 * HOUR)
PROMISE, CONVENTION, ALERT = ReminderKind


def waiting(delay_days: int = 2) -> Conversation:
    play = Play()
    play.request(replace(opened(), delay_days=delay_days))
    assert play.now is not None
    return play.now


@pytest.mark.parametrize(
    ("delay_days", "moments"),
    [
        (0, [(0 * DAY, PROMISE), (6 * DAY, CONVENTION), (7 * DAY, ALERT)]),
        (1, [(12 * HOUR, PROMISE), (6 * DAY, CONVENTION), (7 * DAY, ALERT)]),
        (2, [(36 * HOUR, PROMISE), (6 * DAY, CONVENTION), (7 * DAY, ALERT)]),
        (7, [(6 * DAY, CONVENTION), (7 * DAY, ALERT)]),
        (10, [(6 * DAY, CONVENTION), (10 * DAY, ALERT)]),
    ],
)
def test_moments(delay_days: int, moments: list[tuple[timedelta, ReminderKind]]) -> None:
    found = waiting(delay_days)
    assert [(at - found.opened_at, kind) for at, kind in timetable(found, POLICY)] == moments


@given(st.integers(0, 30), st.lists(st.floats(0, 40), max_size=30), st.integers(1, 200), st.integers(1, 144))
def test_each_is_told_once_in_order_and_the_alert_last(
    delay_days: int, looks: list[float], promise: int, convention: int
) -> None:
    policy = Timetable(promise * HOUR, convention * HOUR)
    found, told = waiting(delay_days), []
    for days in sorted(looks):
        kind = reminder_due(found, policy, found.opened_at + days * DAY)
        if kind is not None:
            told.append(kind)
            found = replace(found, reminded=(*found.reminded, kind))
    assert len(set(told)) == len(told)
    order = [kind for _, kind in timetable(found, policy)]
    assert told == [kind for kind in order if kind in told]
    if looks and found.opened_at + max(looks) * DAY >= timetable(found, policy)[-1][0]:
        assert told[-1] is ALERT


@pytest.mark.parametrize("state", [state for state in State if state not in (State.REQUESTED, State.NEW)])
def test_nothing_is_due_in_any_other_state(state: State) -> None:
    found = replace(waiting(), state=state)
    assert all(reminder_due(found, POLICY, START + days * DAY) is None for days in range(40))


def test_the_record_says_what_was_told_and_an_answer_ends_it() -> None:
    play = Play()
    play.request(replace(opened(), delay_days=2))
    decision = play.act(Trigger.REMINDER, Reminded(reminder=PROMISE), Side.REQUESTER)
    assert play.now is not None
    assert play.now.reminded == (PROMISE,)
    assert play.now.state is State.REQUESTED
    assert decision.events == (Reminded(reminder=PROMISE),)
    assert reminder_due(play.now, POLICY, play.now.opened_at + 3 * DAY) is None
    play.act(Trigger.MESSAGE, Exchanged(side=Side.EXPERT), Side.EXPERT)
    assert play.now is not None
    assert reminder_due(play.now, POLICY, play.now.opened_at + 30 * DAY) is None
