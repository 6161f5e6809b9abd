"""The trust door as the pipeline sees it: the operators' list, the anchors, the verdict on signatures."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from certs.operators import TrustList, read_trust_list, recipient_listed, sender_allowed, server_allowed
from certs.paths import PathResult, RevocationMode, TrustAnchors, Usage, load_anchors, validate
from certs.smime import verify_message
from certs.tls import peer_name
from certs.verdicts import SignatureReport
from config import Settings

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

    def client_certificate(self, certificate: bytes, now: datetime) -> PathResult:
        """The verdict on a TLS client's certificate; intermediates are those that we know ourselves."""
        return validate(certificate, (), self.anchors, Usage.TLS_CLIENT, now)

    async def verify(self, raw: bytes, now: datetime) -> SignatureReport:
        """The verdict on a mail's S/MIME signature; the work is done beside the event loop."""
        return await asyncio.to_thread(verify_message, raw, self.anchors, now)


def _files(folder: Path, pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob(pattern))] if folder.is_dir() else []


def load_trust(settings: Settings) -> OperatorTrust:
    """Read list, anchors and CRLs from the configured files. Raises ``TrustListFault``, ``TrustFault``,
    ``OSError``.
    """
    pki = settings.pki
    chain = pki.smime_chain
    anchors = load_anchors(
        pki.anchors.read_bytes(),
        chain.read_bytes() if chain.exists() else b"",
        crls=_files(pki.crls, "*.crl"),
        revocation=RevocationMode(pki.revocation),
    )
    return OperatorTrust(read_trust_list(settings.trust.list_file.read_bytes()), anchors)
