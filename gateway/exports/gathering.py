"""From the store to the table of an export."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, tzinfo
from functools import lru_cache

from config import read_resource
from gateway.exports.kinds import FileKind
from gateway.services import Services
from gateway.store.activities import ActivityRow
from gateway.store.told_activities import UntoldRow
from gateway.store.transaction import Transaction
from teleexpertise.billing.exports import Activity, ExportTable, Selection, Untold, export_table
from teleexpertise.billing.rating import BillingParty, Year
from teleexpertise.billing.tariffs import Tariffs, load_tariffs
from teleexpertise.events import Place
from teleexpertise.people import Account, Party
from teleexpertise.states import State

__all__ = ["activity_of", "addresses_of", "billing_party", "export_name", "gather", "place_of", "tariffs_of"]


async def gather(services: Services, tx: Transaction, selection: Selection) -> ExportTable:
    """The table of a selection, all conversations of its accounts read: yearly limits count earlier ones.

    Raises ``TariffFault`` where the tariff table cannot be used.
    """
    tariffs = tariffs_of(services)
    accounts = {account.address: account for account in await tx.accounts.list()}
    parties: _Known = {}
    labels = {
        option.value: option.label for option in services.forms.form("request").field("urgency").options
    }
    read = selection.addresses
    if read is not None and selection.asked_of:
        # All of theirs: their yearly limits count what was not asked of these services as well.
        read = frozenset(read) | await tx.activities.experts_for(selection.asked_of)
    activities = [activity_of(row, accounts, parties, labels) async for row in tx.activities.of(read)]
    activities += [activity_of(row, accounts, parties, labels) async for row in tx.told.of(read)]
    if selection.addresses is not None and not selection.pending:
        known = {activity.ref for activity in activities}
        for rows, shown_before in ((tx.activities, tx.exported), (tx.told, tx.told)):
            lost = [ref for ref in await shown_before.moved_away(selection.addresses) if ref not in known]
            activities += [activity_of(row, accounts, parties, labels) async for row in rows.named(lost)]
    untold = [_untold(row, accounts) for row in await tx.told.untold(selection.addresses)]
    again = [activity.ref for activity in activities if activity.version > 1]
    shown = () if selection.pending else await tx.exported.of(again)
    year = Year(services.settings.billing.year)
    return export_table(
        activities,
        selection,
        tariffs,
        services.texts.words,
        services.zone,
        year,
        shown,
        untold,
    )


def tariffs_of(services: Services) -> Tariffs:
    """The table in force, read anew whenever its text has changed. Raises ``TariffFault``, ``OSError``."""
    own = services.settings.billing.tariffs_file
    return _loaded(read_resource("tariffs.toml") if own is None else own.read_text("utf-8"))


_loaded = lru_cache(maxsize=1)(load_tariffs)
_Known = dict[tuple[Party, Place | None], BillingParty]


def activity_of(
    row: ActivityRow,
    accounts: Mapping[str, Account],
    parties: _Known,
    labels: Mapping[str, str],
) -> Activity:
    """One conversation as exports and billing see it; ``parties`` keeps the sides met before, ``labels`` name
    the urgencies.
    """
    done = row.completion
    said = row.completion or row.opening
    return Activity(
        ref=row.ref,
        state=State(row.state),
        requested_at=row.opened_at,
        answered_at=row.answered_at,
        finalised_at=row.finalised_at,
        acted_at=row.finalised_first_at,
        version=row.version,
        requester=_party(
            _own(said.requester, row, accounts), done.requester_place if done else None, accounts, parties
        ),
        expert=_party(
            _own(said.expert, row, accounts), done.expert_place if done else None, accounts, parties
        ),
        asked_of=row.asked_of,
        patient=row.opening.patient,
        patient_id=row.patient_id,
        urgency=labels.get(row.opening.urgency, row.opening.urgency),
        outcome=row.completion.outcome if row.completion else "",
        finaliser=row.finaliser.shown if row.finaliser else "",
        delay_days=row.opening.delay_days,
        level=done.level if done else "",
        cumulated=done.cumulated if done else False,
        listed_patient=done.listed_patient if done else None,
        insured_number=(done.insured_number if done else "") or row.opening.insured_number,
        held_by=row.held_by,
        ours=row.ours if row.held_by else None,
        patient_told=row.patient_told,
    )


def _own(party: Party, row: ActivityRow, accounts: Mapping[str, Account]) -> Party:
    """A side of a conversation that another gateway holds: of ours its account knows who it is; the number
    is the one stated there, the account's where none was.
    """
    account = accounts.get(party.address) if row.held_by and party.address in row.ours else None
    if account is None:
        return party
    return replace(Party.of(account), billing_number=party.billing_number or account.billing_number)


def _untold(row: UntoldRow, accounts: Mapping[str, Account]) -> Untold:
    """A mirrored conversation of which nothing is known but its state and who of ours is in it."""
    members = (accounts[address] for address in row.members if address in accounts)
    return Untold(
        ref=row.ref,
        held_by=row.holder,
        state=State(row.state),
        requested_at=row.opened_at,
        finalised_at=row.completed_at,
        members=tuple(billing_party(Party.of(account), place_of(account)) for account in members),
    )


def _party(party: Party, place: Place | None, accounts: Mapping[str, Account], known: _Known) -> BillingParty:
    """A side as the record names it; where that does not hold the place, it is that of the account today."""
    found = known.get((party, place))
    if found is None:
        at = place_of(accounts.get(party.address)) if place is None else place
        found = known[party, place] = billing_party(party, at)
    return found


def place_of(account: Account | None) -> Place:
    """Where an account works; nowhere known for somebody of another operator."""
    return Place(account.finess, account.department, account.unit) if account else Place()


def billing_party(party: Party, place: Place) -> BillingParty:
    """A side of a conversation as billing sees it."""
    return BillingParty(
        address=party.address,
        name=party.name,
        profession=party.profession,
        rpps=party.rpps,
        number=party.billing_number,
        finess=place.finess,
        department=place.department,
        unit=place.unit,
    )


def addresses_of(accounts: Collection[Account], finess: str) -> frozenset[str]:
    """The accounts of an establishment, by its FINESS number (A.41)."""
    return frozenset(account.address for account in accounts if account.finess == finess)


def export_name(selection: Selection, now: datetime, kind: FileKind, zone: tzinfo) -> str:
    """The name of an export's file, which says what it holds and when it was made, and nobody's name."""
    what = "en-cours" if selection.pending else "finalisees"
    days = "_".join(day.isoformat() for day in (selection.first, selection.last) if day)
    return (
        "_".join(
            part for part in ("teleexpertises", what, days, f"{now.astimezone(zone):%Y%m%d-%H%M}") if part
        )
        + f".{kind}"
    )
