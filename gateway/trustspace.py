"""The trust door as the pipeline sees it: the operators' list, the anchors, the verdict on signatures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certs.harvest import FoundCertificate, harvest
from certs.operators import (
    TrustList,
    list_is_current,
    recipient_listed,
    sender_allowed,
    server_allowed,
)
from certs.pathcache import PathCache
from certs.paths import PathResult, TrustAnchors, Usage, validate
from certs.recipients import EncryptionFault, EncryptionTarget, check_target
from certs.smime import verify_message
from certs.tls import peer_name
from certs.verdicts import Reason, SignatureReport, Verdict
from config import Settings
from gateway.trust.crlfiles import known_crls, pki_anchors
from gateway.trust.door import PeerRefusal
from gateway.trust.listfiles import find_list

__all__ = ["OperatorTrust", "TrustState", "load_trust"]


@dataclass(frozen=True, slots=True)
class TrustState:
    """What is believed at one moment: list, authorities with their revocation lists, and how old a list may
    be. It is replaced as a whole, and with it the verdicts that were found on its grounds.
    """

    operators: TrustList
    anchors: TrustAnchors
    maximum_age: timedelta
    paths: PathCache = field(default_factory=PathCache, compare=False, repr=False)


class OperatorTrust:
    """Implements ``gateway.trust.door.TrustSpace`` on the trust list and the anchors of ``certs``."""

    def __init__(self, state: TrustState) -> None:
        self.state = state

    @property
    def operators(self) -> TrustList:
        """The list in force."""
        return self.state.operators

    @property
    def anchors(self) -> TrustAnchors:
        """Authorities and revocation lists as they are now."""
        return self.state.anchors

    def replace(self, state: TrustState) -> None:
        """Believe something else from the next question on; questions under way end on what they began
        with.
        """
        self.state = state

    def current(self, now: datetime) -> bool:
        """Whether the list is young enough to be believed."""
        return list_is_current(self.operators, now, self.state.maximum_age).allowed

    def listed(self, domain: str) -> bool:
        """Whether a foreign domain belongs to the trust space."""
        return recipient_listed(self.operators, domain).allowed

    def sender_fault(self, certificate: bytes, mail_from: str, from_address: str) -> str | None:
        """Why this operator may not send for these addresses, ``None`` where it may."""
        name = peer_name(certificate)
        if name is None:
            return "certificate without a usable name"
        decision = sender_allowed(self.operators, name, mail_from, from_address)
        return None if decision.allowed else f"{decision.reason} {decision.subject}".strip()

    def server_fault(self, certificate: bytes, domain: str) -> str | None:
        """Why this server may not receive for a domain, ``None`` where it may."""
        name = peer_name(certificate)
        if name is None:
            return "certificate without a usable name"
        decision = server_allowed(self.operators, name, domain)
        return None if decision.allowed else f"{decision.reason} {decision.subject}".strip()

    async def client_certificate(
        self, certificate: bytes, chain: tuple[bytes, ...], now: datetime
    ) -> PathResult:
        """The verdict on a TLS client's certificate."""
        return await self._path(certificate, chain, Usage.TLS_CLIENT, now)

    async def client_refusal(
        self, certificate: bytes | None, chain: tuple[bytes, ...], now: datetime
    ) -> PeerRefusal | None:
        """Why an operator is not heard whatever it sends, ``None`` where it is."""
        return await self._peer_refusal(certificate, chain, Usage.TLS_CLIENT, now)

    async def server_refusal(
        self, certificate: bytes | None, chain: tuple[bytes, ...], domain: str, now: datetime
    ) -> PeerRefusal | None:
        """Why a server must not get mail for a domain, ``None`` where it may."""
        refusal = await self._peer_refusal(certificate, chain, Usage.TLS_SERVER, now)
        if refusal is not None or certificate is None:
            return refusal
        fault = self.server_fault(certificate, domain)
        return None if fault is None else PeerRefusal(550, "5.7.1", fault)

    def domain_refusal(self, domain: str, now: datetime) -> PeerRefusal | None:
        """Why nobody may get mail for a foreign domain now, ``None`` where somebody may."""
        if not self.current(now):
            return PeerRefusal(451, "4.7.1", "the list of operators is too old")
        listed = recipient_listed(self.operators, domain)
        return None if listed.allowed else PeerRefusal(listed.code, listed.enhanced, str(listed.reason))

    async def _peer_refusal(
        self, certificate: bytes | None, chain: tuple[bytes, ...], usage: Usage, now: datetime
    ) -> PeerRefusal | None:
        if not self.current(now):
            return PeerRefusal(451, "4.7.1", "the list of operators is too old")
        if certificate is None:
            return PeerRefusal(554, "5.7.1", "no certificate")
        result = await self._path(certificate, chain, usage, now)
        if result.verdict is Verdict.PASSED:
            return None
        if result.reason is Reason.REVOCATION_UNKNOWN:
            return PeerRefusal(454, "4.7.0", "revocation of the certificate is not known now")
        return PeerRefusal(554, "5.7.1", f"certificate {result.reason}")

    async def _path(
        self, certificate: bytes, chain: tuple[bytes, ...], usage: Usage, now: datetime
    ) -> PathResult:
        state = self.state
        return await asyncio.to_thread(
            validate, certificate, chain, state.anchors, usage, now, None, state.paths
        )

    async def verify(self, raw: bytes, now: datetime, in_clear: bool = False) -> SignatureReport:
        """The verdict on a mail's S/MIME signature; the work is done beside the event loop."""
        state = self.state
        return await asyncio.to_thread(verify_message, raw, state.anchors, now, state.paths, in_clear)

    async def harvest(
        self, raw: bytes, report: SignatureReport, address: str, now: datetime
    ) -> tuple[FoundCertificate, ...]:
        """What mail for the author of a verified mail can be encrypted to; beside the event loop."""
        return await asyncio.to_thread(harvest, raw, report, address, self.anchors, now)

    async def judge_target(self, certificate: bytes, issuers: Sequence[bytes], now: datetime) -> Verdict:
        """Whether mail may be encrypted to a certificate now; indeterminate: revocation unknown."""
        return await asyncio.to_thread(_judge_target, certificate, issuers, self.anchors, now)


def _judge_target(
    certificate: bytes, issuers: Sequence[bytes], anchors: TrustAnchors, now: datetime
) -> Verdict:
    try:
        check_target(EncryptionTarget(certificate))
    except EncryptionFault:
        return Verdict.FAILED
    return validate(certificate, issuers, anchors, None, now).verdict


def load_trust(settings: Settings, now: datetime) -> OperatorTrust:
    """Read list, anchors and CRLs from the configured files. Raises ``TrustListFault``, ``TrustFault``,
    ``OSError``, ``DeploymentIncomplete`` for a binding that is none.
    """
    anchors = pki_anchors(settings, tuple(known_crls(settings).values()))
    found = find_list(settings, now)
    return OperatorTrust(TrustState(found.trusted, anchors, timedelta(hours=settings.trust.max_age_hours)))
