"""Failed logins counted by account and by address, so that guessing is slow however many connections it
takes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = ["Attempts"]

#: Keys remembered at once; an attacker who changes addresses pushes out the oldest, not the memory's bounds.
_MOST_KEYS = 10_000


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
