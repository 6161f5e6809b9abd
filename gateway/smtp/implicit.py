"""TLS from the first octet for those who must show a certificate: a handshake that fails has an alert for the
peer and a reason for us, which asyncio's own ``ssl=`` listener gives to neither.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Callable

from gateway.smtp.handshake import HandshakeProtocol, handshake_reason

__all__ = ["under_tls"]


class _ImplicitTls(HandshakeProtocol):
    """The TLS layer of one connection; it remembers whose, as a lost transport no longer tells."""

    ip = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername")
        self.ip = str(peername[0]).partition("%")[0] if isinstance(peername, tuple) else ""
        super().connection_made(transport)


def under_tls(
    make: Callable[[], asyncio.Protocol],
    tls: ssl.SSLContext,
    seconds: float,
    failed: Callable[[str, str], None],
) -> asyncio.BaseProtocol:
    """The protocol of a new plain connection: TLS, and above it what ``make`` makes. A handshake that is not
    over in ``seconds`` fails; ``failed`` is told the peer's address and the reason.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    protocol = _ImplicitTls(
        loop, make(), tls, done, server_side=True, ssl_handshake_timeout=math.ceil(seconds)
    )

    def told(future: asyncio.Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            failed(protocol.ip, handshake_reason(error))

    done.add_done_callback(told)
    return protocol
