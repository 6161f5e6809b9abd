"""What the doors know of a peer and of one transaction, and what the pipeline must answer them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

__all__ = [
    "GATEWAY_EXTENSION",
    "Body",
    "Doors",
    "DsnOptions",
    "Envelope",
    "Peer",
    "PeerKind",
    "RecipientOptions",
    "TokenLogin",
]


class PeerKind(StrEnum):
    """Who speaks: a user of ours at submission, or another operator at the MX."""

    USER = "user"
    OPERATOR = "operator"


#: EHLO keyword by which gateways know each other, with the service address.
GATEWAY_EXTENSION = "X-TLE"


class Body(StrEnum):
    """What a client declares of its octets (RFC 6152)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection at one moment.

    ``login`` is the address of the authenticated account, '' before AUTH and at the MX. ``certificate`` is
    the DER client certificate that TLS verified, ``None`` without one; ``chain`` are those above it.
    ``tls_version`` is '' before TLS.
    """

    kind: PeerKind
    ip: str
    helo: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    login: str = ""
    certificate: bytes | None = None
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class RecipientOptions:
    """DSN wishes for one recipient (RFC 3461 §4.1, §4.2).

    ``notify`` holds NEVER alone, or any of SUCCESS, FAILURE, DELAY; empty is the default of the RFC.
    ``original`` is ORCPT as ``type;address``, decoded, '' when absent.
    """

    notify: frozenset[str] = frozenset()
    original: str = ""


@dataclass(frozen=True, slots=True)
class DsnOptions:
    """DSN wishes for a whole message (RFC 3461 §4.3, §4.4): ``ret`` is FULL, HDRS or ''; ``envid`` decoded or
    ''.
    """

    ret: str = ""
    envid: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One SMTP transaction. Domains are lower-case, local parts as sent, ``mail_from`` is '' for ``<>``.

    ``recipients`` are distinct, in order; ``options`` stand beside them, one for each.
    """

    queue_id: str
    peer: Peer
    mail_from: str
    recipients: tuple[str, ...]
    received_at: datetime
    body: Body = Body.SEVEN_BIT
    dsn: DsnOptions = DsnOptions()
    options: tuple[RecipientOptions, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenLogin:
    """The address of an account that a token opened, and until when it may be used."""

    account: str
    until: datetime


class Doors(Protocol):
    """What decides behind the listeners. Every method may raise a ``Refusal``; anything else answers 451
    4.3.0.
    """

    def announced(self) -> str:
        """The service address that other gateways are told in EHLO, '' where there is none."""

    async def authenticate(self, login: str, password: str, peer: Peer) -> str | None:
        """The address of the account that this name and password open, ``None`` where they open none."""

    async def authenticate_token(self, token: str, wanted: str, peer: Peer) -> TokenLogin | None:
        """The account that this access token opens for a client that wants the mailbox ``wanted`` ('' for
        none in particular), ``None`` where it opens none.
        """

    async def authenticate_certificate(self, wanted: str, peer: Peer) -> str | None:
        """The address of the account that the peer's certificate opens, ``None`` where it opens none."""

    async def certificate_holds(self, account: str, peer: Peer) -> bool:
        """Whether the peer's certificate still opens this account; what cannot be judged now still does."""

    async def check_sender(self, peer: Peer, mail_from: str, size: int) -> None:
        """May this peer send as ``mail_from`` ('' for ``<>``)? ``size`` is what the client declared, 0 if
        nothing.
        """

    async def check_recipient(self, peer: Peer, mail_from: str, recipient: str) -> None:
        """May this peer send to ``recipient``?"""

    async def check_data(self, peer: Peer, mail_from: str) -> None:
        """May this peer still send as ``mail_from``, now that it wants to?"""

    async def accept(self, envelope: Envelope, raw: bytes) -> str:
        """Take responsibility for the message: durable on return. Returns the text after ``250 2.0.0``.

        It runs to its end although the client leaves, so the same message may come again: commit
        idempotently.
        """

    async def turned_away(self, peer: Peer, reason: str) -> None:
        """An operator did not get as far as MAIL under TLS: its handshake failed, or it asked for none. Or an
        application did not get as far as its login.
        """
