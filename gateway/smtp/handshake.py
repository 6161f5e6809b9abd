"""The TLS handshake of STARTTLS, such that a failure has an alert for the peer and a reason for us.

asyncio's own protocol cuts the connection when a handshake fails: the alert that OpenSSL wrote stays behind,
and the peer sees a reset where RFC 8446 §6.2 promises it a word.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import sslproto
from collections.abc import Callable
from typing import Any

__all__ = ["HandshakeProtocol", "handshake_reason"]

_ALERT_SECONDS = 5.0
"""How long an alert may take to leave; a peer that does not read it is cut off then."""


class HandshakeProtocol(sslproto.SSLProtocol):
    """asyncio's TLS layer, which lets the alert of a failed handshake go out before the connection ends."""

    _outgoing: ssl.MemoryBIO  # as in asyncio since Python 3.11
    _get_app_transport: Callable[[], asyncio.Transport]

    @property
    def app_transport(self) -> asyncio.Transport:
        """The transport of what is said under TLS; it exists before the handshake is over."""
        return self._get_app_transport()

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        transport: Any = self._transport
        if isinstance(exc, ssl.SSLError) and transport is not None and not transport.is_closing():
            alert = self._outgoing.read()
            if alert:
                transport.write(alert)
            transport.close()
            asyncio.get_running_loop().call_later(_ALERT_SECONDS, transport.abort)
            return
        super()._fatal_error(exc, message)


def handshake_reason(error: BaseException | None) -> str:
    """Why a handshake failed, as OpenSSL names it: one phrase without anything of the certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).lower().replace("_", " ")
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return "handshake took too long"
    return "connection lost during the handshake"
