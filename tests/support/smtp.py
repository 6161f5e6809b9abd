"""An SMTP world on loopback: certificates, doors that record, and a client that speaks line by line."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.smtp.dialogue import ListenerKind
from gateway.smtp.envelope import Envelope, Peer, TokenLogin
from gateway.smtp.limits import SmtpLimits
from gateway.smtp.refusals import PolicyRefused, RecipientUnknown, Refusal
from gateway.smtp.server import Listener, SmtpServers

RECEIVED_AT = datetime(2026, 6, 1, 8, 30, tzinfo=UTC)
MAIL = b"From: alice@cabinet.mssante.example\r\nSubject: avis\r\n\r\n.une ligne\r\n..deux\r\nfin\r\n"
STUFFED = MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n"
BORN = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Credentials:
    """A certificate and key as files, and the authority that made them."""

    certificate: Path
    key: Path
    authority: Path

    def server(self, ask_client: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.authority)
        return context

    def client(self, show_certificate: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority))
        if show_certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


def make_credentials(folder: Path, name: str = "localhost") -> Credentials:
    """A fresh authority and one certificate for ``name`` and 127.0.0.1, good for both ends of TLS."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test authority of {name}")])
    authority = _certificate(authority_name, authority_name, authority_key, authority_key, ca=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    leaf = _certificate(subject, authority_name, key, authority_key, ca=False)
    paths = Credentials(folder / f"{name}.crt", folder / f"{name}.key", folder / f"{name}-ca.crt")
    paths.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    paths.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    paths.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    ca: bool,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BORN)
        .not_valid_after(BORN + timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if not ca:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@dataclass
class RecordingDoors:
    """Doors with one account, that keep what they accept. ``on_accept`` runs inside accept."""

    account: str = "alice@cabinet.mssante.example"
    password: str = "motdepasse"
    accepted: list[tuple[Envelope, bytes]] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    senders: list[tuple[str, int]] = field(default_factory=list)
    on_accept: Callable[[Envelope], Awaitable[None]] | None = None
    away: list[tuple[str, str]] = field(default_factory=list)
    service: str = ""

    def announced(self) -> str:
        """What EHLO tells other gateways."""
        return self.service

    async def authenticate(self, login: str, password: str, peer: Peer) -> str | None:
        return self.account if (login, password) == (self.account, self.password) else None

    async def authenticate_token(self, token: str, wanted: str, peer: Peer) -> TokenLogin | None:
        return TokenLogin(self.account, RECEIVED_AT + timedelta(hours=1)) if token == self.password else None

    async def authenticate_certificate(self, wanted: str, peer: Peer) -> str | None:
        return self.account if peer.certificate else None

    async def certificate_holds(self, account: str, peer: Peer) -> bool:
        return account == self.account

    async def check_data(self, peer: Peer, mail_from: str) -> None:
        pass

    async def check_sender(self, peer: Peer, mail_from: str, size: int) -> None:
        self.peers.append(peer)
        self.senders.append((mail_from, size))
        if peer.login and mail_from not in ("", peer.login):
            raise PolicyRefused("Cette adresse d'expéditeur n'est pas la vôtre")

    async def check_recipient(self, peer: Peer, mail_from: str, recipient: str) -> None:
        if recipient.startswith("inconnu@"):
            raise RecipientUnknown("Adresse inconnue")
        if recipient.startswith("panne@"):
            raise RuntimeError("secret of the program")

    async def accept(self, envelope: Envelope, raw: bytes) -> str:
        if self.on_accept is not None:
            await self.on_accept(envelope)
        self.accepted.append((envelope, raw))
        return f"queued as {envelope.queue_id}"

    async def turned_away(self, peer: Peer, reason: str) -> None:
        self.away.append((peer.ip, reason))


@asynccontextmanager
async def running_doors(
    doors: RecordingDoors, credentials: Credentials, limits: SmtpLimits | None = None
) -> AsyncIterator[SmtpServers]:
    """All three listeners on free ports of loopback."""
    numbers = count(1)
    servers = SmtpServers(
        [
            Listener(ListenerKind.MX, "127.0.0.1", 0, partial(credentials.server, ask_client=True)),
            Listener(ListenerKind.SUBMISSION, "127.0.0.1", 0, credentials.server),
            Listener(ListenerKind.SUBMISSIONS, "127.0.0.1", 0, credentials.server),
        ],
        doors,
        limits or SmtpLimits(error_delay_seconds=0),
        hostname="mx.gateway.example",
        now=lambda: RECEIVED_AT,
        new_queue_id=lambda: f"Q{next(numbers)}",
    )
    await servers.start()
    try:
        yield servers
    finally:
        await servers.stop(grace=5)


class Talk:
    """A client that sends what it is told, octet by octet, and returns whole answers as text."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Talk]:
        name = "localhost" if tls else None
        talk = cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name))
        try:
            yield talk
        finally:
            talk.writer.transport.abort()

    async def answer(self) -> str:
        """One answer, its lines joined with line feeds; '' when the connection has ended."""
        lines: list[str] = []
        while True:
            async with asyncio.timeout(20):
                try:
                    line = await self.reader.readline()
                except ConnectionError:
                    line = b""
            if not line:
                return "\n".join(lines)
            lines.append(line.decode("ascii").rstrip("\r\n"))
            if line[3:4] != b"-":
                return "\n".join(lines)

    async def say(self, command: bytes | str) -> str:
        """Send one command with its CRLF and return the answer."""
        octets = command.encode("ascii") if isinstance(command, str) else command
        return await self.send(octets + b"\r\n")

    async def send(self, octets: bytes) -> str:
        """Send octets as they are and return the next answer."""
        self.writer.write(octets)
        await self.writer.drain()
        return await self.answer()

    async def starttls(self, tls: ssl.SSLContext) -> None:
        assert (await self.say("STARTTLS")).startswith("220")
        await self.writer.start_tls(tls, server_hostname="localhost")

    async def login(self, tls: ssl.SSLContext) -> None:
        """Greeting, TLS and the account of :class:`RecordingDoors` by AUTH PLAIN."""
        assert (await self.answer()).startswith("220")
        await self.say("EHLO client.example")
        await self.starttls(tls)
        await self.say("EHLO client.example")
        answer = await self.say("AUTH PLAIN AGFsaWNlQGNhYmluZXQubXNzYW50ZS5leGFtcGxlAG1vdGRlcGFzc2U=")
        assert answer.startswith("235"), answer

    async def envelope(self, *recipients: str) -> None:
        """MAIL and RCPT of a transaction that the recording doors allow."""
        assert (await self.say("MAIL FROM:<alice@cabinet.mssante.example>")).startswith("250")
        for recipient in recipients or ("bob@b.mssante.example",):
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250")

    async def data(self, octets: bytes) -> str:
        """DATA with these octets, end mark included by the caller; returns the last answer."""
        assert (await self.say("DATA")).startswith("354")
        return await self.send(octets)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the world raises no event
            await asyncio.sleep(0.01)


def code_of(refusal: Refusal) -> str:
    """``code enhanced`` of a refusal."""
    return f"{refusal.code} {refusal.enhanced}"
