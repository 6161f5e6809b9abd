"""From the store to the figures of activity: one small row for each request, without anybody's name."""

from __future__ import annotations

from collections.abc import Collection

from gateway.services import Services
from gateway.store.transaction import Transaction
from teleexpertise.activity import Asked
from teleexpertise.states import State

__all__ = ["gather_asked"]


async def gather_asked(
    services: Services, tx: Transaction, experts: Collection[str] | None
) -> tuple[Asked, ...]:
    """All requests to these experts, ``None`` for everybody's. The requester's department is that recorded
    with the finalisation, before it that of the account today.
    """
    departments = {account.address: account.department for account in await tx.accounts.list()}
    found = []
    async for row in tx.activities.of(experts):
        said = row.completion or row.opening
        if experts is not None and said.expert.address not in experts:
            continue
        place = row.completion.requester_place if row.completion else None
        department = place.department if place else departments.get(said.requester.address, "")
        found.append(
            Asked(
                asked_at=row.opened_at,
                answered_at=row.answered_at or row.declined_at,
                finalised_at=row.finalised_first_at,
                delay_days=row.opening.delay_days,
                state=State(row.state),
                specialty=next(iter(row.opening.specialties), ""),
                department=services.departments.get(department, department),
            )
        )
    return tuple(found)
