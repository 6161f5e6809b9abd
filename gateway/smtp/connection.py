"""One SMTP connection: aiosmtpd's protocol with strict lines, limits and timers (RFC 5321 §4.5.3).

aiosmtpd brings the transport and STARTTLS. Its command loop is replaced, because it takes commands that end
in a bare LF, answers without enhanced codes, keeps no count of errors and arms no timer during DATA.
"""

from __future__ import annotations

import asyncio
import math
import ssl

import structlog
from aiosmtpd.smtp import SMTP, TLSSetupException

from gateway.failures import failure_place
from gateway.smtp.handshake import HandshakeProtocol
from gateway.smtp.lobby import Lobby
from gateway.smtp.refusals import (
    AuthenticationFailed,
    BadSyntax,
    DialogueEnded,
    LineEndRefused,
    Refusal,
    TooManyErrors,
)
from gateway.smtp.replies import reply

__all__ = ["Connection", "Farewell"]

_log = structlog.get_logger(__name__)
_READ_LIMIT = 64 * 1024
_ERRORS_WITHOUT_DELAY = 2


class Farewell(Exception):
    """The dialogue is over."""


class Connection(SMTP):
    """Transport, timers and turns of one connection; what the commands mean is in the subclass.

    ``starttls`` is the server context to offer, ``None`` where TLS stands from the first octet.
    """

    line_length_limit = _READ_LIMIT

    def __init__(self, lobby: Lobby, starttls: ssl.SSLContext | None) -> None:
        self.lobby = lobby
        self.ip = ""
        self.auth_failures = self.errors = 0
        self.receiving = False
        self._idle = False
        loop = asyncio.get_running_loop()
        super().__init__(object(), hostname=lobby.hostname, timeout=lobby.limits.idle_seconds, loop=loop)
        # Set afterwards: the constructor warns of CERT_REQUIRED, which operators get on purpose.
        self.tls_context = starttls

    @property
    def secured(self) -> bool:
        """Whether TLS protects the connection now."""
        return self.session is not None and self.session.ssl is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection begins, or its second life under TLS, which knows nothing of the first (RFC 3207
        §4.2).
        """
        super().connection_made(transport)
        peername = transport.get_extra_info("peername")
        self.ip = str(peername[0]).partition("%")[0] if isinstance(peername, tuple) else ""
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None and self.session is not None:
            # aiosmtpd leaves it empty under implicit TLS, and then keeps half-closed TLS connections.
            self.session.ssl = {"ssl_object": ssl_object}

    def data_received(self, data: bytes) -> None:
        """Octets came: inside DATA they prove life, between commands only a whole command does."""
        super().data_received(data)
        if self.receiving:
            self._reset_timeout()

    def _timeout_cb(self) -> None:
        self._end_now(DialogueEnded("Timeout, closing connection", enhanced="4.4.2"))

    def retire(self) -> None:
        """End now when the client is silent, else after the command under way."""
        if self._idle:
            self._end_now(DialogueEnded())

    def _end_now(self, farewell: Refusal) -> None:
        # Asked of the writer: uvloop's transports are no subclasses of asyncio's.
        transport = self._writer.transport
        if not transport.is_closing():
            if transport.get_write_buffer_size():
                transport.abort()  # it does not read its answers: a polite close would wait for ever
            else:
                transport.write(reply(farewell.code, farewell.enhanced, farewell.text))
        self._close()

    def _close(self) -> None:
        for transport in (self.transport, self._original_transport):
            if transport is not None:
                transport.close()

    async def begin_tls(self, tls: ssl.SSLContext) -> None:
        """Answer 220 and take the connection under TLS; what came in clear text behind is thrown away
        (RFC 3207 §4.2).

        Raises ``TLSSetupException`` with its cause where the handshake fails; the peer got its alert then.
        """
        await self.say(220, "2.0.0", "Ready to start TLS")
        done = self.loop.create_future()
        limit = math.ceil(self.lobby.limits.handshake_seconds)
        protocol = HandshakeProtocol(
            self.loop, self, tls, done, server_side=True, ssl_handshake_timeout=limit
        )
        assert self.transport is not None
        self._tls_protocol = protocol
        self._original_transport = self.transport
        self._original_transport.set_protocol(protocol)
        self.transport = protocol.app_transport
        protocol.connection_made(self._original_transport)
        try:
            await done
        except (OSError, ssl.SSLError, TimeoutError) as error:
            raise TLSSetupException from error

    def hold_timer(self) -> None:
        """Stop the idle timer until the next command: what takes time now is ours, not the client's
        silence.
        """
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()

    async def _handle_client(self) -> None:
        try:
            with self.lobby.visit(self, self.ip) as room:
                if room:
                    await self.say(220, "", f"{self.hostname} ESMTP")
                    while True:
                        await self._turn()
                await self.say(421, "4.7.0", "Too many connections, try again later")
        except (Farewell, TLSSetupException, OSError, asyncio.IncompleteReadError):
            pass  # the client left, or has been told to
        except Exception as error:  # noqa: BLE001 - a fault of ours: the peer gets no word of it
            _log.error("smtp.dialogue_failed", peer=self.ip, **failure_place(error))
            self._end_now(DialogueEnded(enhanced="4.3.0"))
        finally:
            self.hold_timer()
            self._close()

    async def _turn(self) -> None:
        try:
            await self.obey(await self.line())
        except Refusal as refusal:
            await self._refuse(refusal)

    async def obey(self, line: bytes) -> None:
        """Carry out one command line and answer it. Raises ``Refusal`` to refuse, ``Farewell`` to end."""
        raise NotImplementedError

    async def line(self) -> bytes:
        """The next line without its CRLF. Bare CR or LF ends the dialogue, and so does a line of 64 KiB."""
        if self.lobby.closing:
            raise DialogueEnded
        self._idle = True
        self._reset_timeout()
        try:
            line: bytes = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise BadSyntax("Line too long", code=500, enhanced="5.5.2", disconnect=True) from None
        finally:
            self._idle = False
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise LineEndRefused
        return line[:-2]

    async def _refuse(self, refusal: Refusal) -> None:
        """Give the answer, late to those who make many errors, and end the dialogue where it must end."""
        limits = self.lobby.limits
        self.errors += 1
        if not refusal.disconnect:
            if self.errors > _ERRORS_WITHOUT_DELAY or isinstance(refusal, AuthenticationFailed):
                await asyncio.sleep(limits.error_delay_seconds)
            if self.errors >= limits.max_errors or self.auth_failures >= limits.max_auth_failures:
                await self.say(refusal.code, refusal.enhanced, refusal.text)
                refusal = TooManyErrors()
        await self.say(refusal.code, refusal.enhanced, refusal.text)
        if refusal.disconnect:
            raise Farewell

    async def say(self, code: int, enhanced: str, text: str) -> None:
        """Write one answer; ``enhanced`` is '' where none belongs (RFC 2034 §4)."""
        self._writer.write(reply(code, enhanced, text))
        await self._writer.drain()

    async def push(self, status: str | bytes) -> None:
        """The answers of aiosmtpd itself: of its commands only STARTTLS is left, with its 220."""
        code, _, text = (status if isinstance(status, str) else status.decode("ascii")).partition(" ")
        await self.say(int(code), "2.0.0" if code.startswith("2") else "", text)
