"""The worker loop: claim due actions, do each, settle it. A crash at any instant leaves the action to be
claimed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.failures import failure_place
from gateway.relay.schedule import next_attempt
from gateway.services import Services
from gateway.store.errors import StoreError
from gateway.store.rows import OutboxRow
from gateway.workers.failure import ActionFailed

__all__ = ["Perform", "Workers"]

Perform = Callable[[OutboxRow], Awaitable[None]]

#: Longer than the longest action (a relay attempt, a report of many photos) takes: a lease that ends is a
#: crash.
_LEASE_SECONDS = 1200.0
#: How long to sleep when nothing wakes the loop: only clocks that jump make this matter.
_LONGEST_SLEEP_SECONDS = 30.0


@dataclass(slots=True)
class Workers:
    """Runs ``count`` actions at once. ``exhausted`` is told of actions that are given up."""

    services: Services
    performers: Mapping[str, Perform]
    exhausted: Callable[[OutboxRow, ActionFailed], Awaitable[None]]
    count: int
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def stop(self, grace: float) -> None:
        """Let actions under way end for at most ``grace`` seconds; what is left is claimed again later."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def run(self) -> None:
        """Work until cancelled; then :meth:`stop` ends what is under way."""
        store = self.services.store
        while True:
            store.outbox_changed.clear()
            claimed = await self._claim()
            for row in claimed:
                task = asyncio.create_task(self._work(row))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if not claimed or len(self._running) >= self.count:
                await self._rest(full=len(self._running) >= self.count)

    async def _claim(self) -> tuple[OutboxRow, ...]:
        free = self.count - len(self._running)
        if free <= 0:
            return ()
        try:
            return await self.services.store.claim(self.services.clock(), _LEASE_SECONDS, free)
        except StoreError as error:
            structlog.get_logger("worker").error("claim failed", error=type(error).__name__)
            await asyncio.sleep(1)
            return ()

    async def _rest(self, *, full: bool) -> None:
        """Sleep until something was put into the outbox, something is due, or an action under way ends."""
        waits: set[asyncio.Task[Any]] = set()
        store = self.services.store
        if not full:
            waits.add(asyncio.create_task(store.outbox_changed.wait()))
        async with store.reading() as tx:
            due = await tx.outbox.next_due()
        seconds = _LONGEST_SLEEP_SECONDS
        if due is not None and not full:
            seconds = min(seconds, max(0.0, (due - self.services.clock()).total_seconds()))
        pending = waits | self._running
        if pending:
            await asyncio.wait(pending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(seconds)
        for task in waits:
            task.cancel()

    async def _work(self, row: OutboxRow) -> None:
        log = structlog.get_logger("worker").bind(action=row.action, outbox=str(row.id), attempt=row.attempts)
        try:
            await self.performers[row.action](row)
        except ActionFailed as failure:
            await self._failed(row, failure)
            log.warning("failed", permanent=failure.permanent, status=failure.status)
            return
        except Exception as error:  # noqa: BLE001 - poison goes to the held queue, where an operator sees it
            async with self.services.store.transaction() as tx:
                await tx.outbox.hold(row, " at ".join(failure_place(error).values()), self.services.clock())
            log.error("held", **failure_place(error))
            return
        async with self.services.store.transaction() as tx:
            await tx.outbox.done(row, self.services.clock())
        log.info("done")

    async def _failed(self, row: OutboxRow, failure: ActionFailed) -> None:
        now = self.services.clock()
        minutes = self.services.settings.relay.retry_minutes
        again = None if failure.permanent else next_attempt(row.attempts, now, minutes)
        async with self.services.store.transaction() as tx:
            if again is not None:
                await tx.outbox.retry(row, str(failure), again)
                return
        await self.exhausted(row, failure)
        async with self.services.store.transaction() as tx:
            await tx.outbox.fail(row, str(failure), now)
