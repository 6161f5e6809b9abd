"""Work that takes memory for a moment, bounded by waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Turns"]


class Turns:
    """Lets work begin in the order in which it was asked for, while its weights together stay within
    ``most``. What weighs more than that goes alone.

    Reading a mail takes several times its octets for a moment; more at once than there are processors gain
    no time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def turn(self, weight: int) -> AsyncIterator[None]:
        """Wait for a turn and hold it for the time of the block."""
        weight = min(weight, self._most)
        if self._waiting or self._weight + weight > self._most:
            ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((weight, ready))
            try:
                await ready
            except asyncio.CancelledError:
                if not ready.cancelled() and ready.done():
                    self._end(weight)  # its turn had come
                raise
        else:
            self._weight += weight
        try:
            yield
        finally:
            self._end(weight)

    def _end(self, weight: int) -> None:
        self._weight -= weight
        while self._waiting:
            next_weight, ready = self._waiting[0]
            if not ready.done():
                if self._weight + next_weight > self._most:
                    return
                self._weight += next_weight
                ready.set_result(None)
            self._waiting.popleft()
