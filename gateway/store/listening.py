"""The session by which a process with workers is known to PostgreSQL, and hears of what others commit.

It shares an advisory lock with its like: who can have that lock alone knows that nobody else attends. A
connection that is lost comes back, and with it what may have been missed is looked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from gateway.store.errors import StoreUnavailable
from gateway.store.postgresql import QUEUE_CHANNEL, WORKERS_LOCK, open_session
from gateway.store.store import Store

__all__ = ["listening"]

_AGAIN_SECONDS = 1.0


@asynccontextmanager
async def listening(store: Store, when_alone: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Listen while the block lasts. Where no other process does, ``when_alone`` is done first, while others
    that begin wait. Raises :class:`StoreUnavailable`.
    """
    session = _Session(store)
    try:
        connection = await session.begin(when_alone)
    except psycopg.Error as error:
        raise StoreUnavailable(str(error)) from error
    hearing = asyncio.create_task(session.hear(connection))
    try:
        yield
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing


@dataclass(frozen=True, slots=True)
class _Session:
    store: Store

    async def begin(self, when_alone: Callable[[], Awaitable[None]]) -> psycopg.AsyncConnection[Any]:
        connection = await open_session(self.store.engines)
        try:
            asked = await connection.execute(f"SELECT pg_try_advisory_lock({WORKERS_LOCK})")
            alone = (await asked.fetchone()) == (True,)
            if alone:
                await when_alone()
            await _share(connection)
            if alone:
                await connection.execute(f"SELECT pg_advisory_unlock({WORKERS_LOCK})")
        except BaseException:
            await connection.close()
            raise
        return connection

    async def hear(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Wake the workers of this process whenever another one's commit says that the outbox changed."""
        changed, log = self.store.outbox_changed, structlog.get_logger("store")
        while True:
            try:
                async with connection:
                    async for notice in connection.notifies():
                        if notice.payload != self.store.name:
                            changed.set()
            except psycopg.Error as error:
                log.warning("connection lost", error=type(error).__name__)
            connection = await self._again()
            log.info("connected again")
            changed.set()

    async def _again(self) -> psycopg.AsyncConnection[Any]:
        while True:
            try:
                connection = await open_session(self.store.engines)
                await _share(connection)
            except psycopg.Error:
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return connection


async def _share(connection: psycopg.AsyncConnection[Any]) -> None:
    """Be one of those who attend, and hear the others."""
    await connection.execute(f"SELECT pg_advisory_lock_shared({WORKERS_LOCK})")
    await connection.execute(f"LISTEN {QUEUE_CHANNEL}")
