"""Mailboxes that get documents as well: applicative ones, named by an account in its preferences ("dépôt dans
le dossier patient"), and the treating doctor of a request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.pipeline.unit import Unit
from teleexpertise.forms import Form, Value
from teleexpertise.patient_mail import in_patients_domain

__all__ = ["deposits_of", "read_deposits", "receives_documents", "save_deposits"]

#: Each gets a mail of its own with every report.
_MOST = 10
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"]{1,64}@[^\s@<>()\[\],;:\"]{1,255}", re.ASCII)
_LONGEST_SHOWN = 80


async def deposits_of(unit: Unit, address: str) -> tuple[str, ...]:
    """The mailboxes that an account has named so far."""
    return tuple(mailbox for _, mailbox in await unit.tx.deposits.of([address]))


def _named(values: Mapping[str, Value]) -> tuple[str, ...]:
    """The addresses that the line names, lower case, once each."""
    value = values.get("deposits", "")
    words = re.split(r"[\s,;]+", value if isinstance(value, str) else "")
    return tuple(dict.fromkeys(word.strip("<>").lower() for word in words if word.strip("<>")))


async def read_deposits(unit: Unit, form: Form, address: str, values: Mapping[str, Value]) -> str:
    """What is wrong with the line of deposits as one sentence, '' for nothing."""
    named = _named(values)
    if len(named) > _MOST:
        return form.say("too_many", count=str(len(named)), most=str(_MOST))
    for mailbox in named:
        if mailbox == address or not await receives_documents(unit, mailbox):
            return form.say("deposit", typed=mailbox[:_LONGEST_SHOWN])
    return ""


async def receives_documents(unit: Unit, mailbox: str) -> bool:
    """Whether documents may be sent to a mailbox (lower case): an active account of ours, or one in the trust
    space; no service's, and no patient's, who gets a report only by a qualified INS.
    """
    services = unit.services
    if not _ADDRESS.fullmatch(mailbox) or services.book.is_service(mailbox):
        return False
    if in_patients_domain(mailbox, services.settings.documents.patient_domain):
        return False
    if services.is_local(mailbox):
        account = await unit.account(mailbox)
        return account is not None and account.active
    return services.trust.listed(mailbox.rpartition("@")[2])


async def save_deposits(unit: Unit, address: str, values: Mapping[str, Value]) -> bool:
    """Keep what the line names, and nothing else; whether that changed anything is returned."""
    before, wanted = set(await deposits_of(unit, address)), set(_named(values))
    for mailbox in sorted(before - wanted):
        await unit.tx.deposits.remove(address, mailbox)
    for mailbox in sorted(wanted - before):
        await unit.tx.deposits.add(address, mailbox, unit.now)
    return before != wanted
