"""Reading by a cursor of the database, a piece at a time: what is read whole is never held whole."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, Executable

__all__ = ["in_pieces"]


class _Declared(Executable, ClauseElement):
    """A SELECT as a cursor of PostgreSQL, which lives as long as its transaction."""

    inherit_cache = False

    def __init__(self, name: str, statement: Select[*tuple[Any, ...]]) -> None:
        self.name = name
        self.statement = statement


@compiles(_Declared)
def _declare(element: _Declared, compiler: SQLCompiler, **options: Any) -> str:
    return f"DECLARE {element.name} NO SCROLL CURSOR FOR {compiler.process(element.statement, **options)}"


async def in_pieces(
    connection: AsyncConnection, statement: Select[*tuple[Any, ...]], rows: int
) -> AsyncIterator[Sequence[RowMapping]]:
    """The rows of a statement, so many at a time. Who stops early leaves nothing behind: the end of the
    transaction ends the cursor.

    PostgreSQL would send all rows at once. The cursor is declared here and not by SQLAlchemy's ``stream``,
    whose cursors must be closed, also by a generator that nobody ends until it is collected: by then the
    connection is another's.
    """
    if connection.dialect.name != "postgresql":
        async with connection.stream(statement, execution_options={"yield_per": rows}) as result:
            async for piece in result.mappings().partitions():
                yield piece
        return
    name = f"pieces_{secrets.token_hex(8)}"
    await connection.execute(_Declared(name, statement))
    fetch = text(f"FETCH {rows} FROM {name}").columns(*statement.selected_columns)
    while piece := (await connection.execute(fetch)).mappings().all():
        yield piece
