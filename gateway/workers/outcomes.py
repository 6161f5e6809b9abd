"""How attempts at outbox actions ended, until that is written down in the next turn of the loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.store.outbox import Outbox
from gateway.store.rows import OutboxRow

__all__ = ["Ending", "Outcome", "settle"]


class Ending(StrEnum):
    """What became of an attempt: done, to be tried again, left to an operator, never made, or given up (which
    is in the database already, together with what was told of it).
    """

    DONE = "done"
    AGAIN = "again"
    HELD = "held"
    GIVEN_BACK = "given back"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one claim. ``error`` is told of AGAIN and HELD, ``next_at`` is when to try AGAIN."""

    row: OutboxRow
    ending: Ending
    error: str = ""
    next_at: datetime | None = None


async def settle(outbox: Outbox, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Write the outcomes down; written twice they are the same, so an unsure commit may be repeated."""
    await outbox.settle([outcome.row for outcome in outcomes if outcome.ending is Ending.DONE], now)
    await outbox.give_back([outcome.row for outcome in outcomes if outcome.ending is Ending.GIVEN_BACK])
    for outcome in outcomes:
        if outcome.ending is Ending.HELD:
            await outbox.hold(outcome.row, outcome.error, now)
        elif outcome.ending is Ending.AGAIN:
            await outbox.retry(outcome.row, outcome.error, outcome.next_at or now)
