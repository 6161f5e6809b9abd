"""The one way by which the gateway fetches anything: lists, revocation lists and key sets from configured
addresses.

What is fetched is data of strangers: it is bounded in time and size, never follows to another host, and one
address that fails is left alone for a while. Who asks gets octets or :class:`FetchFailed`, and judges them.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp

__all__ = ["BackOff", "FetchFailed", "Fetcher"]

_CHUNK: Final = 64 * 1024
_MOST_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_ADDRESSES: Final = 1024
"""Addresses whose failures are remembered; they come from settings, so that this is a bound for mistakes."""


class FetchFailed(Exception):
    """An address gave nothing usable. ``reason`` is one English phrase without content of the answer.

    ``fresh`` tells a failure of this very request from one that is remembered (``retry_in`` seconds are left
    then).
    """

    def __init__(self, url: str, reason: str, *, fresh: bool = True, retry_in: float = 0.0) -> None:
        self.url = url
        self.reason = reason
        self.fresh = fresh
        self.retry_in = retry_in
        super().__init__(f"{url}: {reason}")


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long an address is left alone after its first failure, and at most (seconds); doubled each time."""

    first: float = 60.0
    longest: float = 6 * 3600.0

    def seconds(self, failures: int) -> float:
        """The pause after so many failures in a row."""
        return float(min(self.longest, self.first * 2.0 ** min(failures - 1, 32)))


@dataclass(slots=True)
class _Failing:
    """An address that failed last time."""

    failures: int
    until: float
    reason: str


class Fetcher:
    """Fetches octets by GET. Use it as an asynchronous context manager, inside one event loop.

    Of several who ask for one address at once, one asks the server and all get its answer; the request goes
    on although the first of them gives up. A failure is remembered per address (``BackOff``): until then
    :meth:`get` fails at once, without network, so that a server that answers 403 is not asked in bursts.
    Proxies, cookies and credentials of the environment are not used.
    """

    def __init__(
        self, back_off: BackOff | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._back_off = back_off or BackOff()
        self._monotonic = monotonic
        self._session: aiohttp.ClientSession | None = None
        self._flights: dict[str, asyncio.Task[bytes]] = {}
        self._failing: dict[str, _Failing] = {}

    async def __aenter__(self) -> Fetcher:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=16, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a compressed answer could be a bomb; none is asked for
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),  # the limit of each request is its own, below
            headers={"User-Agent": "teleexpertise-gateway", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for flight in tuple(self._flights.values()):
            flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        seconds: float = 30.0,
        tls: ssl.SSLContext | None = None,
        now: bool = False,
    ) -> bytes:
        """Return the body that ``url`` (http or https) answers with 200: at most ``max_bytes`` octets, all of
        them within ``seconds``, names resolved and redirects included.

        ``tls``: whom to believe under https; absent: the system's authorities. ``now`` asks even while the
        address is left alone (an operator at the command line). Raises :class:`FetchFailed`.
        """
        failing = self._failing.get(url)
        if failing is not None and not now and (left := failing.until - self._monotonic()) > 0:
            raise FetchFailed(url, failing.reason, fresh=False, retry_in=left)
        flight = self._flights.get(url)
        if flight is None:
            flight = asyncio.create_task(self._whole(url, max_bytes, seconds, tls))
            self._flights[url] = flight
            flight.add_done_callback(lambda done: self._landed(url, done))
        # Shielded: one who stops waiting must not take the answer from the others.
        return await asyncio.shield(flight)

    def _landed(self, url: str, flight: asyncio.Task[bytes]) -> None:
        self._flights.pop(url, None)
        if flight.cancelled():
            return
        error = flight.exception()  # fetched here too, for the case that nobody waits any more
        if error is None:
            self._failing.pop(url, None)
            return
        reason = error.reason if isinstance(error, FetchFailed) else type(error).__name__
        before = self._failing.get(url)
        failures = before.failures + 1 if before else 1
        if before is None and len(self._failing) >= _MOST_ADDRESSES:
            self._failing.pop(next(iter(self._failing)))
        self._failing[url] = _Failing(failures, self._monotonic() + self._back_off.seconds(failures), reason)

    async def _whole(self, url: str, max_bytes: int, seconds: float, tls: ssl.SSLContext | None) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(url, max_bytes, tls)
        except TimeoutError:
            raise FetchFailed(url, f"no whole answer within {seconds:g} s") from None
        except aiohttp.ClientConnectorCertificateError:
            raise FetchFailed(url, "certificate of the server is not believed") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The texts of these errors may hold what the server said.
            raise FetchFailed(url, type(error).__name__) from error

    async def _follow(self, url: str, max_bytes: int, tls: ssl.SSLContext | None) -> bytes:
        """Ask, and go on where the same server says so."""
        at = url
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._ask(url, at, max_bytes, tls)
            if isinstance(answer, bytes):
                return answer
            at = answer
        raise FetchFailed(url, "too many redirects")

    async def _ask(self, url: str, at: str, max_bytes: int, tls: ssl.SSLContext | None) -> bytes | str:
        """The body, or the address that the server names instead."""
        assert self._session is not None, "the fetcher is entered"
        if urlsplit(at).scheme not in ("http", "https"):
            raise FetchFailed(url, "neither http nor https")
        believed = True if tls is None else tls
        async with self._session.get(at, allow_redirects=False, ssl=believed) as response:
            if response.status in _REDIRECTS:
                return _same_host(url, at, response.headers.get("Location", ""))
            if response.status != 200:
                raise FetchFailed(url, f"answered {response.status}")
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise FetchFailed(url, "answered with an encoding that was not asked for")
            if response.content_length is not None and response.content_length > max_bytes:
                raise FetchFailed(url, f"more than {max_bytes} octets")
            body = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > max_bytes:
                    raise FetchFailed(url, f"more than {max_bytes} octets")
            return bytes(body)


def _same_host(url: str, at: str, location: str) -> str:
    """Where a redirect leads, if it stays on the host and does not leave TLS. Raises :class:`FetchFailed`."""
    target = urljoin(at, location)
    here, there = urlsplit(at), urlsplit(target)
    upgraded = (here.scheme, there.scheme) == ("http", "https") and here.hostname == there.hostname
    if not location or not (upgraded or _origin(here) == _origin(there)):
        raise FetchFailed(url, "redirected to another host")
    return target


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port
