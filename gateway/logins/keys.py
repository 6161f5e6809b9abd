"""The issuer's keys, kept: fetched when needed, never twice at once, never oftener than allowed, and the last
good ones used while there are no newer ones.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from certs.pki import write_private
from certs.tokens import MAXIMUM_KEY_SET, KeySetFault, TokenKeys, read_keys
from config.trustsettings import Oauth
from gateway.fetching import FetchFailed

__all__ = ["KeyKeeper", "KeyTimes"]

_CACHE_MARK: Final = b"keys of "


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """Seconds: when keys are fetched anew, between two attempts at least, how long old ones serve, and how
    long one login waits at most.
    """

    refresh: float
    retry: float
    keep: float
    wait: float

    @classmethod
    def of(cls, oauth: Oauth) -> KeyTimes:
        """The times of the settings."""
        return cls(float(oauth.refresh_s), float(oauth.retry_s), float(oauth.keep_s), float(oauth.wait_s))


class KeyKeeper:
    """The keys of one issuer. ``fetch`` gives the octets of its key set and may raise ``FetchFailed`` or
    ``OSError``; ``cache`` is a file that outlives the process, ``name`` says whose keys it must hold.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        times: KeyTimes,
        cache: Path | None = None,
        name: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._times = times
        self._cache = cache
        self._head = _CACHE_MARK + name.encode() + b"\n"
        self._clock = clock
        self._keys: TokenKeys | None = None
        self._fetched = self._tried = float("-inf")
        self._flight: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take the keys that an earlier process left, and begin to fetch new ones."""
        if self._cache is not None:
            await asyncio.to_thread(self._take_cache, self._cache)
        self._begin()

    async def close(self) -> None:
        """End what is under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait((self._flight,))

    async def current(self) -> TokenKeys | None:
        """The keys to judge by; ``None`` where there are none or they are too old. Waits ``times.wait`` at
        most, and only where there are no keys of use.
        """
        if self._clock() - self._fetched >= self._times.refresh:
            self._begin()
        if self._usable() is None:
            await self._wait()
        return self._usable()

    async def renewed(self) -> TokenKeys | None:
        """The keys after one more look at the issuer, where one is allowed now: for a key that is unknown."""
        self._begin()
        await self._wait()
        return self._usable()

    def _usable(self) -> TokenKeys | None:
        return self._keys if self._clock() - self._fetched < self._times.keep else None

    def _begin(self) -> None:
        """Start a fetch, unless one is under way or was begun a moment ago."""
        if self._flight is not None or 0 <= self._clock() - self._tried < self._times.retry:
            return
        self._tried = self._clock()
        self._flight = asyncio.create_task(self._renew())

    async def _wait(self) -> None:
        if self._flight is not None:
            # asyncio.wait leaves the fetch alone when the time is over: others may wait for it
            await asyncio.wait((self._flight,), timeout=self._times.wait)

    async def _renew(self) -> None:
        log = structlog.get_logger("logins")
        try:
            text = await self._fetch()
            self._keys = read_keys(text)
            self._fetched = self._clock()
            if self._cache is not None:
                await asyncio.to_thread(write_private, self._cache, self._head + text)
        except FetchFailed as error:
            log.warning("keys of the issuer not fetched", reason=error.reason)
        except KeySetFault as error:
            log.warning("keys of the issuer not usable", reason=str(error))
        except OSError as error:
            log.warning("keys of the issuer not read or kept", reason=error.strerror or type(error).__name__)
        finally:
            self._flight = None

    def _take_cache(self, cache: Path) -> None:
        """Read the file of an earlier process, if it holds keys of this issuer."""
        try:
            with cache.open("rb") as file:
                written = os.fstat(file.fileno()).st_mtime
                text = file.read(len(self._head) + MAXIMUM_KEY_SET + 1)
            if text.startswith(self._head):
                self._keys = read_keys(text[len(self._head) :])
                self._fetched = min(written, self._clock())
        except (OSError, KeySetFault):
            return
