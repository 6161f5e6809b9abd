"""PostgreSQL as used here, by psycopg 3 over libpq.

*Writers take turns*, in one process and among all: each writing transaction begins by taking one advisory
lock of the database, which its end gives back. Sequence numbers, references, the chain of the audit trail and
"of two answers the first counts" then need no other care than on SQLite; the audit trail alone, a chain to
which nearly every mail adds, would make them wait for each other anyway. READ COMMITTED, so that each
statement after the lock sees all that was committed before it.

*The queue's transactions* (settle, claim) take no turn: they touch rows of the outbox alone, each locked and,
where another worker holds it, passed over (``FOR UPDATE SKIP LOCKED``).

*Readers* see one picture (REPEATABLE READ) and the database refuses them any change.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy import URL, Column, Connection, Table, TextClause, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.store.columns import json_text
from gateway.store.engines import Engines, shown
from gateway.store.errors import StoreUnavailable

__all__ = [
    "NO_LIMITS",
    "QUEUE_CHANNEL",
    "WORKERS_LOCK",
    "analyze",
    "announcement",
    "constraint_text",
    "deferred",
    "given_number",
    "is_unavailable",
    "open_session",
    "order_by_code_point",
    "postgresql_engines",
    "require_utf8",
    "set_given_number",
    "unavailable_text",
]

QUEUE_CHANNEL = "teleexpertise_queue"
"""Where a commit tells the workers of other processes that the outbox changed."""

_LOCK_CLASS = 0x544C45
_WRITER_LOCK = f"SELECT pg_advisory_xact_lock({_LOCK_CLASS}, 1)"
WORKERS_LOCK = f"{_LOCK_CLASS}, 2"
"""The arguments of the advisory lock of the one process with workers."""

NO_LIMITS = "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0"
"""For a transaction that goes through a whole database."""

_READERS = 4
_WAIT_SECONDS = 30
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)
_SESSION = (
    "SET TIME ZONE 'UTC'",
    f"SET lock_timeout = '{_WAIT_SECONDS}s'",
    # Who froze within a transaction must not keep all others from theirs.
    "SET idle_in_transaction_session_timeout = '60s'",
    # What was acknowledged is on disk, whatever the server is set to; stricter settings stay.
    # A gateway whose machine vanished must not hold a lock for hours.
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
    # A plan for any beginning of a word would read the whole table for the rare ones.
    "SET plan_cache_mode = force_custom_plan",
    _DURABLE,
)
_WRITING = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"
_READING = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
#: A server that vanished is noticed within a minute; what stands in the URL comes first.
_ALIVE = {
    "application_name": "teleexpertise-gateway",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
#: Whatever the server, the role or the environment would have: else text may come as octets.
_SPOKEN = {"client_encoding": "utf8"}
_UNORDERED = text(
    "SELECT relname, attname, format_type(atttypid, atttypmod)"
    " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
    " WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND attnum > 0"
    " AND NOT attisdropped AND attcollation <> 0 AND attcollation <> '\"C\"'::regcollation"
    " ORDER BY relname, attnum"
)
_FORBIDDEN = "42501"
#: Beside the faults of class OperationalError: a standby or a reader, a session that was ended, a role that
#: lacks the right.
_UNAVAILABLE = frozenset({"25006", "25P03", _FORBIDDEN})
#: Those of the server itself: damaged data, or what it did not foresee.
_SERVERS_OWN = "XX"


def postgresql_engines(address: URL) -> Engines:
    """The engines of a database. Raises :class:`StoreUnavailable` for an address without a name of one."""
    if not address.database:
        raise StoreUnavailable(f"no database is named: {shown(address)}")
    try:
        psycopg.conninfo.make_conninfo("", **dict.fromkeys(address.query, "x"))
    except psycopg.ProgrammingError as error:
        raise StoreUnavailable(f"{shown(address)}: {error}") from error
    query = _ALIVE | dict(address.query) | _SPOKEN
    address = address.set(drivername="postgresql+psycopg_async", query=query)
    writers = _engine(address, 1, _WRITING)
    event.listen(writers.sync_engine, "begin", _take_turn)
    return Engines(
        writers=writers,
        queue=_engine(address, 1, _WRITING),
        readers=_engine(address, _READERS, _READING),
    )


def _engine(address: URL, size: int, mode: str) -> AsyncEngine:
    engine = create_async_engine(
        address,
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=True,  # the first mail after a restart of the server must not pay for it
        hide_parameters=True,  # they are content, and error texts end up in logs
        json_serializer=json_text,
    )
    event.listen(engine.sync_engine, "connect", _run_each((*_SESSION, mode)))
    return engine


def _run_each(statements: Iterable[str]) -> Callable[[Any, object], None]:
    together = "; ".join(statements)

    def on_connect(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(together)
        cursor.close()
        connection.commit()

    return on_connect


def _take_turn(connection: Connection) -> None:
    connection.exec_driver_sql(_WRITER_LOCK)


async def open_session(pair: Engines) -> psycopg.AsyncConnection[Any]:
    """A connection beside the engines' for what outlives a transaction, each statement of which is one.
    Raises ``psycopg.Error``.
    """
    engine = pair.queue.sync_engine
    _, options = engine.dialect.create_connect_args(engine.url)
    connection = await psycopg.AsyncConnection.connect(**options, autocommit=True)
    await connection.execute("; ".join(_SESSION))
    return connection


async def require_utf8(engine: AsyncEngine) -> None:
    """Raises :class:`StoreUnavailable` for a database whose text is not UTF-8: mails hold any script."""
    async with engine.connect() as connection:
        found = (await connection.exec_driver_sql("SHOW server_encoding")).scalar_one()
    if found != "UTF8":
        raise StoreUnavailable(
            f"the encoding of the database is {found}, it must be UTF8: "
            "make one with createdb --encoding UTF8 --template template0"
        )


def order_by_code_point(connection: Connection) -> None:
    """Let every text column compare by code points, as SQLite does: pages and beginnings of words are ranges
    of that order, and an index in it outlives changes of the system's locales.
    """
    columns: dict[str, list[str]] = {}
    for table, column, kind in connection.execute(_UNORDERED):
        columns.setdefault(table, []).append(f'ALTER "{column}" TYPE {kind} COLLATE "C"')
    for table, changes in columns.items():
        connection.execute(text(f'ALTER TABLE "{table}" {", ".join(changes)}'))


def announcement(who: str) -> TextClause:
    """The statement that lets other processes know, once it is committed, that the outbox changed."""
    return text("SELECT pg_notify(:channel, :who)").bindparams(channel=QUEUE_CHANNEL, who=who)


def is_unavailable(error: BaseException) -> bool:
    """Whether the database cannot be reached, read or written now; any other error is a mistake of the
    program. libpq's own faults, of a connection, have no state.
    """
    if isinstance(error, psycopg.OperationalError):
        return True
    state = (error.sqlstate if isinstance(error, psycopg.Error) else None) or ""
    return state in _UNAVAILABLE or state.startswith(_SERVERS_OWN)


def unavailable_text(error: BaseException) -> str:
    """What may be told of why the database is not available: the server's words after that show statements
    and values.
    """
    told = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    if isinstance(error, psycopg.Error) and error.sqlstate == _FORBIDDEN:
        return f"{told}: the database must belong to the gateway's role"
    return told or str(error)


def constraint_text(error: BaseException) -> str:
    """What may be told of a broken constraint: the server's words after that name the values."""
    told = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return told or type(error).__name__


@asynccontextmanager
async def deferred(connection: AsyncConnection, tables: Sequence[Table]) -> AsyncIterator[None]:
    """Within the block rows may refer to rows of their own table that come later."""
    own = [
        (table.name, str(key.name))
        for table in tables
        for key in table.foreign_key_constraints
        if key.referred_table is table
    ]
    for name, key in own:
        change = f'ALTER TABLE "{name}" ALTER CONSTRAINT "{key}"'
        await connection.exec_driver_sql(f"{change} DEFERRABLE INITIALLY DEFERRED")
    yield
    await connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
    for name, key in own:
        change = f'ALTER TABLE "{name}" ALTER CONSTRAINT "{key}"'
        await connection.exec_driver_sql(f"{change} NOT DEFERRABLE")


async def analyze(connection: AsyncConnection, tables: Sequence[Table]) -> None:
    """Let the server know what is in these tables now: else it plans for empty ones until it looks."""
    for table in tables:
        await connection.exec_driver_sql(f'ANALYZE "{table.name}"')


_SEQUENCE_OF = text("SELECT pg_get_serial_sequence(:of_table, :of_column)")


async def _sequence(connection: AsyncConnection, column: Column[Any]) -> str:
    names = {"of_table": f'"{column.table.name}"', "of_column": column.name}
    return str((await connection.execute(_SEQUENCE_OF, names)).scalar_one())


async def given_number(connection: AsyncConnection, column: Column[Any]) -> int:
    """The last number that a column's sequence gave; 0 where it gave none."""
    sequence = await _sequence(connection, column)
    found = await connection.exec_driver_sql(f"SELECT last_value, is_called FROM {sequence}")  # noqa: S608
    state = found.mappings().one()
    return int(state["last_value"]) if state["is_called"] else 0


async def set_given_number(connection: AsyncConnection, column: Column[Any], number: int) -> None:
    """Let a column's sequence go on after ``number``."""
    values = {"sequence": await _sequence(connection, column), "number": number}
    await connection.execute(text("SELECT setval(CAST(:sequence AS regclass), :number)"), values)
