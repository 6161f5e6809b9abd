"""Connections that are led through to the mailbox server: counted, joined, and ended together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Final

_CHUNK: Final = 64 * 1024


class Visits:
    """The connections that a listener serves now, each in a task of its own."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._tasks)

    @contextlib.asynccontextmanager
    async def one(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """Count the task that runs as a visit for the time of the block, and close its connection then."""
        visit = asyncio.current_task()
        assert visit is not None
        self._tasks.add(visit)
        try:
            yield
        except asyncio.CancelledError:
            pass  # only `end` cancels, and asyncio's stream server would report it as an error
        finally:
            self._tasks.discard(visit)
            writer.close()

    async def end(self) -> None:
        """End every visit."""
        for visit in tuple(self._tasks):
            visit.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Side:
    """One of two connections that are joined."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def join(client: Side, server: Side, until: Awaitable[None] | None = None) -> None:
    """Pass bytes on unread in both directions until the server ends the connection, or until ``until`` is
    over; then close the server's side. What ``until`` raises is raised.
    """
    tasks = [asyncio.ensure_future(_pass_on(client.reader, server.writer))]
    # once the server has ended the connection, nobody reads what the client may still send
    deciding = [asyncio.ensure_future(_pass_on(server.reader, client.writer))]
    if until is not None:
        deciding.append(asyncio.ensure_future(until))
    try:
        done, _ = await asyncio.wait(deciding, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*tasks, *deciding):
            task.cancel()
        await asyncio.gather(*tasks, *deciding, return_exceptions=True)
        server.writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the end of file, which is passed on too."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()
