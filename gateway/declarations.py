"""What accounts declare of themselves, checked and saved in one way, by mail form and by command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.pipeline.unit import Unit
from teleexpertise.declaring import Declaration, Known, deputy_named, read_preferences
from teleexpertise.forms import Form, Value
from teleexpertise.people import Document

__all__ = ["declared_by", "read_declaration", "save_declaration"]


async def declared_by(unit: Unit, address: str) -> Declaration | None:
    """What an account declares now; ``None`` where there is no active account of that address."""
    account = await unit.account(address)
    if account is None or not account.active:
        return None
    return Declaration(account=account, expert=await unit.tx.experts.get(address))


async def read_declaration(
    unit: Unit, before: Declaration, form: Form, documents: Sequence[Document], values: Mapping[str, Value]
) -> Declaration:
    """The declaration that validated lines of the preferences form make of ``before``, or what is wrong with
    them; ``documents`` are the files kept and added.
    """
    address = deputy_named(values)
    services = unit.services
    known = Known(
        specialties=services.synonyms,
        departments=services.departments,
        usual_items=services.usual_items,
        deputy=await unit.account(address) if address else None,
        today=unit.now.astimezone(services.zone).date(),
    )
    return read_preferences(form, values, before, documents, known)


async def save_declaration(unit: Unit, before: Declaration, declared: Declaration, who: str) -> bool:
    """Save a declaration without problems, and note in the audit trail who did it for whom; whether anything
    changed.
    """
    assert not declared.problems, "what is wrong is never saved"
    account, expert = declared.account, declared.expert
    if account != before.account:
        await unit.tx.accounts.set_preferences(account)
    if expert is not None and expert != before.expert:
        await unit.tx.experts.put(expert)
    changed = account != before.account or expert != before.expert
    await unit.audit(
        who,
        "preferences",
        account.address,
        "saved" if changed else "unchanged",
        listed="yes" if expert is not None and expert.listed else "no",
        files=len(expert.documents) if expert is not None else 0,
    )
    return changed
