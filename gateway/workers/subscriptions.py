"""Subscriptions of delegates to the folders that they may read: after each change of rights, where the
gateway makes or renames a folder, and once an hour for those that people make themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from gateway.store.errors import StoreError
from mailboxes.dovecot.sharing import SharedMailbox
from mailboxes.errors import FilingFailed
from mailboxes.subscribing import SharedSubscriptions

__all__ = ["SubscriptionWork"]

_EVERY_SECONDS = 3600.0
_AGAIN_SECONDS = 60.0
#: Folders are made several at a time: those of one thread, or of one report for all members.
_GATHER_SECONDS = 1.0


@dataclass(slots=True)
class SubscriptionWork:
    """Knows whose folders changed since it last looked. ``shared`` reads who may read whose folders now."""

    subscriptions: SharedSubscriptions
    shared: Callable[[], Awaitable[Collection[SharedMailbox]]]
    _waiting: set[str] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def changed(self, account: str) -> None:
        """Note that an account has another folder, or one by another name: its readers follow soon."""
        self._waiting.add(account)
        self._wake.set()

    async def follow(self, seconds: float, owners: Collection[str] = (), anew: Collection[str] = ()) -> None:
        """Follow the rights as they are now, and the folders of ``owners``; ``anew`` is as in
        `SharedSubscriptions.follow`. What cannot be done at once, or not within ``seconds`` (thousands of
        folders), is done behind. Raises ``StoreError``, ``OSError``.
        """
        done = False
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                done = _told(await self.subscriptions.follow(await self.shared(), owners, anew))
        if not done:
            self._waiting.update(owners)
            self._wake.set()

    async def run(self) -> None:
        """Follow until cancelled; what fails is tried again and holds up nothing else."""
        pause = 0.0
        everybody = True
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                await asyncio.sleep(_GATHER_SECONDS)
            except TimeoutError:
                everybody = True
            self._wake.clear()
            owners, self._waiting = self._waiting, set()
            done = await self._try(None if everybody else owners)
            everybody = not done
            pause = _EVERY_SECONDS if done else _AGAIN_SECONDS

    async def _try(self, owners: Collection[str] | None) -> bool:
        """``False`` where all is to be looked at again before the hour is over."""
        try:
            return _told(await self.subscriptions.follow(await self.shared(), owners))
        except (StoreError, OSError) as error:
            structlog.get_logger("subscriptions").warning("put off", error=type(error).__name__)
            return False


def _told(failures: Collection[FilingFailed]) -> bool:
    """Name the failures in the log; ``False`` where a later attempt can do better."""
    for failure in failures:
        structlog.get_logger("subscriptions").warning("not followed", error=failure.text)
    return all(failure.permanent for failure in failures)
