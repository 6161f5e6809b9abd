"""All that a database holds, copied into an empty one of either kind, in one transaction there.

Both are at rest meanwhile: no gateway serves either, and who would write waits. What was written is read back
and compared before it is committed, so that a copy is there whole and exact, or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, exists, func, inspect, literal, select
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.attending import undisturbed
from gateway.store.audit import Audit
from gateway.store.contents import Digest, batches, fault_of
from gateway.store.dialect import (
    allow_time,
    engines,
    last_number,
    load_unordered,
    prepare,
    set_last_number,
    translated,
)
from gateway.store.engines import Engines, shown
from gateway.store.errors import NotCopied, StoreInUse
from gateway.store.migration import upgrade
from gateway.store.schema import metadata
from gateway.store.store import Store

__all__ = ["CopiedTable", "Copying", "Progress"]

_REVISION = "alembic_version"

Progress = Callable[[str, int], None]
"""Told what is done (a phase and a table) and how many rows of all phases are through."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table that both databases now hold alike: ``hash`` is that of its content, whatever its order."""

    name: str
    rows: int
    hash: str


@dataclass(frozen=True, slots=True)
class Copying:
    """One copy of ``source``'s content into the database at ``url``. The copy's audit trail ends with a line
    of its own: ``actor`` made it at ``now``.
    """

    source: Store
    url: str
    actor: str
    now: datetime

    async def run(self, begin: Callable[[int], None], progress: Progress) -> tuple[CopiedTable, ...]:
        """Copy; ``begin`` is told first how many rows are gone through, each once to be written and once
        to be read back.

        Raises :class:`NotCopied` for a target that is not empty and for a row that it does not take,
        :class:`StoreInUse` where a gateway serves either, :class:`StoreError`.
        """
        target = engines(self.url)
        if shown(target.writers.url) == shown(self.source.engines.writers.url):
            raise NotCopied("the database to copy to is that of the settings")
        try:
            with translated():
                await prepare(target)
                async with (
                    _unserved(self.source.engines, "the database of the settings"),
                    _at_rest(self.source.engines) as there,
                    _unserved(target, "the database to copy to"),
                    target.writers.begin() as here,
                ):
                    await allow_time(here)
                    return await self._all(there, here, begin, progress)
        finally:
            await target.dispose()

    async def _all(
        self,
        there: AsyncConnection,
        here: AsyncConnection,
        begin: Callable[[int], None],
        progress: Progress,
    ) -> tuple[CopiedTable, ...]:
        await here.run_sync(_make_empty_schema)
        tables = metadata.sorted_tables
        total = sum([await _count(there, table) for table in tables])
        if not total:
            raise NotCopied("there is nothing to copy: the database of the settings is empty")
        begin(2 * total)
        counted = _Counted(progress)
        written = []
        async with load_unordered(here, tables):
            for table in tables:
                with _told(table):
                    written.append(await _copy(there, here, table, counted))
        for table in tables:
            await set_last_number(here, table, await last_number(there, table))
        for digest in written:
            await _compare(here, digest, counted)
        detail = {"from": there.dialect.name, "to": here.dialect.name, "rows": total}
        await Audit(here).write(self.now, self.actor, "copy database", here.dialect.name, "done", detail)
        return tuple(CopiedTable(digest.table.name, digest.rows, digest.hash) for digest in written)


@asynccontextmanager
async def _unserved(pair: Engines, name: str) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(undisturbed(pair))
        except StoreInUse as error:
            raise StoreInUse(f"{name}: {error}; stop it first") from error
        yield


@asynccontextmanager
async def _at_rest(source: Engines) -> AsyncIterator[AsyncConnection]:
    """One picture of the source, while the turn of those who write is ours: nothing can be written after it
    was read.
    """
    async with source.writers.begin() as turn, source.readers.begin() as reading:
        await allow_time(turn)
        await allow_time(reading)
        yield reading


def _make_empty_schema(connection: Connection) -> None:
    """Make the tables, within the transaction. Raises :class:`NotCopied` where anything is there."""
    there = set(inspect(connection).get_table_names()) - {_REVISION}
    if others := sorted(there - set(metadata.tables)):
        raise NotCopied(f"the database is not empty: it holds tables of others ({', '.join(others)})")
    for name in sorted(there):
        any_row = exists(select(literal(1)).select_from(metadata.tables[name]))
        if connection.execute(select(any_row)).scalar_one():
            raise NotCopied(f"the database is not empty: there are rows in {name}")
    upgrade(connection)


async def _count(connection: AsyncConnection, table: Table) -> int:
    return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


@dataclass(slots=True)
class _Counted:
    """Adds up the rows of all tables and phases."""

    progress: Progress
    done: int = 0

    def add(self, what: str, rows: int) -> None:
        self.done += rows
        self.progress(what, self.done)


async def _copy(there: AsyncConnection, here: AsyncConnection, table: Table, counted: _Counted) -> Digest:
    digest = Digest(table)
    async for rows in batches(there, table):
        for row in rows:
            if fault := fault_of(table, row):
                raise NotCopied(fault)
        await here.execute(table.insert(), rows)
        digest.add(rows)
        counted.add(f"copying {table.name}", len(rows))
    return digest


async def _compare(here: AsyncConnection, written: Digest, counted: _Counted) -> None:
    found = Digest(written.table)
    async for rows in batches(here, written.table):
        found.add(rows)
        counted.add(f"comparing {written.table.name}", len(rows))
    if (found.rows, found.hash) != (written.rows, written.hash):
        raise NotCopied(
            f"{written.table.name}: {found.rows} rows were read back of {written.rows}, or they differ"
        )


@contextmanager
def _told(table: Table) -> Iterator[None]:
    """Name the table of a row that cannot be read or written. The errors' own words may hold its values."""
    try:
        yield
    except (ValueError, LookupError, TypeError) as error:
        raise NotCopied(f"{table.name}: a row cannot be read ({type(error).__name__})") from None
    except DataError as error:
        raise NotCopied(
            f"{table.name}: a row that the other database does not take ({type(error.orig).__name__})"
        ) from None
    except OperationalError as error:
        if isinstance(error.orig, sqlite3.OperationalError) and "decode" in str(error.orig):
            raise NotCopied(f"{table.name}: a text is not UTF-8") from None
        raise
