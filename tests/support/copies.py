"""Databases to be copied: rows of every table with values of all kinds, and what a database holds.

    python -m tests.support.copies SOURCE TARGET

copies and is killed by its own hand when the first rows are read back, before the commit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Table,
    Uuid,
    select,
    update,
)
from sqlalchemy.types import TypeDecorator

from gateway.store import Store
from gateway.store.copying import CopiedTable, Copying
from gateway.store.dialect import set_last_number
from gateway.store.schema import message, metadata
from tests.support.store import NOW

ROWS = 3
ACTOR = "operator test"
_TEXT = "Zoë œuvre 'l’été' \"\\ %s {} \t\r\n 🩺 \U0010ffff"
_OCTETS = bytes(range(256))
_DATA = {
    "é": [1, 2**70, -0.1, 1e300, True, None, ""],
    "z": {"b": _TEXT, "a": {}},
    "quoted": '\\u0000 is no NUL, \\" neither',
}
_ZONE = timezone(timedelta(hours=-9, minutes=-30))


def _value(column: Column[Any], number: int) -> object:
    """A value of the column's kind, another one for each row."""
    if column.nullable and number == 0:
        return None
    kind: Any = column.type
    kind = kind.impl if isinstance(kind, TypeDecorator) else kind
    match kind:
        case Enum():
            return list(kind.enum_class)[number % len(kind.enum_class)]  # type: ignore[arg-type]
        case Boolean():
            return bool(number % 2)
        case BigInteger():
            return 2**63 - 1 - number
        case Integer():
            return 2**31 - 1 - number
        case Uuid():
            return UUID(int=(1 << 127) - number)
        case LargeBinary():
            return _OCTETS * number
        case DateTime():
            return datetime(2026, 3, 29, 2, 30, 0, number, _ZONE)
        case Date():
            return date(1900 + number, 2, 28)
        case JSON():
            return [None, "", _DATA][number % 3]
    return f"{_TEXT} {column.name} {number}" if number else column.name


def _row(table: Table, number: int, made: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    row = {column.name: _value(column, number) for column in table.c}
    if table.autoincrement_column is not None:  # a number that the database gives
        row[table.autoincrement_column.name] = number + 1
    for key in table.constraints:
        if isinstance(key, ForeignKeyConstraint) and key.referred_table is not table:
            (element,) = key.elements
            if row[element.parent.name] is not None:
                row[element.parent.name] = made[key.referred_table.name][number][element.column.name]
    if table is message:
        row["cause_id"] = None
    return row


async def fill(store: Store) -> None:
    """Put rows into every table, some of which refer to rows of their own table that came later."""
    made: dict[str, list[dict[str, Any]]] = {}
    async with store.engines.writers.begin() as connection:
        for table in metadata.sorted_tables:
            made[table.name] = [_row(table, number, made) for number in range(ROWS)]
            for row in made[table.name]:
                await connection.execute(table.insert(), row)
            await set_last_number(connection, table, ROWS)
        first, _, last = (row["id"] for row in made[message.name])
        await connection.execute(update(message).where(message.c.id == first).values(cause_id=last))


async def content(store: Store) -> dict[str, Sequence[Any]]:
    """All rows of all tables, as the program reads them."""
    async with store.engines.readers.connect() as connection:
        return {
            table.name: (await connection.execute(select(table).order_by(*table.primary_key))).all()
            for table in metadata.sorted_tables
        }


async def copy(store: Store, url: str) -> tuple[CopiedTable, ...]:
    """Copy all into the database at ``url``."""
    return await Copying(store, url, ACTOR, NOW).run(lambda _: None, lambda _what, _done: None)


async def _killed(source: str, target: str) -> None:
    def progress(what: str, _done: int) -> None:
        if what.startswith("comparing"):
            os.kill(os.getpid(), signal.SIGKILL)

    async with Store.open(source) as store:
        await Copying(store, target, ACTOR, datetime.now(UTC)).run(lambda _: None, progress)


if __name__ == "__main__":
    asyncio.run(_killed(sys.argv[1], sys.argv[2]))
