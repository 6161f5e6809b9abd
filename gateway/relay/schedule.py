"""When to try again (RFC 5321 §4.5.4.1): pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

__all__ = ["next_attempt"]


def next_attempt(attempts: int, now: datetime, minutes: Sequence[int]) -> datetime | None:
    """The time of the next attempt after ``attempts`` (>= 1) failed ones, the last of them at ``now``.

    ``minutes[n - 1]`` is the wait after the n-th failure; ``None`` when the row is exhausted: report the
    failure.
    """
    if not 1 <= attempts <= len(minutes):
        return None
    return now + timedelta(minutes=minutes[attempts - 1])
