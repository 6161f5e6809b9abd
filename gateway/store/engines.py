"""The ways to an open database."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["Engines"]


@dataclass(frozen=True, slots=True)
class Engines:
    """Three ways to one database: ``writers`` (one transaction at a time, among all processes), ``queue``
    (transactions that touch the outbox alone; on SQLite the same engine as ``writers``) and ``readers``
    (which cannot write, and see one picture).
    """

    writers: AsyncEngine
    queue: AsyncEngine
    readers: AsyncEngine

    @property
    def on_postgresql(self) -> bool:
        """Whether this is PostgreSQL; otherwise it is SQLite."""
        return self.writers.dialect.name == "postgresql"

    @property
    def queue_apart(self) -> bool:
        """Whether the queue's transactions need not wait for those that write."""
        return self.queue is not self.writers

    async def dispose(self) -> None:
        """Close all connections."""
        for engine in (self.readers, self.queue, self.writers):
            await engine.dispose()
