"""Decisions over random courses: total, pure, explained; and the same end whatever overtakes on the wire."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from teleexpertise.actions import Answer, DeliverLetter
from teleexpertise.conversation import Conversation, fold
from teleexpertise.decision import decide
from teleexpertise.events import Exchanged
from teleexpertise.facts import Trigger
from teleexpertise.states import CLOSED, State
from tests.support.cases import CONVERSATION, OVERVIEW, START, Play, opened, rules
from tests.support.courses import Course, asks, courses, facts, invitations, mails, openings, others, play

DEFAULT = rules()


@given(courses(careless=True))
def test_decisions_are_total_and_their_events_fold(course: Course) -> None:
    played = play(course)
    names = {rule.name for rule in played.book.rules}
    state = State.NEW
    for decision in played.decisions:
        assert decision.before is state
        assert {line.rule for line in decision.trace} <= names
        assert decision.rules_version == played.book.version
        if decision.conflict:
            assert (decision.events, decision.actions) == ((), (Answer(template="conflit"),))
        assert decision.after is decision.before or decision.before not in CLOSED
        state = decision.after
    found = played.now
    assert found is None or found.state is state


@given(courses(careless=True))
def test_the_same_facts_give_the_same_decision(course: Course) -> None:
    played = play(course)
    assert play(course).decisions == played.decisions
    for happening in course.happenings:
        first = decide(played.now, facts(happening), played.book, START) if played.now else None
        assert first == (decide(played.now, facts(happening), played.book, START) if played.now else None)


@given(courses())
def test_by_the_default_rules_no_mail_of_a_member_is_lost(course: Course) -> None:
    for decision, happening in zip(play(course).decisions[1:], course.happenings, strict=False):
        if happening[0] is Trigger.MESSAGE:
            assert not decision.conflict
            assert sum(isinstance(event, Exchanged) for event in decision.events) == 1
            assert DeliverLetter() in decision.actions


@given(courses())
def test_of_all_closings_the_first_holds(course: Course) -> None:
    closed: Conversation | None = None
    played = Play(DEFAULT)
    played.request(course.opening, course.tool_url)
    for happening in course.happenings:
        played.happens(facts(happening))
        found = played.now
        assert found is not None
        if closed is not None:
            assert found.state is closed.state
            assert found.closing_reason == closed.closing_reason
        closed = found if found.closed else None


def end(course: Course, happenings: list[Any]) -> tuple[Any, ...]:
    """What must not depend on the order of arrival."""
    played = Play(DEFAULT)
    played.request(course.opening, course.tool_url)
    for happening in (*course.happenings, *happenings):
        played.happens(facts(happening))
    found = played.now
    assert found is not None
    assert fold(CONVERSATION, played.records) == found
    return (
        found.state,
        found.asked,
        found.given,
        found.missing,
        found.expert_has_written,
        found.completion and found.completion.conclusion,
        found.closing_reason,
        found.version,
        {party.address for party in found.active()},
        Counter(found.absences),
        Counter((exchange.side, exchange.attachments) for exchange in found.exchanges),
    )


overtaking = st.one_of(mails(), mails(), invitations(), others(Trigger.ABSENCE, Trigger.BOUNCE))
closing = others(Trigger.FINALISE, Trigger.DECLINE, Trigger.CANCEL)
beginnings = st.builds(
    Course,
    opening=st.one_of(st.just(opened(items=(OVERVIEW,))), openings()),
    happenings=st.lists(st.one_of(asks(), overtaking), max_size=3).map(tuple),
)


@settings(max_examples=400)
@given(beginnings, overtaking, st.one_of(overtaking, overtaking, closing))
def test_what_overtakes_on_the_wire_gives_the_same_end(course: Course, first: Any, second: Any) -> None:
    # Swapping neighbours reaches any order, so two that arrive after any beginning suffice.
    assert end(course, [first, second]) == end(course, [second, first])
