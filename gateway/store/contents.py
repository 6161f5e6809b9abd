"""What a database holds, told in a way that is the same on SQLite and PostgreSQL: rows, their hash, whether
the other kind of database takes them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Enum,
    Integer,
    LargeBinary,
    String,
    Table,
    select,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.columns import json_text, storable
from gateway.store.repository import Row

__all__ = ["Digest", "batches", "fault_of", "key_of"]

_ROWS = 200
_OCTETS = 8 * 1024 * 1024
_MODULUS = 1 << 256
_SMALLEST, _LARGEST = -(1 << 31), (1 << 31) - 1


async def batches(connection: AsyncConnection, table: Table) -> AsyncIterator[list[Row]]:
    """All rows of a table, in the order they lie in. Some hundred at a time, of which only the last may bring
    them above eight megabytes: mails are fetched one by one.

    Enumerations come as their text, so that words of no known meaning pass too.
    """
    heavy = any(isinstance(column.type, LargeBinary) for column in table.c)
    names = [column.name for column in table.c]
    statement = select(*map(_as_stored, table.c)).execution_options(yield_per=1 if heavy else _ROWS)
    async with connection.stream(statement) as found:
        rows: list[Row] = []
        octets = 0
        async for values in found:
            rows.append(dict(zip(names, values, strict=True)))
            octets += sum(len(value) for value in values if isinstance(value, bytes))
            if len(rows) >= _ROWS or octets >= _OCTETS:
                yield rows
                rows, octets = [], 0
        if rows:
            yield rows


def _as_stored(column: Column[Any]) -> Any:
    if isinstance(column.type, Enum):
        return type_coerce(column, String()).label(column.name)
    return column


def key_of(table: Table, row: Mapping[str, Any]) -> str:
    """What names a row to an operator: its primary key."""
    return ", ".join(str(row[column.name]) for column in table.primary_key)


def fault_of(table: Table, row: Mapping[str, Any]) -> str:
    """Why a row cannot be written as it is, naming table, key and column; '' where it can be.

    SQLite takes anything for anything, and text of older versions may hold what PostgreSQL refuses.
    """
    for column in table.c:
        if why := _fault(column, row[column.name]):
            return f"{table.name} {key_of(table, row)}: {column.name} {why}"
    return ""


def _fault(column: Column[Any], value: object) -> str:
    kind = column.type
    if isinstance(kind, JSON):
        return _json_fault(value)
    if value is None:
        return "" if column.nullable else "is NULL"
    if isinstance(value, str):
        if storable(value) != value:
            return _unstorable(value)
        if isinstance(kind, Enum) and kind.length is not None and len(value) > kind.length:
            return f"has more than {kind.length} characters"
    if isinstance(kind, Integer):
        if not isinstance(value, int):
            return "is no number"
        if not isinstance(kind, BigInteger) and not _SMALLEST <= value <= _LARGEST:
            return "is a number of more than 32 bits"
    return ""


def _json_fault(value: object) -> str:
    try:
        return "" if json_text(value) == json.dumps(value) else _unstorable(json.dumps(value))
    except ValueError:
        return "holds a number that JSON does not have"


def _unstorable(text: str) -> str:
    if "\x00" in text or "\\u0000" in text:
        return "holds the character NUL, which PostgreSQL does not take"
    return "holds half a character (a lone surrogate), which PostgreSQL does not take"


@dataclass(slots=True)
class Digest:
    """The rows of a table, counted and hashed whatever their order: the sum of the SHA-256 of each."""

    table: Table
    rows: int = 0
    _sum: int = 0
    _json: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._json = frozenset(column.name for column in self.table.c if isinstance(column.type, JSON))

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take these rows in."""
        for row in rows:
            hashed = sha256()
            for part in self._parts(row):
                hashed.update(len(part).to_bytes(8))
                hashed.update(part)
            self._sum = (self._sum + int.from_bytes(hashed.digest())) % _MODULUS
        self.rows += len(rows)

    def _parts(self, row: Mapping[str, Any]) -> Iterable[bytes]:
        for column in self.table.c:
            value = row[column.name]
            yield column.name.encode()
            yield json.dumps(value).encode() if column.name in self._json else _octets(value)

    @property
    def hash(self) -> str:
        """The hash, in lower-case hexadecimal."""
        return f"{self._sum:064x}"


def _octets(value: object) -> bytes:
    """A value with its type: 1, true and '1' are three."""
    match value:
        case bytes():
            return b"octets " + value
        case datetime():
            return b"instant " + value.astimezone(UTC).isoformat(timespec="microseconds").encode()
        case date():
            return b"day " + value.isoformat().encode()
    return f"{type(value).__name__} {value}".encode("utf-8", "surrogatepass")
