"""Who acts for whom, changed for one account: what form and command line have in common (A.42-A.44)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from gateway.store.transaction import Transaction
from teleexpertise.delegation import losers

__all__ = ["Change", "Changed", "change", "consequences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What somebody (``actor``, as the audit trail names them) wants for the account ``principal``.

    ``common`` ``None`` leaves the marks of reading as they are.
    """

    actor: str
    principal: str
    add: Collection[str] = ()
    remove: Collection[str] = ()
    common: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a :class:`Change` came to: those named and withdrawn who were not before, who of the latter may
    still act by way of a legal entity, and whose mail sessions show more than they may.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    still: tuple[str, ...]
    ended: tuple[str, ...]


async def change(tx: Transaction, now: datetime, wanted: Change) -> Changed:
    """Save a change with one audit line for each that it makes. Rights to write end with the transaction;
    those to read when the mailbox server was told, which the caller sees to.
    """
    principal = wanted.principal
    before = await tx.delegations.rights()
    known = set(await tx.delegations.named_by(principal))
    added = sorted(set(wanted.add) - known)
    removed = sorted((set(wanted.remove) & known) - set(wanted.add))
    for delegate in added:
        await tx.delegations.grant(principal, delegate, now)
        await _audit(tx, now, wanted, "delegation add", delegate=delegate)
    for delegate in removed:
        await tx.delegations.revoke(principal, delegate)
        await _audit(tx, now, wanted, "delegation remove", delegate=delegate)
    after = await tx.delegations.rights()
    ended = losers(before, after)
    if wanted.common is not None and await tx.delegations.set_reading(principal, common=wanted.common):
        await _audit(tx, now, wanted, "delegation reading", common=int(wanted.common))
        # Sessions that are open would go on with the marks of before.
        ended |= before.delegates.get(principal, frozenset())
    return Changed(
        added=tuple(added),
        removed=tuple(removed),
        still=tuple(name for name in removed if after.may_act(name, principal)),
        ended=tuple(sorted(ended)),
    )


async def _audit(tx: Transaction, now: datetime, wanted: Change, action: str, **detail: str | int) -> None:
    """Who did it, as whom, to whom."""
    await tx.audit.write(now, wanted.actor, action, wanted.principal, "done", detail)


async def consequences(tx: Transaction, principal: str, changed: Changed) -> dict[str, object]:
    """What the action ``share`` has to know: who lost a right (``lost``), whose sessions of them are still to
    be ended, and what to tell whom.
    """
    delegates = await tx.delegations.named_by(principal)
    people = [await tx.accounts.get(address) for address in {principal, *delegates, *changed.removed}]
    return {
        "principal": principal,
        "common": await tx.delegations.reads_in_common(principal),
        "delegates": list(delegates),
        "added": list(changed.added),
        "removed": list(changed.removed),
        "still": list(changed.still),
        "ended": list(changed.ended),
        "lost": list(changed.ended),
        "names": {account.address: account.name for account in people if account is not None},
    }
