"""What PostgreSQL gives beyond SQLite: several workers at once, wake-ups among processes; and a server that
goes away and comes back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import make_url

from gateway.store import OutboxState, Store, StoreInUse, StoreUnavailable
from gateway.store.attending import attending, undisturbed
from gateway.store.postgresql import WORKERS_LOCK
from tests.support.postgres import Cluster, cluster
from tests.support.store import NOW, action, assert_whole, open_conversation, write_typical

LEASE = 60
ROWS = 200
WORKERS = 4
PLACE = "FROM pg_locks WHERE locktype = 'advisory' AND objid = 2"


@pytest.fixture
def url(postgres: Cluster) -> Iterator[str]:
    with postgres.database() as made:
        yield made


@pytest.fixture
def mortal() -> Iterator[Cluster]:
    """A server of this test's own, which it may kill."""
    with cluster() as made:
        yield made


@pytest.fixture
async def stores(url: str) -> AsyncIterator[list[Store]]:
    """The same database opened as by several processes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Store.open(url)) for _ in range(WORKERS)]


async def test_no_row_is_claimed_by_two_workers(stores: list[Store]) -> None:
    async with stores[0].transaction() as tx:
        await tx.outbox.put([action(str(number)) for number in range(ROWS)])

    async def claim_until_none(store: Store) -> list[str]:
        keys: list[str] = []
        while True:
            async with store.queue_turn() as tx:
                claimed = await tx.outbox.claim(NOW, LEASE, 7)
                await asyncio.sleep(0)
            keys += [row.key for row in claimed]
            if not claimed:
                return keys

    taken = await asyncio.gather(*map(claim_until_none, stores))
    assert Counter(key for keys in taken for key in keys) == dict.fromkeys(map(str, range(ROWS)), 1)
    async with stores[0].reading() as tx:
        assert {row.attempts for row in await tx.outbox.list(limit=ROWS)} == {1}


async def test_a_row_that_another_worker_holds_is_passed_over_not_waited_for(stores: list[Store]) -> None:
    rows = [action(), action()]
    async with stores[0].transaction() as tx:
        await tx.outbox.put(rows)
    async with stores[0].queue_turn() as first, asyncio.timeout(20):
        assert [row.id for row in await first.outbox.claim(NOW, LEASE, 1)] == [rows[0].id]
        async with stores[1].queue_turn() as second:  # while the first has not committed
            assert [row.id for row in await second.outbox.claim(NOW, LEASE, 9)] == [rows[1].id]


async def test_the_queue_takes_its_turn_while_a_mail_is_written(stores: list[Store]) -> None:
    row = action()
    async with stores[0].transaction() as tx:
        await tx.outbox.put([row])
    async with stores[0].transaction() as writing, asyncio.timeout(20):
        await writing.audit.write(NOW, "a", "b", "c", "d")
        async with stores[1].queue_turn() as tx:
            (claimed,) = await tx.outbox.claim(NOW, LEASE, 9)
            await tx.outbox.done(claimed, NOW)
    async with stores[2].reading() as tx:
        found = await tx.outbox.get(row.id)
        assert found is not None
        assert found.state is OutboxState.DONE


async def test_workers_of_another_process_are_woken_by_the_commit(stores: list[Store]) -> None:
    here, there = stores[:2]
    async with attending(here):
        async with there.transaction() as tx:
            await tx.outbox.put([action()])
            assert not here.outbox_changed.is_set()
        async with asyncio.timeout(20):
            await here.outbox_changed.wait()


async def test_a_turn_of_the_queue_wakes_others_and_not_itself(stores: list[Store]) -> None:
    here, there = stores[:2]
    async with attending(here), asyncio.timeout(20):
        async with here.transaction() as tx:
            await tx.outbox.put([action()])
        here.outbox_changed.clear()
        async with here.queue_turn() as tx:
            (claimed,) = await tx.outbox.claim(NOW, LEASE, 9)
            await tx.outbox.retry(claimed, "later", NOW)
        async with there.queue_turn() as tx:
            (claimed,) = await tx.outbox.claim(NOW, LEASE, 9)
            assert not here.outbox_changed.is_set()
            await tx.outbox.done(claimed, NOW)
        await here.outbox_changed.wait()


async def test_one_gateway_serves_a_database_and_a_second_is_refused(database: str) -> None:
    async with AsyncExitStack() as stack:
        dead, living, newcomer = [await stack.enter_async_context(Store.open(database)) for _ in range(3)]
        async with dead.transaction() as tx:
            await tx.outbox.put([action(), action()])
        async with dead.queue_turn() as tx:
            await tx.outbox.claim(NOW, LEASE, 1)
        async with attending(living):  # the dead one attends no longer: its claim ends
            async with living.queue_turn() as tx:
                assert len(await tx.outbox.claim(NOW, LEASE, 9)) == 2
            for another in (attending(newcomer), undisturbed(newcomer.engines)):
                with pytest.raises(StoreInUse, match="another gateway serves this database"):
                    await stack.enter_async_context(another)
            async with newcomer.queue_turn() as tx:
                assert await tx.outbox.claim(NOW, LEASE, 9) == ()
        async with attending(newcomer), newcomer.queue_turn() as tx:
            assert len(await tx.outbox.claim(NOW, LEASE, 9)) == 2


async def test_a_gateway_that_lost_its_place_to_another_ends(postgres: Cluster, url: str) -> None:
    """Its session is cut, and before it is back another has the place: as after a machine was cut off."""
    async with (
        Store.open(url) as here,
        attending(here) as lost,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as there,
        asyncio.timeout(20),
    ):
        waiting = asyncio.create_task(there.execute(f"SELECT pg_advisory_lock({WORKERS_LOCK})"))
        with postgres.administrator() as connection:
            while not connection.execute(f"SELECT 1 {PLACE} AND NOT granted").fetchone():  # noqa: ASYNC110 - the server is asked
                await asyncio.sleep(0)
            assert not lost.done()
            connection.execute(f"SELECT pg_terminate_backend(pid) {PLACE} AND granted")
        await waiting
        with pytest.raises(StoreInUse, match="another gateway"):
            await lost


async def test_a_server_that_is_killed_loses_nothing_and_is_found_again(mortal: Cluster) -> None:
    with mortal.database() as url:
        async with Store.open(url) as store, attending(store):
            async with store.transaction() as tx:
                conversation = await open_conversation(tx)
            known = {await write_typical(store, conversation) for _ in range(5)}
            for _ in range(3):
                begun = asyncio.Event()
                writing = asyncio.create_task(_write_until_it_fails(store, conversation, begun))
                await begun.wait()
                mortal.kill()
                known |= await writing
                with pytest.raises(StoreUnavailable) as refused:
                    await write_typical(store, conversation)
                assert refused.value.code == 451
                store.outbox_changed.clear()
                mortal.start()
                known.add(await write_typical(store, conversation))
            await assert_whole(store, known, [conversation])
            store.outbox_changed.clear()
            async with Store.open(url) as other, other.transaction() as tx, asyncio.timeout(20):
                await tx.outbox.put([action()])
            async with asyncio.timeout(20):
                await store.outbox_changed.wait()


async def _write_until_it_fails(store: Store, conversation: UUID, begun: asyncio.Event) -> set[UUID]:
    known: set[UUID] = set()
    with suppress(StoreUnavailable):
        while True:
            known.add(await write_typical(store, conversation))
            begun.set()
    return known


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_whose_text_is_not_utf8_is_refused(postgres: Cluster, encoding: str) -> None:
    with postgres.administrator() as connection:
        connection.execute(
            f"CREATE DATABASE {encoding} OWNER gateway TEMPLATE template0 ENCODING '{encoding}'"
            " LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    with pytest.raises(StoreUnavailable, match=f"of the database is {encoding}, it must be UTF8"):
        async with Store.open(postgres.url(encoding.lower())):
            pass


async def test_a_database_that_is_another_roles_is_refused_and_shows_no_statement(postgres: Cluster) -> None:
    with postgres.administrator() as connection:
        connection.execute("CREATE DATABASE theirs TEMPLATE template0")
    with pytest.raises(StoreUnavailable, match="must belong to the gateway's role") as refused:
        async with Store.open(postgres.url("theirs")):
            pass
    assert "CREATE" not in str(refused.value)


async def test_an_option_that_libpq_does_not_know_is_told_without_the_password(postgres: Cluster) -> None:
    url = f"{postgres.url('x').replace('gateway@', 'gateway:geheim@')}&password=geheim&sslmod=require"
    with pytest.raises(StoreUnavailable, match='invalid connection option "sslmod"') as refused:
        async with Store.open(url):
            pass
    assert "geheim" not in str(refused.value)


#: Faults of a server that can take no writing now: disk full, a deadlock, a serialization failure, a lock and
#: a statement that took too long, no connection left, an input or output error, damaged data, a fault of its
#: own, a standby.
FAULTS = ["53100", "40P01", "40001", "55P03", "57014", "53300", "58030", "XX001", "XX000", "25006"]


@pytest.mark.parametrize("state", FAULTS)
async def test_a_fault_of_the_server_is_told_to_peers_as_one_that_passes(
    postgres: Cluster, url: str, state: str
) -> None:
    body = f"BEGIN RAISE EXCEPTION 'a fault' USING ERRCODE = '{state}', DETAIL = 'geheim'; END"
    database = str(make_url(url).database)
    async with Store.open(url) as store:
        with postgres.administrator(database) as connection:
            connection.execute(f"CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
            connection.execute("CREATE TRIGGER fault BEFORE INSERT ON outbox EXECUTE FUNCTION fault()")
        with pytest.raises(StoreUnavailable, match=r"^a fault$") as refused:
            async with store.transaction() as tx:
                await tx.outbox.put([action()])
        assert refused.value.code == 451
        with postgres.administrator(database) as connection:
            connection.execute("DROP FUNCTION fault CASCADE")
        async with store.transaction() as tx:
            await tx.outbox.put([action()])
        async with store.reading() as tx:
            assert len(await tx.outbox.list()) == 1


@pytest.mark.parametrize("wrong", ["postgresql://gateway@/missing?host={}", "postgresql:///?host={}"])
async def test_a_database_that_is_not_there_is_unavailable(postgres: Cluster, wrong: str) -> None:
    with pytest.raises(StoreUnavailable):
        async with Store.open(wrong.format(postgres.folder)):
            pass


async def test_words_of_peers_that_no_database_takes_are_stored_and_searched_beside(url: str) -> None:
    async with Store.open(url) as store:
        row = action(payload={"name": "bo\x00îte \ud800 😀", "list": ["\x00"]})
        async with store.transaction() as tx:
            await tx.outbox.put([row])
            await tx.audit.write(NOW, "a\x00", "b", "c\ud800", "d", {"why": "\x00"})
        async with store.reading() as tx:
            found = await tx.outbox.get(row.id)
            assert found is not None
            assert found.payload == {"name": "bo\ufffdîte ? 😀", "list": ["\ufffd"]}
            assert (await tx.audit.verify()).holds
