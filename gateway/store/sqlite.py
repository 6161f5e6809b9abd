"""SQLite as used here: write-ahead log with ``synchronous=FULL``, so that a commit is on disk when it
returns; one connection that writes and several that only read; and transactions begun by us.

Python's driver would begin them itself, late and deferred, and a deferred transaction that starts to write
after another process did fails at once with "database is locked": so a writer takes its lock at the start
(``BEGIN IMMEDIATE``) and waits there.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Integer, String, Table, column, delete, event, insert, select, table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.store.columns import json_text
from gateway.store.driver import read_connection, write_connection
from gateway.store.engines import Engines, shown
from gateway.store.errors import StoreUnavailable

__all__ = ["given_number", "is_unavailable", "prepare_file", "set_given_number", "sqlite_engines"]

_BUSY_SECONDS = 30
_READERS = 4
_WAL_LIMIT_OCTETS = 64 * 1024 * 1024
_WAL_ATTEMPTS = 50

_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)


def sqlite_engines(address: URL) -> Engines:
    """The engines of a file. Raises :class:`StoreUnavailable` for an address without one."""
    if not address.database or address.database == ":memory:":
        raise StoreUnavailable(f"no file is named: {shown(address)}")
    address = address.set(drivername="sqlite+aiosqlite")
    writers = _engine(address, write_connection, "BEGIN IMMEDIATE", 1)
    readers = _engine(address, read_connection, "BEGIN", _READERS, "PRAGMA query_only=ON")
    return Engines(writers=writers, queue=writers, readers=readers)


def _engine(
    address: URL, connect: Callable[..., object], begin: str, size: int, *more_pragmas: str
) -> AsyncEngine:
    engine = create_async_engine(
        address,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,  # they are content, and error texts end up in logs
        json_serializer=json_text,
        connect_args={"async_creator_fn": connect, "isolation_level": None, "timeout": _BUSY_SECONDS},
    )
    pragmas = (
        "PRAGMA foreign_keys=ON",
        "PRAGMA synchronous=FULL",
        f"PRAGMA journal_size_limit={_WAL_LIMIT_OCTETS}",
        "PRAGMA secure_delete=ON",  # what is purged is gone from the file
        *more_pragmas,
    )
    event.listen(engine.sync_engine, "connect", _run_each(pragmas))
    event.listen(engine.sync_engine, "begin", _beginning(begin))
    return engine


def _run_each(pragmas: tuple[str, ...]) -> Callable[[Any, object], None]:
    def on_connect(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    return on_connect


def _beginning(statement: str) -> Callable[[Connection], None]:
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return on_begin


async def prepare_file(path: Path) -> None:
    """Make the file ready to be migrated: mode 0600, in WAL. Raises :class:`StoreUnavailable`.

    The mode of the journal is a property of the file: it is set once and not by each connection, since
    changing it needs the file alone, and SQLite does not wait for that.
    """
    await asyncio.to_thread(_make_private, path)
    await asyncio.to_thread(_use_wal, path)


def _make_private(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreUnavailable(f"cannot open the database {path}: {error.strerror}") from error


def _use_wal(path: Path) -> None:
    for attempt in range(_WAL_ATTEMPTS):
        try:
            connection = sqlite3.connect(path, timeout=0.1, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code != sqlite3.SQLITE_BUSY or attempt == _WAL_ATTEMPTS - 1:
                raise StoreUnavailable(f"cannot use the database {path}: {error}") from error
        else:
            return


def is_unavailable(error: sqlite3.Error) -> bool:
    """Whether the file cannot be read or written now; any other error is a mistake of the program."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _UNAVAILABLE


_SEQUENCE = table("sqlite_sequence", column("name", String), column("seq", Integer))


async def given_number(connection: AsyncConnection, numbered: Table) -> int:
    """The last number that was given to a row of a table with AUTOINCREMENT; 0 for others and where none
    was.
    """
    if not numbered.dialect_options["sqlite"]["autoincrement"]:
        return 0
    statement = select(_SEQUENCE.c.seq).where(_SEQUENCE.c.name == numbered.name)
    return int((await connection.execute(statement)).scalar_one_or_none() or 0)


async def set_given_number(connection: AsyncConnection, numbered: Table, number: int) -> None:
    """Let a table with AUTOINCREMENT go on after ``number``."""
    if numbered.dialect_options["sqlite"]["autoincrement"]:
        await connection.execute(delete(_SEQUENCE).where(_SEQUENCE.c.name == numbered.name))
        await connection.execute(insert(_SEQUENCE).values(name=numbered.name, seq=number))
