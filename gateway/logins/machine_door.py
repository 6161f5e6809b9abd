"""IMAP for applications: TLS with a client certificate, SASL EXTERNAL, then the mailbox server itself.

Dovecot 2.3 could ask for client certificates, but its password databases learn of one only a single attribute
of its subject (``ssl_cert_username_field``), neither issuer nor whole name, which is a weaker mapping than
ours. So this door does what comes before the login, judges the certificate as submission does, opens the
mailbox as master user, and from then on passes octets on unread. It asks again from time to time whether the
certificate still opens that mailbox: a revocation ends what is open.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from certs.tls import peer_chain
from gateway.failures import failure_place
from gateway.smtp.envelope import Doors, Peer, PeerKind
from gateway.smtp.implicit import under_tls
from gateway.smtp.refusals import AuthenticationFailed, Refusal
from mailboxes.visits import Side, Visits, join

__all__ = ["Inside", "MachineDoor"]

_CAPABILITY: Final = "CAPABILITY IMAP4rev1 SASL-IR ID LOGINDISABLED AUTH=EXTERNAL"
_LONGEST_LINE: Final = 8192
_MOST_ERRORS: Final = 10
_MOST_FAILURES: Final = 3
_LOGIN_SECONDS: Final = 60.0
_HANDSHAKE_SECONDS: Final = 30.0
_COMMAND: Final = re.compile(r"(?P<tag>[!-'+-z|}~]{1,64}) (?P<name>[A-Za-z]{1,32})(?: (?P<rest>.*))?")


@dataclass(frozen=True, slots=True)
class Inside:
    """How to open any mailbox of the mailbox server: its TLS port, whom to believe there now, its master
    user.
    """

    host: str
    port: int
    tls: Callable[[], ssl.SSLContext]
    master_user: str
    master_password: str
    seconds: float


class _Ended(Exception):
    """The conversation before the login is over; ``farewell`` is said first."""

    def __init__(self, farewell: str = "") -> None:
        self.farewell = farewell
        super().__init__(farewell)


@dataclass(slots=True)
class MachineDoor:
    """A listener on ``(host, port)``; the context that ``tls`` gives for a connection that begins now
    requires a client certificate. At most ``most`` connections at once; ``delay`` seconds pass before a
    refusal, ``again`` between two looks at the certificate of an open session.
    """

    host: str
    port: int
    tls: Callable[[], ssl.SSLContext]
    doors: Doors
    inside: Inside
    most: int = 500
    delay: float = 1.0
    again: float = 30.0
    _server: asyncio.Server | None = None
    _visits: Visits = field(default_factory=Visits)
    _notes: set[asyncio.Future[None]] = field(default_factory=set)

    async def open(self) -> int:
        """Begin to listen; the port, which is a free one where 0 was wanted. Raises ``OSError``."""
        self._server = await asyncio.get_running_loop().create_server(self._secured, self.host, self.port)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _secured(self) -> asyncio.BaseProtocol:
        """What serves one new connection."""

        def streams() -> asyncio.Protocol:
            reader = asyncio.StreamReader(limit=_LONGEST_LINE)
            return asyncio.StreamReaderProtocol(reader, self._welcome)

        return under_tls(streams, self.tls(), _HANDSHAKE_SECONDS, self._turned_away)

    def _turned_away(self, ip: str, reason: str) -> None:
        """A handshake failed: one line for the audit trail, rarely more."""
        note = asyncio.ensure_future(self._note(Peer(kind=PeerKind.USER, ip=ip), f"tls: {reason}"))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    async def _note(self, peer: Peer, reason: str) -> None:
        try:
            await self.doors.turned_away(peer, reason)
        except Exception as error:  # noqa: BLE001 - what could not be noted changes nothing
            structlog.get_logger("logins").error("not noted", **failure_place(error))

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
            await self._visits.end()
            await asyncio.gather(*self._notes)
            self._server = None

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side ends."""
        async with self._visits.one(writer):
            try:
                if len(self._visits) > self.most:
                    writer.write(b"* BYE Too many connections\r\n")
                else:
                    await self._serve(Side(reader, writer))
            except OSError:
                pass  # the client left
            except Exception as error:  # noqa: BLE001 - a fault of ours: the client gets no word of it
                structlog.get_logger("logins").error("door of applications failed", **failure_place(error))

    async def _serve(self, client: Side) -> None:
        writer = client.writer
        peername = writer.get_extra_info("peername")
        ssl_object = writer.get_extra_info("ssl_object")
        peer = Peer(
            kind=PeerKind.USER,
            ip=str(peername[0]).partition("%")[0],
            tls_version=ssl_object.version() or "",
            certificate=ssl_object.getpeercert(binary_form=True),
            chain=peer_chain(ssl_object),
        )
        entrance = _Entrance(client.reader, writer, peer, self.doors, self.delay)
        try:
            async with asyncio.timeout(_LOGIN_SECONDS):
                tag, account = await entrance.login()
        except TimeoutError:
            writer.write(b"* BYE Too late\r\n")
            return
        except _Ended as ended:
            if ended.farewell:
                writer.write(f"* BYE {ended.farewell}\r\n".encode("ascii"))
            return
        await self._lead_in(client, tag, account, peer)

    async def _lead_in(self, client: Side, tag: str, account: str, peer: Peer) -> None:
        """Open the mailbox and pass octets on until either side ends or the certificate opens it no more."""
        try:
            async with asyncio.timeout(self.inside.seconds):
                inside, answer = await self._opened(account)
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            structlog.get_logger("logins").warning("mailbox not opened", error=type(error).__name__)
            client.writer.write(f"{tag} NO [UNAVAILABLE] Mailbox not available now\r\n".encode("ascii"))
            return
        client.writer.write(tag.encode("ascii") + b" OK " + answer)
        await join(client, inside, self._withdrawn(account, peer))

    async def _withdrawn(self, account: str, peer: Peer) -> None:
        """Return when the certificate no longer opens the mailbox. What cannot be judged now ends nothing."""
        while True:
            await asyncio.sleep(self.again)
            try:
                if not await self.doors.certificate_holds(account, peer):
                    return
            except Exception as error:  # noqa: BLE001 - asked again: no fault of the client's
                structlog.get_logger("logins").error("certificate not looked at", **failure_place(error))

    async def _opened(self, account: str) -> tuple[Side, bytes]:
        """A session of the mailbox server in this mailbox, and what it said of the login. Raises ``OSError``,
        ``EOFError``, ``ValueError`` where it refused.
        """
        inside = self.inside
        reader, writer = await asyncio.open_connection(inside.host, inside.port, ssl=inside.tls())
        try:
            await reader.readuntil(b"\r\n")
            secret = f"\0{account}*{inside.master_user}\0{inside.master_password}".encode()
            writer.write(b"m AUTHENTICATE PLAIN " + base64.b64encode(secret) + b"\r\n")
            while not (line := await reader.readuntil(b"\r\n")).startswith(b"m "):
                pass  # untagged capabilities
            if not line.startswith(b"m OK "):
                raise ValueError("the mailbox server refused its master")
        except BaseException:
            writer.close()
            raise
        return Side(reader, writer), line[len(b"m OK ") :]


@dataclass(slots=True)
class _Entrance:
    """The conversation before the login (RFC 3501 §6.1, §6.2): four commands, no literals."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: Peer
    doors: Doors
    delay: float
    errors: int = 0
    failures: int = 0

    async def login(self) -> tuple[str, str]:
        """The tag to answer and the account that the certificate opens. Raises ``_Ended``, ``OSError``."""
        await self._say(f"* OK [{_CAPABILITY}] Ready")
        while True:
            matched = _COMMAND.fullmatch(await self._line())
            if matched is None:
                await self._error("*", "Not a command")
                continue
            tag, name, rest = matched["tag"], matched["name"].upper(), matched["rest"] or ""
            if name == "AUTHENTICATE":
                account = await self._authenticate(tag, rest)
                if account is not None:
                    return tag, account
            elif name == "LOGOUT":
                await self._say("* BYE Logging out", f"{tag} OK Logged out")
                raise _Ended
            elif name in ("CAPABILITY", "NOOP", "ID"):
                told = {"CAPABILITY": f"* {_CAPABILITY}", "ID": "* ID NIL"}.get(name)
                await self._say(*([told] if told else ()), f"{tag} OK {name} completed")
            else:
                await self._error(tag, "Log in by AUTHENTICATE EXTERNAL first")

    async def _authenticate(self, tag: str, argument: str) -> str | None:
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() != "EXTERNAL":
            await self._error(tag, "Only EXTERNAL is offered", "NO")
            return None
        if not initial:
            await self._say("+ ")
            initial = await self._line()
            if initial == "*":
                await self._error(tag, "Cancelled")
                return None
        try:
            encoded = "" if initial == "=" else initial
            wanted = base64.b64decode(encoded, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            await self._error(tag, "Malformed authentication data")
            return None
        try:
            return await self.doors.authenticate_certificate(wanted, self.peer)
        except Refusal as refusal:
            await self._refused(tag, refusal)
            return None

    async def _refused(self, tag: str, refusal: Refusal) -> None:
        await asyncio.sleep(self.delay)
        code = "AUTHENTICATIONFAILED" if isinstance(refusal, AuthenticationFailed) else "UNAVAILABLE"
        await self._say(f"{tag} NO [{code}] {refusal.text}")
        self.failures += 1
        if self.failures >= _MOST_FAILURES:
            raise _Ended("Too many failed logins")

    async def _error(self, tag: str, text: str, answer: str = "BAD") -> None:
        self.errors += 1
        await self._say(f"{tag} {answer} {text}")
        if self.errors >= _MOST_ERRORS:
            raise _Ended("Too many errors")

    async def _line(self) -> str:
        """The next line, printable ASCII without its CRLF. Raises ``_Ended`` for anything else."""
        try:
            line = await self.reader.readuntil(b"\r\n")
        except asyncio.IncompleteReadError:
            raise _Ended from None
        except asyncio.LimitOverrunError:
            raise _Ended("Line too long") from None
        text = line[:-2].decode("ascii", "replace")
        if not text.isascii() or not (text.isprintable() or not text):
            raise _Ended("Only printable ASCII is accepted")
        if text.endswith("}"):
            raise _Ended("No literals before the login")  # what follows would be read as commands
        return text

    async def _say(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode("ascii", "replace"))
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()
