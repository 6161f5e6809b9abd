"""``Export …`` in a subject: an order that a worker carries out, since an activity can be long."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from gateway.pipeline.incoming import Incoming
from gateway.pipeline.unit import Unit
from gateway.store.transaction import Transaction
from teleexpertise.billing.exports import Selection
from teleexpertise.billing.tariffs import Role
from teleexpertise.commands import Export
from teleexpertise.texts.views import Link

__all__ = ["accounts_of", "examples", "order", "ordered"]


async def accounts_of(tx: Transaction, login: str) -> frozenset[str]:
    """The accounts whose activity somebody may see: the own one, those they act for, and the services of the
    establishments that they administer.
    """
    rights = await tx.delegations.rights()
    return frozenset({login, *rights.principals(login)}) | await tx.administrators.services_of(login)


def examples(unit: Unit) -> tuple[Link, ...]:
    """The two exports that everybody wants, as links."""
    links = unit.services.links
    return (links.to(Export()), links.to(Export(pending=True), "export_pending"))


async def order(unit: Unit, incoming: Incoming, command: Export, addresses: Collection[str]) -> str:
    """Put the order into the outbox, with the accounts that its author may see now."""
    message = await unit.store(incoming)
    await unit.order(
        "export",
        incoming,
        message,
        {
            "addresses": sorted(addresses),
            "roles": [command.role] if command.role else list(Role),
            "pending": command.pending,
            "first": command.first.isoformat() if command.first else None,
            "last": command.last.isoformat() if command.last else None,
            "kind": command.kind,
        },
    )
    return "export"


def ordered(
    payload: Mapping[str, Any], still_allowed: Collection[str], administered: Collection[str]
) -> Selection:
    """The selection of an order, without the accounts that its author may no longer see. Of the services
    ``administered`` all is shown that was asked of them.
    """
    addresses = frozenset(payload["addresses"]) & frozenset(still_allowed)
    return Selection(
        addresses=addresses,
        asked_of=addresses & frozenset(administered),
        roles=tuple(map(Role, payload["roles"])),
        first=date.fromisoformat(payload["first"]) if payload["first"] else None,
        last=date.fromisoformat(payload["last"]) if payload["last"] else None,
        pending=payload["pending"],
    )
