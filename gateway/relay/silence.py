"""Domains whose hosts were silent: what waits for one of them must not keep all workers from all others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.relay.failure import RelayFailed

__all__ = ["SilentDomains"]

#: Statuses of RFC 3463 §3.5 that cost the time limit of a command: no answer from host, bad connection.
_SILENT = frozenset({"4.4.1", "4.4.2"})


@dataclass(slots=True)
class SilentDomains:
    """Remembers domains whose last attempt ended in silence: they get one attempt at a time, and none for
    ``quiet_seconds`` after it. All others are refused at once and tried again by the schedule.
    """

    quiet_seconds: float = 30.0
    _quiet_until: dict[str, float] = field(default_factory=dict)
    _attempts: set[str] = field(default_factory=set)

    @contextmanager
    def attempt(self, domain: str) -> Iterator[None]:
        """Surround an attempt. Raises ``RelayFailed`` (passing) where it is not made; learns from how it
        ends.
        """
        suspect = domain in self._quiet_until
        now = asyncio.get_running_loop().time()
        if suspect and (domain in self._attempts or now < self._quiet_until[domain]):
            raise RelayFailed(False, 451, "4.4.1", "Host did not answer a moment ago")
        if suspect:
            self._attempts.add(domain)
        try:
            yield
        except RelayFailed as failure:
            if failure.enhanced in _SILENT:
                self._quiet_until[domain] = asyncio.get_running_loop().time() + self.quiet_seconds
            else:
                self._quiet_until.pop(domain, None)
            raise
        else:
            self._quiet_until.pop(domain, None)
        finally:
            if suspect:
                self._attempts.discard(domain)
