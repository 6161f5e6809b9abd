"""The ways to an open database."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["Engines", "has_secret", "shown"]

#: Of libpq, which takes them behind the `?` as well.
_SECRETS = ("password", "sslpassword", "scram_client_key", "scram_server_key")


def has_secret(address: URL) -> bool:
    """Whether an address holds a password, which :func:`shown` leaves out."""
    return address.password is not None or any(name in address.query for name in _SECRETS)


def shown(address: URL) -> str:
    """An address as settings have it, without any password."""
    address = address.set(drivername=address.get_backend_name()).difference_update_query(_SECRETS)
    return (
        URL.create(
            address.drivername,
            address.username,
            None,
            address.host,
            address.port,
            address.database,
            address.query,
        )
        .render_as_string(hide_password=False)
        .replace("%2F", "/")
    )


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
