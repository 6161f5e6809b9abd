"""The commands of the doors: their meaning, order and honest answers (RFC 5321 §4.1, RFC 4954, RFC 3461)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from aiosmtpd.smtp import TLSSetupException

from certs.tls import peer_chain
from gateway.intake.rawmail import wire_fault
from gateway.smtp.bearer import (
    BearerMessage,
    read_oauthbearer,
    read_xoauth2,
    refused_oauthbearer,
    refused_xoauth2,
)
from gateway.smtp.commands import MailCommand, decode_sasl, read_hello, read_mail, read_plain, read_rcpt
from gateway.smtp.connection import Connection, Farewell
from gateway.smtp.envelope import GATEWAY_EXTENSION, Envelope, Peer, PeerKind, RecipientOptions
from gateway.smtp.handshake import handshake_reason
from gateway.smtp.inflight import Lease
from gateway.smtp.lobby import Lobby
from gateway.smtp.payload import read_payload
from gateway.smtp.refusals import (
    AuthenticationFailed,
    BadSequence,
    BadSyntax,
    ContentRefused,
    DialogueEnded,
    NotImplementedHere,
    SecurityRequired,
    TooManyRecipients,
)

__all__ = ["PASSWORDS", "Dialogue", "ListenerKind", "Mechanism"]

_COMMAND_LIMITS = {"MAIL": 2048, "RCPT": 2048, "AUTH": 12288}
"""512 octets (RFC 5321 §4.5.3.1.4) and room for what the extensions add (RFC 3461 §4, RFC 4954 §4)."""
_COMMAND_LIMIT = 512
_BEFORE_TLS = frozenset({"EHLO", "HELO", "NOOP", "QUIT", "RSET", "STARTTLS"})


class ListenerKind(StrEnum):
    """The ways in: other operators; users by STARTTLS; users by implicit TLS (RFC 8314 §3.3); applications by
    implicit TLS with a client certificate.
    """

    MX = "mx"
    SUBMISSION = "submission"
    SUBMISSIONS = "submissions"
    MACHINES = "machines"

    @property
    def implicit(self) -> bool:
        """Whether TLS stands from the first octet."""
        return self in (ListenerKind.SUBMISSIONS, ListenerKind.MACHINES)

    @property
    def asks_certificate(self) -> bool:
        """Whether a connection without a client certificate under our anchors is refused by TLS."""
        return self in (ListenerKind.MX, ListenerKind.MACHINES)


class Mechanism(StrEnum):
    """The ways to log in (RFC 4616, RFC 7628, RFC 4422 appendix A)."""

    PLAIN = "PLAIN"
    LOGIN = "LOGIN"
    XOAUTH2 = "XOAUTH2"
    OAUTHBEARER = "OAUTHBEARER"
    EXTERNAL = "EXTERNAL"


#: What each bearer mechanism reads, and says of a refused token.
_BEARERS: Mapping[Mechanism, tuple[Callable[[str], BearerMessage], Callable[[], str]]] = MappingProxyType(
    {
        Mechanism.XOAUTH2: (read_xoauth2, refused_xoauth2),
        Mechanism.OAUTHBEARER: (read_oauthbearer, refused_oauthbearer),
    }
)


PASSWORDS = (Mechanism.PLAIN, Mechanism.LOGIN)
"""How users log in where nothing else is offered."""


@dataclass(slots=True)
class _Transaction:
    """What MAIL and RCPT have said since the last reset."""

    mail: MailCommand | None = None
    recipients: dict[str, RecipientOptions] = field(default_factory=dict)


class Dialogue(Connection):
    """The dialogue of one client on one listener; made by the server for each connection."""

    def __init__(
        self,
        lobby: Lobby,
        kind: ListenerKind,
        tls: ssl.SSLContext,
        mechanisms: Sequence[Mechanism] = PASSWORDS,
    ) -> None:
        self._kind = kind
        self._mechanisms = tuple(mechanisms)
        self._transaction = _Transaction()
        self._hello = self._login = ""
        self._login_ends: datetime | None = None
        super().__init__(lobby, None if kind.implicit else tls)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection begins, or begins again under TLS: then nobody has greeted or logged in."""
        self._hello = self._login = ""
        self._login_ends = None
        super().connection_made(transport)

    def _set_rset_state(self) -> None:
        super()._set_rset_state()  # type: ignore[no-untyped-call]  # aiosmtpd types only part of itself
        self._transaction = _Transaction()

    def _peer(self) -> Peer:
        """The other end as it is known now."""
        ssl_object = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        cipher = ssl_object.cipher() if ssl_object else None
        return Peer(
            kind=PeerKind.OPERATOR if self._kind is ListenerKind.MX else PeerKind.USER,
            ip=self.ip,
            helo=self._hello,
            tls_version=(ssl_object.version() or "") if ssl_object else "",
            tls_cipher=cipher[0] if cipher else "",
            login=self._login,
            certificate=ssl_object.getpeercert(binary_form=True) if ssl_object else None,
            chain=peer_chain(ssl_object) if self._kind.asks_certificate else (),
        )

    async def obey(self, line: bytes) -> None:
        """Carry out one command line (RFC 5321 §4.1.1)."""
        word, _, rest = line.partition(b" ")
        command = word.decode("ascii", "replace").upper()
        if len(line) + 2 > _COMMAND_LIMITS.get(command, _COMMAND_LIMIT):
            raise BadSyntax("Line too long", code=500, enhanced="5.5.2")
        if not self.secured and command not in _BEFORE_TLS:
            if command == "MAIL":
                await self._note("mail without tls")
            raise SecurityRequired
        method = self._smtp_methods.get(command)
        if method is None:
            raise BadSyntax("Command not recognized", code=500, enhanced="5.5.2")
        try:
            argument = rest.strip(b" ").decode("ascii")
        except UnicodeDecodeError:
            raise BadSyntax("Only ASCII is accepted", enhanced="5.5.2") from None
        await method(argument)

    async def smtp_HELO(self, argument: str) -> None:
        """HELO: no extensions (RFC 5321 §4.1.1.1)."""
        await self._greet(argument, self.hostname)

    async def smtp_EHLO(self, argument: str) -> None:
        """EHLO: the extensions that hold at this moment."""
        offers = [self.hostname, "PIPELINING", f"SIZE {self.lobby.limits.max_message_bytes}"]
        if self.tls_context is not None and not self.secured:
            offers.append("STARTTLS")
        if self._kind is not ListenerKind.MX and self.secured:
            offers.append(" ".join(("AUTH", *self._mechanisms)))
        if self._kind is ListenerKind.MX and self.secured and self.lobby.doors.announced():
            # A private extension (RFC 5321 §2.2.2) without commands: whom another gateway may tell of states.
            offers.append(f"{GATEWAY_EXTENSION} {self.lobby.doors.announced()}")
        await self._greet(argument, "\n".join([*offers, "ENHANCEDSTATUSCODES", "8BITMIME", "DSN"]))

    async def _greet(self, name: str, answer: str) -> None:
        if not name:
            raise BadSyntax
        self._set_rset_state()
        self._hello = read_hello(name)
        await self.say(250, "", answer)

    async def smtp_STARTTLS(self, argument: str) -> None:
        """STARTTLS once (RFC 3207 §4.2)."""
        if argument:
            raise BadSyntax
        if self.secured or self.tls_context is None:
            raise BadSequence("Already under TLS")
        try:
            await self.begin_tls(self.tls_context)
        except TLSSetupException as failed:
            await self._note(f"tls: {handshake_reason(failed.__cause__)}")
            raise

    async def _note(self, reason: str) -> None:
        """Let the doors know of an operator that could not even begin; clients of users that fail are no
        news.
        """
        if self._kind is ListenerKind.MX:
            await self.lobby.note(self._peer(), reason)

    async def smtp_AUTH(self, argument: str) -> None:
        """AUTH by one of the mechanisms of this listener, for users under TLS (RFC 4954)."""
        if self._kind is ListenerKind.MX:
            raise NotImplementedHere
        if self._login or self._transaction.mail is not None or not self._hello:
            raise BadSequence
        name, _, initial = argument.partition(" ")
        mechanism = next((one for one in self._mechanisms if one == name.upper()), None)
        if mechanism is None:
            raise BadSyntax("Unrecognized authentication type", code=504)
        try:
            account = await self._exchange(mechanism, initial)
            if account is None:
                raise AuthenticationFailed
        except AuthenticationFailed:
            self.auth_failures += 1
            raise
        self._login = account
        await self.say(235, "2.7.0", "Authentication successful")

    async def _exchange(self, mechanism: Mechanism, initial: str) -> str | None:
        """Carry out one exchange; the account that it opens, ``None`` where it opens none."""
        doors = self.lobby.doors
        if mechanism in _BEARERS:
            return await self._bearer(mechanism, initial)
        if mechanism is Mechanism.EXTERNAL:
            wanted = await self._sasl(initial, "")
            return await self.lobby.ask(doors.authenticate_certificate(wanted, self._peer()))
        if mechanism is Mechanism.PLAIN:
            login, password = read_plain(await self._sasl(initial, ""))
        else:
            login = await self._sasl(initial, "VXNlcm5hbWU6")
            password = await self._sasl("", "UGFzc3dvcmQ6")
        return await self.lobby.ask(doors.authenticate(login, password, self._peer()))

    async def _bearer(self, mechanism: Mechanism, initial: str) -> str | None:
        """XOAUTH2 or OAUTHBEARER: a refused token is told in a challenge, which the client answers before it
        gets its 535 (RFC 7628 §3.2.3).
        """
        read, refusal = _BEARERS[mechanism]
        message = read(await self._sasl(initial, ""))
        doors = self.lobby.doors
        opened = await self.lobby.ask(doors.authenticate_token(message.token, message.wanted, self._peer()))
        if opened is None:
            await self.say(334, "", refusal())
            await self.line()  # empty, or AQ==, or *: the end is the same
            return None
        self._login_ends = opened.until
        return opened.account

    async def _sasl(self, initial: str, challenge: str) -> str:
        """The text in the initial response, or in the answer to a challenge given in base64."""
        if initial:
            return "" if initial == "=" else decode_sasl(initial.encode("ascii"))
        await self.say(334, "", challenge)
        line = await self.line()
        if line == b"*":
            raise BadSyntax("Authentication cancelled", enhanced="5.7.0")
        return decode_sasl(line)

    async def smtp_MAIL(self, argument: str) -> None:
        """MAIL FROM with SIZE, BODY, RET and ENVID."""
        if self._kind is not ListenerKind.MX and not self._login:
            raise SecurityRequired("Authentication required")
        if self._login_ends is not None and self._login_ends <= self.lobby.now():
            raise DialogueEnded("The token has ended, log in again", enhanced="4.7.0")
        if not self._hello:
            raise BadSequence("Send EHLO first")
        if self._transaction.mail is not None:
            raise BadSequence("Nested MAIL command")
        mail = read_mail(argument, self.lobby.limits.max_message_bytes)
        await self.lobby.ask(self.lobby.doors.check_sender(self._peer(), mail.address, mail.size))
        self._transaction.mail = mail
        await self.say(250, "2.1.0", "Sender OK")

    async def smtp_RCPT(self, argument: str) -> None:
        """RCPT TO with NOTIFY and ORCPT; an address given twice counts once."""
        transaction = self._transaction
        if transaction.mail is None:
            raise BadSequence("Send MAIL first")
        recipient = read_rcpt(argument)
        if recipient.address not in transaction.recipients:
            if len(transaction.recipients) >= self.lobby.limits.max_recipients:
                raise TooManyRecipients
            await self.lobby.ask(
                self.lobby.doors.check_recipient(self._peer(), transaction.mail.address, recipient.address)
            )
            transaction.recipients[recipient.address] = recipient.options
        await self.say(250, "2.1.5", "Recipient OK")

    async def smtp_DATA(self, argument: str) -> None:
        """DATA: read to CRLF.CRLF, refuse what is unsafe on any wire, commit, and only then 250."""
        transaction = self._transaction
        if argument:
            raise BadSyntax
        if transaction.mail is None or not transaction.recipients:
            raise BadSequence("Send MAIL and RCPT first")
        await self.lobby.ask(self.lobby.doors.check_data(self._peer(), transaction.mail.address))
        lease = self.lobby.inflight.lease(self._login or self.ip, transaction.mail.size)
        try:
            raw = await self._receive(lease)
            fault = wire_fault(raw, self.lobby.limits.max_header_bytes)
            if fault is not None:
                raise ContentRefused(fault)
            envelope = self._envelope(transaction.mail, transaction.recipients)
        except BaseException:
            lease.end()
            raise
        self.hold_timer()
        text = await self.lobby.commit(envelope, raw, lease)
        self.errors = 0
        await self.say(250, "2.0.0", text)

    def _envelope(self, mail: MailCommand, recipients: Mapping[str, RecipientOptions]) -> Envelope:
        return Envelope(
            queue_id=self.lobby.new_queue_id(),
            peer=self._peer(),
            mail_from=mail.address,
            recipients=tuple(recipients),
            received_at=self.lobby.now(),
            body=mail.body,
            dsn=mail.dsn,
            options=tuple(recipients.values()),
        )

    async def _receive(self, lease: Lease) -> bytes:
        limits = self.lobby.limits
        self.receiving = True
        try:
            async with asyncio.timeout(limits.data_seconds):
                return await read_payload(self._reader, self._begin_data, limits.max_message_bytes, lease)
        except TimeoutError:
            raise DialogueEnded("DATA took too long", enhanced="4.4.2") from None
        finally:
            self.receiving = False
            self._transaction = _Transaction()

    async def _begin_data(self) -> None:
        await self.say(354, "", "End data with <CR><LF>.<CR><LF>")

    async def smtp_RSET(self, argument: str) -> None:
        """RSET: forget the transaction."""
        self._set_rset_state()
        await self.say(250, "2.0.0", "OK")

    async def smtp_NOOP(self, argument: str) -> None:
        """NOOP."""
        await self.say(250, "2.0.0", "OK")

    async def smtp_QUIT(self, argument: str) -> None:
        """QUIT: nothing pipelined behind it runs."""
        await self.say(221, "2.0.0", "Bye")
        raise Farewell

    async def smtp_VRFY(self, argument: str) -> None:
        """VRFY tells nothing (RFC 5321 §7.3)."""
        await self.say(252, "2.5.0", "Cannot verify, but will attempt delivery")

    async def smtp_HELP(self, argument: str) -> None:
        """HELP."""
        await self.say(214, "2.0.0", "See RFC 5321")

    async def smtp_EXPN(self, argument: str) -> None:
        """EXPN is not offered."""
        raise NotImplementedHere
