"""Rating: finalised conversations in, billing lines out, both sides each; pure and the same in any order.

What cannot be billed is a line with a named refusal, what has to be settled first a line with named
anomalies: never silence, never a guess. The French sentences of the names are in ``texts/words.toml``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from teleexpertise.billing.tariffs import Act, Role, Tariffs, territory_of
from teleexpertise.identifiers import read_billing_number, read_nir
from teleexpertise.matching import traits_key
from teleexpertise.patients import Patient, age

__all__ = [
    "ANSWER_DAYS",
    "Anomaly",
    "Billable",
    "BillingParty",
    "Line",
    "NotBillable",
    "Year",
    "claimed_number",
    "profession_of",
    "rate",
]

ANSWER_DAYS = 7
"""The convention's delay for an expert's answer."""

INSURED_FROM = 16
"""The age from which somebody is insured under a number of their own."""


class Year(StrEnum):
    """What "a year" is: the texts do not settle it, so it is a setting."""

    CALENDAR = "calendar"
    ROLLING = "rolling"


class NotBillable(StrEnum):
    """Why a side bills nothing. Each member is stable: it is exported."""

    BEFORE_CONVENTION = "before-convention"
    """No act of tele-expertise existed on that day."""
    PROFESSION = "profession"
    """The profession may ask or answer, unpaid."""
    PATIENT_NOT_LISTED = "patient-not-listed"
    """The act is for patients in some situations alone, and this one is in none of them."""
    SAME_PERSON = "same-person"
    """Who asked answered: nobody is paid for their own advice."""
    SAME_PRACTICE = "same-practice"
    """Requester and expert work at the same site of a practice."""
    HOSPITAL_INTERNAL = "hospital-internal"
    """A hospital bills external activity only."""
    CUMULATED = "cumulated"
    """Another act was billed with it."""
    NO_EXPERT_CLAIM = "no-expert-claim"
    """The requester's lump sum is computed from the expert's claim, and the expert's profession has none."""


class Anomaly(StrEnum):
    """What is to be settled before a line can be paid. Each member is stable: it is exported."""

    LIMIT_EXCEEDED = "limit-exceeded"
    CAP_REACHED = "cap-reached"
    AMOUNT_UNKNOWN = "amount-unknown"
    LEVEL_UNKNOWN = "level-unknown"
    PROFESSION_UNKNOWN = "profession-unknown"
    """What the account says is no profession of the table: whether there is an act cannot be told."""
    NUMBER_MISSING = "number-missing"
    NUMBER_WRONG = "number-wrong"
    COUNTERPART_NUMBER_MISSING = "counterpart-number-missing"
    COUNTERPART_NUMBER_WRONG = "counterpart-number-wrong"
    RPPS_MISSING = "rpps-missing"
    """A person bills under an RPPS number, and the other party's claim names it (A.23)."""
    COUNTERPART_RPPS_MISSING = "counterpart-rpps-missing"
    INSURED_NUMBER_MISSING = "insured-number-missing"
    INSURED_NUMBER_WRONG = "insured-number-wrong"
    PATIENT_SITUATION = "patient-situation"
    """The act is for patients in some situations alone, and nobody said whether this one is."""
    PATIENT_NOT_TOLD = "patient-not-told"
    """Another operator holds the conversation and told no identity: neither a claim nor a count is
    possible.
    """
    PATIENT_UNIDENTIFIED = "patient-unidentified"
    """Anonymous: neither a claim nor a count for the year is possible."""
    ANSWER_LATE = "answer-late"
    REQUESTER_PROFESSION = "requester-profession"
    """Before June 2021 not every profession could ask; which others than doctors could, is not settled."""
    EXPERT_WITHOUT_ACT = "expert-without-act"
    """The expert's profession has no act of tele-expertise: whether asking it is one, is not settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingParty:
    """One side as the export names it. ``number`` is an AM number or FINESS/specialty code, ``finess`` the
    site, ``unit`` the hospital's code of the unit.
    """

    address: str
    name: str = ""
    profession: str = ""
    rpps: str = ""
    number: str = ""
    finess: str = ""
    department: str = ""
    unit: str = ""

    @property
    def is_hospital(self) -> bool:
        """Whether it bills as a hospital service (FINESS/specialty code)."""
        return "/" in self.number

    @property
    def site(self) -> str:
        """The FINESS number of where it works: the account's, else the one that a hospital bills under."""
        return self.finess or (self.number.partition("/")[0] if self.is_hospital else "")

    @property
    def key(self) -> str:
        """Whose acts are counted together: the person's where known, else the account's."""
        return self.rpps or self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Billable:
    """A finalised conversation. ``day`` is that of the act: of the first finalisation, since a correction
    makes no new act; ``asked`` that of the request, ``answered`` that of the first answer (``None``: the
    act's).

    ``patient_id`` is the patient's number in the register, ``None`` where the register does not say.
    ``insured_number`` is the insured person's NIR, which may be another's than the patient's INS; '' falls
    back on the patient's from an age on. ``level`` is the expert's act where two levels exist.
    ``listed_patient``: whether the patient is in a situation that an act of ``patients = "listed"`` wants,
    ``None`` where nobody said. ``patient_told`` is False where another operator keeps the identity back.
    """

    ref: str
    day: date
    asked: date
    patient: Patient
    requester: BillingParty
    expert: BillingParty
    answered: date | None = None
    patient_id: int | None = None
    insured_number: str = ""
    level: str = ""
    listed_patient: bool | None = None
    cumulated: bool = False
    patient_told: bool = True

    def party(self, role: Role) -> BillingParty:
        """The side of a role."""
        return self.expert if role is Role.EXPERT else self.requester

    @property
    def patient_key(self) -> tuple[str, ...]:
        """Whose acts are counted together: the register's patient, however each request spelled the traits
        and whether or not it gave the INS; () for a patient whom nothing identifies.
        """
        if self.patient_id is not None:
            return ("register", str(self.patient_id))
        named = self.patient.ins or traits_key(self.patient)
        return (named,) if named else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one side bills for one conversation.

    ``act`` is None without a right to bill; then ``refusal`` says why. ``amount`` is cents: 0 where nothing
    is due, None where the sources do not say. ``count`` is which act of the year it is for this patient and
    professional, ``limit`` how many there may be (0: no limit).
    """

    ref: str
    day: date
    role: Role
    party: BillingParty
    counterpart: BillingParty
    act: Act | None = None
    amount: int | None = 0
    count: int = 0
    limit: int = 0
    refusal: NotBillable | None = None
    anomalies: tuple[Anomaly, ...] = ()


@dataclass(slots=True)
class _Ledger:
    """What was billed so far: days of acts by patient, professional and code, and amounts by professional."""

    year: Year
    acts: dict[tuple[object, ...], list[date]] = field(default_factory=lambda: defaultdict(list))
    paid: dict[tuple[str, str], list[tuple[date, int]]] = field(default_factory=lambda: defaultdict(list))
    # found once for each party and number: a year of a region names the same ones a thousand times
    professions: dict[BillingParty, str] = field(default_factory=dict)
    possible: dict[tuple[Role, str, date], tuple[Act, ...]] = field(default_factory=dict)
    firsts: dict[Role, date] = field(default_factory=dict)
    billing_numbers: dict[str, bool] = field(default_factory=dict)
    insured_numbers: dict[str, bool] = field(default_factory=dict)

    def profession(self, party: BillingParty, tariffs: Tariffs) -> str:
        """The profession of a side, see :func:`profession_of`."""
        if party not in self.professions:
            self.professions[party] = profession_of(party, tariffs)
        return self.professions[party]

    def acts_for(self, role: Role, profession: str, day: date, tariffs: Tariffs) -> tuple[Act, ...]:
        """The rows that a profession may bill on a day in a role, see :meth:`Tariffs.acts_for`."""
        key = (role, profession, day)
        if key not in self.possible:
            self.possible[key] = tariffs.acts_for(role, profession, day)
        return self.possible[key]

    def first_day(self, role: Role, tariffs: Tariffs) -> date:
        """The day on which the first act of a role began; never where there is none."""
        if role not in self.firsts:
            days = (act.from_ for act in tariffs.acts if act.role is role)
            self.firsts[role] = min(days, default=date.max)
        return self.firsts[role]

    def is_billing_number(self, number: str) -> bool:
        """Whether a billing number can be one."""
        if number not in self.billing_numbers:
            self.billing_numbers[number] = read_billing_number(number).valid
        return self.billing_numbers[number]

    def is_insured_number(self, number: str) -> bool:
        """Whether a NIR can be one."""
        if number not in self.insured_numbers:
            self.insured_numbers[number] = read_nir(number).valid
        return self.insured_numbers[number]

    def within(self, earlier: date, day: date) -> bool:
        """Whether an earlier act counts in the same year as one on ``day``."""
        if self.year is Year.CALENDAR:
            return earlier.year == day.year
        return earlier > _year_before(day)


def _year_before(day: date) -> date:
    """The same day a year earlier; for 29 February the 28th."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def rate(
    conversations: Iterable[Billable],
    tariffs: Tariffs,
    year: Year = Year.CALENDAR,
    roles: Collection[Role] = tuple(Role),
) -> tuple[Line, ...]:
    """The lines of all conversations, by day and reference, the expert's before the requester's; of one role
    alone where only that is wanted.

    Give all conversations of the professionals in question from a year before the first wanted day on:
    limits count them.
    """
    ledger = _Ledger(year)
    lines: list[Line] = []
    for conversation in sorted(conversations, key=lambda one: (one.day, one.ref)):
        expert = _line(conversation, Role.EXPERT, tariffs, ledger)
        if Role.EXPERT in roles:
            lines.append(expert)
        if Role.REQUESTER in roles:
            lines.append(_line(conversation, Role.REQUESTER, tariffs, ledger, expert))
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class _Said:
    """What is billed for one side, and why not, or what is open: the fields of :class:`Line` after its
    parties.
    """

    act: Act | None = None
    amount: int | None = 0
    count: int = 0
    limit: int = 0
    refusal: NotBillable | None = None
    anomalies: tuple[Anomaly, ...] = ()


def _line(
    conversation: Billable, role: Role, tariffs: Tariffs, ledger: _Ledger, answered: Line | None = None
) -> Line:
    """The line of one side; ``answered`` is the expert's, for the requester's."""
    other = Role.REQUESTER if role is Role.EXPERT else Role.EXPERT
    party, counterpart = conversation.party(role), conversation.party(other)
    said = _said(conversation, role, tariffs, ledger, answered)
    return Line(
        ref=conversation.ref,
        day=conversation.day,
        role=role,
        party=party,
        counterpart=counterpart,
        act=said.act,
        amount=said.amount,
        count=said.count,
        limit=said.limit,
        refusal=said.refusal,
        anomalies=said.anomalies,
    )


def _said(
    conversation: Billable, role: Role, tariffs: Tariffs, ledger: _Ledger, answered: Line | None
) -> _Said:
    party = conversation.party(role)
    profession = ledger.profession(party, tariffs)
    possible = ledger.acts_for(role, profession, conversation.day, tariffs)
    refusal = _refusal(conversation, profession, possible, ledger.first_day(role, tariffs))
    if refusal is not None:
        return _Said(refusal=refusal)
    anomalies = _open_questions(conversation, role, ledger)
    if answered is not None and answered.refusal is NotBillable.PROFESSION:
        if possible and all(act.answers for act in possible):
            return _Said(refusal=NotBillable.NO_EXPERT_CLAIM)
        anomalies = (*anomalies, Anomaly.EXPERT_WITHOUT_ACT)
    if conversation.listed_patient is None and possible and all(act.for_listed for act in possible):
        anomalies = (*anomalies, Anomaly.PATIENT_SITUATION)
    if not profession:
        return _Said(amount=None, anomalies=(Anomaly.PROFESSION_UNKNOWN, *anomalies))
    claimed = answered.act.code if answered is not None and answered.act is not None else conversation.level
    chosen = _chosen(possible, conversation.level, claimed)
    if chosen is None:
        return _Said(amount=None, anomalies=(Anomaly.LEVEL_UNKNOWN, *anomalies))
    asking = ledger.profession(conversation.requester, tariffs)
    if chosen.asked_by and asking and asking not in chosen.asked_by:
        anomalies = (*anomalies, Anomaly.REQUESTER_PROFESSION)
    return _counted(chosen, anomalies, conversation, party, profession, ledger)


def claimed_number(insured: str, patient: Patient, day: date) -> str:
    """The NIR of a claim: the insured person's, else the patient's own where that can be the same. A child is
    insured by somebody: by whom, nobody guesses.
    """
    if insured or not patient.ins:
        return insured
    years = age(patient, day)
    return "" if years is not None and years < INSURED_FROM else patient.ins


def profession_of(party: BillingParty, tariffs: Tariffs) -> str:
    """The profession in the table; a hospital service that states none answers by its doctors."""
    stated = tariffs.profession(party.profession)
    return "médecin" if party.is_hospital and not stated else stated


def _refusal(
    conversation: Billable, profession: str, possible: tuple[Act, ...], first_day: date
) -> NotBillable | None:
    """The first reason for which a side bills nothing; ``first_day`` is that of its role's first act."""
    expert, requester = conversation.expert, conversation.requester
    if conversation.day < first_day:
        return NotBillable.BEFORE_CONVENTION
    if expert.key == requester.key:
        return NotBillable.SAME_PERSON
    if expert.site and expert.site == requester.site:
        both = expert.is_hospital and requester.is_hospital
        return NotBillable.HOSPITAL_INTERNAL if both else NotBillable.SAME_PRACTICE
    if conversation.cumulated:
        return NotBillable.CUMULATED
    if profession and not possible:
        return NotBillable.PROFESSION
    if conversation.listed_patient is False and possible and all(act.for_listed for act in possible):
        return NotBillable.PATIENT_NOT_LISTED
    return None


def _chosen(possible: tuple[Act, ...], level: str, claimed: str) -> Act | None:
    """The act that applies: the only one, that of the stated level, or the one that goes with what the expert
    claims.
    """
    fitting = [act for act in possible if act.answers in ("", claimed)]
    if len(fitting) == 1:
        return fitting[0]
    return next((act for act in fitting if act.code == level), None)


def _open_questions(conversation: Billable, role: Role, ledger: _Ledger) -> tuple[Anomaly, ...]:
    """What has to be settled whatever the act is."""
    found: list[Anomaly] = []
    own = conversation.party(role)
    other = conversation.party(Role.REQUESTER if role is Role.EXPERT else Role.EXPERT)
    for party, missing, wrong in (
        (own, Anomaly.NUMBER_MISSING, Anomaly.NUMBER_WRONG),
        (other, Anomaly.COUNTERPART_NUMBER_MISSING, Anomaly.COUNTERPART_NUMBER_WRONG),
    ):
        if not party.number:
            found.append(missing)
        elif not ledger.is_billing_number(party.number):
            found.append(wrong)
    for party, missing in ((own, Anomaly.RPPS_MISSING), (other, Anomaly.COUNTERPART_RPPS_MISSING)):
        if not party.rpps and not party.is_hospital:
            found.append(missing)
    insured = claimed_number(conversation.insured_number, conversation.patient, conversation.day)
    if not conversation.patient_told:
        found.append(Anomaly.PATIENT_NOT_TOLD)
    elif not conversation.patient_key:
        found.append(Anomaly.PATIENT_UNIDENTIFIED)
    elif not insured:
        found.append(Anomaly.INSURED_NUMBER_MISSING)
    elif not ledger.is_insured_number(insured):
        found.append(Anomaly.INSURED_NUMBER_WRONG)
    if ((conversation.answered or conversation.day) - conversation.asked).days > ANSWER_DAYS:
        found.append(Anomaly.ANSWER_LATE)
    return tuple(found)


def _counted(
    act: Act,
    anomalies: tuple[Anomaly, ...],
    conversation: Billable,
    party: BillingParty,
    profession: str,
    ledger: _Ledger,
) -> _Said:
    """The act with its number in the year, its amount, and what the limits say."""
    limit = act.limits.get(profession, 0)
    patient, day = conversation.patient_key, conversation.day
    earlier = ledger.acts[patient, party.key, act.code] if patient else []
    count = 1 + sum(ledger.within(one, day) for one in earlier) if patient else 0
    if limit and count > limit:
        return _Said(act, 0, count, limit, anomalies=(Anomaly.LIMIT_EXCEEDED, *anomalies))
    earlier.append(day)
    amount = act.amount.get(territory_of(party.department or party.site))
    if amount is None:
        return _Said(act, None, count, limit, anomalies=(Anomaly.AMOUNT_UNKNOWN, *anomalies))
    granted = _granted(act, amount, party, day, ledger)
    if granted != amount:
        anomalies = (Anomaly.CAP_REACHED, *anomalies)
    return _Said(act, granted, count, limit, anomalies=anomalies)


def _granted(act: Act, amount: int, party: BillingParty, day: date, ledger: _Ledger) -> int:
    """What is left of the amount below the act's yearly cap for one professional."""
    if act.yearly_cap is None:
        return amount
    paid = ledger.paid[party.key, act.code]
    left = act.yearly_cap - sum(cents for earlier, cents in paid if ledger.within(earlier, day))
    granted = max(0, min(amount, left))
    paid.append((day, granted))
    return granted
