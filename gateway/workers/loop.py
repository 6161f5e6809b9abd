"""The worker loop: claim due actions, do each, settle it. A crash at any instant leaves the action to be
claimed again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from gateway.failures import failure_place
from gateway.relay.schedule import next_attempt
from gateway.services import Services
from gateway.store.errors import StoreError
from gateway.store.rows import OutboxRow
from gateway.store.transaction import Transaction
from gateway.workers.failure import ActionFailed
from gateway.workers.outcomes import Ending, Outcome, settle

__all__ = ["Exhausted", "Perform", "Workers"]

Perform = Callable[[OutboxRow], Awaitable[None]]
Exhausted = Callable[[Transaction, OutboxRow, ActionFailed], Awaitable[None]]

#: Longer than the longest action (a relay attempt, a report of many photos) takes: a lease that ends is a
#: crash.
_LEASE_SECONDS = 1200.0
#: What is not begun this long before the end of its lease might outlast it: it is given back.
_BEGIN_BEFORE = timedelta(seconds=600)
#: How long to sleep when nothing wakes the loop: only clocks that jump make this matter.
_LONGEST_SLEEP_SECONDS = 30.0
#: While actions are under way, what becomes due meanwhile is looked for this often.
_BUSY_SLEEP_SECONDS = 1.0
#: While actions are under way, what ends within this time is settled together: a turn costs as much as ten
#: rows of it.
_GATHER_SECONDS = 0.02
#: How long to wait when the database cannot be written now.
_DATABASE_SLEEP_SECONDS = 1.0
#: Actions claimed for each that can run at once: a turn brings work for as long as the next takes to come.
_AHEAD = 32
#: Actions that wait for others than our own mailbox server have places of their own, so that they hold up
#: nobody else.
_LANES = {
    "relay": "relay",
    "make_report": "report",
    "synthesis": "report",
    "export": "report",
    "sort": "report",
}
_LOCAL = "local"
#: Mails on their way to one other operator at once: a host that does not answer takes no more places.
_PER_DOMAIN = 2


def _lane(row: OutboxRow) -> str:
    return _LANES.get(row.action, _LOCAL)


def _domain(row: OutboxRow) -> str:
    return row.recipient.rpartition("@")[2] if _lane(row) == "relay" else ""


@dataclass(slots=True)
class Workers:
    """Runs ``count`` actions of each kind (local, to other operators, reports) at once. ``exhausted`` is told
    of actions that are given up, in the transaction that says so.

    All that ended since the last turn is settled, and new work claimed, in one transaction.
    """

    services: Services
    performers: Mapping[str, Perform]
    exhausted: Exhausted
    count: int
    _running: dict[asyncio.Task[None], OutboxRow] = field(default_factory=dict)
    _outcomes: list[Outcome] = field(default_factory=list)
    _places: dict[str, asyncio.Semaphore] = field(init=False)
    _actions: dict[str, list[str]] = field(init=False)
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._actions = {}
        for action in self.performers:
            self._actions.setdefault(_LANES.get(action, _LOCAL), []).append(action)
        self._places = {lane: asyncio.Semaphore(self.count) for lane in self._actions}

    async def stop(self, grace: float) -> None:
        """Let actions under way end for at most ``grace`` seconds; the others are given back as they were.

        To be called after :meth:`run` has ended.
        """
        self._stopping = True
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if not self._outcomes:
            return
        try:
            async with self.services.store.transaction() as tx:
                await settle(tx.outbox, self._outcomes, self.services.clock())
        except StoreError as error:  # the claims end with this process, see serving.serve
            structlog.get_logger("worker").error("not settled", error=type(error).__name__)
        self._outcomes.clear()

    async def run(self) -> None:
        """Work until cancelled; then :meth:`stop` ends what is under way."""
        changed = self.services.store.outbox_changed
        while True:
            try:
                seconds = await self._turn()
            except StoreError as error:
                structlog.get_logger("worker").error("turn failed", error=type(error).__name__)
                await asyncio.sleep(_DATABASE_SLEEP_SECONDS)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await changed.wait()
            if self._running:
                await asyncio.sleep(_GATHER_SECONDS)

    async def _turn(self) -> float:
        """Settle, claim and start; how many seconds to sleep unless something changes."""
        changed = self.services.store.outbox_changed
        if not self._outcomes and not any(self._free(lane) for lane in self._actions):
            changed.clear()
            return _LONGEST_SLEEP_SECONDS
        settled: tuple[Outcome, ...] = ()
        claimed: list[OutboxRow] = []
        try:
            # Ahead of the mail that comes in: each mail to the same recipient needs a turn of its own.
            async with self.services.store.queue_turn() as tx:
                # What is committed from here on sets it again; what was before, the claim sees.
                changed.clear()
                now = self.services.clock()
                settled = tuple(self._outcomes)
                await settle(tx.outbox, settled, now)
                claimed += await self._claim(tx, now)
                due = await tx.outbox.next_due() if not claimed and not self._running else None
        except (asyncio.CancelledError, StoreError):
            # The commit may have taken place all the same. What was not claimed is not given back either.
            self._outcomes += [Outcome(row, Ending.GIVEN_BACK) for row in claimed]
            raise
        del self._outcomes[: len(settled)]
        if self._outcomes:
            changed.set()
        for row in claimed:
            task = asyncio.create_task(self._work(row))
            self._running[task] = row
            task.add_done_callback(self._ended)
        if self._running:
            return _BUSY_SLEEP_SECONDS
        return _LONGEST_SLEEP_SECONDS if due is None else self._seconds_to(due)

    def _free(self, lane: str) -> int:
        """How many more actions of a kind may be claimed."""
        return self.count * _AHEAD - sum(_lane(row) == lane for row in self._running.values())

    async def _claim(self, tx: Transaction, now: datetime) -> list[OutboxRow]:
        """Claim for all lanes by one statement where what is due has room in each of them, as mostly; else
        lane by lane.
        """
        busy = Counter(_domain(row) for row in self._running.values() if _domain(row))
        room = {lane: free for lane in self._actions if (free := self._free(lane)) > 0}
        if not room:
            return []
        least = min(room.values())
        taken, seen = await self._take(
            tx, now, [a for lane in room for a in self._actions[lane]], least, busy
        )
        if seen < least:
            return taken
        for lane in room:
            free = room[lane] - sum(_lane(row) == lane for row in taken)
            while free > 0:
                more, seen = await self._take(tx, now, self._actions[lane], free, busy)
                taken += more
                free -= len(more)
                if len(more) == seen:
                    break
        return taken

    async def _take(
        self, tx: Transaction, now: datetime, actions: list[str], most: int, busy: Counter[str]
    ) -> tuple[list[OutboxRow], int]:
        """Claim at most so many of these actions, the first due, and count their domains into ``busy``; what
        is too much for one domain is put back. Those kept, and how many there were.
        """
        full = [domain for domain, number in busy.items() if domain and number >= _PER_DOMAIN]
        rows = await tx.outbox.claim(now, _LEASE_SECONDS, most, actions=actions, except_domains=full)
        taken, surplus = [], []
        for row in rows:
            domain = _domain(row)
            if domain and busy[domain] >= _PER_DOMAIN:
                surplus.append(row)
            else:
                busy[domain] += 1
                taken.append(row)
        await tx.outbox.give_back(surplus)
        return taken, len(rows)

    def _seconds_to(self, due: datetime) -> float:
        return min(_LONGEST_SLEEP_SECONDS, max(0.0, (due - self.services.clock()).total_seconds()))

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self.services.store.outbox_changed.set()

    async def _work(self, row: OutboxRow) -> None:
        outcome = Outcome(row, Ending.GIVEN_BACK)
        try:
            async with self._places[_lane(row)]:
                if self._in_time(row):
                    outcome = await self._attempt(row)
        finally:
            self._outcomes.append(outcome)

    def _in_time(self, row: OutboxRow) -> bool:
        assert row.claimed_until is not None, "a claimed row has a lease"
        return not self._stopping and self.services.clock() < row.claimed_until - _BEGIN_BEFORE

    async def _attempt(self, row: OutboxRow) -> Outcome:
        """Do one action, whatever comes of it: nothing but a cancellation is raised."""
        log = structlog.get_logger("worker").bind(action=row.action, outbox=str(row.id), attempt=row.attempts)
        try:
            try:
                await self.performers[row.action](row)
            except ActionFailed as failure:
                log.warning("failed", permanent=failure.permanent, status=failure.status)
                return await self._failed(row, failure)
            except (StoreError, BrokenExecutor) as error:
                log.warning("put off", error=type(error).__name__)
                return await self._failed(row, ActionFailed("4.3.0", type(error).__name__, permanent=False))
        except StoreError as error:
            # That it is given up could not be written: the attempt is made again, and ends the same way.
            again = self.services.clock() + timedelta(minutes=1)
            return Outcome(row, Ending.AGAIN, type(error).__name__, again)
        except Exception as error:  # noqa: BLE001 - poison goes to the held queue, where an operator sees it
            log.error("held", **failure_place(error))
            return Outcome(row, Ending.HELD, " at ".join(failure_place(error).values()))
        log.info("done")
        return Outcome(row, Ending.DONE)

    async def _failed(self, row: OutboxRow, failure: ActionFailed) -> Outcome:
        now = self.services.clock()
        minutes = self.services.settings.relay.retry_minutes
        again = None if failure.permanent else next_attempt(row.attempts, now, minutes)
        if again is not None:
            return Outcome(row, Ending.AGAIN, str(failure), again)
        # Told and given up together: a crash between the two would tell it again.
        async with self.services.store.transaction() as tx:
            if await tx.outbox.fail(row, str(failure), now):
                await self.exhausted(tx, row, failure)
        return Outcome(row, Ending.GIVEN_UP)
