"""How much mail is held and worked on at once: nobody is let past the bounds, and nobody is forgotten."""

from __future__ import annotations

import asyncio

import pytest

from gateway.smtp.inflight import InFlight
from gateway.smtp.refusals import TooMuchAtOnce
from gateway.turns import Turns


def test_one_sender_gets_a_quarter_and_all_together_the_whole() -> None:
    held = InFlight(4_000, 500)
    mine = held.lease("me")
    assert mine.grow(900)
    assert not mine.grow(101)
    assert mine.grow(100)
    with pytest.raises(TooMuchAtOnce):
        held.lease("me")
    others = [held.lease(f"other {number}") for number in range(4)]
    assert [other.grow(1_000) for other in others] == [True, True, True, False]
    others[0].end()
    others[0].end()
    assert held.lease("other 3", announced=1_000).grow(1_000)
    mine.end()
    assert held.lease("me").grow(1_000)


def test_the_longest_mail_finds_room_in_the_smallest_memory() -> None:
    held = InFlight(10, 500)
    lease = held.lease("me", announced=500)
    assert lease.grow(500 + len(b"\r\n.\r\n"))
    with pytest.raises(TooMuchAtOnce):
        held.lease("another")
    lease.end()
    held.lease("another", announced=500)


async def test_turns_come_in_order_and_within_the_bound() -> None:
    turns, order, leave = Turns(10), list[str](), {name: asyncio.Event() for name in "abcde"}

    async def work(name: str, weight: int) -> None:
        async with turns.turn(weight):
            order.append(name)
            await leave[name].wait()

    async def settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    tasks = {
        name: asyncio.create_task(work(name, weight))
        for name, weight in (("a", 6), ("b", 4), ("c", 50), ("d", 1), ("e", 9))
    }
    await settle()
    assert order == ["a", "b"]
    leave["a"].set()
    await settle()
    assert order == ["a", "b"], "one that is too heavy for the bound goes alone, and nobody goes before it"
    leave["b"].set()
    await settle()
    assert order == ["a", "b", "c"]
    tasks["d"].cancel()
    leave["c"].set()
    await settle()
    assert order == ["a", "b", "c", "e"]
    leave["e"].set()
    await settle()
    async with asyncio.timeout(5), turns.turn(10):
        assert all(task.done() for task in tasks.values())


async def test_a_turn_that_came_as_its_owner_was_cancelled_is_passed_on() -> None:
    turns = Turns(1)

    async def work() -> None:
        async with turns.turn(1):
            pass

    async with turns.turn(1):
        waiting = asyncio.create_task(work())
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    async with asyncio.timeout(5), turns.turn(1):
        pass
