"""Column types that are the same on every database: UTC times, text without traps, enumerations, JSON, row
numbers.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["JsonData", "PlainText", "RowNumber", "UtcDateTime", "choice", "json_text", "storable"]

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware on both sides, UTC in the database. A naive time is refused (``ValueError``)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The instant in UTC; SQLite stores it as text without a zone, where text order is time order."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The instant, aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text that every database takes: NUL and lone surrogates, which peers can send us, are replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as it can be stored; searches pass here too, so that what was stored is found."""
        if value is None:
            return None
        return storable(value)


def storable(value: str) -> str:
    """The text as every database takes it, see :class:`PlainText`."""
    clean = value.replace("\x00", _REPLACEMENT) if "\x00" in value else value
    return clean if clean.isascii() else clean.encode("utf-8", "replace").decode("utf-8")


def choice(members: type[StrEnum]) -> Enum:
    """A column of an enumeration, stored as its value in short text (a new member needs no migration)."""
    return Enum(
        members,
        native_enum=False,
        create_constraint=False,
        length=32,
        values_callable=lambda kind: [member.value for member in kind],
    )


def JsonData() -> TypeEngine[Any]:  # noqa: N802 - reads as the type it makes
    """JSON data: objects, lists, strings, numbers."""
    return JSON()


def json_text(value: object) -> str:
    """The JSON text of a value for a database, its strings as :class:`PlainText` has them: PostgreSQL keeps
    others, and fails when it is asked for a value beside them.
    """
    text = json.dumps(value, allow_nan=False)
    # Only these escapes may stand for what no database takes; most of the second are halves of an emoji.
    return json.dumps(_cleaned(value)) if "\\u0000" in text or "\\ud" in text else text


def _cleaned(value: object) -> object:
    match value:
        case str():
            return storable(value)
        case dict():
            return {_cleaned(name): _cleaned(each) for name, each in value.items()}
        case list() | tuple():
            return [_cleaned(each) for each in value]
    return value


def RowNumber() -> TypeEngine[int]:  # noqa: N802 - reads as the type it makes
    """A number that the database gives. SQLite counts rows only for the type INTEGER, which has 64 bits
    there.
    """
    return BigInteger().with_variant(Integer(), "sqlite")
