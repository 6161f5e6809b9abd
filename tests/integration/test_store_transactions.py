"""What was acknowledged is there, and nothing by half: after a kill, beside other processes, under
cancellation.
"""

import asyncio
import os
import stat
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from gateway.store import ConstraintBroken, SequenceConflict, Store, StoreError, StoreUnavailable
from tests.support.store import (
    NOW,
    REQUESTER,
    action,
    assert_whole,
    database_url,
    message,
    open_conversation,
    projection,
    records,
    write_typical,
)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with Store.open(database) as opened:
        yield opened


async def _writer(url: str, conversation: UUID, count: int, root: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.store", url, str(conversation), str(count)),
        stdout=asyncio.subprocess.PIPE,
        cwd=root,
    )


async def _acknowledged(process: asyncio.subprocess.Process, at_most: int = 10_000) -> list[UUID]:
    assert process.stdout is not None
    found: list[UUID] = []
    while len(found) < at_most and (line := await process.stdout.readline()).endswith(b"\n"):
        found.append(UUID(line.decode().strip()))
    return found


async def test_kill_loses_nothing_acknowledged_and_leaves_nothing_half(database: str, root: Path) -> None:
    async with Store.open(database) as store, store.transaction() as tx:
        conversations = [await open_conversation(tx), await open_conversation(tx)]
    acknowledged: set[UUID] = set()
    for kill_after in (1, 4, 9, 17):
        pair = [await _writer(database, one, 0, root) for one in conversations]
        read = await asyncio.gather(*(_acknowledged(process, kill_after) for process in pair))
        for process in pair:
            process.kill()
        # What was still in the pipes was acknowledged too.
        read += await asyncio.gather(*(_acknowledged(process) for process in pair))
        await asyncio.gather(*(process.wait() for process in pair))
        acknowledged.update(*read)
        async with Store.open(database) as store:
            await assert_whole(store, acknowledged, conversations)
    assert len(acknowledged) >= 2 * (1 + 4 + 9 + 17)


async def test_two_processes_write_into_one_conversation(database: str, root: Path) -> None:
    async with Store.open(database) as store:
        async with store.transaction() as tx:
            conversation = await open_conversation(tx)
        pair = [await _writer(database, conversation, 25, root) for _ in range(2)]
        read = asyncio.gather(*map(_acknowledged, pair))
        here = {await write_typical(store, conversation) for _ in range(25)}
        there = set().union(*await read)
        assert [await process.wait() for process in pair] == [0, 0]
        assert await assert_whole(store, here | there, [conversation]) == 75


async def test_processes_that_open_a_new_database_together_migrate_once(empty_database: str) -> None:
    async def open_and_read() -> str:
        async with Store.open(empty_database) as store, store.transaction() as tx:
            return await tx.conversations.next_reference(2026)

    refs = await asyncio.gather(*(open_and_read() for _ in range(4)))
    assert sorted(refs) == [f"TLE-2026-{number:06d}" for number in range(1, 5)]


async def test_writers_of_one_process_take_turns(store: Store) -> None:
    async with store.transaction() as tx:
        conversation = await open_conversation(tx)
    written = await asyncio.gather(*(write_typical(store, conversation, size=200) for _ in range(20)))
    assert await assert_whole(store, written, [conversation]) == 20


async def test_cancellation_at_any_step_keeps_all_or_nothing(store: Store) -> None:
    async with store.transaction() as tx:
        conversation = await open_conversation(tx)
    done: list[UUID] = []
    for steps in range(40):
        task = asyncio.create_task(write_typical(store, conversation, size=200_000 if steps % 2 else 200))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            done.append(await task)
    done.append(await write_typical(store, conversation))
    await assert_whole(store, done, [conversation])


async def test_error_in_the_block_leaves_nothing(store: Store) -> None:
    row = message()
    with pytest.raises(LookupError):  # noqa: PT012
        async with store.transaction() as tx:
            await tx.messages.add(row, b"raw")
            await tx.outbox.put([action()])
            raise LookupError
    async with store.reading() as tx:
        assert await tx.messages.get(row.id) is None
        assert await tx.outbox.next_due() is None
    assert not store.outbox_changed.is_set()


async def test_reader_sees_one_picture_while_another_writes(store: Store) -> None:
    async with store.transaction() as tx:
        conversation = await open_conversation(tx)
    async with store.reading() as before:
        assert await before.messages.of(conversation) == ()
        await write_typical(store, conversation)
        assert await before.messages.of(conversation) == ()
    async with store.reading() as after:
        assert len(await after.messages.of(conversation)) == 1


async def test_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError):
        async with store.reading() as tx:
            await tx.answers.count(REQUESTER, NOW)
    async with store.transaction() as tx:
        assert await tx.answers.count(REQUESTER, NOW) == 1


async def test_transaction_within_a_transaction_is_refused_at_once(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.answers.count(REQUESTER, NOW)
        with pytest.raises(RuntimeError):
            async with store.transaction():
                pass
    async with store.transaction() as tx:
        assert await tx.answers.count(REQUESTER, NOW) == 2


async def test_of_two_decisions_on_the_same_state_the_first_holds(store: Store) -> None:
    first, second = message(), message()
    async with store.transaction() as tx:
        conversation = await open_conversation(tx)
        await tx.messages.add(first, b"raw")
        await tx.events.append(conversation, records(1, first))
    with pytest.raises(SequenceConflict) as conflict:  # noqa: PT012
        async with store.transaction() as tx:
            await tx.messages.add(second, b"raw")
            await tx.events.append(conversation, records(1, second))
    assert (conflict.value.expected, conflict.value.found) == (1, 3)
    async with store.reading() as tx:
        assert await tx.events.of(conversation) == records(1, first)
        assert await tx.messages.get(second.id) is None


async def test_events_of_no_conversation_conflict(store: Store) -> None:
    row = message()
    with pytest.raises(SequenceConflict) as conflict:  # noqa: PT012
        async with store.transaction() as tx:
            await tx.messages.add(row, b"raw")
            await tx.events.append(uuid4(), records(1, row))
    assert conflict.value.found == 0


async def test_gap_in_the_numbers_is_refused(store: Store) -> None:
    row = message()
    with pytest.raises(ValueError):  # noqa: PT012
        async with store.transaction() as tx:
            conversation = await open_conversation(tx)
            await tx.messages.add(row, b"raw")
            await tx.events.append(conversation, records(1, row)[::-1])


async def test_reference_to_nothing_is_refused(store: Store) -> None:
    with pytest.raises(ConstraintBroken):
        async with store.transaction() as tx:
            await tx.outbox.put([action(message_id=uuid4())])
    with pytest.raises(ConstraintBroken):
        async with store.transaction() as tx:
            await tx.messages.add(message(conversation_id=uuid4()), b"raw")


async def test_error_text_holds_nothing_of_what_was_written(store: Store) -> None:
    row = message(sender="jeanne.benezet@patient.example")
    with pytest.raises(ConstraintBroken) as error:  # noqa: PT012
        async with store.transaction() as tx:
            await tx.messages.add(row, b"raw")
            await tx.messages.add(row, b"raw")
    told = "".join(traceback.format_exception(error.value))
    assert row.sender not in told


async def test_rolled_back_reference_is_given_again(store: Store) -> None:
    with pytest.raises(LookupError):  # noqa: PT012
        async with store.transaction() as tx:
            await tx.conversations.next_reference(2026)
            raise LookupError
    async with store.transaction() as tx:
        assert await tx.conversations.next_reference(2026) == "TLE-2026-000001"
        assert await tx.conversations.next_reference(2026) == "TLE-2026-000002"
        assert await tx.conversations.next_reference(2027) == "TLE-2027-000001"


async def test_workers_are_woken_after_the_commit_only(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.answers.count(REQUESTER, NOW)
    assert not store.outbox_changed.is_set()
    async with store.transaction() as tx:
        await tx.outbox.put([action()])
        assert not store.outbox_changed.is_set()
    assert store.outbox_changed.is_set()


async def test_files_are_private(tmp_path: Path) -> None:
    async with Store.open(database_url(tmp_path)) as store, store.transaction() as tx:
        await tx.conversations.add(uuid4(), "TLE-2026-000001", NOW, projection())
        files = [tmp_path / f"gateway.db{suffix}" for suffix in ("", "-wal", "-shm")]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_file_that_others_may_read_is_made_private(tmp_path: Path) -> None:
    file = tmp_path / "gateway.db"
    file.touch()
    file.chmod(0o644)
    async with Store.open(database_url(tmp_path)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "mysql://host/name", "sqlite:////nowhere/at/all/x.db"]
)
async def test_database_that_cannot_be_is_unavailable(url: str) -> None:
    with pytest.raises(StoreUnavailable):
        async with Store.open(url):
            pass


async def test_damaged_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(os.urandom(8192))
    with pytest.raises(StoreUnavailable) as error:
        async with Store.open(database_url(tmp_path)):
            pass
    assert error.value.code == 451
