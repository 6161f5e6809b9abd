"""A real Dovecot on free ports with throw-away mails and certificates, for integration tests.

Run by root, Dovecot drops to its own account, which must be able to reach the mails: hence directories of our
own in place of pytest's, which only root may enter. Run by anybody else, it runs as that person; nothing
differs otherwise.
"""

import asyncio
import imaplib
import itertools
import os
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailboxes.connection import ImapAccess
from mailboxes.dovecot.installation import find_installation
from mailboxes.dovecot.logins import MailboxLogin, write_logins
from mailboxes.dovecot.server import DovecotServer
from mailboxes.dovecot.settings import DovecotSettings
from mailboxes.errors import MailboxError
from mailboxes.filing import Filing

_LOWEST_PORT, _PORTS = 20_000, 12_000
_STEPS = itertools.count(os.getpid() * 1009 % _PORTS, 7)

PASSWORD = "mot de passe, avec accents: é"
"""Password of every test account: the quoting of LOGIN is tested by the way."""

HASHER = PasswordHasher(memory_cost=8192, time_cost=1, parallelism=1)
"""Cheap, as the tests log in often; one test uses the library's defaults."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Settings of a server that can be started, and the authority its certificate comes from."""

    settings: DovecotSettings
    authority: Path

    @property
    def client_tls(self) -> ssl.SSLContext:
        """A client's context that verifies the server."""
        return ssl.create_default_context(cafile=str(self.authority))

    def imap(self) -> imaplib.IMAP4_SSL:
        """Connect by implicit TLS, without login."""
        return imaplib.IMAP4_SSL(
            self.settings.bind, self.settings.tls_port, ssl_context=self.client_tls, timeout=15
        )

    def admits(self, address: str) -> bool:
        """Tell whether the account can log in with `PASSWORD`."""
        try:
            with self.imap_of(address):
                return True
        except imaplib.IMAP4.error:
            return False

    def imap_of(self, address: str) -> imaplib.IMAP4_SSL:
        """Connect and log in with `PASSWORD`."""
        client = self.imap()
        # not login(): imaplib would send the password as ASCII
        try:
            client.authenticate("PLAIN", lambda _: f"\0{address}\0{PASSWORD}".encode())
        except imaplib.IMAP4.error:
            client.shutdown()
            raise
        return client


@dataclass(frozen=True, slots=True)
class Running:
    """A deployment that is being served."""

    deployment: Deployment
    server: DovecotServer

    def filing(self, timeout: float = 20.0) -> Filing:
        """Return a client of the server with the master user."""
        settings, server = self.deployment.settings, self.server
        return Filing(
            ImapAccess(
                settings.bind,
                settings.tls_port,
                lambda: self.deployment.client_tls,
                server.master_user,
                server.master_password,
                timeout,
            )
        )


def free_port() -> int:
    """Return a port that is free on both loopback addresses that a server uses.

    Below the range from which systems give ports to connections, and each process goes its own way through
    it: nobody takes the port between this look and the server's start.
    """
    while True:
        port = _LOWEST_PORT + next(_STEPS) % _PORTS
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.2", port))
            except OSError:
                continue
            return port


def require_dovecot() -> None:
    """Skip where Dovecot is not installed, wherever the search path of commands leads."""
    try:
        find_installation(managesieve=True)
    except MailboxError as missing:
        pytest.skip(str(missing))


@contextmanager
def deployment(**changes: object) -> Iterator[Deployment]:
    """Make a deployment in a directory of its own; skip the test where Dovecot is not installed."""
    require_dovecot()
    root = Path(tempfile.mkdtemp(prefix="tle-test-"))
    try:
        root.chmod(0o755)
        _write_certificates(root)
        settings = DovecotSettings(
            home=root / "mails",
            certificate=root / "server.pem",
            key=root / "server.key",
            hostname="mail.hopital.mssante.example",
            starttls_port=free_port(),
            tls_port=free_port(),
            managesieve_port=free_port(),
        )
        yield Deployment(replace(settings, **changes), root / "authority.pem")  # type: ignore[arg-type]
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def served(made: Deployment, *logins: MailboxLogin) -> Iterator[Running]:
    """Serve the mailboxes from a thread, so that blocking clients can be used beside asyncio ones."""
    write_logins(made.settings, logins)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="dovecot-supervisor")
    thread.start()

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    server = DovecotServer(made.settings)
    try:
        run(server.start())
        watching = asyncio.run_coroutine_threadsafe(server.watch(), loop)
        try:
            yield Running(made, server)
        finally:
            run(server.stop())
            watching.result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def eventually(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    """Return as soon as the condition holds; AssertionError when it does not in that time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def login(address: str, *, active: bool = True) -> MailboxLogin:
    """Return a mailbox with `PASSWORD`."""
    return MailboxLogin(address, HASHER.hash(PASSWORD), active)


def _write_certificates(root: Path) -> None:
    """Write an authority and a server certificate of it for 127.0.0.1 and localhost."""
    now = datetime.now(UTC)
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])

    def builder(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(authority_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
        )

    authority = (
        builder(authority_name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    server = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), server_key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    (root / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (root / "server.pem").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    (root / "server.key").write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
