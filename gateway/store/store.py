"""The store: where a transaction begins and ends."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.dialect import announce, engines, prepare, translated
from gateway.store.engines import Engines
from gateway.store.migration import bring_up_to_date
from gateway.store.transaction import Transaction

__all__ = ["Store"]


class Store:
    """The database of a deployment, open. Several processes may have it open at once.

    ``outbox_changed`` is set after each commit that gave the workers of this process something to look at;
    who waits for it clears it first and then claims. What other processes commit sets it too, on PostgreSQL,
    while this one attends (:mod:`gateway.store.attending`); on SQLite it is found by looking at
    ``tx.outbox.next_due``. ``name`` is this opening's own among those of all processes.
    """

    def __init__(self, pair: Engines) -> None:
        self.outbox_changed = asyncio.Event()
        self.engines = pair
        self.name = secrets.token_hex(8)
        self._writing = asyncio.Lock()
        self._settling = asyncio.Lock() if pair.queue_apart else self._writing
        self._entrance = asyncio.Lock()
        self._writers: set[asyncio.Task[object] | None] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Store]:
        """Open the database at a SQLAlchemy URL (``sqlite:///var/gateway.db``,
        ``postgresql://gateway@db.example/gateway``), migrated where needed; a file is made.

        Raises :class:`StoreUnavailable`, and :class:`SchemaMismatch` for the database of a newer program.
        """
        pair = engines(url)
        try:
            with translated():
                await prepare(pair)
                await bring_up_to_date(pair)
            yield cls(pair)
        finally:
            await pair.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that writes: committed and on disk when the block ends, nothing of it when it raises.

        One at a time, in the order they were asked for. The block must do nothing but database work. Raises
        :class:`StoreError` and its kinds.
        """
        self._refuse_nesting()
        wake = False
        try:
            async with self._entrance, self._writing, self._committed(self.engines.writers) as tx:
                yield tx
                wake = tx.outbox.touched
        finally:
            # Also when the caller was cancelled during the commit, which takes place all the same.
            if wake:
                self.outbox_changed.set()

    @asynccontextmanager
    async def queue_turn(self) -> AsyncIterator[Transaction]:
        """A transaction that writes into the outbox alone: it settles and claims. Raises :class:`StoreError`.

        It goes ahead of those that write: on SQLite it waits for the one under way and one more, however many
        queue, on PostgreSQL for none. The turns of one process follow one another. What it moves wakes the
        workers of other processes: those of this one are at it.
        """
        self._refuse_nesting()
        async with self._settling, self._committed(self.engines.queue) as tx:
            yield tx

    def _refuse_nesting(self) -> None:
        if asyncio.current_task() in self._writers:
            raise RuntimeError("a transaction within a transaction would wait for itself")

    @asynccontextmanager
    async def _committed(self, engine: AsyncEngine) -> AsyncIterator[Transaction]:
        task = asyncio.current_task()
        self._writers.add(task)
        try:
            with translated():
                async with engine.begin() as connection:
                    tx = Transaction(connection)
                    yield tx
                    if tx.outbox.touched:
                        await announce(connection, self.name)
        finally:
            self._writers.discard(task)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """A transaction that only reads, one consistent picture, beside whoever writes. Raises
        :class:`StoreError`.
        """
        with translated():
            async with self.engines.readers.begin() as connection:
                yield Transaction(connection)
