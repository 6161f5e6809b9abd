"""What the exports of a year must say, reckoned from its plan alone by a reading of the rules of its own.

The table is written from ``domain.md`` B by hand and nothing of the product is imported: a fault of the
tariff table, the rating, the store or the export shows as a difference. Amounts are cents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from tests.year.plan import PARIS, Act, Case, Closing, Member, Year

__all__ = ["ReckonedLine", "reckon"]

_DOCTOR, _MIDWIFE, _DENTIST, _NURSE = "doctor", "midwife", "dentist", "nurse"
_SPEECH, _PHYSIO, _FOOT = "speech therapist", "physiotherapist", "podiatrist"
#: First words of what accounts say -> profession; "unpaid" may ask and answer without an act.
_WORDS = {
    "Médecin": _DOCTOR,
    "Infirmière": _NURSE,
    "Sage-femme": _MIDWIFE,
    "Chirurgien-dentiste": _DENTIST,
    "Masseur-kinésithérapeute": _PHYSIO,
    "Pédicure-podologue": _FOOT,
    "Orthophoniste": _SPEECH,
    "Pharmacien": "unpaid",
    "Orthoptiste": "unpaid",
    "Secrétaire": "unpaid",
}
_CONVENTION = date(2019, 2, 10)
_ANYBODY_ASKS = date(2021, 6, 1)
_FOR_ALL = date(2022, 4, 1)
_INSURED_ALONE = 16
_NEW_TARIFF = date(2026, 1, 1)
#: (role, profession) -> the first day of an act for all patients, and how many of a year for one patient;
#: dentists only for patients in some situations.
_RIGHTS = {
    ("expert", _DOCTOR): (date(2022, 4, 1), 4),
    ("expert", _MIDWIFE): (date(2022, 4, 1), 2),
    ("expert", _DENTIST): (date(2025, 1, 18), 4),
    ("demandeur", _DOCTOR): (date(2022, 4, 1), 4),
    ("demandeur", _MIDWIFE): (date(2022, 4, 1), 2),
    ("demandeur", _SPEECH): (date(2022, 4, 1), 4),
    ("demandeur", _NURSE): (date(2023, 3, 23), 4),
    ("demandeur", _PHYSIO): (date(2024, 3, 1), 4),
    ("demandeur", _FOOT): (date(2024, 3, 1), 4),
    ("demandeur", _DENTIST): (date(2025, 1, 18), 4),
}
_CODES = {"expert": "TE2", "demandeur": "RQD"}
#: Until the end of 2025 and from 2026 on; overseas the former sources give none.
_CENTS = {"expert": (2000, 2300), "demandeur": (1000, 1000)}
_CENTS_OVERSEAS = {"expert": (None, 2760), "demandeur": (None, 1200)}
#: Before April 2022, doctors alone: level -> cents of the expert and of the requester, how many of a year.
_LEVELS = {"TE1": (1200, 500, 4), "TE2": (2000, 1000, 2)}
_LUMP_SUM_CAP = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReckonedLine:
    """One row of an export. ``cents`` is ``None`` where the rule gives no amount; ``reason`` why nothing is
    billed, ``open_points`` what has to be settled (names of this module); ``replaces`` is the exported
    version that a correction names, and the day on which it was shown, ``passed_on`` that the side is
    another's now.
    """

    ref: str
    role: str
    account: str
    day: date
    version: int
    act: str = ""
    cents: int | None = 0
    count: int = 0
    reason: str = ""
    open_points: frozenset[str] = frozenset()
    replaces: tuple[int, date] | None = None
    passed_on: bool = False


def reckon(year: Year, refs: Mapping[int, str], at: datetime) -> list[ReckonedLine]:
    """All rows of an export of everybody's finalised conversations made at a moment, by day and reference,
    the expert's first. ``refs`` are the references by the numbers of the cases. A year is a calendar year.
    """
    closed = [(case, _closings(case, at)) for case in year.cases]
    finalised = [(case, closings) for case, closings in closed if closings]
    finalised.sort(key=lambda pair: (_day(pair[1][0].at), refs[pair[0].number]))
    book = _Book(year, {member.address: member for member in year.members})
    found: list[ReckonedLine] = []
    for case, closings in finalised:
        for role in ("expert", "demandeur"):
            found += book.lines(case, closings, role, refs[case.number], at)
    return found


def _closings(case: Case, at: datetime) -> list[Closing]:
    return [closing for closing in case.closings if closing.at < at]


def _day(at: datetime) -> date:
    return at.astimezone(PARIS).date()


def _account(closing: Closing, role: str) -> str:
    return closing.expert if role == "expert" else closing.requester


class _Book:
    """Who has billed how much for whom so far."""

    def __init__(self, year: Year, members: Mapping[str, Member]) -> None:
        self._year = year
        self._members = members
        self._counts: dict[tuple[object, ...], int] = defaultdict(int)
        self._paid: dict[tuple[str, int], int] = defaultdict(int)

    def lines(
        self, case: Case, closings: list[Closing], role: str, ref: str, at: datetime
    ) -> Iterator[ReckonedLine]:
        """The row of one side, and one that takes back for each account that had it before."""
        last, version = closings[-1], len(closings)
        account, day = _account(last, role), _day(closings[0].at)
        shown = self._shown(case, role, at, version)
        act, cents, count, reason, points = self._billed(case, last, role, day)
        mine = [one for one in shown if one[1] == account] or shown
        yield ReckonedLine(
            ref=ref,
            role=role,
            account=account,
            day=day,
            version=version,
            act=act,
            cents=cents,
            count=count,
            reason=reason,
            open_points=points,
            replaces=(mine[-1][0], mine[-1][2]) if mine else None,
        )
        for gone in sorted({one[1] for one in shown} - {account}):
            theirs = [one for one in shown if one[1] == gone]
            yield ReckonedLine(
                ref=ref,
                role=role,
                account=gone,
                day=day,
                version=version,
                replaces=(theirs[-1][0], theirs[-1][2]),
                passed_on=True,
            )

    def _shown(self, case: Case, role: str, at: datetime, version: int) -> list[tuple[int, str, date]]:
        """(version, account, day of the first export that showed it) of what is replaced."""
        found: dict[tuple[int, str], date] = {}
        for export in self._year.exports:
            then = _closings(case, export)
            if export < at and then and len(then) < version:
                found.setdefault((len(then), _account(then[-1], role)), _day(export))
        return [(number, account, day) for (number, account), day in sorted(found.items())]

    def _billed(
        self, case: Case, closing: Closing, role: str, day: date
    ) -> tuple[str, int | None, int, str, frozenset[str]]:
        """(act, cents, count, reason, open points) of one side."""
        own = self._members[_account(closing, role)]
        profession = self._professions(closing)[role]
        reason = self._reason(closing, role, profession, day)
        if reason:
            return "", 0, 0, reason, frozenset()
        points = self._open_points(case, closing, role, day) | self._other_side(closing, role, day)
        if not profession:
            return "", None, 0, "", points | {"profession"}
        if closing.listed is None and (day < _FOR_ALL or profession == _DENTIST):
            points |= {"situation"}
        found = self._act(closing, role, profession, day)
        if found is None:
            return "", None, 0, "", points | {"level"}
        act, limit, cents = found
        count = 0
        if case.patient is not None:
            key = (case.patient, own.address, act, day.year)
            count = self._counts[key] + 1
            if limit and count > limit:
                return act, 0, count, "", points | {"limit"}
            self._counts[key] = count
        overseas = own.department[:2] in ("97", "98")
        if overseas:
            cents = _CENTS_OVERSEAS[role][day >= _NEW_TARIFF]
        if cents is None:
            return act, None, count, "", points | {"amount"}
        granted = self._granted(act, own, day, cents)
        return act, granted, count, "", points if granted == cents else points | {"cap"}

    def _act(
        self, closing: Closing, role: str, profession: str, day: date
    ) -> tuple[str, int, int | None] | None:
        """(code, acts of a year, cents in metropolitan France); ``None`` where two levels leave it open."""
        if day >= _FOR_ALL:
            return _CODES[role], _RIGHTS[role, profession][1], _CENTS[role][day >= _NEW_TARIFF]
        if closing.level not in _LEVELS:
            return None
        expert, requester, limit = _LEVELS[closing.level]
        # The requester's lump sum has no number of acts, but a sum of the year.
        return (closing.level, limit, expert) if role == "expert" else ("RQT", 0, requester)

    def _granted(self, act: str, own: Member, day: date, cents: int) -> int:
        if act != "RQT":
            return cents
        granted = max(0, min(cents, _LUMP_SUM_CAP - self._paid[own.address, day.year]))
        self._paid[own.address, day.year] += granted
        return granted

    def _professions(self, closing: Closing) -> dict[str, str]:
        return {
            "expert": _profession(self._members[closing.expert], closing.expert_number),
            "demandeur": _profession(self._members[closing.requester], closing.requester_number),
        }

    def _reason(self, closing: Closing, role: str, profession: str, day: date) -> str:
        """Why a side bills nothing; '' where it may."""
        expert, requester = self._members[closing.expert], self._members[closing.requester]
        if day < _CONVENTION:
            return "too early"
        if expert.address == requester.address:
            return "same person"
        if expert.finess and expert.finess == requester.finess:
            hospital = "/" in closing.expert_number and "/" in closing.requester_number
            return "inside the hospital" if hospital else "same practice"
        if closing.cumulated:
            return "cumulated"
        if not profession:
            return ""
        # Until April 2022 doctors alone were paid, from then on each profession from its own day.
        first, _ = _RIGHTS.get((role, profession), (date.max, 0))
        if day < first and not (day < _FOR_ALL and profession == _DOCTOR):
            return "profession"
        limited = day < _FOR_ALL or profession == _DENTIST
        if limited and closing.listed is False:
            return "patient"
        # The lump sum of before April 2022 follows the expert's claim.
        lump_sum = role == "demandeur" and day < _FOR_ALL
        return "no claim" if lump_sum and self._has_no_act(closing, day) else ""

    def _has_no_act(self, closing: Closing, day: date) -> bool:
        """Whether the expert's profession is known and has none on that day."""
        expert = self._professions(closing)["expert"]
        first, _ = _RIGHTS.get(("expert", expert), (date.max, 0))
        return bool(expert) and day < first and not (day < _FOR_ALL and expert == _DOCTOR)

    def _other_side(self, closing: Closing, role: str, day: date) -> frozenset[str]:
        """What the other's profession leaves open: who could ask before June 2021, who can be asked."""
        if role == "demandeur":
            return frozenset({"expert without act"} if self._has_no_act(closing, day) else ())
        answering, asking = self._professions(closing).values()
        rated = answering == _DOCTOR and closing.level in _LEVELS
        early = rated and day < _ANYBODY_ASKS and asking not in ("", _DOCTOR)
        return frozenset({"asking early"} if early else ())

    def _open_points(self, case: Case, closing: Closing, role: str, day: date) -> frozenset[str]:
        sides = [(closing.expert, closing.expert_number), (closing.requester, closing.requester_number)]
        if role != "expert":
            sides.reverse()
        found = set()
        for whose, (address, number) in zip(("own", "other"), sides, strict=True):
            found.add(_number_fault(number, whose))
            if not self._members[address].rpps and "/" not in number:
                found.add(f"{whose} rpps missing")
        if case.patient is None:
            found.add("anonymous")
        elif not self._insured(case, day):
            found.add("insured")
        answered = next(at for at, act in case.acts if act is Act.ANSWER)
        if (_day(answered) - _day(case.at)).days > 7:
            found.add("late")
        return frozenset(found - {""})

    def _insured(self, case: Case, day: date) -> str:
        """The number of a claim: a parent's, or the patient's own from an age on."""
        assert case.patient is not None, "nobody asks for the number of somebody unknown"
        person = self._year.patients[case.patient]
        born = person.birth_date
        age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        return case.insured_number or (person.ins if age >= _INSURED_ALONE else "")


def _profession(member: Member, number: str) -> str:
    """The profession of a side; a hospital service, known by its number, answers by its doctors."""
    first = member.profession.partition(" ")[0]
    return _WORDS.get(first, "") or (_DOCTOR if "/" in number else "")


def _number_fault(number: str, whose: str) -> str:
    """A billing number has nine characters, a hospital's a specialty of two digits behind them."""
    if not number:
        return f"{whose} number missing"
    site, _, specialty = number.partition("/")
    good = len(site) == 9 and (not specialty or len(specialty) == 2)
    return "" if good else f"{whose} number wrong"
