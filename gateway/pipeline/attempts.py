"""Failed logins counted by account and by address, so that guessing is slow however many connections it
takes.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

__all__ = ["Attempts", "Guesses", "place_of"]

#: Keys remembered at once; an attacker who changes addresses pushes out the oldest, not the memory's bounds.
_MOST_KEYS = 10_000


#: What can be an account's name at all: anything else is kept out of the audit trail.
_LOGIN = re.compile(r"[!-?A-~]{1,64}@[!-?A-~]{1,190}")


def login_name(login: str) -> str:
    """A login as it is counted and told: ``?`` for what names no account, maybe a password typed into the
    wrong line.
    """
    address = login.strip().lower()
    return address if _LOGIN.fullmatch(address) else "?"


@dataclass(slots=True)
class Attempts:
    """Counts of one process. ``most`` failures of a key within ``window`` block it until the oldest is
    past.
    """

    most: int = 20
    window: timedelta = timedelta(minutes=15)
    _failures: dict[str, deque[datetime]] = field(default_factory=dict)

    def blocked(self, key: str, now: datetime) -> bool:
        """Whether this key has failed too often of late."""
        times = self._failures.get(key)
        if times is None:
            return False
        while times and times[0] <= now - self.window:
            times.popleft()
        if not times:
            del self._failures[key]
        return len(times) >= self.most

    def failed(self, key: str, now: datetime) -> None:
        """Count a failure."""
        times = self._failures.pop(key, None) or deque(maxlen=self.most)
        times.append(now)
        self._failures[key] = times
        while len(self._failures) > _MOST_KEYS:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, key: str) -> None:
        """Forget the failures of a key that has proven itself."""
        self._failures.pop(key, None)


def place_of(ip: str) -> str:
    """Where somebody is: an IPv4 address, or the network that one customer has of IPv6 (``RFC 6177``)."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    return ip if address.version == 4 else address.exploded[:19]


@dataclass(slots=True)
class Guesses:
    """Failed logins of an account from one place, of an account, and of a place.

    Few from one place are enough; the two others are wide: a hospital is one place with many accounts, and a
    stranger elsewhere must not lock an account for its owner.
    """

    _pairs: Attempts = field(default_factory=Attempts)
    _accounts: Attempts = field(default_factory=lambda: Attempts(most=200))
    _places: Attempts = field(default_factory=lambda: Attempts(most=200))

    def _counts(self, account: str, ip: str) -> tuple[tuple[Attempts, str], ...]:
        place = place_of(ip)
        return (self._pairs, f"{account} {place}"), (self._accounts, account), (self._places, place)

    def blocked(self, account: str, ip: str, now: datetime) -> bool:
        """Whether this account must not be tried from this address now."""
        return any(counted.blocked(key, now) for counted, key in self._counts(account, ip))

    def failed(self, account: str, ip: str, now: datetime) -> None:
        """Count a failure."""
        for counted, key in self._counts(account, ip):
            counted.failed(key, now)

    def succeeded(self, account: str, ip: str) -> None:
        """Forget the failures of an account at the place where it has proven itself."""
        (pairs, key), *_ = self._counts(account, ip)
        pairs.succeeded(key)
