"""Whatever overtakes on the wire: duplicates, late retries and concurrent mails leave the same end, without a
second copy. After every step the projection is the fold of the events (``tests.support.wire`` asserts it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from teleexpertise.states import State
from tests.support.wire import EXPERT, MEMBERS, REQUESTER, Committed, Wire, made_wire

REPLIES = ("r1", "r2", "e1", "e1x", "e2")
CLOSINGS = {"finalise": State.COMPLETED, "decline": State.DECLINED, "cancel": State.CANCELLED}
WRITERS = {"finalise": EXPERT.address, "decline": EXPERT.address, "cancel": REQUESTER.address}

Steps = list[list[str]]


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with made_wire() as made:
        yield made


def orders(*names: str) -> st.SearchStrategy[list[str]]:
    return st.permutations(names)


@st.composite
def noisy(draw: st.DrawFn, order: list[str]) -> Steps:
    """``order`` with copies: at once with the first, or late among the others."""
    steps: Steps = [[name] for name in order]
    for name in draw(st.lists(st.sampled_from(order), max_size=7)):
        copy = name + draw(st.sampled_from(["", "'"]))
        first = order.index(name)
        place = draw(st.integers(first, len(order) - 1))
        # Beside the mail of that place or after it: a copy may come at any time but before the first.
        if place == first or draw(st.booleans()):
            steps[place].append(copy)
        else:
            steps[place].insert(0, copy)
    return steps


def grouped(order: Sequence[str], cuts: Sequence[bool]) -> Steps:
    """``order`` in steps: a mail goes at once with the one before unless its cut is set."""
    steps: Steps = [[order[0]]]
    for name, cut in zip(order[1:], cuts, strict=False):
        if cut:
            steps.append([name])
        else:
            steps[-1].append(name)
    return steps


def assert_once(found: Committed, replies: Sequence[str], wire: Wire) -> None:
    """Each distinct mail counts once, and each member has one copy of each reply."""
    assert set(found.received().values()) == {1}
    copies = Counter((recipient, told) for action, recipient, told in found.actions() if action == "deliver")
    sent = Counter(
        (recipient, count)
        for (recipient, told), count in copies.items()
        if told.split(" ")[0] in MEMBERS and recipient in MEMBERS
    )
    assert sent == {(member, 1): len(replies) for member in MEMBERS}


def mail_ids(found: Committed) -> list[str]:
    return sorted(
        found.messages[exchange.message][0].body_sha256 for exchange in found.conversation.exchanges
    )


@given(data=st.data(), order=orders(*REPLIES, "finalise", "cancel"))
@settings(max_examples=10)
def test_copies_change_nothing(wire: Wire, data: st.DataObject, order: list[str]) -> None:
    plain = wire.run([[name] for name in order])
    steps = data.draw(noisy(order), label="steps")
    found = wire.run(steps)
    assert found.conversation.state == plain.conversation.state
    assert found.actions() == plain.actions()
    assert found.received() == plain.received()
    assert_once(found, REPLIES, wire)


@given(order=orders(*REPLIES), cuts=st.lists(st.booleans(), min_size=4, max_size=4))
@example(order=list(REPLIES), cuts=[False] * 4)
@settings(max_examples=8)
def test_replies_that_overtake_each_other_come_to_the_same_end(
    wire: Wire, order: list[str], cuts: list[bool]
) -> None:
    plain = wire.run([[name] for name in REPLIES])
    found = wire.run(grouped(order, cuts))
    assert found.conversation.state == plain.conversation.state == State.IN_PROGRESS
    assert mail_ids(found) == mail_ids(plain)
    assert Counter(found.actions(states=False)) == Counter(plain.actions(states=False))
    assert_once(found, REPLIES, wire)


@given(order=orders(*CLOSINGS, "r1", "e1"), cuts=st.lists(st.booleans(), min_size=4, max_size=4))
@example(order=["finalise", "cancel", "decline", "r1", "e1"], cuts=[False] * 4)
@settings(max_examples=8)
def test_of_conflicting_closings_the_first_committed_holds_and_the_others_are_answered(
    wire: Wire, order: list[str], cuts: list[bool]
) -> None:
    steps = grouped(order, cuts)
    found = wire.run(steps)
    first = next(step for step in steps if set(step) & set(CLOSINGS))
    assert found.conversation.state in {CLOSINGS[name] for name in first if name in CLOSINGS}
    (holding,) = (name for name, state in CLOSINGS.items() if state is found.conversation.state)
    assert_once(found, ["r1", "e1"], wire)
    answers = Counter(
        recipient
        for action, recipient, told in found.actions(states=False)
        if action == "deliver" and told == " auto-replied"
    )
    before = Counter(
        recipient
        for action, recipient, told in wire.run([]).actions(states=False)
        if action == "deliver" and told == " auto-replied"
    )
    refused = Counter(WRITERS[name] for name in CLOSINGS if name != holding)
    assert answers - before >= refused
    reports = [action for action, _, _ in found.actions() if action == "make_report"]
    assert len(reports) == (holding == "finalise")
