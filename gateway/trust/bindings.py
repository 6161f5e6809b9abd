"""Which domains a certificate without mail address may write for, as the settings say."""

from __future__ import annotations

from certs.names import DistinguishedName, NameFault
from config import Settings
from gateway.errors import DeploymentIncomplete

__all__ = ["sender_bindings"]


def sender_bindings(
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
