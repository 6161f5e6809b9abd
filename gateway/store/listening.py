"""The session by which the process whose workers serve a database is known to PostgreSQL, and hears of what
others commit.

It holds an advisory lock: its place, of which there is one. A connection that is lost comes back, takes the
place again, and what may have been missed is looked for; where another process has taken it meanwhile, this
one must end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from gateway.store.engines import Engines
from gateway.store.errors import StoreInUse, StoreUnavailable
from gateway.store.postgresql import QUEUE_CHANNEL, WORKERS_LOCK, open_session

__all__ = ["holding_place", "listening"]

_AGAIN_SECONDS = 1.0
_TRIES = 5
_BETWEEN_TRIES_SECONDS = 0.2
_TAKE = f"SELECT pg_try_advisory_lock({WORKERS_LOCK})"
_HOLDER = """
    SELECT holder.pid, backend_start, host(client_addr)
    FROM pg_locks JOIN pg_stat_activity holder USING (pid) JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND pg_database.datname = current_database() AND granted
      AND classid = %s AND objid = %s AND objsubid = 2"""

_Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class _Holder:
    """A session that has the place; a pid alone may be another's after a restart of the server."""

    pid: int
    since: object
    address: str | None

    def __str__(self) -> str:
        return f"another gateway serves this database, from {self.address or 'the database server itself'}"


@asynccontextmanager
async def holding_place(pair: Engines) -> AsyncIterator[None]:
    """Have the place while the block lasts. Raises :class:`StoreInUse` where another process has it,
    :class:`StoreUnavailable`.
    """
    connection, _ = await _placed(pair)
    try:
        yield
    finally:
        await connection.close()


@asynccontextmanager
async def listening(pair: Engines, name: str, changed: asyncio.Event) -> AsyncIterator[asyncio.Future[None]]:
    """Have the place, and set ``changed`` at each commit of others than ``name`` that changed the outbox.

    What it yields ends with :class:`StoreInUse` when the place is lost to another process. Raises as
    :func:`holding_place`.
    """
    connection, own = await _placed(pair)
    try:
        await connection.execute(f"LISTEN {QUEUE_CHANNEL}")
    except psycopg.Error as error:
        await connection.close()
        raise StoreUnavailable(str(error)) from error
    hearing = asyncio.create_task(_Ear(pair, name, changed).hear(connection, own))
    try:
        yield hearing
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError, StoreInUse):
            await hearing


async def _placed(pair: Engines) -> tuple[_Connection, _Holder | None]:
    """A session that has the place. A holder that is just ending is waited for."""
    try:
        connection = await open_session(pair)
        try:
            for _ in range(_TRIES):
                if await _take(connection):
                    return connection, await _holder(connection)
                await asyncio.sleep(_BETWEEN_TRIES_SECONDS)
            raise StoreInUse(str(await _holder(connection) or "another gateway serves this database"))
        except BaseException:
            await connection.close()
            raise
    except psycopg.Error as error:
        raise StoreUnavailable(str(error)) from error


async def _take(connection: _Connection) -> bool:
    asked = await connection.execute(_TAKE)
    return (await asked.fetchone()) == (True,)


async def _holder(connection: _Connection) -> _Holder | None:
    found = await (await connection.execute(_HOLDER, WORKERS_LOCK.split(", "))).fetchone()
    return _Holder(*found) if found else None


@dataclass(frozen=True, slots=True)
class _Ear:
    pair: Engines
    name: str
    changed: asyncio.Event

    async def hear(self, connection: _Connection, own: _Holder | None) -> None:
        """Wake the workers of this process whenever another one's commit says that the outbox changed. Raises
        :class:`StoreInUse`.
        """
        log = structlog.get_logger("store")
        while True:
            try:
                async with connection:
                    async for notice in connection.notifies():
                        if notice.payload != self.name:
                            self.changed.set()
            except psycopg.Error as error:
                log.warning("connection lost", error=type(error).__name__)
            connection, own = await self._again(own)
            log.info("connected again")
            self.changed.set()

    async def _again(self, own: _Holder | None) -> tuple[_Connection, _Holder | None]:
        """A new session with the place. Our old one may have it for a while: a server notices late that its
        client is gone.
        """
        while True:
            with suppress(psycopg.Error):
                connection = await open_session(self.pair)
                try:
                    if await _take(connection):
                        await connection.execute(f"LISTEN {QUEUE_CHANNEL}")
                        return connection, await _holder(connection)
                    holder = await _holder(connection)
                except BaseException:
                    await connection.close()
                    raise
                await connection.close()
                if holder is not None and holder != own:
                    raise StoreInUse(str(holder))
            await asyncio.sleep(_AGAIN_SECONDS)
