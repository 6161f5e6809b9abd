"""The outbox: one row per key, claims under a lease, order for each recipient of a conversation."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from gateway.store import OutboxRow, OutboxState, Store
from tests.support.store import NOW, action, message, open_conversation

LEASE = 60
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with Store.open(database) as opened:
        yield opened


async def _put(store: Store, *rows: OutboxRow) -> None:
    async with store.transaction() as tx:
        await tx.outbox.put(rows)


async def _claim(store: Store, now: datetime, lease: float, limit: int) -> tuple[OutboxRow, ...]:
    async with store.transaction() as tx:
        return await tx.outbox.claim(now, lease, limit)


async def _done(store: Store, *rows: OutboxRow) -> None:
    async with store.transaction() as tx:
        for row in rows:
            await tx.outbox.done(row, NOW)


async def _conversation(store: Store) -> UUID:
    async with store.transaction() as tx:
        return await open_conversation(tx)


async def _get(store: Store, row: OutboxRow) -> OutboxRow:
    async with store.reading() as tx:
        found = await tx.outbox.get(row.id)
    assert found is not None
    return found


async def test_what_is_put_is_claimed_as_it_was(store: Store) -> None:
    row = action(mail_from="bounce@demo.mssante.example", payload={"headers": [["X-TLE-State", "requested"]]})
    await _put(store, row)
    (claimed,) = await _claim(store, NOW, LEASE, 10)
    assert claimed.claimed_until == NOW + timedelta(seconds=LEASE)
    assert claimed.attempts == 1
    assert (claimed.key, claimed.mail_from, claimed.payload) == (row.key, row.mail_from, row.payload)


async def test_same_key_is_one_row_whatever_became_of_it(store: Store) -> None:
    first, other = action("deliver 1 a"), action("deliver 1 b")
    await _put(store, first)
    await _put(store, action("deliver 1 a"), other)
    claimed = await _claim(store, NOW, LEASE, 10)
    assert [row.id for row in claimed] == [first.id, other.id]
    await _done(store, *claimed)
    await _put(store, action("deliver 1 a"))
    assert await _claim(store, NOW + MINUTE * 9, LEASE, 10) == ()


async def test_nothing_is_claimed_before_it_is_due(store: Store) -> None:
    await _put(store, action(next_at=NOW + MINUTE))
    assert await _claim(store, NOW, LEASE, 10) == ()
    assert len(await _claim(store, NOW + MINUTE, LEASE, 10)) == 1


async def test_claim_takes_the_longest_due_first_and_no_more_than_asked(store: Store) -> None:
    late, early, middle = action(), action(next_at=NOW - MINUTE * 2), action(next_at=NOW - MINUTE)
    await _put(store, late, early, middle)
    assert [row.id for row in await _claim(store, NOW, LEASE, 2)] == [early.id, middle.id]
    assert [row.id for row in await _claim(store, NOW, LEASE, 2)] == [late.id]


async def test_lease_that_ended_lets_another_claim(store: Store) -> None:
    await _put(store, action())
    (first,) = await _claim(store, NOW, LEASE, 10)
    assert await _claim(store, NOW + timedelta(seconds=LEASE - 1), LEASE, 10) == ()
    (second,) = await _claim(store, NOW + timedelta(seconds=LEASE), LEASE, 10)
    assert (first.attempts, second.attempts) == (1, 2)


async def test_worker_whose_lease_ended_does_not_undo_its_successors_claim(store: Store) -> None:
    await _put(store, action())
    (first,) = await _claim(store, NOW, LEASE, 10)
    (second,) = await _claim(store, NOW + MINUTE, LEASE, 10)
    async with store.transaction() as tx:
        assert not await tx.outbox.retry(first, "451 too slow", NOW + MINUTE)
        assert not await tx.outbox.hold(first, "451 too slow", NOW)
        assert not await tx.outbox.fail(first, "451 too slow", NOW)
    assert await _claim(store, NOW + MINUTE, LEASE, 10) == ()
    async with store.transaction() as tx:
        assert await tx.outbox.retry(second, "451 later", NOW + MINUTE * 5)
    assert (await _get(store, second)).last_error == "451 later"


async def test_deed_done_counts_even_after_the_lease(store: Store) -> None:
    await _put(store, action())
    (first,) = await _claim(store, NOW, LEASE, 10)
    (second,) = await _claim(store, NOW + MINUTE, LEASE, 10)
    await _done(store, first)
    async with store.transaction() as tx:
        assert not await tx.outbox.retry(second, "452 full", NOW + MINUTE)
    found = await _get(store, second)
    assert (found.state, found.finished_at) == (OutboxState.DONE, NOW)


async def test_rows_of_one_conversation_and_recipient_are_done_in_order(store: Store) -> None:
    conversation, other = await _conversation(store), await _conversation(store)
    question = action(conversation_id=conversation)
    answer = action(conversation_id=conversation, next_at=NOW - MINUTE)
    copy = action(conversation_id=conversation, recipient="c@other.example")
    elsewhere = action(conversation_id=other)
    await _put(store, question, answer, copy, elsewhere)
    claimed = await _claim(store, NOW, LEASE, 10)
    assert [row.id for row in claimed] == [question.id, copy.id, elsewhere.id]
    async with store.transaction() as tx:
        assert await tx.outbox.retry(claimed[0], "451", NOW + MINUTE)
    await _done(store, *claimed[1:])
    assert await _claim(store, NOW, LEASE, 10) == ()
    (again,) = await _claim(store, NOW + MINUTE, LEASE, 10)
    assert again.id == question.id
    await _done(store, again)
    assert [row.id for row in await _claim(store, NOW + MINUTE, LEASE, 10)] == [answer.id]


@pytest.mark.parametrize("end", ["hold", "fail"])
async def test_row_given_up_lets_the_next_one_go(store: Store, end: str) -> None:
    conversation = await _conversation(store)
    question, answer = action(conversation_id=conversation), action(conversation_id=conversation)
    await _put(store, question, answer)
    (claimed,) = await _claim(store, NOW, LEASE, 10)
    async with store.transaction() as tx:
        assert await getattr(tx.outbox, end)(claimed, "550 5.1.1", NOW)
    assert [row.id for row in await _claim(store, NOW, LEASE, 10)] == [answer.id]


@pytest.mark.parametrize(
    ("earlier", "later", "waits"),
    [
        ("deliver", "deliver", True),
        ("deliver", "relay", True),
        ("tag", "deliver", False),
        ("file", "deliver", False),
        ("synthesis", "deliver", False),
        ("deliver", "tag", True),
        ("tag", "tag", True),
        ("tag", "file", True),
        ("deliver", "file", True),
        ("synthesis", "tag", False),
        ("deliver", "synthesis", False),
        ("make_report", "make_report", False),
    ],
)
async def test_mails_wait_for_mails_and_folders_for_both(
    store: Store, earlier: str, later: str, waits: bool
) -> None:
    conversation = await _conversation(store)
    rows = [action(action=name, conversation_id=conversation) for name in (earlier, later)]
    await _put(store, *rows)
    claimed = await _claim(store, NOW, LEASE, 10)
    assert [row.id for row in claimed] == [row.id for row in (rows[:1] if waits else rows)]


async def test_claim_is_for_some_actions_and_leaves_domains_out(store: Store) -> None:
    relays = [action(action="relay", recipient=name) for name in ("a@x_.example", "b@xy.example")]
    await _put(store, action(), *relays)
    async with store.transaction() as tx:
        (claimed,) = await tx.outbox.claim(NOW, LEASE, 9, actions=["relay"], except_domains=["x_.example"])
    assert claimed.id == relays[1].id


async def test_claim_given_back_was_no_attempt(store: Store) -> None:
    await _put(store, action())
    (first,) = await _claim(store, NOW, LEASE, 10)
    async with store.transaction() as tx:
        await tx.outbox.give_back([first])
        await tx.outbox.give_back([first])
    (second,) = await _claim(store, NOW, LEASE, 10)
    assert second.attempts == 1


async def test_rows_of_no_conversation_wait_for_nobody(store: Store) -> None:
    await _put(store, action(), action())
    assert len(await _claim(store, NOW, LEASE, 10)) == 2


async def test_operator_releases_what_was_held(store: Store) -> None:
    row = action()
    await _put(store, row)
    (claimed,) = await _claim(store, NOW, LEASE, 10)
    async with store.transaction() as tx:
        await tx.outbox.hold(claimed, "poison", NOW)
        assert not await tx.outbox.release(uuid4(), NOW)
    assert await _claim(store, NOW, LEASE, 10) == ()
    async with store.transaction() as tx:
        assert await tx.outbox.release(row.id, NOW + MINUTE)
        assert not await tx.outbox.release(row.id, NOW)
    assert [row.attempts for row in await _claim(store, NOW + MINUTE, LEASE, 10)] == [2]


async def test_next_due_is_when_a_claim_would_find_something(store: Store) -> None:
    conversation = await _conversation(store)
    async with store.reading() as tx:
        assert await tx.outbox.next_due() is None
    first = action(conversation_id=conversation, next_at=NOW + MINUTE)
    await _put(store, first, action(conversation_id=conversation, next_at=NOW))
    async with store.reading() as tx:
        assert await tx.outbox.next_due() == NOW + MINUTE
    (claimed,) = await _claim(store, NOW + MINUTE, LEASE, 10)
    async with store.reading() as tx:
        assert await tx.outbox.next_due() == NOW + MINUTE + timedelta(seconds=LEASE)
    await _done(store, claimed)
    async with store.reading() as tx:
        assert await tx.outbox.next_due() == NOW


async def test_actions_of_messages_are_told_whatever_became_of_them(store: Store) -> None:
    letters = [message() for _ in range(3)]
    rows = [action(message_id=letter.id) for letter in (letters[1], letters[0], letters[2], letters[1])]
    async with store.transaction() as tx:
        for letter in letters:
            await tx.messages.add(letter, b"raw")
        await tx.outbox.put([*rows, action()])
        await tx.outbox.done(rows[0], NOW)
        found = await tx.outbox.of_messages(letter.id for letter in letters[:2])
        assert [row.id for row in found] == [rows[0].id, rows[1].id, rows[3].id]
        assert [row.state for row in found] == [OutboxState.DONE, OutboxState.PENDING, OutboxState.PENDING]


async def test_queue_is_listed_and_counted(store: Store) -> None:
    conversation = await _conversation(store)
    rows = [action(), action(conversation_id=conversation), action(next_at=NOW + MINUTE)]
    await _put(store, *rows)
    claimed = await _claim(store, NOW, LEASE, 1)
    await _done(store, *claimed)
    async with store.reading() as tx:
        assert [row.id for row in await tx.outbox.list()] == [rows[1].id, rows[2].id]
        assert [row.id for row in await tx.outbox.list(conversation_id=conversation)] == [rows[1].id]
        assert [row.id for row in await tx.outbox.list([OutboxState.DONE])] == [rows[0].id]
        assert await tx.outbox.counts() == {
            OutboxState.PENDING: 2,
            OutboxState.DONE: 1,
            OutboxState.HELD: 0,
            OutboxState.FAILED: 0,
        }


async def test_error_text_of_a_peer_is_stored_whatever_it_holds(store: Store) -> None:
    await _put(store, action())
    (claimed,) = await _claim(store, NOW, LEASE, 10)
    async with store.transaction() as tx:
        assert await tx.outbox.retry(claimed, "450 \x00 \udcff bo\u00eete", NOW)
    assert (await _get(store, claimed)).last_error == "450 \ufffd ? bo\u00eete"
