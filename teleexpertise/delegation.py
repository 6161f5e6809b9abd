"""Who acts for whom once legal entities are followed (A.44): the closure of what was named, and what changes
in it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from teleexpertise.people import Rights

__all__ = ["closure", "losers", "named_addresses"]

_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"]{1,64}@[^\s@<>()\[\],;:\"]{1,255}")


def closure(direct: Mapping[str, Collection[str]], entities: Collection[str]) -> Rights:
    """The rights that follow from ``direct`` (principal -> named delegates).

    Whoever names a legal entity (an address in ``entities``) names all who may act for that entity; naming a
    person reaches that person only. Circles end nowhere else than they begin: nobody becomes a delegate of
    their own account.
    """
    return Rights(
        {principal: found for principal in direct if (found := _reached(direct, entities, principal))}
    )


def _reached(
    direct: Mapping[str, Collection[str]], entities: Collection[str], principal: str
) -> frozenset[str]:
    found: set[str] = set()
    to_follow = [principal]
    followed = {principal}
    while to_follow:
        for name in direct.get(to_follow.pop(), ()):
            found.add(name)
            if name in entities and name not in followed:
                followed.add(name)
                to_follow.append(name)
    return frozenset(found - {principal})


def losers(before: Rights, after: Rights) -> frozenset[str]:
    """Who may act for somebody by ``before`` and no longer does by ``after``."""
    lost: set[str] = set()
    for principal, delegates in before.delegates.items():
        lost |= delegates - after.delegates.get(principal, frozenset())
    return frozenset(lost)


def named_addresses(text: str) -> list[tuple[str, str]]:
    """What somebody typed into a list of addresses, entry by entry: (as typed, address in lower case).

    Entries end at a line end, comma, semicolon or « et »; addresses with nothing else beside them need no
    sign between them. The address is '' where an entry holds none, or several among other words.
    """
    entries = [entry.strip() for entry in re.split(r"[\n,;]|\set\s", text)]
    found = []
    for entry in filter(None, entries):
        words = entry.split()
        if len(words) > 1 and all(_ADDRESS.fullmatch(word.strip("<>")) for word in words):
            found += [(word, word.strip("<>").lower()) for word in words]
            continue
        addresses = {address.lower() for address in _ADDRESS.findall(entry.replace("mailto:", ""))}
        found.append((entry, addresses.pop() if len(addresses) == 1 else ""))
    return found
