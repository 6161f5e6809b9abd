"""Brings clients of a loopback address to the address on which Dovecot really listens.

Needed only on loopback, so that Dovecot demands TLS there as well: see
`mailboxes.dovecot.configuration.listening_address`. Bytes pass unread in both directions.
"""

import asyncio
import contextlib

from mailboxes.visits import Side, Visits, join


class Doorway:
    """A listener on ``(host, port)`` that connects each client to ``(target_host, port)``."""

    def __init__(self, host: str, target_host: str, port: int) -> None:
        self._host = host
        self._target_host = target_host
        self._port = port
        self._server: asyncio.Server | None = None
        self._visits = Visits()

    async def open(self) -> None:
        """Begin to listen; OSError when the port is taken."""
        self._server = await asyncio.start_server(self._welcome, self._host, self._port)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
            await self._visits.end()
            self._server = None

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side ends; a refused connection to the target just closes it."""
        async with self._visits.one(writer):
            with contextlib.suppress(OSError):
                inner = await asyncio.open_connection(self._target_host, self._port)
                await join(Side(reader, writer), Side(*inner))
