"""A mail client of one account: sends by submission, reads by IMAP, over TLS with the certificate verified.

It knows nothing of the gateway but what every client knows: host, ports, address, password.
"""

from __future__ import annotations

import imaplib
import re
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, compat32, default
from email.utils import make_msgid
from html import unescape
from threading import Event
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

from imapclient import imap_utf7

from gateway.demo.accounts import IMPLICIT_TLS, DemoAccount, Endpoint
from gateway.errors import GatewayError, NotAvailable
from teleexpertise.people import Document

__all__ = ["MailClient", "NotSeen", "Received", "fill", "mailto_link"]

_COMMAND_SECONDS = 30.0
_POLL_SECONDS = 0.1
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
_MAILTO = re.compile(r'href="(mailto:[^"]+)"')


class NotSeen(GatewayError):
    """What a client waited for did not come, or came otherwise than it had to."""


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as it lies in a folder: its octets, flags and keywords."""

    folder: str
    raw: bytes
    flags: frozenset[str]

    @property
    def mail(self) -> EmailMessage:
        """The mail as Python's own library reads it."""
        message = message_from_bytes(self.raw, policy=default)
        assert isinstance(message, EmailMessage), "the default policy makes these"
        return message

    def header(self, name: str) -> str:
        """A header field, '' where there is none."""
        return str(self.mail[name] or "")

    @property
    def sender(self) -> str:
        """The field From as people read it (the newer reader of the library splits long names by a space)."""
        field = message_from_bytes(self.raw, policy=compat32)["From"]
        return str(make_header(decode_header(str(field or ""))))

    @property
    def body(self) -> bytes:
        """The octets after the header."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def text(self) -> str:
        """The plain text part, '' without one."""
        part = self.mail.get_body(("plain",))
        return str(part.get_content()) if part is not None else ""

    @property
    def html(self) -> str:
        """The HTML part, '' without one."""
        part = self.mail.get_body(("html",))
        return str(part.get_content()) if part is not None else ""

    def attachments(self) -> Iterator[tuple[str, bytes]]:
        """File name and octets of each attachment; a signature is none."""
        for part in self.mail.walk():
            name = part.get_filename()
            if name and part.get_content_type() != "application/pkcs7-signature":
                content = part.get_payload(decode=True)
                yield name, content if isinstance(content, bytes) else b""


@dataclass(slots=True)
class MailClient:
    """One account in a client, its IMAP session open within ``with``; ``stopped`` ends all waiting."""

    account: DemoAccount
    imap: Endpoint
    smtp: Endpoint
    tls: ssl.SSLContext
    stopped: Event = field(default_factory=Event)
    _session: imaplib.IMAP4 | None = None

    def __enter__(self) -> MailClient:
        """Log in. Raises :class:`NotAvailable` where nobody answers, :class:`GatewayError` if refused."""
        where = f"IMAP {self.imap.host}:{self.imap.port}"
        try:
            session = self._connect()
        except (OSError, imaplib.IMAP4.error) as error:
            raise NotAvailable(f"the gateway does not answer ({where}: {error}); is it running?") from error
        try:
            session.login(self.account.address, self.account.password)
        except imaplib.IMAP4.error as error:
            session.shutdown()
            raise GatewayError(f"{where}: login of {self.account.address} refused") from error
        self._session = session
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.logout()
            except (OSError, imaplib.IMAP4.error):
                return  # the connection is gone, and with it the session

    def _connect(self) -> imaplib.IMAP4:
        host, port = self.imap.host, self.imap.port
        if self.imap.security == IMPLICIT_TLS:
            return imaplib.IMAP4_SSL(host, port, ssl_context=self.tls, timeout=_COMMAND_SECONDS)
        session = imaplib.IMAP4(host, port, timeout=_COMMAND_SECONDS)
        session.starttls(self.tls)
        return session

    @property
    def _open(self) -> imaplib.IMAP4:
        assert self._session is not None, "the client was entered"
        return self._session

    # -- writing ---

    def compose(self, to: str, subject: str, text: str, attachments: Sequence[Document] = ()) -> EmailMessage:
        """A new mail; ``to`` is a header value."""
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(self.account.name, addr_spec=self.account.address)
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = datetime.now(UTC)
        message["Message-ID"] = make_msgid(domain=self.account.address.rpartition("@")[2])
        message.set_content(text or "\n", cte="quoted-printable")
        for document in attachments:
            kind, _, subtype = document.content_type.partition("/")
            message.add_attachment(
                document.content, maintype=kind, subtype=subtype, filename=document.filename
            )
        return message

    def reply(self, received: Received, text: str, attachments: Sequence[Document] = ()) -> EmailMessage:
        """What the button "Répondre" makes: Reply-To (or From), the thread, the subject with "Re:"."""
        subject = received.header("Subject")
        message = self.compose(
            received.header("Reply-To") or received.header("From"),
            subject if subject.lower().startswith("re:") else f"Re: {subject}",
            text,
            attachments,
        )
        cited = received.header("Message-ID")
        message["In-Reply-To"] = cited
        message["References"] = f"{received.header('References')} {cited}".strip()
        return message

    def send(self, message: EmailMessage) -> bytes:
        """Send to whom the mail names; its octets come back. Raises :class:`NotSeen` if it is refused."""
        raw = message.as_bytes()
        to = [address.addr_spec for address in message["To"].addresses]
        try:
            with self._submission() as smtp:
                smtp.login(self.account.address, self.account.password)
                smtp.sendmail(self.account.address, to, raw)
        except smtplib.SMTPException as error:
            raise NotSeen(f"{self.account.address} could not send: {error}") from error
        except OSError as error:
            raise NotAvailable(f"SMTP {self.smtp.host}:{self.smtp.port}: {error}") from error
        return raw

    def _submission(self) -> smtplib.SMTP:
        host, port = self.smtp.host, self.smtp.port
        if self.smtp.security == IMPLICIT_TLS:
            return smtplib.SMTP_SSL(host, port, context=self.tls, timeout=_COMMAND_SECONDS)
        smtp = smtplib.SMTP(host, port, timeout=_COMMAND_SECONDS)
        smtp.starttls(context=self.tls)
        return smtp

    # -- reading ---

    def folders(self) -> list[str]:
        """The folders that the account has subscribed: those that a client shows."""
        _, lines = self._open.lsub()
        names = (line.rpartition(b' "/" ')[2].strip(b'"') for line in lines if isinstance(line, bytes))
        return [imap_utf7.decode(name) for name in names]

    def search(self, folder: str, header: str, value: str) -> list[Received]:
        """The mails of a folder with a header field that holds ``value``, the last one first."""
        try:
            status, _ = self._open.select(f'"{imap_utf7.encode(folder).decode("ascii")}"', readonly=True)
            if status != "OK":
                return []
            _, found = self._open.uid("SEARCH", "HEADER", header, f'"{value}"')
            numbers = [number.decode() for number in (found[0] or b"").split()]
            return [self._fetch(folder, number) for number in reversed(numbers)]
        except (OSError, imaplib.IMAP4.error) as error:
            raise NotSeen(f"{self.account.address} cannot read {folder}: {error}") from error

    def _fetch(self, folder: str, number: str) -> Received:
        _, answer = self._open.uid("FETCH", number, "(FLAGS BODY.PEEK[])")
        for item in answer:
            if isinstance(item, tuple):
                flags = _FLAGS.search(item[0])
                return Received(folder, item[1], frozenset(flags[1].decode().split() if flags else ()))
        raise NotSeen(f"{self.account.address}: a mail left {folder} while it was read")

    def wait(
        self,
        folder: str,
        header: str,
        value: str,
        matches: Callable[[Received], bool],
        *,
        what: str,
        seconds: float,
    ) -> Received:
        """The newest such mail, as soon as it is there. Raises :class:`NotSeen` after so many seconds."""
        return self.until(
            lambda: next(filter(matches, self.search(folder, header, value)), None),
            what=f"{what} ({folder})",
            seconds=seconds,
        )

    def until(self, look: Callable[[], Received | None], *, what: str, seconds: float) -> Received:
        """What ``look`` finds, as soon as it does. Raises :class:`NotSeen` after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            found = look()
            if found is not None:
                return found
            if time.monotonic() > end:
                raise NotSeen(f"{self.account.address} did not see within {seconds:.0f} s: {what}")
            if self.stopped.wait(_POLL_SECONDS):
                raise NotSeen("stopped")


def mailto_link(received: Received, subject_start: str) -> tuple[str, str]:
    """Address and subject of the first link that begins so (``RFC 6068``). Raises :class:`NotSeen`."""
    for match in _MAILTO.finditer(received.html):
        parts = urlsplit(unescape(match[1]))
        subject = parse_qs(parts.query).get("subject", [""])[0]
        if subject.startswith(subject_start):
            return unquote(parts.path), subject
    raise NotSeen(f"no link « {subject_start} » in « {received.header('Subject')} »")


def fill(form: str, answers: Sequence[tuple[str, str]]) -> str:
    """A quoted form with words written behind its labels, as somebody fills it in the reply window."""
    lines = []
    for line in form.splitlines():
        for label, words in answers:
            if line.startswith(label) and ":" in line:
                line = f"{line.partition(':')[0]}: {words}"
        lines += line.split("\n")
    return "".join(f"> {line}\n" for line in lines)
