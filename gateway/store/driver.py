"""SQLite connections for asyncio that go to their thread only for what may wait.

aiosqlite hands each step of each statement (cursor, execute, fetch, close) to the connection's thread and
back: about forty hand-overs in a transaction that stores one message, which cost more than ten times the
work itself. Within a transaction that has its lock, a statement waits for nobody; what does wait is taking
that lock, the flush at the commit, and writing large values. Those go to the thread, the rest is done where
we are. A reader beside a write-ahead log waits for nobody at all (https://sqlite.org/wal.html), and what this
process reads is found by an index: its hand-overs were a quarter of the cost of a mail.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import aiosqlite

__all__ = ["read_connection", "write_connection"]

_LARGE_OCTETS = 128 * 1024
_MANY_ROWS = 100
_CHUNK_ROWS = 64

Waits = Callable[[str, tuple[Any, ...]], bool]


class _Connection(aiosqlite.Connection):
    """An aiosqlite connection where ``waits`` says which steps go to the thread. Steps never overlap."""

    def __init__(self, waits: Waits, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, _CHUNK_ROWS)
        self._thread.daemon = True  # as SQLAlchemy does it: a connection left open must not keep the process
        self._waits = waits
        self._under_way: set[asyncio.Task[Any]] = set()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # A step whose caller was cancelled goes on in the thread: those that follow queue up behind it.
        if not self._under_way and self._connection is not None and not self._waits(fn.__name__, args):
            return fn(*args, **kwargs)
        step = asyncio.ensure_future(self._in_thread(partial(fn, *args, **kwargs)))
        self._under_way.add(step)
        step.add_done_callback(self._under_way.discard)
        return await asyncio.shield(step)

    async def _in_thread(self, step: Callable[[], Any]) -> Any:
        return await super()._execute(step)  # type: ignore[no-untyped-call]  # private to aiosqlite


def _are_large(values: Iterable[Any]) -> bool:
    return any(isinstance(value, bytes | str) and len(value) > _LARGE_OCTETS for value in values)


def _writer_waits(step: str, args: tuple[Any, ...]) -> bool:
    if step == "execute":
        statement, values = args
        return statement.startswith("BEGIN") or _are_large(values)
    if step == "executemany":
        _, rows = args
        return len(rows) > _MANY_ROWS or any(map(_are_large, rows))
    return step == "commit"


def _reader_waits(_step: str, _args: tuple[Any, ...]) -> bool:
    return False


def _connect(waits: Waits, database: str, **options: Any) -> _Connection:
    options["check_same_thread"] = False
    return _Connection(waits, partial(sqlite3.connect, database, **options))


def write_connection(database: str, **options: Any) -> aiosqlite.Connection:
    """A connection for writing, for SQLAlchemy's ``async_creator_fn``; options as ``sqlite3.connect``."""
    return _connect(_writer_waits, database, **options)


def read_connection(database: str, **options: Any) -> aiosqlite.Connection:
    """A connection for reading, for SQLAlchemy's ``async_creator_fn``; options as ``sqlite3.connect``."""
    return _connect(_reader_waits, database, **options)
