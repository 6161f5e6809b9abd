"""What the pipeline and the workers stand on, assembled once by ``gateway.bootstrap`` and passed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol
from uuid import UUID

from certs.paths import PathResult
from certs.verdicts import SignatureReport
from config import Settings
from gateway.compose.composer import Composer
from gateway.intake.limits import IntakeLimits
from gateway.pipeline.links import Links
from gateway.store.store import Store
from teleexpertise.addressing import AddressBook
from teleexpertise.forms import Catalogue
from teleexpertise.rules import RuleBook
from teleexpertise.texts import Texts

__all__ = ["Services", "TrustSpace"]


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

    def client_certificate(self, certificate: bytes, now: datetime) -> PathResult:
        """Whether a DER certificate may be the client of a TLS connection now: path, usage, revocation."""
        ...

    async def verify(self, raw: bytes, now: datetime) -> SignatureReport:
        """The verdict on the S/MIME signature of a mail, on its original octets."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of a running gateway. ``key`` seals addresses, forms and deliveries; ``zone`` is where its
    readers live.
    """

    settings: Settings
    store: Store
    book: AddressBook
    texts: Texts
    composer: Composer
    rules: RuleBook
    links: Links
    forms: Catalogue
    trust: TrustSpace
    limits: IntakeLimits
    key: bytes
    synonyms: Mapping[str, Sequence[str]]
    departments: Mapping[str, str]
    zone: tzinfo
    clock: Callable[[], datetime]
    new_id: Callable[[], UUID]

    def is_local(self, address: str) -> bool:
        """Whether a mailbox of this address would be ours."""
        return address.rpartition("@")[2] in self.settings.local_domains
