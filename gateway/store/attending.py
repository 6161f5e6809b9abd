"""Being one of the processes whose workers do what the outbox holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from gateway.store.store import Store

__all__ = ["attending"]


@asynccontextmanager
async def attending(store: Store) -> AsyncIterator[None]:
    """Attend to the outbox while the block lasts. Raises :class:`StoreError` where it cannot begin.

    Claims that stand while no other process attends are those of a dead one: they end. PostgreSQL knows who
    attends, and what others commit sets ``store.outbox_changed`` from now on. On SQLite it is the caller who
    knows that nobody else does.
    """
    if not store.engines.on_postgresql:
        await _end_claims(store)
        yield
        return
    # Loaded only here, see dialect.engines.
    from gateway.store.listening import listening

    async with listening(store, partial(_end_claims, store)):
        yield


async def _end_claims(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.release_claims()
