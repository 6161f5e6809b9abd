"""From the client certificate of an application to its one mailbox (SASL EXTERNAL: RFC 4422 appendix A)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from certs.bindings import certificate_names
from certs.verdicts import Verdict
from gateway.logins.verdict import LoginVerdict
from gateway.store.store import Store
from gateway.trust.door import TrustSpace
from teleexpertise.people import AccountKind

__all__ = ["Machines"]


@dataclass(frozen=True, slots=True)
class Machines:
    """Judges certificates that TLS has verified to chain to our anchors: usage, revocation, whose it is."""

    trust: TrustSpace
    store: Store
    clock: Callable[[], datetime]

    async def login(self, certificate: bytes, chain: tuple[bytes, ...], wanted: str) -> LoginVerdict:
        """The account that a DER certificate opens; ``chain`` are those that TLS found above it. ``wanted``
        is the authorisation identity, '' for none: it must be that very account.
        """
        path = await self.trust.client_certificate(certificate, chain, self.clock())
        if path.verdict is not Verdict.PASSED:
            temporary = path.verdict is Verdict.INDETERMINATE
            return LoginVerdict(reason=f"certificate {path.reason}", temporary=temporary)
        return await self._bound(certificate, wanted)

    async def _bound(self, certificate: bytes, wanted: str) -> LoginVerdict:
        names = certificate_names(certificate)
        if names is None:
            return LoginVerdict(reason="certificate without names")
        async with self.store.reading() as tx:
            owner = await tx.account_certificates.owner(names.key)
            account = await tx.accounts.get(owner) if owner else None
        if account is None or account.kind is not AccountKind.APPLICATION:
            return LoginVerdict(reason="certificate of nobody here")
        if not account.active:
            return LoginVerdict(reason="account suspended")
        if wanted.strip().lower() not in ("", account.address):
            return LoginVerdict(reason="certificate of somebody else")
        return LoginVerdict(account.address)
