"""The same measurement on each database that the gateway knows. PostgreSQL is a throw-away server of our own,
and works in a process of its own: so what is told is time on the clock.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.store import Store
from tests.support.postgres import cluster
from tests.support.store import database_url

__all__ = ["on_each_database", "seconds", "settled"]

_REPEATS = 21


def on_each_database(measure: Callable[[Store, str], Awaitable[None]]) -> None:
    """Measure on a new SQLite file, then, where its programs are there, on PostgreSQL."""

    async def whole(url: str, name: str) -> None:
        async with Store.open(url) as store:
            await measure(store, name)

    with tempfile.TemporaryDirectory(prefix="tle-bench-") as folder:
        asyncio.run(whole(database_url(Path(folder)), "SQLite"))
    try:
        with cluster() as server, server.database() as url:
            asyncio.run(whole(url, "PostgreSQL"))
    except pytest.skip.Exception as error:
        print(error)


async def settled(store: Store) -> None:
    """Let PostgreSQL count what was written, as its autovacuum does within a minute where it serves."""
    if store.engines.on_postgresql:
        async with store.engines.writers.begin() as connection:
            await connection.exec_driver_sql("ANALYZE")


async def seconds(call: Callable[[], Awaitable[object]]) -> float:
    """Seconds of a call on the clock: the least of many, since others may use the machine."""
    found = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        await call()
        found.append(time.perf_counter() - begun)
    return min(found)
