"""What a finalisation bills: proposed in its form, recorded with it, told back in its confirmation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, time, timedelta

import structlog

from gateway.exports.gathering import activity_of, billing_party, place_of, tariffs_of
from gateway.pipeline.unit import Unit
from gateway.store.activities import ActivityRow
from teleexpertise.billing.rating import Billable, Line, Year, claimed_number, profession_of, rate
from teleexpertise.billing.tariffs import Role, TariffFault, Tariffs
from teleexpertise.conversation import Conversation
from teleexpertise.events import Billed, Completed, Place, Side
from teleexpertise.identifiers import read_nir
from teleexpertise.people import Party

__all__ = ["asks_insured", "billed", "expert_acts", "place", "rated"]

#: Acts of a year count; a calendar year began at most so long ago, and so did a rolling one.
_COUNTED = timedelta(days=367)


async def place(unit: Unit, party: Party) -> Place:
    """Where a side works today."""
    return place_of(await unit.account(party.address) if party.local else None)


def _table(unit: Unit) -> Tariffs | None:
    """The tariffs; ``None`` where the operator's own file cannot be used: no finalisation is lost by it."""
    try:
        return tariffs_of(unit.services)
    except (TariffFault, OSError) as error:
        structlog.get_logger("billing").error("tariffs cannot be used", error=type(error).__name__)
        return None


def expert_acts(unit: Unit, expert: Party, acted_at: datetime | None = None) -> tuple[str, ...]:
    """The codes of the acts that an expert may bill for what was done then (``None``: now), in the order of
    the table.
    """
    tariffs = _table(unit)
    if tariffs is None:
        return ()
    profession = profession_of(billing_party(expert, Place()), tariffs)
    day = (acted_at or unit.now).astimezone(unit.services.zone).date()
    return tuple(dict.fromkeys(act.code for act in tariffs.acts_for(Role.EXPERT, profession, day)))


def asks_insured(unit: Unit, conversation: Conversation) -> bool:
    """Whether the finalisation asks for the number of the claim: the request gave none that can be one. Who
    is anonymous is billed for by nobody.
    """
    patient, given = conversation.patient, conversation.opening.insured_number
    day = (conversation.acted_at or unit.now).astimezone(unit.services.zone).date()
    return not patient.anonymous and not read_nir(claimed_number(given, patient, day)).valid


async def rated(unit: Unit, conversation: Conversation, completed: Completed) -> tuple[Line, ...]:
    """The lines of both sides if the conversation were finalised so now, the earlier acts of both for the
    same patient counted. A second finalisation corrects the act of the first one, and has its day. Nothing
    where the tariffs cannot be used.
    """
    tariffs = _table(unit)
    if tariffs is None:
        return ()
    zone = unit.services.zone
    acted = conversation.acted_at or unit.now
    answers = (exchange.at for exchange in conversation.exchanges if exchange.side is Side.EXPERT)
    known = await unit.tx.patients.of_conversation(conversation.id)
    mine = Billable(
        ref=conversation.ref,
        day=acted.astimezone(zone).date(),
        asked=conversation.opened_at.astimezone(zone).date(),
        answered=min([acted, *answers]).astimezone(zone).date(),
        patient=conversation.patient,
        patient_id=known.id if known else None,
        insured_number=completed.insured_number or conversation.opening.insured_number,
        requester=billing_party(completed.requester, completed.requester_place or Place()),
        expert=billing_party(completed.expert, completed.expert_place or Place()),
        level=completed.level,
        cumulated=completed.cumulated,
        listed_patient=completed.listed_patient,
    )
    year = Year(unit.services.settings.billing.year)
    lines = rate([*await _earlier(unit, mine), mine], tariffs, year)
    return tuple(line for line in lines if line.ref == conversation.ref)


async def _earlier(unit: Unit, mine: Billable) -> list[Billable]:
    """What was finalised for the same patient within a year by one of the two sides."""
    if not mine.patient_key:
        return []
    addresses = {mine.requester.address, mine.expert.address}
    zone, found = unit.services.zone, []
    since = datetime.combine(mine.day, time(), zone) - _COUNTED
    async for row in _of_patient(unit, addresses, mine, since):
        if row.completion is None or row.finalised_at is None or row.ref == mine.ref:
            continue
        accounts = {}
        for party in (row.completion.requester, row.completion.expert):
            if (account := await unit.account(party.address)) is not None:
                accounts[party.address] = account
        one = activity_of(row, accounts, {}, {}).billable(zone)
        if one.patient_key == mine.patient_key:
            found.append(one)
    return found


async def _of_patient(
    unit: Unit, addresses: set[str], mine: Billable, since: datetime
) -> AsyncIterator[ActivityRow]:
    """What may be of the same patient: of our own conversations, and of those that other gateways hold."""
    async for row in unit.tx.activities.of_patient(addresses, mine.patient_id, mine.patient, since):
        yield row
    async for row in unit.tx.told.of_patient(addresses, mine.patient_id, since):
        yield row


def billed(lines: Sequence[Line]) -> tuple[Billed, ...]:
    """The lines as the record keeps them."""
    return tuple(
        Billed(
            role=str(line.role),
            act=line.act.code if line.act else "",
            amount=line.amount,
            refusal=str(line.refusal or ""),
            anomalies=tuple(map(str, line.anomalies)),
        )
        for line in lines
    )
