"""Delegates named and withdrawn by the form that comes by mail (A.42-A.44)."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.delegations import Change, change, consequences
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.refusing import refused
from gateway.pipeline.requesting import FilledForm
from gateway.pipeline.sending_forms import Sheet
from gateway.pipeline.unit import Unit
from teleexpertise.delegation import named_addresses
from teleexpertise.forms import Value, delegates_form
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["doubts", "save", "sheet"]


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
