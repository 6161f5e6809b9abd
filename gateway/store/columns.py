"""Column types that are the same on every database: UTC times, text without traps, enumerations, JSON, row
numbers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["JsonData", "PlainText", "RowNumber", "UtcDateTime", "choice"]

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


def RowNumber() -> TypeEngine[int]:  # noqa: N802 - reads as the type it makes
    """A number that the database gives. SQLite counts rows only for the type INTEGER, which has 64 bits
    there.
    """
    return BigInteger().with_variant(Integer(), "sqlite")
