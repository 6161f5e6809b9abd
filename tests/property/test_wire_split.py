"""A mail split into one transaction per recipient, in any order, with copies: once for each recipient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import region
from tests.support.wire import MEMBERS, Committed, Posting, Wire, made_wire

REPLIES = ("r1", "e1", "e1x")
COLLEAGUES = (region.STRANGER.address, region.NURSE.address)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with made_wire() as made:
        yield made


def split(wire: Wire) -> list[Posting]:
    """Each reply to the conversation, to the service address as well, and to two colleagues."""
    targets = ("", wire.services.settings.service_address, *COLLEAGUES)
    replies = [wire.postings[name] for name in REPLIES]
    return [replace(reply, recipient=target or reply.recipient) for reply in replies for target in targets]


def run(wire: Wire, steps: Sequence[Sequence[Posting]]) -> Committed:
    """Take the postings of each step at once, one step after the other."""

    async def whole() -> Committed:
        async with wire.course() as course:
            for step in steps:
                await course.at_once(step)
                await course.check()
            return await course.read()

    return wire.runner.run(whole())


@given(data=st.data())
@settings(max_examples=10)
def test_every_recipient_has_each_mail_once_whatever_the_order(wire: Wire, data: st.DataObject) -> None:
    postings = split(wire)
    ours = [posting for posting in postings if posting.recipient not in COLLEAGUES]
    repeated = data.draw(st.lists(st.sampled_from(ours), max_size=4), label="copies")
    order = data.draw(st.permutations([*postings, *repeated]), label="order")
    width = data.draw(st.integers(1, 4), label="at once")
    found = run(wire, [order[start : start + width] for start in range(0, len(order), width)])
    assert set(found.received().values()) == {1}
    copies = Counter(
        (recipient, told)
        for action, recipient, told in found.actions()
        if action == "deliver" and told.split(" ")[0] in MEMBERS
    )
    assert set(copies.values()) == {1}
    per_recipient = Counter(recipient for recipient, _ in copies)
    assert per_recipient == {name: len(REPLIES) for name in (*MEMBERS, *COLLEAGUES)}
