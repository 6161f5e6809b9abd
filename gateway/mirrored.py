"""Finding a conversation that another gateway holds by what an operator calls it."""

from __future__ import annotations

import re
from uuid import UUID

from gateway.store import Transaction
from teleexpertise.mirrors import Mirror, fold_mirror

__all__ = ["load_mirror", "mirror_named", "mirrors_of_reference"]

_NAME = re.compile(r"(?P<ref>TLE-\d{4}-\d{6,})(?:@(?P<holder>[A-Za-z0-9.-]+))?", re.IGNORECASE)


async def load_mirror(tx: Transaction, identifier: UUID) -> Mirror | None:
    """A mirrored conversation as its record says, or ``None``."""
    holder = await tx.mirrors.holder(identifier)
    if holder is None:
        return None
    return fold_mirror(identifier, holder, await tx.mirrors.events(identifier))


async def mirrors_of_reference(tx: Transaction, name: str) -> tuple[Mirror, ...]:
    """All that ``TLE-2026-000123`` or ``TLE-2026-000123@holder.example`` names: every gateway counts its own
    references, so several holders may have one.
    """
    match = _NAME.fullmatch(name.strip())
    if match is None:
        return ()
    found = await tx.mirrors.by_ref(match["ref"].upper(), (match["holder"] or "").lower())
    mirrors = [await load_mirror(tx, identifier) for identifier in found]
    return tuple(mirror for mirror in mirrors if mirror is not None)


async def mirror_named(tx: Transaction, name: str) -> Mirror | None:
    """The mirror of an identifier, or of a reference that is one holder's only; ``None`` for any other
    name.
    """
    try:
        return await load_mirror(tx, UUID(name.strip()))
    except ValueError:
        found = await mirrors_of_reference(tx, name)
        return found[0] if len(found) == 1 else None
