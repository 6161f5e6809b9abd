"""Being the one process whose workers do what the outbox holds.

One and not several: a delivery goes into the mailboxes of the process that claimed it, and those of two are
not the same.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.store.engines import Engines
from gateway.store.errors import StoreInUse, StoreUnavailable
from gateway.store.store import Store

__all__ = ["attending", "undisturbed"]

_TRIES = 5
_BETWEEN_TRIES_SECONDS = 0.2


@asynccontextmanager
async def attending(store: Store) -> AsyncIterator[asyncio.Future[None]]:
    """Attend to the outbox while the block lasts; on PostgreSQL what others commit sets
    ``store.outbox_changed`` from now on. Claims that stand when it begins are those of a dead process: they
    end.

    What it yields ends with :class:`StoreInUse` when the place is lost to another process: this one must stop
    then. Raises :class:`StoreInUse` where another process attends, :class:`StoreError`.
    """
    if store.engines.on_postgresql:
        # Loaded only here, see dialect.engines.
        from gateway.store.listening import listening

        place = listening(store.engines, store.name, store.outbox_changed)
    else:
        place = _on_sqlite(store.engines)
    async with place as lost:
        async with store.transaction() as tx:
            await tx.outbox.release_claims()
        yield lost


@asynccontextmanager
async def undisturbed(pair: Engines) -> AsyncIterator[None]:
    """Keep any gateway from serving a database while the block lasts. Raises :class:`StoreInUse` where one
    does, :class:`StoreUnavailable`.
    """
    if pair.on_postgresql:
        from gateway.store.listening import holding_place

        async with holding_place(pair):
            yield
    else:
        async with _on_sqlite(pair):
            yield


@asynccontextmanager
async def _on_sqlite(pair: Engines) -> AsyncIterator[asyncio.Future[None]]:
    """The place at a file, which the system gives back when the process ends.

    A file beside it: whoever closes the database's own file loses all locks that SQLite has on it.
    """
    path = Path(f"{pair.writers.url.database}.lock")
    descriptor = await _locked(path)
    try:
        yield asyncio.get_running_loop().create_future()
    finally:
        os.close(descriptor)


async def _locked(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from error
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_BETWEEN_TRIES_SECONDS)
        else:
            return descriptor
    os.close(descriptor)
    raise StoreInUse("another gateway serves this database")
