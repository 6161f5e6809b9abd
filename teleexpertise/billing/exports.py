"""The export of activity (A.38-A.40): typed rows under French column names, for a spreadsheet or a program.

A row is one side of one conversation. Column names and words stand in ``texts/words.toml``; here are their
order, their types and where each value comes from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from itertools import chain

from teleexpertise.billing.rating import Anomaly, Billable, BillingParty, Line, Year, claimed_number, rate
from teleexpertise.billing.shown import ExportedLine, Shown
from teleexpertise.billing.tariffs import Role, Tariffs
from teleexpertise.patients import Patient
from teleexpertise.states import CLOSED, State
from teleexpertise.texts.words import Words

__all__ = [
    "Activity",
    "Cell",
    "Column",
    "ColumnKind",
    "ExportTable",
    "Selection",
    "Untold",
    "export_table",
]

Cell = str | int | Decimal | date | datetime | None
"""A value of a row: text, a count, euros, a day, a moment in the readers' zone, or nothing."""


class ColumnKind(StrEnum):
    """How a column is shown and computed with."""

    TEXT = "text"
    COUNT = "count"
    MONEY = "money"
    DAY = "day"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its key, French name and kind."""

    key: str
    name: str
    kind: ColumnKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One conversation as exports and billing see it; moments are aware.

    ``finalised_at`` is that of the last finalisation, ``version`` its number, 0 before the first;
    ``acted_at`` is that of the first one, ``None`` where it is the last: the moment of the act. ``asked_of``
    is the account that was asked, a service mostly, whoever is named the expert at the end. ``finaliser`` is
    who did it, ``Y pour X`` for a delegate. ``level``, ``cumulated`` and ``listed_patient`` are what the
    finalisation said of the act. ``patient_id`` is the patient's number in the register.

    ``held_by`` is the domain of the other operator that holds it, '' for one of ours; then only sides in
    ``ours`` are ours to show (``None``: both), and ``patient_told`` says whether the holder told who it is.
    """

    ref: str
    state: State
    requested_at: datetime
    answered_at: datetime | None
    finalised_at: datetime | None
    version: int
    requester: BillingParty
    expert: BillingParty
    patient: Patient
    acted_at: datetime | None = None
    asked_of: str = ""
    patient_id: int | None = None
    urgency: str = ""
    outcome: str = ""
    finaliser: str = ""
    delay_days: int = 7
    level: str = ""
    cumulated: bool = False
    listed_patient: bool | None = None
    insured_number: str = ""
    held_by: str = ""
    ours: frozenset[str] | None = None
    patient_told: bool = True

    def shows(self, party: BillingParty) -> bool:
        """Whether a side is ours to show."""
        return self.ours is None or party.address in self.ours

    def billable(self, zone: tzinfo) -> Billable:
        """What is rated, by the days of the readers' zone. ``ValueError`` before the finalisation."""
        if self.finalised_at is None:
            raise ValueError(f"{self.ref} is not finalised")
        return Billable(
            ref=self.ref,
            day=(self.acted_at or self.finalised_at).astimezone(zone).date(),
            asked=self.requested_at.astimezone(zone).date(),
            answered=self.answered_at.astimezone(zone).date() if self.answered_at else None,
            patient=self.patient,
            patient_id=self.patient_id,
            requester=self.requester,
            expert=self.expert,
            level=self.level,
            cumulated=self.cumulated,
            listed_patient=self.listed_patient,
            insured_number=self.insured_number,
            patient_told=self.patient_told,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """A conversation that another operator holds without having told its facts: its state, when its first
    mail came, when the first that says finalised, and the accounts of ours in it, on which side nobody knows.
    """

    ref: str
    held_by: str
    state: State
    requested_at: datetime
    finalised_at: datetime | None
    members: tuple[BillingParty, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is wanted: ``addresses`` whose sides (None: everybody's), roles, days of the period, both ends
    included (None: open), and finalised conversations or, ``pending``, those that are not.

    ``asked_of`` are services of which also what was asked of them is wanted, whoever was named the expert at
    the end: the establishment's administrator sees all of its activity (A.41). The period counts by the day
    of the act, for pending ones by the request. A correction of what was exported also counts by its own day:
    who exports month by month hears of it.
    """

    addresses: Collection[str] | None
    roles: Collection[Role] = (Role.EXPERT, Role.REQUESTER)
    first: date | None = None
    last: date | None = None
    pending: bool = False
    asked_of: Collection[str] = ()

    def wants(self, party: BillingParty, role: Role, asked_of: str, *days: date) -> bool:
        """Whether one side of a conversation, which counts on any of these days, is wanted."""
        mine = self.addresses is None or party.address in self.addresses
        return (
            role in self.roles
            and (mine or (role is Role.EXPERT and asked_of in self.asked_of))
            and any(
                (self.first is None or self.first <= day) and (self.last is None or day <= self.last)
                for day in days
            )
        )


@dataclass(frozen=True, slots=True)
class ExportTable:
    """A table ready to be written: ``rows`` in the order of ``columns``; they can be read once. ``exported``
    are the finalised lines among those read so far, which the next export must know of.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Iterator[tuple[Cell, ...]]
    exported: list[ExportedLine] = field(default_factory=list)


_COMMON: Mapping[str, ColumnKind] = {
    "reference": ColumnKind.TEXT,
    "role": ColumnKind.TEXT,
    "state": ColumnKind.TEXT,
    "held_by": ColumnKind.TEXT,
    "urgency": ColumnKind.TEXT,
    "asked_of": ColumnKind.TEXT,
    "requested": ColumnKind.MOMENT,
    "answered": ColumnKind.MOMENT,
}
_PARTIES: Mapping[str, ColumnKind] = {
    "account": ColumnKind.TEXT,
    "name": ColumnKind.TEXT,
    "profession": ColumnKind.TEXT,
    "rpps": ColumnKind.TEXT,
    "number": ColumnKind.TEXT,
    "finess": ColumnKind.TEXT,
    "unit": ColumnKind.TEXT,
    "counterpart_account": ColumnKind.TEXT,
    "counterpart_name": ColumnKind.TEXT,
    "counterpart_profession": ColumnKind.TEXT,
    "counterpart_rpps": ColumnKind.TEXT,
    "counterpart_number": ColumnKind.TEXT,
    "counterpart_finess": ColumnKind.TEXT,
    "patient_name": ColumnKind.TEXT,
    "patient_first_names": ColumnKind.TEXT,
    "patient_birth": ColumnKind.DAY,
    "patient_birth_order": ColumnKind.COUNT,
    "patient_sex": ColumnKind.TEXT,
    "patient_birth_place": ColumnKind.TEXT,
    "patient_ins": ColumnKind.TEXT,
    "patient_qualified": ColumnKind.TEXT,
}
_PENDING: Mapping[str, ColumnKind] = {
    **_COMMON,
    "promised_days": ColumnKind.COUNT,
    **_PARTIES,
    "anomalies": ColumnKind.TEXT,
}
_FINALISED: Mapping[str, ColumnKind] = {
    **_COMMON,
    "finalised": ColumnKind.MOMENT,
    "version": ColumnKind.COUNT,
    "correction": ColumnKind.TEXT,
    "finaliser": ColumnKind.TEXT,
    "outcome": ColumnKind.TEXT,
    **_PARTIES,
    "insured_number": ColumnKind.TEXT,
    "act_day": ColumnKind.DAY,
    "act": ColumnKind.TEXT,
    "act_cnam": ColumnKind.TEXT,
    "act_label": ColumnKind.TEXT,
    "amount": ColumnKind.MONEY,
    "count": ColumnKind.COUNT,
    "limit": ColumnKind.COUNT,
    "exemption": ColumnKind.TEXT,
    "third_party": ColumnKind.TEXT,
    "refusal": ColumnKind.TEXT,
    "anomalies": ColumnKind.TEXT,
    "source": ColumnKind.TEXT,
}


def export_table(
    activities: Iterable[Activity],
    selection: Selection,
    tariffs: Tariffs,
    words: Words,
    zone: tzinfo,
    year: Year = Year.CALENDAR,
    shown: Iterable[Shown] = (),
    untold: Iterable[Untold] = (),
) -> ExportTable:
    """The table of a selection. ``activities`` are all of the accounts in question, of any day: limits
    count them.

    ``shown`` is what earlier exports have shown of conversations finalised more than once: the line of a
    later version is marked as a correction, and an account whose side became another's gets a line without
    amount. ``untold`` come last, one line for each account of ours, with what is to be settled and no amount.
    """
    kinds = _PENDING if selection.pending else _FINALISED
    columns = tuple(Column(key, words.of("export_columns", key), kind) for key, kind in kinds.items())
    earlier: dict[tuple[str, str], list[Shown]] = {}
    for one in shown:
        earlier.setdefault((one.ref, str(one.role)), []).append(one)
    writing = _Writing(selection, words, zone, earlier)
    made = writing.pending(activities) if selection.pending else writing.finalised(activities, tariffs, year)
    made = chain(made, writing.untold(untold))
    rows = (tuple(row.get(key) for key in kinds) for row in made)
    title = words.of("export_titles", "pending" if selection.pending else "finalised")
    return ExportTable(title, columns, rows, writing.exported)


@dataclass(frozen=True, slots=True)
class _Writing:
    """What every row of one table shares."""

    selection: Selection
    words: Words
    zone: tzinfo
    shown: Mapping[tuple[str, str], list[Shown]]
    exported: list[ExportedLine] = field(default_factory=list)

    def pending(self, activities: Iterable[Activity]) -> Iterator[Mapping[str, Cell]]:
        """The rows of what is still open, by reference."""
        for activity in sorted(activities, key=lambda one: one.ref):
            if activity.state in CLOSED:
                continue
            day = activity.requested_at.astimezone(self.zone).date()
            for role, party, other in (
                (Role.EXPERT, activity.expert, activity.requester),
                (Role.REQUESTER, activity.requester, activity.expert),
            ):
                if activity.shows(party) and self.selection.wants(party, role, activity.asked_of, day):
                    yield {
                        **self._described(activity, role, party, other),
                        "promised_days": activity.delay_days,
                        "anomalies": ""
                        if activity.patient_told
                        else self._anomalies([Anomaly.PATIENT_NOT_TOLD]),
                    }

    def untold(self, conversations: Iterable[Untold]) -> Iterator[Mapping[str, Cell]]:
        """The rows of what another operator holds without having told more than where it stands."""
        for one in conversations:
            moment = one.requested_at if self.selection.pending else one.finalised_at
            if moment is None or (self.selection.pending and one.state in CLOSED):
                continue
            day = moment.astimezone(self.zone).date()
            for party in one.members:
                if any(self.selection.wants(party, role, "", day) for role in Role):
                    yield {
                        "reference": one.ref,
                        "role": self.words.of("export_words", "untold_role"),
                        "state": self.words.of("states", one.state),
                        "held_by": one.held_by,
                        "requested": self._moment(one.requested_at),
                        "finalised": self._moment(one.finalised_at),
                        **_party("", party),
                        "unit": party.unit,
                        "anomalies": self.words.of("export_words", "untold"),
                    }

    def finalised(
        self, activities: Iterable[Activity], tariffs: Tariffs, year: Year
    ) -> Iterator[Mapping[str, Cell]]:
        """The rows of what is finalised, by the day of the act."""
        finalised = {one.ref: one for one in activities if one.finalised_at is not None}
        billable = (one.billable(self.zone) for one in finalised.values())
        for line in rate(billable, tariffs, year, self.selection.roles):
            activity = finalised[line.ref]
            days = self._days(activity, line)
            if activity.shows(line.party) and self.selection.wants(
                line.party, line.role, activity.asked_of, *days
            ):
                self._note(activity, line.role, line.party.address)
                yield {
                    **self._described(activity, line.role, line.party, line.counterpart),
                    **self._billed(activity, line),
                }
            for gone in self._withdrawn(activity, line):
                if activity.shows(gone.party) and self.selection.wants(gone.party, gone.role, "", *days):
                    self._note(activity, gone.role, gone.party.address)
                    yield {
                        **self._described(activity, gone.role, gone.party, gone.counterpart),
                        **self._billed(activity, gone),
                    }

    def _note(self, activity: Activity, role: Role, account: str) -> None:
        self.exported.append(ExportedLine(activity.ref, role, activity.version, account))

    def _earlier(self, activity: Activity, role: Role) -> list[Shown]:
        """What was shown of earlier versions of one side, by version."""
        found = self.shown.get((activity.ref, str(role)), [])
        return [one for one in found if one.version < activity.version]

    def _days(self, activity: Activity, line: Line) -> tuple[date, ...]:
        """The days on which a line counts: that of the act, and of a correction its own."""
        assert activity.finalised_at is not None, "only what is finalised has lines"
        if not self._earlier(activity, line.role):
            return (line.day,)
        return (line.day, activity.finalised_at.astimezone(self.zone).date())

    def _withdrawn(self, activity: Activity, line: Line) -> Iterator[Line]:
        """For each account that was shown this side and has it no more, a line that bills nothing."""
        gone = {one.account for one in self._earlier(activity, line.role)} - {line.party.address}
        for account in sorted(gone):
            yield Line(
                ref=line.ref,
                day=line.day,
                role=line.role,
                party=BillingParty(address=account),
                counterpart=line.counterpart,
            )

    def _correction(self, activity: Activity, line: Line) -> str:
        """Which exported version this line replaces or takes back; '' where none was exported."""
        earlier = self._earlier(activity, line.role)
        if not earlier:
            return ""
        account = line.party.address
        side = activity.expert if line.role is Role.EXPERT else activity.requester
        mine = [one for one in earlier if one.account == account] or earlier
        word = "correction" if account == side.address else "withdrawn"
        return self.words.of("export_words", word).format(
            version=mine[-1].version, day=f"{mine[-1].exported_at.astimezone(self.zone):%d/%m/%Y}"
        )

    def _moment(self, moment: datetime | None) -> datetime | None:
        return None if moment is None else moment.astimezone(self.zone)

    def _described(
        self, activity: Activity, role: Role, party: BillingParty, other: BillingParty
    ) -> dict[str, Cell]:
        """What both tables say of one side of a conversation."""
        patient = activity.patient
        return {
            "reference": activity.ref,
            "role": self.words.of("export_roles", role),
            "state": self.words.of("states", activity.state),
            "held_by": activity.held_by,
            "urgency": activity.urgency,
            "asked_of": activity.asked_of or activity.expert.address,
            "requested": self._moment(activity.requested_at),
            "answered": self._moment(activity.answered_at),
            **_party("", party),
            "unit": party.unit,
            **_party("counterpart_", other),
            "patient_name": self.words.of("export_words", "anonymous")
            if patient.anonymous
            else patient.birth_name,
            "patient_first_names": patient.first_names,
            "patient_birth": patient.birth_date,
            "patient_birth_order": patient.birth_order or None,
            "patient_sex": patient.sex,
            "patient_birth_place": patient.birth_place,
            "patient_ins": patient.ins,
            "patient_qualified": self.words.of("export_words", "yes") if patient.qualified else "",
        }

    def _billed(self, activity: Activity, line: Line) -> dict[str, Cell]:
        """What only a finalised conversation has: its finalisation and its billing."""
        act = line.act
        claimed = act is not None and not act.lump_sum
        return {
            "finalised": self._moment(activity.finalised_at),
            "version": activity.version,
            "correction": self._correction(activity, line),
            "finaliser": activity.finaliser,
            "outcome": activity.outcome,
            "insured_number": claimed_number(activity.insured_number, activity.patient, line.day),
            "act_day": line.day,
            "act": act.code if act else "",
            "act_cnam": str(act.cnam) if act else "",
            "act_label": act.label if act else "",
            "amount": None if line.amount is None else Decimal(line.amount) / 100,
            "count": line.count or None,
            "limit": line.limit or None,
            "exemption": self.words.of("export_words", "exemption") if claimed else "",
            "third_party": self.words.of("export_words", "third_party") if claimed else "",
            "refusal": self.words.of("not_billable", line.refusal) if line.refusal else "",
            "anomalies": self._anomalies(line.anomalies),
            "source": act.source if act else "",
        }

    def _anomalies(self, found: Iterable[Anomaly]) -> str:
        return " ; ".join(self.words.of("billing_anomalies", anomaly) for anomaly in found)


def _party(prefix: str, party: BillingParty) -> dict[str, Cell]:
    return {
        f"{prefix}account": party.address,
        f"{prefix}name": party.name,
        f"{prefix}profession": party.profession,
        f"{prefix}rpps": party.rpps,
        f"{prefix}number": party.number,
        f"{prefix}finess": party.site,
    }
