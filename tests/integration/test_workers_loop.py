"""The worker loop: what becomes of an action whose attempt fails, of whatever kind the failure is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config import Settings
from gateway.bootstrap import open_services
from gateway.services import Services
from gateway.store.errors import StoreUnavailable
from gateway.store.rows import OutboxRow, OutboxState
from gateway.store.store import Store
from gateway.store.transaction import Transaction
from gateway.workers.failure import ActionFailed
from gateway.workers.loop import Workers
from tests.support.gateway import made_deployment
from tests.support.store import action

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@dataclass(slots=True)
class Bench:
    """Workers on a real store, with an own clock; ``stop`` ends them as the gateway does."""

    services: Services
    now: datetime = START
    given_up: list[OutboxRow] = field(default_factory=list)
    telling: list[Exception] = field(default_factory=list)
    broken: int = 0

    async def tell(self, tx: Transaction, row: OutboxRow, failure: ActionFailed) -> None:
        await tx.audit.write(self.now, "worker", "told", str(row.id), failure.status)
        if self.telling:
            raise self.telling.pop()
        self.given_up.append(row)

    @asynccontextmanager
    async def working(
        self, grace: float = 5.0, **performers: Callable[[OutboxRow], Awaitable[None]]
    ) -> AsyncIterator[Workers]:
        workers = Workers(self.services, performers, self.tell, 4)
        running = asyncio.create_task(workers.run())
        try:
            yield workers
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await workers.stop(grace)

    async def put(self, *rows: OutboxRow) -> None:
        async with Store.transaction(self.services.store) as tx:
            await tx.outbox.put(rows)

    async def row(self, row: OutboxRow) -> OutboxRow:
        async with self.services.store.reading() as tx:
            found = await tx.outbox.get(row.id)
        assert found is not None
        return found

    async def until(self, row: OutboxRow, what: Callable[[OutboxRow], bool]) -> OutboxRow:
        async with asyncio.timeout(20):
            while True:
                found = await self.row(row)
                if what(found):
                    return found
                await asyncio.sleep(0.01)

    async def told(self, row: OutboxRow) -> int:
        async with self.services.store.reading() as tx:
            return sum(line.target == str(row.id) for line in await tx.audit.list())

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)
        self.services.store.outbox_changed.set()


class FailingStore(Store):
    """A database that cannot be written for the next ``failing`` transactions."""

    failing = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self._fail()
        async with super().transaction() as tx:
            yield tx

    @asynccontextmanager
    async def queue_turn(self) -> AsyncIterator[Transaction]:
        self._fail()
        async with super().queue_turn() as tx:
            yield tx

    def _fail(self) -> None:
        if self.failing:
            self.failing -= 1
            raise StoreUnavailable("database is locked")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return made_deployment(tmp_path_factory.mktemp("workers"))


@pytest.fixture
async def bench(settings: Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'state.sqlite3'}"
    async with open_services(settings) as services, FailingStore.open(url) as store:
        made = Bench(services)
        made.services = replace(services, store=store, clock=lambda: made.now)
        yield made


@pytest.mark.parametrize("error", [StoreUnavailable("disk full"), BrokenProcessPool("killed")])
async def test_passing_failures_are_tried_again(bench: Bench, error: Exception) -> None:
    errors = [error]

    async def deliver(row: OutboxRow) -> None:
        if errors:
            raise errors.pop()

    row = action()
    await bench.put(row)
    async with bench.working(deliver=deliver):
        found = await bench.until(row, lambda found: found.last_error != "")
        assert (found.state, found.attempts, found.claimed_until) == (OutboxState.PENDING, 1, None)
        bench.later(minutes=1)
        await bench.until(row, lambda found: found.state is OutboxState.DONE)


async def test_poison_is_held_with_its_place(bench: Bench) -> None:
    async def deliver(row: OutboxRow) -> None:
        raise ValueError("a subject that nobody may read")

    row = action()
    await bench.put(row)
    async with bench.working(deliver=deliver):
        found = await bench.until(row, lambda found: found.state is OutboxState.HELD)
    assert "ValueError" in found.last_error
    assert "subject" not in found.last_error


@pytest.mark.parametrize(
    "ending", [None, ValueError("poison"), ActionFailed("4.2.0", "full", permanent=False)]
)
async def test_what_ended_is_written_down_once_the_database_can_be_written(
    bench: Bench, ending: Exception | None
) -> None:
    store = bench.services.store
    assert isinstance(store, FailingStore)

    async def deliver(row: OutboxRow) -> None:
        store.failing = 2
        if ending:
            raise ending

    row = action()
    await bench.put(row)
    async with bench.working(deliver=deliver):
        found = await bench.until(row, lambda found: found.claimed_until is None and found.attempts > 0)
    wanted = {type(None): OutboxState.DONE, ValueError: OutboxState.HELD, ActionFailed: OutboxState.PENDING}
    assert (found.state, found.attempts) == (wanted[type(ending)], 1)


async def test_giving_up_is_told_once_and_together_with_its_end(bench: Bench) -> None:
    async def deliver(row: OutboxRow) -> None:
        raise ActionFailed("5.1.1", "no such user", permanent=True)

    bench.telling = [StoreUnavailable("disk full")]
    row = action()
    await bench.put(row)
    async with bench.working(deliver=deliver):
        found = await bench.until(row, lambda found: found.last_error != "")
        assert (found.state, await bench.told(row)) == (OutboxState.PENDING, 0), "nothing is told by half"
        bench.later(minutes=1)
        await bench.until(row, lambda found: found.state is OutboxState.FAILED)
    assert (await bench.told(row), len(bench.given_up)) == (1, 1)


async def test_what_cannot_be_told_is_held_and_not_left_to_its_lease(bench: Bench) -> None:
    async def deliver(row: OutboxRow) -> None:
        raise ActionFailed("5.1.1", "no such user", permanent=True)

    bench.telling = [KeyError("poison")]
    row = action()
    await bench.put(row)
    async with bench.working(deliver=deliver):
        found = await bench.until(row, lambda found: found.state is OutboxState.HELD)
    assert found.claimed_until is None
    assert await bench.told(row) == 0


async def test_claims_given_back_at_a_stop_are_no_attempts(bench: Bench) -> None:
    begun: list[OutboxRow] = []
    all_places_taken = asyncio.Event()

    async def deliver(row: OutboxRow) -> None:
        begun.append(row)
        if len(begun) == 4:
            all_places_taken.set()
        await asyncio.Event().wait()

    rows = [action() for _ in range(10)]
    await bench.put(*rows)
    async with bench.working(grace=0.1, deliver=deliver):
        await asyncio.wait_for(all_places_taken.wait(), 20)
    for row in rows:
        found = await bench.row(row)
        assert (found.state, found.attempts, found.claimed_until) == (OutboxState.PENDING, 0, None)
    assert len(begun) == 4, "nothing is begun while all is ending"


async def test_a_dead_host_holds_up_neither_other_hosts_nor_our_own_mailboxes(bench: Bench) -> None:
    under_way: Counter[str] = Counter()
    most: Counter[str] = Counter()
    alive = asyncio.Event()

    async def relay(row: OutboxRow) -> None:
        host = row.recipient.partition("@")[2]
        under_way[host] += 1
        most[host] = max(most[host], under_way[host])
        if host == "dead.example":
            await alive.wait()
        under_way[host] -= 1

    async def deliver(row: OutboxRow) -> None:
        return

    # More than a lane has room for: one look at the queue does not see the others.
    dead = [action(action="relay", recipient=f"p{n}@dead.example") for n in range(140)]
    well = [action(action="relay", recipient=f"p{n}@well.example") for n in range(5)]
    ours = [action() for _ in range(5)]
    await bench.put(*dead, *well, *ours)
    async with bench.working(relay=relay, deliver=deliver):
        for row in (*well, *ours):
            await bench.until(row, lambda found: found.state is OutboxState.DONE)
        waiting = [await bench.row(row) for row in dead]
        assert Counter(row.attempts for row in waiting) == {0: 138, 1: 2}
        alive.set()
        for row in dead:
            await bench.until(row, lambda found: found.state is OutboxState.DONE and found.attempts == 1)
    assert most["dead.example"] == 2


async def test_a_report_that_takes_long_holds_up_no_mail(bench: Bench) -> None:
    ended = asyncio.Event()

    async def make_report(row: OutboxRow) -> None:
        await ended.wait()

    async def deliver(row: OutboxRow) -> None:
        return

    reports = [action(action="make_report") for _ in range(140)]
    mail = action()
    await bench.put(*reports, mail)
    async with bench.working(make_report=make_report, deliver=deliver):
        await bench.until(mail, lambda found: found.state is OutboxState.DONE)
        ended.set()
