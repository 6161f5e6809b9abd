"""Figures from a run: rates, percentiles, and what the gateway's own outbox says about delivery."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_POLL_SECONDS = 0.1


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0..1) of all lie; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def milliseconds(values: Sequence[float]) -> str:
    """Median and 95th percentile, for people."""
    return f"p50 {1000 * percentile(values, 0.5):.0f} ms, p95 {1000 * percentile(values, 0.95):.0f} ms"


@dataclass(frozen=True, slots=True)
class Outbox:
    """What became of the actions: counts by (action, state); seconds from commit to local delivery."""

    counts: dict[tuple[str, str], int]
    latencies: tuple[float, ...]
    first: datetime | None
    last: datetime | None

    @property
    def unsettled(self) -> int:
        """Actions that were not done (yet)."""
        return sum(count for (_, state), count in self.counts.items() if state != "done")

    @property
    def delivered_rate(self) -> float:
        """Local deliveries per second between the first and the last."""
        if self.first is None or self.last is None or self.last == self.first:
            return 0.0
        return len(self.latencies) / (self.last - self.first).total_seconds()


def read_outbox(database: Path) -> Outbox:
    """Read the outbox beside the gateway that works on it."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        rows = connection.execute("SELECT action, state, first_at, finished_at FROM outbox").fetchall()
    finally:
        connection.close()
    counts = Counter((str(action), str(state)) for action, state, _, _ in rows)
    times = [
        (datetime.fromisoformat(first), datetime.fromisoformat(finished))
        for action, state, first, finished in rows
        if action == "deliver" and state == "done"
    ]
    latencies = tuple((finished - first).total_seconds() for first, finished in times)
    ends = [finished for _, finished in times]
    return Outbox(dict(counts), latencies, min(ends, default=None), max(ends, default=None))


def settled_outbox(database: Path, seconds: float) -> Outbox:
    """The outbox when all is done, or as it is after ``seconds``."""
    end = time.monotonic() + seconds
    while (outbox := read_outbox(database)).unsettled and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    return outbox
