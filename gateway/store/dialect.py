"""Everything that depends on the database: which one a URL names, its errors, its ``ON CONFLICT``."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import Table, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store import sqlite as on_sqlite
from gateway.store.engines import Engines, shown
from gateway.store.errors import ConstraintBroken, StoreUnavailable

__all__ = [
    "allow_time",
    "announce",
    "engines",
    "insert",
    "insert_new",
    "last_number",
    "load_unordered",
    "prepare",
    "set_last_number",
    "translated",
]


def engines(url: str) -> Engines:
    """The engines for ``url``, not yet connected. Raises :class:`StoreUnavailable` for a URL that we cannot
    serve.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise StoreUnavailable("not a database URL") from error
    match address.get_backend_name():
        case "sqlite":
            return on_sqlite.sqlite_engines(address)
        case "postgresql" | "postgres":
            # Loaded only here: a command on SQLite would pay a tenth of a second for it.
            from gateway.store.postgresql import postgresql_engines

            return postgresql_engines(address)
    raise StoreUnavailable(f"no support for this database: {shown(address)}")


async def prepare(pair: Engines) -> None:
    """Make the database ready to be migrated: a file is made, a server is asked. Raises
    :class:`StoreUnavailable`.
    """
    if pair.on_postgresql:
        from gateway.store.postgresql import require_utf8

        await require_utf8(pair.readers)
    else:
        await on_sqlite.prepare_file(Path(str(pair.writers.url.database)))


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours. Errors that only a mistake of the program can cause stay as they
    are.

    PostgreSQL's words for a broken constraint hold the values: they are not passed on, nor is their error.
    """
    try:
        yield
    except IntegrityError as error:
        raise ConstraintBroken(_constraint_text(error)) from None
    except PoolTimeout as error:
        raise StoreUnavailable("all connections are in use") from error
    except DBAPIError as error:
        if error.connection_invalidated or _is_unavailable(error.orig):
            raise StoreUnavailable(_unavailable_text(error.orig)) from error
        raise


def _constraint_text(error: IntegrityError) -> str:
    if isinstance(error.orig, sqlite3.Error) or error.orig is None:
        return str(error.orig)
    from gateway.store.postgresql import constraint_text

    return constraint_text(error.orig)


def _unavailable_text(error: BaseException | None) -> str:
    if error is None or isinstance(error, sqlite3.Error):
        return str(error)
    from gateway.store.postgresql import unavailable_text

    return unavailable_text(error)


def _is_unavailable(error: BaseException | None) -> bool:
    if error is None or isinstance(error, sqlite3.Error):
        return error is not None and on_sqlite.is_unavailable(error)
    from gateway.store.postgresql import is_unavailable

    return is_unavailable(error)


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
    statement = _insert(dialect, table).on_conflict_do_nothing(index_elements=key or None)
    return statement.execution_options(preserve_rowcount=True)


def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


async def announce(connection: AsyncConnection, who: str) -> None:
    """Let other processes know, by this transaction's commit, that ``who`` changed the outbox; SQLite has no
    way to.
    """
    if connection.dialect.name == "postgresql":
        from gateway.store.postgresql import announcement

        await connection.execute(announcement(who))


# -- what a copy of a whole database needs


async def allow_time(connection: AsyncConnection) -> None:
    """Let this transaction last as long as it takes, and wait within itself."""
    if connection.dialect.name == "postgresql":
        from gateway.store.postgresql import NO_LIMITS

        await connection.exec_driver_sql(NO_LIMITS)


@asynccontextmanager
async def load_unordered(connection: AsyncConnection, tables: Sequence[Table]) -> AsyncIterator[None]:
    """Within the block a row may come before the row of its own table to which it refers; what refers to
    nothing is an error at the end of it, or of the transaction. The tables' statistics are taken afterwards.
    """
    if connection.dialect.name == "postgresql":
        from gateway.store.postgresql import analyze, deferred

        async with deferred(connection, tables):
            yield
        await analyze(connection, tables)
    else:
        await connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        yield


async def last_number(connection: AsyncConnection, table: Table) -> int:
    """The last number that the database gave to a row of this table, though that be gone; 0 where it numbers
    none.
    """
    column = table.autoincrement_column
    if column is None:
        return 0
    greatest = int((await connection.execute(select(func.max(column)))).scalar_one() or 0)
    if connection.dialect.name == "postgresql":
        from gateway.store.postgresql import given_number

        return max(greatest, await given_number(connection, column))
    return max(greatest, await on_sqlite.given_number(connection, table))


async def set_last_number(connection: AsyncConnection, table: Table, number: int) -> None:
    """The next row of this table gets a higher number. SQLite keeps that only for tables that never give a
    number twice.
    """
    column = table.autoincrement_column
    if column is None or number == 0:
        return
    if connection.dialect.name == "postgresql":
        from gateway.store.postgresql import set_given_number

        await set_given_number(connection, column, number)
    else:
        await on_sqlite.set_given_number(connection, table, number)
