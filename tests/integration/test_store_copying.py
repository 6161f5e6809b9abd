"""All of a database copied into an empty one, from SQLite to PostgreSQL and back."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import delete

from gateway.store import NotCopied, SchemaMismatch, Store, StoreError, StoreInUse
from gateway.store.attending import attending
from gateway.store.contents import Digest, batches
from gateway.store.schema import decision, message, outbox
from tests.support.copies import ACTOR, content, copy, fill
from tests.support.postgres import Cluster
from tests.support.store import NOW, action, database_url

Urls = tuple[str, str]
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture(params=[("sqlite", "postgresql"), ("postgresql", "sqlite")], ids="-to-".join)
def urls(request: pytest.FixtureRequest, postgres: Cluster, tmp_path: Path) -> Iterator[Urls]:
    """A database to be copied and an empty one; that of PostgreSQL has the tables already."""
    with postgres.database() as url:
        known = {"sqlite": database_url(tmp_path), "postgresql": url}
        yield known[request.param[0]], known[request.param[1]]


@pytest.fixture
def to_postgresql(postgres: Cluster, tmp_path: Path) -> Iterator[Urls]:
    """A SQLite database to be copied and one of PostgreSQL without any table."""
    with postgres.empty_database() as url:
        yield database_url(tmp_path), url


@pytest.fixture
async def filled(urls: Urls) -> AsyncIterator[Store]:
    """The first of the two, with rows of all kinds in all tables."""
    async with Store.open(urls[0]) as store:
        await fill(store)
        yield store


async def _is_empty(url: str) -> bool:
    async with Store.open(url) as store:
        return not any((await content(store)).values())


async def test_every_value_of_every_table_is_the_same_and_a_line_tells_of_the_copy(
    filled: Store, urls: Urls
) -> None:
    before = await content(filled)
    copied = {table.name: table for table in await copy(filled, urls[1])}
    assert await content(filled) == before
    async with Store.open(urls[1]) as there:
        after = await content(there)
        *lines, made = after.pop("audit")
        assert lines == before.pop("audit")
        assert (made.actor, made.action, made.result) == (ACTOR, "copy database", "done")
        assert made.detail["rows"] == sum(table.rows for table in copied.values())
        assert after == before
        async with there.engines.readers.begin() as connection:
            again = Digest(message)
            async for rows in batches(connection, message):
                again.add(rows)
        assert (again.rows, again.hash) == (copied["message"].rows, copied["message"].hash)


async def test_numbers_that_were_given_are_not_given_again(filled: Store, urls: Urls) -> None:
    async with filled.transaction() as tx:
        await tx.outbox.put([action(), action()])
    async with filled.engines.writers.begin() as connection:
        greatest = max(row.position for row in (await content(filled))["outbox"])
        await connection.execute(delete(outbox).where(outbox.c.position == greatest))
        await connection.execute(delete(decision))
    await copy(filled, urls[1])
    async with Store.open(urls[1]) as there, there.transaction() as tx:
        await tx.outbox.put([action("next")])
        await tx.audit.write(NOW, "a", "b", "c", "d")
    async with Store.open(urls[1]) as there:
        after = await content(there)
        (position,) = [row.position for row in after["outbox"] if row.key == "next"]
        assert position == greatest + 1
        numbers = [row.id for row in after["audit"]]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_tables_of_a_copy_are_those_of_the_program(to_postgresql: Urls) -> None:
    source, target = to_postgresql
    async with Store.open(source) as store:
        await fill(store)
        await copy(store, target)
    with psycopg.connect(target) as connection:
        assert connection.execute("SELECT conname FROM pg_constraint WHERE condeferrable").fetchall() == []
        never = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        assert connection.execute(f"{never} AND reltuples < 1").fetchall() == []
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute("UPDATE message SET cause_id = gen_random_uuid()")


async def test_there_and_back_is_the_same_again(to_postgresql: Urls, tmp_path: Path) -> None:
    source, target = to_postgresql
    async with Store.open(source) as store:
        await fill(store)
        there = await copy(store, target)
    async with Store.open(target) as store:
        back = await copy(store, f"sqlite:///{tmp_path / 'back.db'}")
    assert [table for table in there if table.name != "audit"] == [
        table for table in back if table.name != "audit"
    ]


async def test_a_database_that_holds_anything_is_left_alone(filled: Store, urls: Urls) -> None:
    async with Store.open(urls[1]) as there, there.transaction() as tx:
        await tx.audit.write(NOW, "a", "b", "c", "d")
    for target, told in zip(urls, ("is that of the settings", "there are rows in audit"), strict=True):
        with pytest.raises(NotCopied, match=told):
            await copy(filled, target)
    async with Store.open(urls[1]) as there:
        assert len((await content(there))["audit"]) == 1


async def test_a_database_of_a_newer_program_is_left_alone(filled: Store, urls: Urls) -> None:
    async with Store.open(urls[1]) as there, there.engines.writers.begin() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="9999"):
        await copy(filled, urls[1])


async def test_tables_that_are_not_ours_are_in_the_way(to_postgresql: Urls) -> None:
    source, target = to_postgresql
    with psycopg.connect(target) as connection:
        connection.execute("CREATE TABLE theirs (x int)")
    async with Store.open(source) as store:
        await fill(store)
        with pytest.raises(NotCopied, match="tables of others \\(theirs\\)"):
            await copy(store, target)
    with psycopg.connect(target) as connection:
        assert connection.execute(TABLES).fetchall() == [("theirs",)]


async def test_an_empty_database_is_not_copied(urls: Urls) -> None:
    async with Store.open(urls[0]) as store:
        with pytest.raises(NotCopied, match="nothing to copy"):
            await copy(store, urls[1])


@pytest.mark.parametrize("served", [0, 1], ids=["source", "target"])
async def test_what_a_gateway_serves_is_not_copied(filled: Store, urls: Urls, served: int) -> None:
    async with Store.open(urls[served]) as store, attending(store):
        with pytest.raises(StoreInUse, match=r"another gateway serves this database.*; stop it first"):
            await copy(filled, urls[1])
    await copy(filled, urls[1])


async def test_a_copy_that_is_killed_leaves_nothing_and_is_made_again(filled: Store, urls: Urls) -> None:
    command = [sys.executable, "-m", "tests.support.copies", *urls]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert await _is_empty(urls[1])
    await copy(filled, urls[1])
    async with Store.open(urls[1]) as there:
        assert len((await content(there))["message"]) == len((await content(filled))["message"])


#: What SQLite takes and PostgreSQL does not, as a statement, and what is told of it: never the value.
REFUSED = {
    "NUL": ("UPDATE account SET town = 'a' || char(0) || 'b'", "account .*: town holds the character NUL"),
    "NUL in JSON": ('UPDATE event SET payload = \'{"a": "x\\u0000"}\'', "event .*: payload holds the ch"),
    "number": ("UPDATE message SET size = 4294967296", "message .*: size is a number of more than 32 bits"),
    "word": ("UPDATE message SET size = 'geheim'", "message .*: size is no number"),
    "long": (f"UPDATE outbox SET state = '{'x' * 33}'", "outbox .*: state has more than 32 characters"),
    "time": ("UPDATE message SET received_at = 'geheim'", "message: a row cannot be read"),
    "octets": ("UPDATE account SET town = CAST(x'ff67' AS TEXT)", "account: a text is not UTF-8"),
    "reference": ("UPDATE event SET message_id = 'f' || substr(message_id, 2)", "foreign key constraint"),
}


async def test_what_postgresql_does_not_take_is_named_and_nothing_copied(
    postgres: Cluster, tmp_path: Path
) -> None:
    source = database_url(tmp_path)
    async with Store.open(source) as store:
        await fill(store)
    with postgres.database() as target:
        for case, (statement, told) in REFUSED.items():
            damaged = tmp_path / "damaged.db"
            shutil.copy(source.removeprefix("sqlite:///"), damaged)
            with closing(sqlite3.connect(damaged)) as connection, connection:
                connection.execute(statement)
            async with Store.open(f"sqlite:///{damaged}") as store:
                with pytest.raises(StoreError, match=told) as refused:
                    await copy(store, target)
            assert "geheim" not in str(refused.value), case
            assert await _is_empty(target), case
