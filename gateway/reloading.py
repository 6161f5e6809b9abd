"""Taking up renewed certificates, keys and authorities while the gateway serves.

All files are read and judged before anything changes: what is broken, expired, revoked or not under the
authorities leaves everything as it was, and is told. Connections that are open go on with what they began
with.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from certs.cms import DECODING_ERRORS
from certs.paths import TrustAnchors, Usage, read_certificates, validate
from certs.verdicts import Verdict
from gateway.errors import DeploymentIncomplete, GatewayError
from gateway.keyfiles import open_authorities, open_keys
from gateway.ownkeys import OwnKeys
from gateway.services import Services
from gateway.store.errors import StoreError
from gateway.tlsspace import TlsContexts, TlsSpace, load_tls
from gateway.trust.keeper import TrustKeeper
from mailboxes.dovecot.server import DovecotServer
from mailboxes.errors import DovecotFailed

__all__ = ["Reloading"]


@dataclass(frozen=True, slots=True)
class _Read:
    """What the files hold, judged to be of use; ``told`` names it: SHA-256 of our certificates."""

    authorities: TrustAnchors
    tls: TlsContexts
    keys: OwnKeys
    told: dict[str, str]


@dataclass(slots=True)
class Reloading:
    """Replaces what a serving gateway has read from the files of ``[pki]`` and ``[smime]``, one at a time.

    The settings themselves are not read again.
    """

    services: Services
    tls: TlsSpace
    keeper: TrustKeeper
    dovecot: DovecotServer
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def reload(self) -> bool:
        """Take up what the files hold now; ``False`` where it cannot be used, and what was in use stays.

        Either is told in the log and in the audit trail.
        """
        async with self._turn:
            try:
                found = await asyncio.to_thread(self._read)
                await self.dovecot.renew_certificate()
            except (GatewayError, DovecotFailed, OSError) as fault:
                structlog.get_logger("reload").error("certificates.refused", reason=str(fault))
                await self._audit("refused", {"reason": str(fault)[:300]})
                return False
            await self.keeper.believe(found.authorities)
            self.tls.replace(found.tls)
            self.services.own.signer = found.keys.signer
            self.services.own.sealing = found.keys.sealing
            structlog.get_logger("reload").info("certificates.in_force", **found.told)
            await self._audit("done", found.told)
            return True

    def _read(self) -> _Read:
        """Read and judge. Raises :class:`DeploymentIncomplete` that names the file."""
        settings = self.services.settings
        pki = settings.pki
        authorities = open_authorities(settings)
        contexts, keys = load_tls(settings), open_keys(settings)
        try:
            shown, *chain = read_certificates(pki.tls_certificate.read_bytes())
        except (OSError, *DECODING_ERRORS) as error:
            raise DeploymentIncomplete(f"{pki.tls_certificate}: cannot be read") from error
        judged = replace(authorities, crls=self.keeper.anchors.crls)
        told = {
            "tls": self._judge(judged, shown, chain, Usage.TLS_SERVER, str(pki.tls_certificate)),
            "smime": self._judge(
                judged,
                keys.signer.certificate,
                keys.signer.chain,
                Usage.EMAIL_SIGNATURE,
                str(pki.smime_certificate),
            ),
        }
        return _Read(authorities, contexts, keys, told)

    def _judge(
        self,
        anchors: TrustAnchors,
        certificate: bytes,
        chain: Sequence[bytes],
        usage: Usage,
        file: str,
    ) -> str:
        """The SHA-256 of a certificate of ours that others can believe. Raises
        :class:`DeploymentIncomplete`; that its revocation is not known is no reason.
        """
        result = validate(certificate, chain, anchors, usage, self.services.clock())
        if result.verdict is Verdict.FAILED:
            raise DeploymentIncomplete(f"{file}: {result.reason}: {result.detail}")
        return hashlib.sha256(certificate).hexdigest()

    async def _audit(self, result: str, detail: dict[str, str]) -> None:
        now = self.services.clock()
        try:
            async with self.services.store.transaction() as tx:
                await tx.audit.write(now, "gateway", "reload", "certificates", result, detail)
        except StoreError as error:
            structlog.get_logger("reload").error("audit.not_written", error=type(error).__name__)
