"""What a new trust list changes, and whether it may take the place of the one that is held.

A list that is well formed can still be wrong: an old copy (rollback), one dated ahead, or one that has lost
half of the operators. Such a list is refused and the held one stays; an operator may insist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from certs.names import DistinguishedName
from certs.operators import TrustList

__all__ = ["ListChanges", "NameChange", "compare", "replacement_fault"]

_AHEAD = timedelta(days=1)
"""A date without zone may be off by hours; one beyond a day would make every later list "older"."""
_MAY_ALWAYS_GO = 1


@dataclass(frozen=True, slots=True)
class NameChange:
    """The certificate names that a domain gained and lost."""

    gained: frozenset[DistinguishedName]
    lost: frozenset[DistinguishedName]


@dataclass(frozen=True, slots=True)
class ListChanges:
    """Domains that came (with their names), went, or have other certificate names, each in order."""

    added: Mapping[str, frozenset[DistinguishedName]]
    removed: tuple[str, ...]
    renamed: Mapping[str, NameChange]

    def __bool__(self) -> bool:
        """Tell whether anything differs."""
        return bool(self.added or self.removed or self.renamed)

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines to print: ``+ domain  name``, ``- domain``, ``~ domain  + name``, ``~ domain  - name``."""
        found = [f"+ {domain}  {name}" for domain, names in self.added.items() for name in _texts(names)]
        found += [f"- {domain}" for domain in self.removed]
        for domain, change in self.renamed.items():
            found += [f"~ {domain}  + {name}" for name in _texts(change.gained)]
            found += [f"~ {domain}  - {name}" for name in _texts(change.lost)]
        return tuple(found)


def _texts(names: frozenset[DistinguishedName]) -> list[str]:
    return sorted(name.text for name in names)


def compare(held: TrustList, offered: TrustList) -> ListChanges:
    """Tell what `offered` changes with regard to `held`."""
    before, after = held.domains, offered.domains
    return ListChanges(
        {domain: after[domain] for domain in sorted(after.keys() - before.keys())},
        tuple(sorted(before.keys() - after.keys())),
        {
            domain: NameChange(after[domain] - before[domain], before[domain] - after[domain])
            for domain in sorted(before.keys() & after.keys())
            if before[domain] != after[domain]
        },
    )


def replacement_fault(
    held: TrustList | None, offered: TrustList, now: datetime, max_removed_percent: int
) -> str | None:
    """Say why `offered` must not take the place of `held` (None: there was no list yet) by itself, None where
    it may.

    Refused are a generation date before the held one's or more than a day ahead, and the loss of more than
    one domain that is also more than `max_removed_percent` of those held.
    """
    if offered.generated > now + _AHEAD:
        return f"generated in the future ({offered.generated:%Y-%m-%dT%H:%M:%SZ})"
    if held is None:
        return None
    if offered.generated < held.generated:
        return (
            f"generated {offered.generated:%Y-%m-%dT%H:%M:%SZ}, before the one in force "
            f"({held.generated:%Y-%m-%dT%H:%M:%SZ})"
        )
    removed = len(held.domains.keys() - offered.domains.keys())
    if removed > _MAY_ALWAYS_GO and removed * 100 > max_removed_percent * len(held.domains):
        return f"lacks {removed} of {len(held.domains)} domains"
    return None
