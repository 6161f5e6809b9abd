"""The SMTP listeners of one process: started together, drained together."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from certs.tls import follow
from gateway.smtp.dialogue import PASSWORDS, Dialogue, ListenerKind, Mechanism
from gateway.smtp.envelope import Doors, Peer, PeerKind
from gateway.smtp.implicit import under_tls
from gateway.smtp.limits import SmtpLimits
from gateway.smtp.lobby import Lobby

__all__ = ["Listener", "SmtpServers"]


@dataclass(frozen=True, slots=True)
class Listener:
    """One way in. ``tls`` gives the server context of a connection that begins now; for operators (MX) and
    applications it must require a client certificate. ``mechanisms`` are the ways to log in.

    ``port`` 0 takes a free one. ``reuse_port`` lets several processes share the port.
    """

    kind: ListenerKind
    host: str
    port: int
    tls: Callable[[], ssl.SSLContext]
    reuse_port: bool = False
    mechanisms: tuple[Mechanism, ...] = PASSWORDS


class SmtpServers:
    """The doors of the gateway on their ports.

    ``now`` gives aware datetimes for ``Envelope.received_at``, ``new_queue_id`` a unique ASCII name per
    message.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        doors: Doors,
        limits: SmtpLimits,
        *,
        hostname: str,
        now: Callable[[], datetime],
        new_queue_id: Callable[[], str],
    ) -> None:
        for listener in listeners:
            if listener.kind.asks_certificate and listener.tls().verify_mode is not ssl.CERT_REQUIRED:
                raise ValueError(
                    f"the {listener.kind} listener needs a TLS context that requires a client certificate"
                )
        self._listeners = tuple(listeners)
        self._lobby = Lobby(doors, limits, hostname, now, new_queue_id)
        self._servers: list[asyncio.Server] = []
        self._notes: set[asyncio.Future[None]] = set()
        self._ports: dict[ListenerKind, int] = {}

    @property
    def ports(self) -> Mapping[ListenerKind, int]:
        """The port of each started listener."""
        return self._ports

    async def start(self) -> None:
        """Listen on every address. Raises ``OSError`` for one that cannot be had; then nothing listens."""
        try:
            for listener in self._listeners:
                await self._open(listener)
        except OSError:
            self._shut()
            raise

    async def _open(self, listener: Listener) -> None:
        seconds = self._lobby.limits.handshake_seconds
        # asyncio's own TLS is enough where no certificate is asked for, and as fast as the loop can make it
        implicit = listener.kind.implicit and not listener.kind.asks_certificate
        # create_server makes its sockets with IPPROTO_TCP, so that asyncio sets TCP_NODELAY on what they
        # accept;
        # without it every session stalls for 44 ms.
        server = await asyncio.get_running_loop().create_server(
            lambda: self._protocol(listener),
            listener.host,
            listener.port,
            reuse_port=listener.reuse_port,
            ssl=follow(listener.tls) if implicit else None,
            ssl_handshake_timeout=seconds if implicit else None,
        )
        self._servers.append(server)
        self._ports[listener.kind] = server.sockets[0].getsockname()[1]

    def _protocol(self, listener: Listener) -> asyncio.BaseProtocol:
        """What serves one new connection."""
        tls = listener.tls()

        def dialogue() -> Dialogue:
            return Dialogue(self._lobby, listener.kind, tls, listener.mechanisms)

        if listener.kind is not ListenerKind.MACHINES:
            return dialogue()
        return under_tls(dialogue, tls, self._lobby.limits.handshake_seconds, self._turned_away)

    def _turned_away(self, ip: str, reason: str) -> None:
        """An application's handshake failed."""
        note = asyncio.ensure_future(self._lobby.note(Peer(kind=PeerKind.USER, ip=ip), f"tls: {reason}"))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    def _shut(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        self._ports.clear()

    async def stop(self, grace: float) -> None:
        """Close the ports, tell silent clients 421, let messages under way end for at most ``grace``
        seconds.
        """
        self._shut()
        await self._lobby.empty(grace)
