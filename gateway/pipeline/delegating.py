"""Delegates named and withdrawn: the form that comes by mail, and what both the mail and the command line
change (A.42-A.44).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.pipeline.incoming import Incoming
from gateway.pipeline.refusing import refused
from gateway.pipeline.requesting import FilledForm
from gateway.pipeline.sending_forms import Sheet
from gateway.pipeline.unit import Unit
from gateway.store.transaction import Transaction
from teleexpertise.delegation import losers, named_addresses
from teleexpertise.forms import Value, delegates_form
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["Change", "Changed", "change", "consequences", "doubts", "save", "sheet"]


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


async def sheet(unit: Unit, incoming: Incoming, account: str, options: Mapping[str, object]) -> Sheet:
    """The form for one account as it stands, or as the ``options`` of a sent copy say it stood.

    Refused (``550 5.7.1``) for an account that is none of ours or that the author may not act for.
    """
    rights = await unit.tx.delegations.rights()
    principal = await unit.account(account)
    allowed = incoming.local and rights.may_act(incoming.login.address, account)
    if principal is None or not allowed:
        raise refused(unit.services, RefusalReason.MAY_NOT_ACT, account)
    listed = options.get("delegates")
    addresses = listed if isinstance(listed, list) else await unit.tx.delegations.named_by(account)
    delegates = [await unit.account(str(address)) for address in addresses]
    shown = [delegate for delegate in delegates if delegate is not None]
    values: dict[str, Value] = {
        "account": account,
        "delegates": list(range(1, len(shown) + 1)),
        "common": await unit.tx.delegations.reads_in_common(account),
    }
    return Sheet(
        form=delegates_form(unit.services.forms, principal, shown),
        values=values,
        options={
            "kept": [],
            **options,
            "account": account,
            "delegates": [delegate.address for delegate in shown],
        },
    )


async def doubts(unit: Unit, sheet_: Sheet, values: Mapping[str, Value]) -> dict[str, str]:
    """What is wrong with the addresses to be added, as a sentence beside that line."""
    sentences = []
    for typed, address in named_addresses(str(values.get("add", ""))):
        if not address:
            sentences.append(sheet_.form.say("delegate_shape", typed=typed[:80]))
        elif address == sheet_.options["account"]:
            sentences.append(sheet_.form.say("delegate_self", typed=address))
        else:
            account = await unit.account(address)
            if account is None or not account.active:
                sentences.append(sheet_.form.say("delegate_unknown", typed=address))
    return {"add": " ".join(sentences)} if sentences else {}


async def save(unit: Unit, incoming: Incoming, filled: FilledForm) -> str:
    """Save a form that is right as a whole; a worker confirms it once the mailbox server follows it."""
    message = await unit.store(incoming)
    principal = filled.text("account")
    listed = filled.sheet.options["delegates"]
    assert isinstance(listed, list), "the sent form listed the delegates"
    ticked = filled.ticked("delegates")
    wanted = Change(
        actor=incoming.login.address,
        principal=principal,
        add=[address for _, address in named_addresses(filled.text("add"))],
        remove=[str(address) for number, address in enumerate(listed, start=1) if number not in ticked],
        common=filled.truth("common"),
    )
    changed = await change(unit.tx, unit.now, wanted)
    await unit.order("share", incoming, message, await consequences(unit.tx, principal, changed))
    return f"delegates: {len(changed.added)} added, {len(changed.removed)} removed"
