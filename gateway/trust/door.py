"""What the rest of the gateway asks of trust, and how it is refused; ``gateway.trustspace`` implements it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from certs.harvest import FoundCertificate
from certs.paths import PathResult
from certs.verdicts import SignatureReport, Verdict

__all__ = ["PeerRefusal", "TrustSpace"]


@dataclass(frozen=True, slots=True)
class PeerRefusal:
    """Why another operator's machine is not trusted: the SMTP answer, and an English phrase that names
    nobody.
    """

    code: int
    enhanced: str
    reason: str


class TrustSpace(Protocol):
    """What the trust list and the anchors say; kept current behind this door."""

    def listed(self, domain: str) -> bool:
        """Whether mail may go to this foreign domain at all."""
        ...

    def sender_fault(self, certificate: bytes, mail_from: str, from_address: str) -> str | None:
        """Why the operator with this DER certificate may not send for these addresses; ``None`` where it may.

        ``mail_from`` is '' for the null sender: then the From domain alone counts.
        """
        ...

    def server_fault(self, certificate: bytes, domain: str) -> str | None:
        """Why the server with this DER certificate may not receive for a domain; ``None`` where it may."""
        ...

    async def client_certificate(
        self, certificate: bytes, chain: tuple[bytes, ...], now: datetime
    ) -> PathResult:
        """Whether a DER certificate may be the client of a TLS connection now: path, usage, revocation."""
        ...

    def current(self, now: datetime) -> bool:
        """Whether the list is young enough to be believed; else operators are answered 451 4.7.1."""
        ...

    async def client_refusal(
        self, certificate: bytes | None, chain: tuple[bytes, ...], now: datetime
    ) -> PeerRefusal | None:
        """Why the operator with this DER certificate is not heard, whatever it sends: list too old
        (451 4.7.1), certificate that does not hold or is revoked (554 5.7.1), revocation not known
        (454 4.7.0).

        ``chain`` are the certificates that TLS found above it: they help and are not believed.
        """
        ...

    def domain_refusal(self, domain: str, now: datetime) -> PeerRefusal | None:
        """Why nobody may get mail for a foreign domain now: list too old (451 4.7.1), not listed
        (550 5.7.1).
        """
        ...

    async def server_refusal(
        self, certificate: bytes | None, chain: tuple[bytes, ...], domain: str, now: datetime
    ) -> PeerRefusal | None:
        """Why the server with this DER certificate must not get mail for a domain; ``None`` where it may."""
        ...

    async def verify(self, raw: bytes, now: datetime, in_clear: bool = False) -> SignatureReport:
        """The verdict on the S/MIME signature of a mail, on its original octets; ``in_clear`` says that it
        came unencrypted, so that what was meant to be hidden is noted.
        """
        ...

    async def harvest(
        self, raw: bytes, report: SignatureReport, address: str, now: datetime
    ) -> tuple[FoundCertificate, ...]:
        """What mail for the author of a verified mail can be encrypted to."""
        ...

    async def judge_target(self, certificate: bytes, issuers: Sequence[bytes], now: datetime) -> Verdict:
        """Whether mail may be encrypted to a DER certificate now: use, path, validity, revocation."""
        ...
