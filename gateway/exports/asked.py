"""From the store to the figures of activity: one small row for each request, without anybody's name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.services import Services
from gateway.store.activities import ActivityRow
from gateway.store.transaction import Transaction
from teleexpertise.activity import Asked
from teleexpertise.billing.tariffs import Role
from teleexpertise.states import State

__all__ = ["Gathered", "gather_asked"]


@dataclass(frozen=True, slots=True)
class Gathered:
    """All requests of which the facts are known, and when the first mail came of each conversation whose
    holder told none: on which side of it ours are, nobody knows.
    """

    asked: tuple[Asked, ...]
    untold: tuple[datetime, ...]


async def gather_asked(
    services: Services, tx: Transaction, accounts: Collection[str] | None, role: Role = Role.EXPERT
) -> Gathered:
    """All requests to these accounts, or by them as the requester; ``None`` for everybody's. Of those that
    another operator holds, the ones with a side of ours.
    """
    departments = {account.address: account.department for account in await tx.accounts.list()}
    found = []
    async for row in _rows(tx, accounts):
        said = row.completion or row.opening
        side = said.expert if role is Role.EXPERT else said.requester
        if accounts is None or (side.address in accounts and _is_ours(row, side.address)):
            found.append(_asked(services, row, departments))
    untold = tuple(row.opened_at for row in await tx.told.untold(accounts) if row.members)
    return Gathered(tuple(found), untold)


async def _rows(tx: Transaction, accounts: Collection[str] | None) -> AsyncIterator[ActivityRow]:
    """Of our own conversations, and of those that others hold and one side of which is ours."""
    async for row in tx.activities.of(accounts):
        yield row
    async for row in tx.told.of(accounts):
        said = row.completion or row.opening
        if _is_ours(row, said.requester.address) or _is_ours(row, said.expert.address):
            yield row


def _is_ours(row: ActivityRow, address: str) -> bool:
    return not row.held_by or address in row.ours


def _asked(services: Services, row: ActivityRow, departments: Mapping[str, str]) -> Asked:
    """The row without names. What is closed was answered, also where nobody told when: a gateway of an
    earlier version says of a refusal only that it is one.
    """
    state = State(row.state)
    answered_at = row.answered_at or row.declined_at
    closed = state in (State.DECLINED, State.COMPLETED)
    department = _department(row, departments)
    return Asked(
        asked_at=row.opened_at,
        answered_at=answered_at,
        finalised_at=row.finalised_first_at,
        delay_days=row.opening.delay_days,
        state=state,
        specialty=next(iter(row.opening.specialties), "") if row.specialty_told else None,
        department=None if department is None else services.departments.get(department, department),
        elsewhere=bool(row.held_by),
        answer_told=not (row.held_by and closed and answered_at is None),
    )


def _department(row: ActivityRow, departments: Mapping[str, str]) -> str | None:
    """That recorded with the finalisation, before it that of the account today; ``None`` of somebody
    elsewhere whose operator did not tell it.
    """
    place = row.completion.requester_place if row.completion else None
    if place is not None:
        return place.department
    requester = (row.completion or row.opening).requester.address
    return departments.get(requester, None if row.held_by else "")
