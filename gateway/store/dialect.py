"""Everything that depends on the database: today SQLite; PostgreSQL has its place in each of these
functions.

SQLite as used here: write-ahead log with ``synchronous=FULL``, so that a commit is on disk when it returns;
one connection that writes and several that only read; and transactions begun by us. Python's driver would
begin them itself, late and deferred, and a deferred transaction that starts to write after another process
did fails at once with "database is locked": so a writer takes its lock at the start (``BEGIN IMMEDIATE``)
and waits there.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Table, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.store.driver import read_connection, write_connection
from gateway.store.errors import ConstraintBroken, StoreError, StoreUnavailable

__all__ = ["Engines", "engines", "insert", "insert_new", "prepare", "translated"]

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


@dataclass(frozen=True, slots=True)
class Engines:
    """The two ways to the database: ``writers`` (on SQLite a single connection) and ``readers`` (that
    cannot write).
    """

    writers: AsyncEngine
    readers: AsyncEngine

    async def dispose(self) -> None:
        """Close all connections."""
        await self.readers.dispose()
        await self.writers.dispose()


def engines(url: str) -> Engines:
    """The engines for ``url``, not yet connected. Raises :class:`StoreUnavailable` for a URL that we cannot
    serve.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise StoreUnavailable("not a database URL") from error
    if address.get_backend_name() != "sqlite" or not address.database or address.database == ":memory:":
        raise StoreUnavailable(f"no support for this database: {address.render_as_string()}")
    address = address.set(drivername="sqlite+aiosqlite")
    return Engines(
        writers=_sqlite_engine(address, write_connection, "BEGIN IMMEDIATE", 1),
        readers=_sqlite_engine(address, read_connection, "BEGIN", _READERS, "PRAGMA query_only=ON"),
    )


def _sqlite_engine(
    address: URL, connect: Callable[..., object], begin: str, size: int, *more_pragmas: str
) -> AsyncEngine:
    engine = create_async_engine(
        address,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,  # they are content, and error texts end up in logs
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


async def prepare(pair: Engines) -> None:
    """Make the database ready to be migrated: the file, mode 0600, in WAL. Raises
    :class:`StoreUnavailable`.

    The mode of the journal is a property of the file: it is set once and not by each connection, since
    changing it needs the file alone, and SQLite does not wait for that.
    """
    path = Path(str(pair.writers.url.database))
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


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours. Errors that only a mistake of the program can cause stay as they
    are.
    """
    try:
        yield
    except IntegrityError as error:
        raise ConstraintBroken(str(error.orig)) from error
    except PoolTimeout as error:
        raise StoreUnavailable("all connections are in use") from error
    except DBAPIError as error:
        found = _reading_of(error)
        if found is None:
            raise
        raise found from error


def _reading_of(error: DBAPIError) -> StoreError | None:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if error.connection_invalidated or (code is not None and code & 0xFF in _UNAVAILABLE):
        return StoreUnavailable(str(error.orig))
    return None


def insert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ``ON CONFLICT``: both databases have it, each in a construct of its own."""
    return _insert(connection.dialect.name, table)


def insert_new(connection: AsyncConnection, table: Table, *key: str) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that leaves out a row whose key is there: that of these columns, or any where none is named.
    It is the same one each time.
    """
    return _insert_new(connection.dialect.name, table, key)


@cache
def _insert_new(dialect: str, table: Table, key: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    return _insert(dialect, table).on_conflict_do_nothing(index_elements=key or None)


def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
