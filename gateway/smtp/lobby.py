"""What all dialogues of one process share: the doors, the limits, who is inside, and commits under way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol, TypeVar

import structlog

from gateway.failures import failure_place
from gateway.smtp.envelope import Doors, Envelope, Peer
from gateway.smtp.inflight import InFlight, Lease
from gateway.smtp.limits import SmtpLimits
from gateway.smtp.refusals import Refusal, TemporaryFailure
from gateway.turns import Turns

__all__ = ["Guest", "Lobby"]

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Guest(Protocol):
    """A dialogue as the lobby sees it."""

    def retire(self) -> None:
        """End at the next moment when no message is under way."""


class Lobby:
    """Shared state of the listeners of one process. ``now`` gives aware datetimes, ``new_queue_id`` unique
    names.
    """

    def __init__(
        self,
        doors: Doors,
        limits: SmtpLimits,
        hostname: str,
        now: Callable[[], datetime],
        new_queue_id: Callable[[], str],
    ) -> None:
        self.doors = doors
        self.limits = limits
        self.hostname = hostname
        self.now = now
        self.new_queue_id = new_queue_id
        self.closing = False
        self.inflight = InFlight(limits.max_inflight_bytes, limits.max_message_bytes)
        self._turns = Turns(limits.max_worked_bytes)
        self._guests: dict[Guest, asyncio.Task[None] | None] = {}
        self._per_ip: Counter[str] = Counter()
        self._commits: set[asyncio.Task[str]] = set()

    @contextmanager
    def visit(self, guest: Guest, ip: str) -> Iterator[bool]:
        """Count one connection while it lasts; yields whether there is room for it."""
        limits = self.limits
        room = len(self._guests) < limits.max_connections and self._per_ip[ip] < limits.max_connections_per_ip
        self._guests[guest] = asyncio.current_task()
        self._per_ip[ip] += 1
        try:
            yield room and not self.closing
        finally:
            del self._guests[guest]
            self._per_ip[ip] -= 1
            if not self._per_ip[ip]:
                del self._per_ip[ip]

    async def ask(self, answer: Awaitable[T]) -> T:
        """Wait for what the doors answer before a message. Raises ``Refusal`` only."""
        try:
            return await answer
        except Refusal:
            raise
        except Exception as error:
            _log.error("smtp.doors_failed", **failure_place(error))
            raise TemporaryFailure from error

    async def note(self, peer: Peer, reason: str) -> None:
        """Tell the doors of a peer that was turned away; raises nothing."""
        try:
            await self.doors.turned_away(peer, reason)
        except Exception as error:  # noqa: BLE001 - what could not be noted must not change the answer
            _log.error("smtp.not_noted", **failure_place(error))

    def commit(self, envelope: Envelope, raw: bytes, lease: Lease) -> asyncio.Future[str]:
        """Hand a message to the doors, whatever becomes of the client; the lease ends with it. Raises
        ``Refusal`` only.
        """
        task = asyncio.create_task(self._accept(envelope, raw))
        self._commits.add(task)
        task.add_done_callback(self._commit_done)
        task.add_done_callback(lambda _: lease.end())
        return asyncio.shield(task)

    def _commit_done(self, task: asyncio.Task[str]) -> None:
        self._commits.discard(task)
        if not task.cancelled():
            task.exception()  # a refusal that no client waits for any more is no news

    async def _accept(self, envelope: Envelope, raw: bytes) -> str:
        try:
            async with self._turns.turn(len(raw)):
                return await self.doors.accept(envelope, raw)
        except Refusal:
            raise
        except Exception as error:
            _log.error("smtp.commit_failed", queue_id=envelope.queue_id, **failure_place(error))
            raise TemporaryFailure from error

    async def empty(self, grace: float) -> None:
        """Let every dialogue and commit end, for at most ``grace`` seconds; end what is left then."""
        self.closing = True
        for guest in list(self._guests):
            guest.retire()
        tasks = {task for task in self._guests.values() if task is not None} | self._commits
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        left = {task for task in tasks | self._commits if not task.done()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
