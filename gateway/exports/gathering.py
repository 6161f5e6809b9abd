"""From the store to the table of an export."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, tzinfo

from config import read_resource
from gateway.exports.files import FileKind
from gateway.services import Services
from gateway.store.activities import ActivityRow
from gateway.store.transaction import Transaction
from teleexpertise.billing.exports import Activity, ExportTable, Selection, export_table
from teleexpertise.billing.rating import BillingParty, Year
from teleexpertise.billing.tariffs import Tariffs, load_tariffs
from teleexpertise.people import Account, Party
from teleexpertise.states import State

__all__ = ["addresses_of", "export_name", "gather"]


async def gather(services: Services, tx: Transaction, selection: Selection) -> ExportTable:
    """The table of a selection, all conversations of its accounts read: yearly limits count earlier ones.

    Raises ``TariffFault`` where the tariff table cannot be used.
    """
    tariffs = _tariffs(services)
    accounts = {account.address: account for account in await tx.accounts.list()}
    parties: dict[Party, BillingParty] = {}
    labels = {
        option.value: option.label for option in services.forms.form("request").field("urgency").options
    }
    activities = [
        _activity(row, accounts, parties, labels) async for row in tx.activities.of(selection.addresses)
    ]
    year = Year(services.settings.billing.year)
    return export_table(activities, selection, tariffs, services.texts.words, services.zone, year)


def _tariffs(services: Services) -> Tariffs:
    own = services.settings.billing.tariffs_file
    return load_tariffs(read_resource("tariffs.toml") if own is None else own.read_text("utf-8"))


def _activity(
    row: ActivityRow,
    accounts: Mapping[str, Account],
    parties: dict[Party, BillingParty],
    labels: Mapping[str, str],
) -> Activity:
    said = row.completion or row.opening
    return Activity(
        ref=row.ref,
        state=State(row.state),
        requested_at=row.opened_at,
        answered_at=row.answered_at,
        finalised_at=row.finalised_at,
        version=row.version,
        requester=_party(said.requester, accounts, parties),
        expert=_party(said.expert, accounts, parties),
        patient=row.opening.patient,
        urgency=labels.get(row.opening.urgency, row.opening.urgency),
        outcome=row.completion.outcome if row.completion else "",
        finaliser=row.finaliser.shown if row.finaliser else "",
        delay_days=row.opening.delay_days,
        insured_number=row.opening.insured_number,
    )


def _party(party: Party, accounts: Mapping[str, Account], known: dict[Party, BillingParty]) -> BillingParty:
    """A side as the record names it; site and department, which it does not hold, from the account of
    today.
    """
    found = known.get(party)
    if found is None:
        account = accounts.get(party.address)
        found = known[party] = BillingParty(
            address=party.address,
            name=party.name,
            profession=party.profession,
            rpps=party.rpps,
            number=party.billing_number,
            finess=account.finess if account else "",
            department=account.department if account else "",
        )
    return found


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
