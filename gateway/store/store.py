"""The store: where a transaction begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from gateway.store.dialect import Engines, engines, prepare, translated
from gateway.store.migration import bring_up_to_date
from gateway.store.transaction import Transaction

__all__ = ["Store"]


class Store:
    """The database of a deployment, open. Several processes may have it open at once.

    ``outbox_changed`` is set after each commit that gave the workers of this process something to look at;
    the one who waits for it clears it first and then claims. Other processes are found by looking at
    ``tx.outbox.next_due``.
    """

    def __init__(self, pair: Engines) -> None:
        self.outbox_changed = asyncio.Event()
        self._engines = pair
        self._entrance = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[object] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Store]:
        """Open the database at a SQLAlchemy URL (``sqlite:///var/gateway.db``), made and migrated where
        needed.

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
    async def transaction(self, *, ahead: bool = False) -> AsyncIterator[Transaction]:
        """A transaction that writes: committed and on disk when the block ends, nothing of it when it raises.

        One at a time, in the order they were asked for; one that goes ``ahead`` waits for the one under way
        and one more, however many queue. The block must do nothing but database work. Raises
        :class:`StoreError` and its kinds.
        """
        if self._writer is not None and self._writer is asyncio.current_task():
            raise RuntimeError("a transaction within a transaction would wait for itself")
        async with nullcontext() if ahead else self._entrance, self._writing:
            self._writer = asyncio.current_task()
            wake = False
            try:
                with translated():
                    async with self._engines.writers.begin() as connection:
                        tx = Transaction(connection)
                        yield tx
                        wake = tx.outbox.touched
            finally:
                self._writer = None
                # Also when the caller was cancelled during the commit, which takes place all the same.
                if wake:
                    self.outbox_changed.set()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """A transaction that only reads, one consistent picture, beside whoever writes. Raises
        :class:`StoreError`.
        """
        with translated():
            async with self._engines.readers.begin() as connection:
                yield Transaction(connection)
