"""What the pipeline and the workers stand on, assembled once by ``gateway.bootstrap`` and passed on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Only named here: who passes the parts on need not load what they are made of.
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, tzinfo
    from uuid import UUID

    from config import Settings
    from gateway.compose.composer import Composer
    from gateway.directories import Directories
    from gateway.dkimspace import DkimSpace
    from gateway.intake.limits import IntakeLimits
    from gateway.ownkeys import OwnKeys
    from gateway.pipeline.links import Links
    from gateway.sealing import Sealing
    from gateway.store.store import Store
    from gateway.trust.door import TrustSpace
    from teleexpertise.addressing import AddressBook
    from teleexpertise.forms import Catalogue
    from teleexpertise.patient_bounces import BounceTable
    from teleexpertise.rules import RuleBook
    from teleexpertise.texts import Texts

__all__ = ["Services"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of a running gateway. ``key`` seals addresses, forms and deliveries; ``zone`` is where its
    readers live; ``synonyms`` and ``usual_items`` are those of each specialty.
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
    usual_items: Mapping[str, Sequence[str]]
    departments: Mapping[str, str]
    zone: tzinfo
    clock: Callable[[], datetime]
    new_id: Callable[[], UUID]
    dkim: DkimSpace
    own: OwnKeys
    directories: Directories
    patient_bounces: BounceTable

    @property
    def sealing(self) -> Sealing:
        """Our keys and the certificates of others, as they are now."""
        return self.own.sealing

    def is_local(self, address: str) -> bool:
        """Whether a mailbox of this address would be ours."""
        return address.rpartition("@")[2] in self.settings.local_domains
