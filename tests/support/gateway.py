"""A whole gateway for tests: real listeners, real Dovecot, in a thread of its own; clients that speak TLS."""

from __future__ import annotations

import asyncio
import imaplib
import re
import shutil
import smtplib
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path
from typing import Any, TypeVar

from imapclient import imap_utf7

from certs.tls import submission_client_context
from config import Settings, load
from gateway.bootstrap import open_services
from gateway.deployment import NewDeployment, make_deployment
from gateway.logins.passwords import password_hasher
from gateway.services import Services
from gateway.serving import Running, serve
from gateway.smtp.dialogue import ListenerKind
from gateway.store.rows import OutboxState
from tests.support import region
from tests.support.dovecot import free_port, require_dovecot

_Found = TypeVar("_Found")
DEADLINE = 30.0


def eventually(look: Callable[[], _Found | None], what: str, seconds: float = DEADLINE) -> _Found:
    """What ``look`` finds as soon as it is true; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not seen within {seconds:.0f} s: {what}")
        time.sleep(0.05)


@dataclass(slots=True)
class Folder:
    """What a client has read of one folder: as mails never change, only new ones are fetched."""

    validity: bytes = b""
    mails: dict[int, tuple[bytes, EmailMessage]] = field(default_factory=dict)
    flags: dict[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Client:
    """A mail client of one account: sends by submission, reads by IMAP, both over verified TLS.

    It keeps one session of each kind, as clients do, and what it has read; it belongs to one thread.
    """

    address: str
    name: str
    gateway: TestGateway
    password: str = region.PASSWORD
    _session: imaplib.IMAP4_SSL | None = None
    _outgoing: smtplib.SMTP | None = None
    _read: dict[str, Folder] = field(default_factory=dict)

    def send_bytes(self, raw: bytes, recipients: Sequence[str], mail_from: str | None = None) -> None:
        """Send octets as they are. Raises ``smtplib.SMTPException`` with the server's answer."""
        self._submission().sendmail(self.address if mail_from is None else mail_from, list(recipients), raw)

    def _submission(self) -> smtplib.SMTP:
        """The open submission session, or a new one where there is none or it was ended."""
        with suppress(smtplib.SMTPException, OSError):
            if self._outgoing is not None and self._outgoing.noop()[0] == 250:
                return self._outgoing
        if self._outgoing is not None:
            self._outgoing.close()
        session = smtplib.SMTP("localhost", self.gateway.submission_port, timeout=30)
        try:
            session.starttls(context=self.gateway.tls)
            session.login(self.address, self.password)
        except BaseException:  # one that nobody is logged in to is of no use to the next mail
            session.close()
            raise
        self._outgoing = session
        return session

    def compose(self, to: str, subject: str, text: str = "", *, cc: str = "") -> EmailMessage:
        """A new mail as a client writes it."""
        message = EmailMessage(policy=SMTP)
        message["From"] = f"{self.name} <{self.address}>" if self.name.isascii() else self.address
        message["To"] = to
        if cc:
            message["Cc"] = cc
        message["Subject"] = subject
        message["Date"] = datetime.now(UTC)
        message["Message-ID"] = f"<{time.monotonic_ns():x}.{threading.get_ident():x}@client.example>"
        message.set_content(text or "\r\n")
        return message

    def send(self, message: EmailMessage, recipients: Iterable[str] = ()) -> EmailMessage:
        """Send a mail to those it names, or to ``recipients``."""
        wanted = list(recipients) or [
            address.addr_spec for name in ("to", "cc") if message[name] for address in message[name].addresses
        ]
        self.send_bytes(message.as_bytes(), wanted)
        return message

    def reply(self, received: EmailMessage, text: str, *, everybody: bool = False) -> EmailMessage:
        """A reply as plain clients make it: Reply-To (or From), References, quoted text below."""
        to = received["reply-to"] or received["from"]
        cc = ""
        if everybody:
            others = [
                address.addr_spec
                for name in ("to", "cc")
                if received[name]
                for address in received[name].addresses
                if address.addr_spec != self.address
            ]
            cc = ", ".join(dict.fromkeys(others))
        subject = str(received["subject"])
        message = self.compose(
            str(to), subject if subject.lower().startswith("re:") else f"Re: {subject}", text, cc=cc
        )
        message["In-Reply-To"] = str(received["message-id"])
        known = str(received["references"] or "")
        message["References"] = f"{known} {received['message-id']}".strip()
        return message

    @contextmanager
    def imap(self) -> Iterator[imaplib.IMAP4_SSL]:
        """A session over implicit TLS."""
        connection = imaplib.IMAP4_SSL("localhost", self.gateway.imaps_port, ssl_context=self.gateway.tls)
        try:
            connection.login(self.address, self.password)
            yield connection
        finally:
            connection.logout()

    def close(self) -> None:
        """End the sessions."""
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is not None:
            with suppress(smtplib.SMTPException, OSError):
                outgoing.quit()
            outgoing.close()
        session, self._session = self._session, None
        if session is not None:
            with suppress(imaplib.IMAP4.error, OSError):
                session.logout()
            with suppress(OSError):  # logout of a session that was ended leaves its socket open
                session.shutdown()

    def _sync(self, folder: str) -> Folder:
        """The folder as it is now; empty for one that is not there. A broken session is opened again once."""
        try:
            return self._fetch(self._opened(), folder)
        except (imaplib.IMAP4.abort, OSError):
            self.close()
            return self._fetch(self._opened(), folder)

    def _opened(self) -> imaplib.IMAP4_SSL:
        if self._session is None:
            session = imaplib.IMAP4_SSL("localhost", self.gateway.imaps_port, ssl_context=self.gateway.tls)
            self._session = session
            session.login(self.address, self.password)
        return self._session

    def _fetch(self, session: imaplib.IMAP4_SSL, folder: str) -> Folder:
        wire = imap_utf7.encode(folder).decode("ascii")
        status, count = session.select(f'"{wire}"', readonly=True)
        if status != "OK" or not int(count[0] or b"0"):
            return Folder()
        validity = session.response("UIDVALIDITY")[1][0] or b""
        known = self._read.setdefault(folder, Folder())
        if known.validity != validity:
            known = self._read[folder] = Folder(validity)
        _, answer = session.uid("FETCH", "1:*", "(FLAGS)")
        known.flags = {}
        for line in filter(None, answer):
            uid, flags = re.search(rb"UID (\d+)", line), re.search(rb"FLAGS \(([^)]*)\)", line)
            if uid and flags:  # changes that others make meanwhile are told without UID
                known.flags[int(uid[1])] = tuple(flags[1].decode().split())
        new = [str(uid) for uid in known.flags if uid not in known.mails]
        if new:
            _, answer = session.uid("FETCH", ",".join(new), "(BODY.PEEK[])")
            for item in answer:
                if isinstance(item, tuple):
                    uid = re.search(rb"UID (\d+)", item[0])
                    assert uid is not None
                    known.mails[int(uid[1])] = (item[1], read(item[1]))
        return known

    def raw_mails(self, folder: str = "INBOX") -> list[tuple[bytes, tuple[str, ...]]]:
        """All mails of a folder as (octets, flags), oldest first; none for a folder that is not there."""
        found = self._sync(folder)
        return [(found.mails[uid][0], flags) for uid, flags in sorted(found.flags.items())]

    def mails(self, folder: str = "INBOX") -> list[EmailMessage]:
        """All mails of a folder, read."""
        found = self._sync(folder)
        return [found.mails[uid][1] for uid in sorted(found.flags)]

    def wait(self, matches: Callable[[EmailMessage], bool] | str, folder: str = "INBOX") -> EmailMessage:
        """The newest mail that matches (a text: its subject contains it), as soon as it is there."""
        test = (lambda mail: matches in str(mail["subject"])) if isinstance(matches, str) else matches

        def look() -> EmailMessage | None:
            return next((mail for mail in reversed(self.mails(folder)) if test(mail)), None)

        return eventually(look, f"{matches!r} in {folder} of {self.address}")

    def answer_to(self, sent: EmailMessage) -> EmailMessage:
        """The service's answer to a mail of ours, as soon as it is in INBOX."""
        wanted = str(sent["message-id"])
        return self.wait(lambda mail: str(mail["in-reply-to"] or "").strip() == wanted)

    def ask_service(self, subject: str) -> EmailMessage:
        """Send a command to the service and wait for its answer."""
        return self.answer_to(self.send(self.compose(self.gateway.service, subject)))

    def folders(self) -> list[str]:
        """Names of all subscribed folders."""
        with self.imap() as connection:
            _, answer = connection.lsub()
            return [imap_utf7.decode(line.rpartition(b' "/" ')[2].strip(b'"')) for line in answer if line]


def read(raw: bytes) -> EmailMessage:
    """Octets as a mail object of Python's own library: another reader than ours."""
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def refusal_text(error: smtplib.SMTPException) -> str:
    """What the server said, on one line with its codes: ``550 5.7.1 ...``."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        (code, text), *_ = error.recipients.values()
    else:
        assert isinstance(error, smtplib.SMTPResponseException)
        code, text = error.smtp_code, _octets(error.smtp_error)
    return f"{code} " + " ".join(text.decode("utf-8", "replace").split())


def _octets(answer: bytes | str) -> bytes:
    return answer if isinstance(answer, bytes) else answer.encode()


def octets_after_header(raw: bytes) -> bytes:
    """The body of a mail, octet for octet."""
    return raw.partition(b"\r\n\r\n")[2]


def html_of(mail: EmailMessage) -> str:
    """The HTML part."""
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


def text_of(mail: EmailMessage) -> str:
    """The plain text part, its lines ending with LF."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def words_of(mail: EmailMessage) -> str:
    """The plain text part on one line, every blank a plain space: for sentences that may be wrapped."""
    return " ".join(text_of(mail).split())


@dataclass(slots=True)
class TestGateway:
    """A gateway under test. ``settings`` name its files; ports were free when it was made."""

    __test__ = False
    settings: Settings
    tls: ssl.SSLContext
    running: Running | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _stop: asyncio.Event | None = None
    _failure: list[BaseException] = field(default_factory=list)
    _clients: dict[tuple[str, str], Client] = field(default_factory=dict)

    @property
    def submission_port(self) -> int:
        """Submission with STARTTLS."""
        return self._ports[ListenerKind.SUBMISSION]

    @property
    def submissions_port(self) -> int:
        """Submission with implicit TLS."""
        return self._ports[ListenerKind.SUBMISSIONS]

    @property
    def mx_port(self) -> int:
        """Mail of other operators."""
        return self._ports[ListenerKind.MX]

    @property
    def imaps_port(self) -> int:
        """IMAP with implicit TLS."""
        return self.settings.imap.tls_port

    @property
    def _ports(self) -> Mapping[ListenerKind, int]:
        assert self.running is not None
        return self.running.ports

    @property
    def services(self) -> Services:
        """The parts of the running gateway."""
        assert self.running is not None
        return self.running.services

    @property
    def service(self) -> str:
        """The service address."""
        return self.settings.service_address

    def client(self, account: Any, password: str = region.PASSWORD) -> Client:
        """The mail client of an account; the same one each time, so that it reads no mail twice."""
        key = (account.address, password)
        if key not in self._clients:
            self._clients[key] = Client(account.address, account.name, self, password)
        return self._clients[key]

    def settled(self) -> None:
        """Wait until what was accepted has had its consequences: then what is not there will not come."""

        async def waiting(services: Services) -> int:
            async with services.store.reading() as tx:
                rows = await tx.outbox.list([OutboxState.PENDING], limit=1)
            return len(rows)

        eventually(lambda: not self.ask(waiting), "an empty queue")

    def ask(self, work: Callable[[Services], Any]) -> Any:
        """Run a coroutine function on the gateway's own loop and return its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work(self.services), self._loop).result(60)

    def start(self) -> None:
        """Start all and return when it serves. Raises what starting raised."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(60)
        if self._failure:
            raise self._failure[0]
        assert self.running is not None, "the gateway did not start"

    def _run(self, started: threading.Event) -> None:
        async def whole() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            async with serve(self.settings) as running:
                self.running = running
                started.set()
                await self._stop.wait()

        try:
            asyncio.run(whole())
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._failure.append(error)
        finally:
            started.set()

    def stop(self) -> None:
        """Stop all; raises what made it fail meanwhile."""
        for client in self._clients.values():
            client.close()
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(60)
        self.running = None
        if self._failure:
            raise self._failure[0]


async def _fill(settings: Settings) -> None:
    hash_ = password_hasher().hash(region.PASSWORD)
    async with open_services(settings) as services, services.store.transaction() as tx:
        now = services.clock()
        for account in region.ACCOUNTS:
            await tx.accounts.add(account, hash_, now)
        for expert in region.EXPERTS:
            await tx.experts.put(expert)
        for principal, delegate in region.DELEGATIONS:
            await tx.delegations.grant(principal, delegate, now)


def made_deployment(
    folder: Path, extra_toml: str = "", *, fixed_ports: bool = False, documents_toml: str = ""
) -> Settings:
    """A deployment of the test region on free ports, its settings file ending with ``extra_toml``;
    ``documents_toml`` goes into the section of documents.

    With ``fixed_ports`` the listeners' ports are chosen now, for a gateway in a process of its own.
    """
    ports = (
        ("smtp", "mx_port", free_port() if fixed_ports else 0),
        ("smtp", "submission_port", free_port() if fixed_ports else 0),
        ("smtp", "submissions_port", free_port() if fixed_ports else 0),
        ("imap", "starttls_port", free_port()),
        ("imap", "tls_port", free_port()),
        ("dkim", "dns", False),  # no test asks the network
    )
    new = NewDeployment(
        folder=folder,
        domain=region.DOMAIN,
        organisation="Téléexpertise d'essai",
        finess="430000018",
        practice_setting="ETABLISSEMENT",
        facility_type="SA01",
        ports=ports,
    )
    settings = make_deployment(new, datetime.now(UTC))
    if extra_toml or documents_toml:
        path = folder / "gateway.toml"
        text = path.read_text("utf-8").replace("[documents]\n", f"[documents]\n{documents_toml}\n")
        path.write_text(text + extra_toml, "utf-8")
        settings = load(path)
    asyncio.run(_fill(settings))
    return settings


@contextmanager
def gateway(extra_toml: str = "", documents_toml: str = "") -> Iterator[TestGateway]:
    """A served gateway of the test region in a folder of its own, gone afterwards."""
    require_dovecot()
    folder = Path(tempfile.mkdtemp(prefix="tle-test-"))
    folder.chmod(0o755)  # Dovecot's own account must get through
    try:
        settings = made_deployment(folder / "var", extra_toml, documents_toml=documents_toml)
        made = TestGateway(settings, submission_client_context(settings.pki.anchors))
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
