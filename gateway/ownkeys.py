"""The keys of the organisation and of its correspondents, as the files said when they were read last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from certs.signing import Signer
from certs.smime import sign_message
from gateway.sealing import Sealing

__all__ = ["OwnKeys"]


@dataclass(slots=True)
class OwnKeys:
    """What signs for the organisation, and what opens and seals. A reload replaces both together."""

    signer: Signer
    sealing: Sealing

    def sign(self, headers: Sequence[tuple[str, str]], entity: bytes, now: datetime) -> bytes:
        """The organisation's signature over a whole mail, see ``gateway.compose.composer.Signing``."""
        return sign_message(headers, entity, self.signer, now)
