"""What a database is and how much it holds, for operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.attending import undisturbed
from gateway.store.dialect import translated
from gateway.store.engines import Engines
from gateway.store.errors import StoreInUse
from gateway.store.rows import OutboxState
from gateway.store.schema import metadata
from gateway.store.store import Store

__all__ = ["Inventory", "take_inventory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """A database: ``octets`` on disk, ``served`` by a gateway now, ``oldest_pending`` the instant at which
    the action was put that waits longest, ``rows`` by table.
    """

    engine: str
    version: str
    revision: str
    octets: int
    served: bool
    queue: Mapping[OutboxState, int]
    oldest_pending: datetime | None
    last_audit_line: datetime | None
    rows: Mapping[str, int]


async def take_inventory(store: Store) -> Inventory:
    """Look into a database. Raises :class:`StoreError`."""
    served = await _is_served(store.engines)
    async with store.reading() as tx:
        queue, oldest = await tx.outbox.counts(), await tx.outbox.oldest_pending()
        last = await tx.audit.latest(limit=1)
    with translated():
        async with store.engines.readers.begin() as connection:
            version = connection.dialect.server_version_info or ()
            return Inventory(
                engine=connection.dialect.name,
                version=".".join(map(str, version)),
                revision=await _revision(connection),
                octets=await _octets(store.engines, connection),
                served=served,
                queue=queue,
                oldest_pending=oldest,
                last_audit_line=last[0].at if last else None,
                rows=await _rows(connection),
            )


async def _is_served(pair: Engines) -> bool:
    try:
        async with undisturbed(pair):
            return False
    except StoreInUse:
        return True


async def _revision(connection: AsyncConnection) -> str:
    return str((await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one())


async def _rows(connection: AsyncConnection) -> dict[str, int]:
    return {
        name: int((await connection.execute(select(func.count()).select_from(table))).scalar_one())
        for name, table in sorted(metadata.tables.items())
    }


async def _octets(pair: Engines, connection: AsyncConnection) -> int:
    """The size of the database; of a file, with what was written and is not in it yet."""
    if pair.on_postgresql:
        asked = await connection.execute(text("SELECT pg_database_size(current_database())"))
        return int(asked.scalar_one())
    sizes = [_size(f"{pair.readers.url.database}{ending}") for ending in ("", "-wal")]
    return sum(sizes)


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0
