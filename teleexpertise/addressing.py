"""The addresses of the service: its own, a conversation's reply address, the address that bounces come back
to.

Only envelope recipients place a message. Local parts are compared without case and stay within 64 octets
(``RFC 5321 §4.5.3.1.1``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from teleexpertise.tokens import seal, unseal

__all__ = ["AddressBook", "Addressed", "without_detail"]

_REPLY = "reply"
_BOUNCE = "bounce"
_BOUNCE_WORD = "retour"


def without_detail(address: str) -> str:
    """The mailbox of an address with detail: ``marie+essai@d`` is delivered to ``marie@d`` (``RFC 5233``)."""
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


@dataclass(frozen=True, slots=True)
class Addressed:
    """Whom an envelope names: the service, conversations, bounce ids, other people (each once, spelled as in
    the envelope: only their own host knows what case means, ``RFC 5321 §2.4``).
    """

    service: bool
    conversations: frozenset[UUID]
    bounces: frozenset[UUID]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddressBook:
    """Makes and reads the service's addresses with the gateway's secret key."""

    local_part: str
    domain: str
    key: bytes

    @property
    def service(self) -> str:
        """``teleexpertise@<domain>``."""
        return f"{self.local_part}@{self.domain}"

    def reply(self, conversation: UUID) -> str:
        """The reply address of a conversation."""
        return f"{self.local_part}+{seal(self.key, _REPLY, conversation)}@{self.domain}"

    def bounce(self, identifier: UUID) -> str:
        """The envelope sender of one mail that we send, by which its bounces find back."""
        return f"{_BOUNCE_WORD}+{seal(self.key, _BOUNCE, identifier)}@{self.domain}"

    def is_ours(self, address: str) -> bool:
        """Whether an address is the service's own and never a mailbox's (broken tokens included)."""
        return address.lower().rpartition("@")[2] == self.domain and self.is_service(address)

    def is_service(self, address: str) -> bool:
        """Whether an address is a service's, ours or a peer gateway's that is named like it: no person's."""
        return address.lower().rpartition("@")[0].partition("+")[0] in (self.local_part, _BOUNCE_WORD)

    def conversation(self, address: str) -> UUID | None:
        """The conversation of a reply address, or ``None``."""
        return self._unseal(address, self.local_part, _REPLY)

    def bounced(self, address: str) -> UUID | None:
        """The identifier in a bounce address, or ``None``."""
        return self._unseal(address, _BOUNCE_WORD, _BOUNCE)

    def _unseal(self, address: str, word: str, purpose: str) -> UUID | None:
        local, _, domain = address.lower().rpartition("@")
        prefix, _, token = local.partition("+")
        if domain != self.domain or prefix != word:
            return None
        return unseal(self.key, purpose, token)

    def valid(self, address: str) -> bool:
        """Whether an address of ours can receive: the service itself or one with a genuine token."""
        return (
            address.lower() == self.service
            or self.conversation(address) is not None
            or self.bounced(address) is not None
        )

    def sort(self, recipients: Iterable[str]) -> Addressed:
        """Sort envelope recipients by what they mean; several addresses of one conversation count once, and
        those with a token that no key of ours made for nothing.
        """
        service = False
        conversations: set[UUID] = set()
        bounces: set[UUID] = set()
        others: dict[str, str] = {}
        for recipient in recipients:
            address = recipient.lower()
            if not self.is_ours(address):
                ours = address.rpartition("@")[2] == self.domain
                others.setdefault(address, address if ours else recipient)
            elif address == self.service:
                service = True
            elif (conversation := self.conversation(address)) is not None:
                conversations.add(conversation)
            elif (bounce := self.bounced(address)) is not None:
                bounces.add(bounce)
        return Addressed(
            service=service,
            conversations=frozenset(conversations),
            bounces=frozenset(bounces),
            others=tuple(others.values()),
        )
