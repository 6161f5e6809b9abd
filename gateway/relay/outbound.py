"""One message to one recipient at another operator, over TLS with both certificates, or not at all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPTimeoutError

from certs.tls import peer_chain
from gateway.intake.rawmail import wire_fault
from gateway.relay.failure import OwnWords, RelayFailed
from gateway.relay.routes import Routes, Target
from gateway.smtp.envelope import GATEWAY_EXTENSION, DsnOptions, RecipientOptions
from gateway.smtp.handshake import handshake_reason
from gateway.smtp.xtext import encode_xtext

__all__ = ["CheckDomain", "Relay", "RelayTimes", "VerifyPeer"]

VerifyPeer = Callable[[bytes, tuple[bytes, ...], str], Awaitable[str | None]]
"""``verify_peer(DER certificate of the host, those above it, recipient domain)``: why it must not get the
mail, ``None`` if it may.
"""
CheckDomain = Callable[[str], None]
"""``check_domain(recipient domain)`` raises ``RelayFailed`` where nobody may get mail for it, whatever its
certificate: asked before any host is looked up.
"""

_TLS_VERSIONS = ("TLSv1.2", "TLSv1.3")


@dataclass(frozen=True, slots=True)
class RelayTimes:
    """Time limits in seconds: one command, the transfer with its answer (RFC 5321 §4.5.3.2), one host
    in all.
    """

    command: float = 60.0
    data: float = 600.0
    host: float = 900.0


class _HostUnusable(Exception):
    def __init__(self, failure: RelayFailed) -> None:
        self.failure = failure
        super().__init__()


class Relay:
    """Sends to foreign operators. ``tls`` gives the client context of a connection that begins now, with
    our certificate and the trusted authorities.

    ``hostname`` is what EHLO says. Nothing is kept between messages, so one relay serves all workers of a
    loop.
    """

    def __init__(
        self,
        routes: Routes,
        tls: Callable[[], ssl.SSLContext],
        verify_peer: VerifyPeer,
        hostname: str,
        times: RelayTimes | None = None,
        check_domain: CheckDomain | None = None,
    ) -> None:
        self._routes = routes
        self._tls = tls
        self._verify_peer = verify_peer
        self._hostname = hostname
        self._times = times or RelayTimes()
        self._check_domain = check_domain

    async def send(
        self,
        mail_from: str,
        recipient: str,
        raw: bytes,
        dsn: DsnOptions | None = None,
        options: RecipientOptions | None = None,
    ) -> str:
        """Deliver ``raw`` octet for octet to the host of the recipient; return once it has taken
        responsibility: the service address in the recipient's domain that it announced, '' for no gateway.

        ``mail_from`` is '' for a null sender. DSN wishes are passed on where the host offers DSN. Raises
        ``RelayFailed``: hosts that cannot be used (no TLS, wrong certificate, no connection) are passing
        failures, since the operator may repair them.
        """
        if not (mail_from + recipient).isascii() or not (mail_from + recipient).isprintable():
            raise RelayFailed(553, "5.6.7", "Address needs SMTPUTF8, which is not offered")
        _, at, domain = recipient.lower().rpartition("@")
        if not at or not domain or domain.startswith("["):
            raise RelayFailed(550, "5.1.2", "Recipient address without usable domain")
        fault = wire_fault(raw)
        if fault is not None:
            raise RelayFailed(554, fault.enhanced, fault.text)
        if self._check_domain is not None:
            self._check_domain(domain)
        message = _Message(
            mail_from, recipient, domain, raw, dsn or DsnOptions(), options or RecipientOptions()
        )
        failure: RelayFailed | None = None
        for target in await self._routes.targets(domain):
            try:
                return await self._attempt(target, message)
            except _HostUnusable as unusable:
                failure = unusable.failure
        raise failure or RelayFailed(451, "4.4.4", "No host for domain")

    async def _attempt(self, target: Target, message: _Message) -> str:
        client = SMTP(
            hostname=target.host,
            port=target.port,
            local_hostname=self._hostname,
            timeout=self._times.command,
            start_tls=False,  # done step by step, so that the certificate is judged before MAIL
            tls_context=self._tls(),
        )
        try:
            async with asyncio.timeout(self._times.host):
                await self._prepare(client, target, message)
                announced = _announced(client, message.domain)
                await self._transfer(client, target, message)
            with suppress(SMTPException, OSError):
                await client.quit()  # the host has the message: how it says goodbye changes nothing
            return announced
        except TimeoutError:
            raise RelayFailed(451, "4.4.2", "Host took too long", target.host) from None
        finally:
            client.close()

    async def _prepare(self, client: SMTP, target: Target, message: _Message) -> None:
        """Connect, protect, and look who it is. Raises ``_HostUnusable``."""
        try:
            await client.connect()
            await client.ehlo()
            if not client.supports_extension("starttls"):
                text = f"{OwnWords.HOST_UNTRUSTED}: no STARTTLS"
                raise _HostUnusable(RelayFailed(454, "4.7.5", text, target.host))
            await client.starttls(server_hostname=target.host)
            await self._judge(client.get_transport_info("ssl_object"), target, message.domain)
            await client.ehlo()
        except SMTPResponseException as error:
            failure = RelayFailed.answered(error.code, error.message, target.host, passing=True)
            raise _HostUnusable(failure) from error
        except (SMTPException, OSError) as error:
            # The handshake fails here where the host trusts not our authority, or we not its.
            raise _HostUnusable(_unusable(error, target.host)) from error

    async def _judge(self, ssl_object: ssl.SSLObject | None, target: Target, domain: str) -> None:
        certificate = ssl_object.getpeercert(binary_form=True) if ssl_object is not None else None
        if ssl_object is None or certificate is None or ssl_object.version() not in _TLS_VERSIONS:
            reason: str | None = "no TLS 1.2 with a certificate"
        else:
            reason = await self._verify_peer(certificate, peer_chain(ssl_object), domain)
        if reason is not None:
            text = f"{OwnWords.HOST_UNTRUSTED}: {reason}"
            raise _HostUnusable(RelayFailed(454, "4.7.5", text, target.host))

    async def _transfer(self, client: SMTP, target: Target, message: _Message) -> None:
        """MAIL, RCPT, DATA; an answer is the end of it, whatever other hosts there are."""
        try:
            mail, rcpt = message.commands(client, target.host)
            for command in (mail, rcpt):
                response = await client.execute_command(*command)
                if response.code not in (250, 251):
                    raise RelayFailed.answered(response.code, response.message, target.host)
            await client.data(message.raw, timeout=self._times.data)
        except SMTPResponseException as error:
            raise RelayFailed.answered(error.code, error.message, target.host) from error
        except SMTPTimeoutError as error:
            raise RelayFailed(451, "4.4.2", "No answer in time", target.host) from error
        except (SMTPException, OSError) as error:
            raise RelayFailed(451, "4.4.2", "Connection lost", target.host) from error


def _announced(client: SMTP, domain: str) -> str:
    """The service address that a gateway told in EHLO. The host's certificate stands for ``domain`` alone."""
    words = client.esmtp_extensions.get(GATEWAY_EXTENSION.lower(), "").split()
    address = words[0].lower() if len(words) == 1 else ""
    local, _, announced = address.rpartition("@")
    return address if local and address.isascii() and announced == domain else ""


def _unusable(error: Exception, host: str) -> RelayFailed:
    """The failure of a host that could not be reached, or not protected: aiosmtplib hides the TLS error in
    its own.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        text = f"{OwnWords.HOST_UNTRUSTED}: tls: {handshake_reason(cause)}"
        return RelayFailed(454, "4.7.5", text, host)
    return RelayFailed(451, "4.4.1", f"{OwnWords.HOST_UNUSABLE}: {type(error).__name__}", host)


@dataclass(frozen=True, slots=True)
class _Message:
    """What one attempt sends."""

    mail_from: str
    recipient: str
    domain: str
    raw: bytes
    dsn: DsnOptions
    options: RecipientOptions

    def commands(self, client: SMTP, remote: str) -> tuple[list[bytes], list[bytes]]:
        """MAIL and RCPT with the parameters that the host offers.

        Raises ``RelayFailed`` where it cannot take the octets as they are: conversion would break signatures,
        so a host without 8BITMIME gets no 8-bit mail (RFC 6152 §3, status 5.6.3).
        """
        mail, rcpt = [f"MAIL FROM:<{self.mail_from}>"], [f"RCPT TO:<{self.recipient}>"]
        if not self.raw.isascii():
            if not client.supports_extension("8bitmime"):
                raise RelayFailed(554, "5.6.3", "Host does not offer 8BITMIME", remote)
            mail.append("BODY=8BITMIME")
        if client.supports_extension("size"):
            limit = client.esmtp_extensions["size"].strip()
            if limit.isdigit() and 0 < int(limit) < len(self.raw):
                raise RelayFailed(552, "5.3.4", "Message too big for host", remote)
            mail.append(f"SIZE={len(self.raw)}")
        if client.supports_extension("dsn"):
            mail += [f"RET={self.dsn.ret}"] if self.dsn.ret else []
            mail += [f"ENVID={encode_xtext(self.dsn.envid)}"] if self.dsn.envid else []
            rcpt += [f"NOTIFY={','.join(sorted(self.options.notify))}"] if self.options.notify else []
            kind, _, original = self.options.original.partition(";")
            rcpt += [f"ORCPT={kind};{encode_xtext(original)}"] if original else []
        return [word.encode("ascii") for word in mail], [word.encode("ascii") for word in rcpt]
