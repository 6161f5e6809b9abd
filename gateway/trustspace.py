"""The trust door as the pipeline sees it: the operators' list, the anchors, the verdict on signatures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from certs.harvest import FoundCertificate, harvest
from certs.names import DistinguishedName, NameFault
from certs.operators import TrustList, read_trust_list, recipient_listed, sender_allowed, server_allowed
from certs.paths import RevocationMode, TrustAnchors, load_anchors, validate
from certs.recipients import EncryptionFault, EncryptionTarget, check_target
from certs.smime import verify_message
from certs.tls import peer_name
from certs.verdicts import SignatureReport, Verdict
from config import Settings
from gateway.errors import DeploymentIncomplete

__all__ = ["OperatorTrust", "load_trust"]


@dataclass(frozen=True, slots=True)
class OperatorTrust:
    """Implements ``gateway.services.TrustSpace`` on the trust list and the anchors of ``certs``."""

    operators: TrustList
    anchors: TrustAnchors

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

    async def verify(self, raw: bytes, now: datetime) -> SignatureReport:
        """The verdict on a mail's S/MIME signature; the work is done beside the event loop."""
        return await asyncio.to_thread(verify_message, raw, self.anchors, now)

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


def _files(folder: Path, pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob(pattern))] if folder.is_dir() else []


def _bindings(
    settings: Settings,
) -> dict[tuple[DistinguishedName, DistinguishedName], frozenset[str]]:
    """The bindings of the settings, those of the same names together. Raises ``DeploymentIncomplete``."""
    bound: dict[tuple[DistinguishedName, DistinguishedName], frozenset[str]] = {}
    for number, binding in enumerate(settings.smime.bindings, start=1):
        try:
            names = (
                DistinguishedName.from_text(binding.issuer),
                DistinguishedName.from_text(binding.subject),
            )
        except NameFault as fault:
            raise DeploymentIncomplete(f"smime.bindings, number {number}: {fault}") from fault
        if not any(names[1].values(short) for short in ("O", "OU", "CN")):
            raise DeploymentIncomplete(
                f"smime.bindings, number {number}: the subject needs O, OU or CN, else it is anybody's"
            )
        bound[names] = bound.get(names, frozenset()) | frozenset(binding.domains)
    return bound


def load_trust(settings: Settings) -> OperatorTrust:
    """Read list, anchors and CRLs from the configured files. Raises ``TrustListFault``, ``TrustFault``,
    ``OSError``, ``DeploymentIncomplete`` for a binding that is none.
    """
    pki = settings.pki
    chain = pki.smime_chain
    anchors = load_anchors(
        pki.anchors.read_bytes(),
        chain.read_bytes() if chain.exists() else b"",
        crls=_files(pki.crls, "*.crl"),
        revocation=RevocationMode(pki.revocation),
        bindings=_bindings(settings),
    )
    return OperatorTrust(read_trust_list(settings.trust.list_file.read_bytes()), anchors)
