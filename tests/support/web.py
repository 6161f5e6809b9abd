"""A small server of lists, CRLs and keys for tests, which can be as hostile as the test wants."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["Web", "endless", "serving_web", "silent", "status", "web", "whole"]

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def whole(body: bytes, *, headers: str = "") -> Answer:
    """Answer 200 with a body."""
    return status(200, body, headers=headers)


def status(code: int, body: bytes = b"", *, headers: str = "") -> Answer:
    """Answer with a code; ``headers`` end each with CRLF."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept and say nothing until the client leaves."""
    await reader.read()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.transport.is_closing():
        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)  # under TLS drain alone does not let the loop see that the client has left


@dataclass(slots=True)
class Web:
    """What is served at which path, and which paths were asked for, in order."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    secure: bool = False
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"{'https' if self.secure else 'http'}://localhost:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                self.asked.append(path)
                await self.answers.get(path, status(404))(reader, writer)
        except asyncio.CancelledError:
            return
        finally:
            self._open.discard(task)
            writer.close()


@asynccontextmanager
async def web(tls: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    """The server, in this event loop."""
    made = Web(secure=tls is not None)
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tuple(made._open):
            task.cancel()
        await asyncio.gather(*made._open, return_exceptions=True)


@contextmanager
def serving_web(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """The server in a thread of its own, for tests that are not asynchronous."""
    started = threading.Event()
    kept: list[tuple[Web, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        async with web(tls) as made:
            stop = asyncio.Event()
            kept.append((made, asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(10)
    made, loop, stop = kept[0]
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
