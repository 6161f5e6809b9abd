"""The end of a token ends the mail sessions that it opened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from mailboxes.errors import MailboxError

__all__ = ["TokenEnds"]

_LONGEST_SLEEP: Final = 60.0
_AFTER_FAULT: Final = timedelta(seconds=10)


class TokenEnds:
    """Knows when tokens end that opened a mailbox, and ends its sessions ``grace`` later.

    The mailbox server does not tell which session came by which token: all of the account's are ended, also
    those that a password or a younger token opened. Their clients log in again. Nothing is kept on disk, as
    sessions do not outlive the gateway.
    """

    def __init__(self, grace: timedelta, clock: Callable[[], datetime]) -> None:
        self._grace = grace
        self._clock = clock
        self._ends: set[tuple[datetime, str]] = set()
        self._changed = asyncio.Event()

    def opened(self, account: str, until: datetime) -> None:
        """A token that ends at ``until`` opened the account; many logins by one token count once."""
        self._ends.add((until + self._grace, account))
        self._changed.set()

    async def run(self, end_sessions: Callable[[str], Awaitable[None]]) -> None:
        """End sessions when their time has come, until cancelled."""
        while True:
            self._changed.clear()
            now = self._clock()
            due = {account for moment, account in self._ends if moment <= now}
            self._ends = {(moment, account) for moment, account in self._ends if moment > now}
            for account in sorted(due):
                await self._end(account, end_sessions)
            seconds = _LONGEST_SLEEP
            if self._ends:
                seconds = min(seconds, (min(self._ends)[0] - self._clock()).total_seconds())
            try:
                async with asyncio.timeout(max(0.0, seconds)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _end(self, account: str, end_sessions: Callable[[str], Awaitable[None]]) -> None:
        log = structlog.get_logger("logins")
        try:
            await end_sessions(account)
        except MailboxError as error:
            log.warning("sessions not ended yet", account=account, error=type(error).__name__)
            self._ends.add((self._clock() + _AFTER_FAULT, account))
        else:
            log.info("sessions ended with their token", account=account)
