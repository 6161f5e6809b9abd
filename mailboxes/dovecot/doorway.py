"""Brings clients of a loopback address to the address on which Dovecot really listens.

Needed only on loopback, so that Dovecot demands TLS there as well: see
`mailboxes.dovecot.configuration.listening_address`. Bytes pass unread in both directions.
"""

import asyncio
import contextlib
from typing import Final

_CHUNK: Final = 64 * 1024


class Doorway:
    """A listener on ``(host, port)`` that connects each client to ``(target_host, port)``."""

    def __init__(self, host: str, target_host: str, port: int) -> None:
        self._host = host
        self._target_host = target_host
        self._port = port
        self._server: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to listen; OSError when the port is taken."""
        self._server = await asyncio.start_server(self._welcome, self._host, self._port)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is None:
            return
        self._server.close()
        for visit in tuple(self._visits):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)
        self._server = None

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side ends."""
        visit = asyncio.current_task()
        assert visit is not None
        self._visits.add(visit)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            # only close() cancels, and asyncio's stream server would report it as an error
            pass
        finally:
            self._visits.discard(visit)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the target and pass the bytes on; a refused connection just closes the client's."""
        try:
            inner_reader, inner_writer = await asyncio.open_connection(self._target_host, self._port)
        except OSError:
            return
        outward = asyncio.create_task(pass_on(reader, inner_writer))
        try:
            # once the server has ended the connection, nobody reads what the client may still send
            await pass_on(inner_reader, writer)
        finally:
            outward.cancel()
            await asyncio.gather(outward, return_exceptions=True)
            inner_writer.close()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the end of file, which is passed on too."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()
