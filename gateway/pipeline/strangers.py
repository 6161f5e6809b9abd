"""Operators that were turned away at the door: all counted, few written down, so that a scanner fills no
disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.pipeline.attempts import place_of

__all__ = ["Strangers"]

_WINDOW = timedelta(hours=1)
_MOST_PLACES = 4096


@dataclass(slots=True)
class _Count:
    begun: datetime
    written: int = 0
    unwritten: int = 0


@dataclass(slots=True)
class Strangers:
    """Counts of one process. An address gets ``per_reason`` lines in an hour for each reason, all together
    ``in_all``.

    What was not written is told by the next line of that address and reason.
    """

    per_reason: int = 5
    in_all: int = 500
    total: int = 0
    _places: dict[str, _Count] = field(default_factory=dict)
    _all: _Count | None = None

    def note(self, ip: str, reason: str, now: datetime) -> int | None:
        """Count one; how many before it were not written since the last line, ``None`` where this one is not
        to be written either.
        """
        self.total += 1
        place = f"{place_of(ip)} {reason}"
        count = self._current(self._places.pop(place, None), now)
        self._places[place] = count
        while len(self._places) > _MOST_PLACES:
            del self._places[next(iter(self._places))]
        self._all = self._current(self._all, now)
        if count.written >= self.per_reason or self._all.written >= self.in_all:
            count.unwritten += 1
            return None
        unwritten, count.unwritten = count.unwritten, 0
        count.written += 1
        self._all.written += 1
        return unwritten

    @staticmethod
    def _current(count: _Count | None, now: datetime) -> _Count:
        """The count of this hour; what the hour before did not write is carried over."""
        if count is None:
            return _Count(now)
        if now - count.begun >= _WINDOW:
            return _Count(now, unwritten=count.unwritten)
        return count
