"""What the repositories share: the connection of the transaction, and the way between rows and tables.

Statements that each mail needs are made once, by functions under ``functools.cache``, and take their values
as parameters: a statement keeps its place in the cache of compiled ones. One that is made anew for each
question costs twice what asking does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.dialect import insert_new

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from sqlalchemy import Executable, RowMapping, Table

__all__ = ["ID_CHUNK", "Repository", "Row", "column_values"]

Row = dict[str, Any]
"""A row to be written: values by column name."""

ID_CHUNK = 500
"""How many values one ``IN`` takes; databases bound the parameters of a statement."""


def column_values(row: DataclassInstance, *leave_out: str) -> dict[str, Any]:
    """The fields of a row dataclass by column name, which is the field's name."""
    return {field.name: getattr(row, field.name) for field in fields(row) if field.name not in leave_out}


@cache
def _inserting(table: Table) -> Executable:
    return table.insert()


class Repository:
    """The rows of one noun within one transaction. Made by the transaction, of no use after it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def _first(self, statement: Executable, values: Row | None = None) -> RowMapping | None:
        return (await self._connection.execute(statement, values)).mappings().first()

    async def _all(self, statement: Executable, values: Row | None = None) -> Sequence[RowMapping]:
        return (await self._connection.execute(statement, values)).mappings().all()

    async def _changed(self, statement: Executable, values: Row | None = None) -> int:
        """Execute an INSERT, UPDATE or DELETE; the number of rows it touched."""
        return (await self._connection.execute(statement, values)).rowcount

    async def _add(self, table: Table, row: Row) -> None:
        await self._connection.execute(_inserting(table), row)

    async def _add_all(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            await self._connection.execute(_inserting(table), rows)

    async def _add_new(self, table: Table, row: Row) -> bool:
        """Add a row where none has its key; ``False`` where one has."""
        return bool((await self._connection.execute(insert_new(self._connection, table), row)).rowcount)
