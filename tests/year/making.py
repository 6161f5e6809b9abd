"""Makes the plan of a year from a seed: who there is in :mod:`tests.year.region`, what they do here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from random import Random

from tests.year.plan import (
    CHANGES,
    PARIS,
    Act,
    Adviser,
    Case,
    Closing,
    Fate,
    Member,
    Person,
    Size,
    Year,
)
from tests.year.region import OUTCOMES, QUESTIONS, Region, make_region

__all__ = ["make_year"]

_FATES = (
    (Fate.FINALISED, 80.0),
    (Fate.UNANSWERED, 5.0),
    (Fate.DECLINED, 4.0),
    (Fate.UNFINISHED, 4.0),
    (Fate.CANCELLED, 2.5),
    (Fate.WAITING, 2.5),
    (Fate.REDIRECTED, 0.0),  # decided by the expert, not by chance
    (Fate.VITAL, 0.5),
)
#: How often one professional asks one expert about one patient in a year: the fifth act of some is not paid.
_COURSES = ((1, 84.0), (2, 9.0), (3, 3.0), (4, 1.5), (5, 1.5), (6, 1.0))
_SAME_SITE = 0.06
#: From this year on no finalisation chooses between two levels.
_ONE_LEVEL = 2023
_ANOTHER_OF_THE_PATIENT = 0.12
_ANONYMOUS = 0.25
_NUMBER_LEFT_OUT = 0.02
_NUMBER_MISTYPED = 0.015
_MISTYPED = "12345"
_CUMULATED = 0.02
_AGAIN = 0.05
_AT_A_CHANGE = 0.02
_LATE = 0.06


def make_year(year: int, seed: int, size: Size | None = None) -> Year:
    """The year's plan. The same arguments give an equal plan, on any machine."""
    size = size or Size()
    chance = Random(f"{year}/{seed}/{size}")
    region = make_region(chance, size, year)
    cases = _Cases(chance, region, year, _changes(year)).make(size.conversations)
    exports = tuple(datetime(year, month, 1, 6, tzinfo=PARIS) for month in (4, 7, 10))
    exports += (datetime(year + 1, 1, 20, 6, tzinfo=PARIS),)
    return Year(
        year=year,
        seed=seed,
        members=region.members,
        advisers=region.advisers,
        delegations=region.delegations,
        patients=region.patients,
        cases=tuple(cases),
        exports=exports,
    )


def _changes(year: int) -> tuple[date, ...]:
    """The changes of rules that finalisations of this year's requests may meet, new year's day always."""
    mine = {day for day in CHANGES if day.year == year} | {date(year + 1, 1, 1)}
    return tuple(sorted(mine))


@dataclass(slots=True)
class _Cases:
    """The requests while they are made: moments first, so that their numbers follow time."""

    chance: Random
    region: Region
    year: int
    changes: Sequence[date]
    waiting: list[tuple[Member, Adviser, int]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def make(self, count: int) -> list[Case]:
        return [self._case(number, at) for number, at in enumerate(self._openings(count))]

    def _openings(self, count: int) -> list[datetime]:
        """Working hours of working days mostly; a few are asked just before a change of rules."""
        chance = self.chance
        found: list[datetime] = []
        first, days = date(self.year, 1, 1), (date(self.year + 1, 1, 1) - date(self.year, 1, 1)).days
        while len(found) < count:
            day = first + timedelta(days=chance.randrange(days))
            if chance.random() < _AT_A_CHANGE:
                day = max(first, chance.choice(self.changes) - timedelta(days=chance.randint(1, 3)))
            elif day.weekday() >= 5 and chance.random() < 0.8:
                continue
            found.append(self._at(day, chance.randint(8 * 60, 19 * 60)))
        return sorted(found)

    def _at(self, day: date, minute: int) -> datetime:
        moment = time(
            minute // 60, minute % 60, self.chance.randrange(60), self.chance.randrange(1000) * 1000
        )
        return datetime.combine(day, moment, PARIS)

    def _case(self, number: int, at: datetime) -> Case:
        chance = self.chance
        requester, adviser, patient = self._course()
        fate = chance.choices([one for one, _ in _FATES], [weight for _, weight in _FATES])[0]
        if adviser.tool_url and fate is not Fate.VITAL:
            fate = Fate.REDIRECTED
        if fate is Fate.WAITING and not adviser.wants_picture:
            fate = Fate.UNANSWERED
        hidden = adviser.anonymous and chance.random() < _ANONYMOUS
        late_picture = fate is not Fate.WAITING and chance.random() < 0.15
        bare = adviser.wants_picture and (fate is Fate.WAITING or late_picture)
        case = Case(
            number=number,
            at=at,
            requester=requester.address,
            by=chance.choice([requester.address, *self.region.delegates.get(requester.address, ())]),
            requester_number=self._typed(requester.number),
            expert=adviser.address,
            patient=None if hidden else patient,
            urgency="vitale" if fate is Fate.VITAL else chance.choice(("24h", "72h", "7j", "7j", "aucune")),
            question=chance.choice(QUESTIONS),
            fate=fate,
            pictures=0 if bare else chance.randint(1, 3),
            insured_number="" if hidden else self._insured(self.region.patients[patient]),
        )
        return self._followed(case, adviser, bare)

    def _typed(self, number: str) -> str:
        """A billing number as it came into the form: some leave it out, some mistype it."""
        drawn = self.chance.random()
        if drawn < _NUMBER_LEFT_OUT:
            return ""
        return _MISTYPED if drawn < _NUMBER_LEFT_OUT + _NUMBER_MISTYPED else number

    def _insured(self, person: Person) -> str:
        """The number of the parent on whom a child is insured; '' for whoever is insured alone."""
        if self.year - person.birth_date.year >= 16 or not person.ins:
            return ""
        parents = self.region.parents
        return parents[self.chance.randrange(len(parents))]

    def _course(self) -> tuple[Member, Adviser, int]:
        """Who asks whom about whom: one of those that go on, or new ones."""
        chance = self.chance
        if self.waiting and chance.random() < 0.3:
            return self.waiting.pop(chance.randrange(len(self.waiting)))
        requester = chance.choice(self.region.askers)
        adviser = self._adviser(requester)
        if self.seen and chance.random() < _ANOTHER_OF_THE_PATIENT:
            patient = chance.choice(self.seen)
        else:
            patient = chance.randrange(len(self.region.patients))
        self.seen.append(patient)
        again = chance.choices([count for count, _ in _COURSES], [weight for _, weight in _COURSES])[0] - 1
        self.waiting += [(requester, adviser, patient)] * again
        return requester, adviser, patient

    def _adviser(self, requester: Member) -> Adviser:
        chance, region = self.chance, self.region
        here = [one for one in region.advisers if region.by_address[one.address].finess == requester.finess]
        if requester.finess and here and chance.random() < _SAME_SITE:
            return chance.choice(here)
        while True:
            found = chance.choice(region.advisers)
            if found.address != requester.address:
                return found

    # -- what becomes of it

    def _followed(self, case: Case, adviser: Adviser, bare: bool) -> Case:
        """The case with all that happens after its opening."""
        chance, acts, at = self.chance, [], case.at
        if case.fate in (Fate.VITAL, Fate.REDIRECTED):
            return case
        if case.fate in (Fate.UNANSWERED, Fate.WAITING):
            if case.fate is Fate.UNANSWERED and bare:
                at = self._later(at, 1, 20)
                acts.append((at, Act.BRING))
            clock = [(case.at + timedelta(days=days), Act.CLOCK) for days in (1, 4, 6, 8, adviser.delay_days)]
            return replace(case, acts=tuple(sorted((*acts, *(one for one in clock if one[0] > at)))))
        if bare:
            at = self._later(at, 1, 20)
            acts.append((at, Act.BRING))
        if case.fate is Fate.CANCELLED:
            return replace(case, acts=(*acts, (self._later(at, 1, 30), Act.CANCEL)))
        at = self._later(at, 1, 90)
        if chance.random() < _LATE:
            at += timedelta(days=chance.randint(6, 12))
        acts.append((at, Act.ANSWER))
        if chance.random() < 0.1:
            asked, back = self._later(at, 0, 5), self._later(at, 6, 40)
            acts += [(asked, Act.ASK), (back, Act.RETURN)]
            at = back
        if case.fate is Fate.DECLINED:
            acts.append((self._later(at, 0, 10), Act.DECLINE))
        elif case.fate is Fate.FINALISED:
            return replace(case, acts=tuple(acts), closings=self._closings(case, at))
        return replace(case, acts=tuple(acts))

    def _later(self, at: datetime, least: int, most: int) -> datetime:
        """Some hours later, at least a few minutes."""
        return at + timedelta(hours=self.chance.uniform(least, most), minutes=self.chance.randint(2, 50))

    def _closed_at(self, at: datetime) -> datetime:
        chance = self.chance
        found = self._later(at, 1, 60) + (
            timedelta(days=chance.randint(5, 12)) if chance.random() < _LATE else timedelta()
        )
        for day in self.changes:
            midnight = datetime.combine(day, time(), PARIS)
            near = at < midnight - timedelta(minutes=40) and midnight - at < timedelta(days=6)
            if near and chance.random() < 0.4:
                # Minutes from midnight in Paris, where the day in UTC is still another.
                return midnight + timedelta(minutes=chance.choice((-25, -1, 0, 1, 35)))
        return found

    def _closings(self, case: Case, at: datetime) -> tuple[Closing, ...]:
        chance, region = self.chance, self.region
        answering = [case.expert, *region.delegates.get(case.expert, ())]
        first = Closing(
            at=self._closed_at(at),
            by=chance.choice(answering),
            requester=case.requester,
            requester_number=case.requester_number,
            expert=case.expert,
            expert_number=self._typed(region.by_address[case.expert].number),
            outcome=chance.choice(OUTCOMES),
            conclusion="Conduite à tenir détaillée dans les échanges.",
            cumulated=chance.random() < _CUMULATED,
            level=chance.choice(("TE1", "TE1", "TE2", "")) if self.year < _ONE_LEVEL else "",
            listed=chance.choice((True, True, True, False, None)),
        )
        if chance.random() >= _AGAIN:
            return (first,)
        return (first, self._corrected(first, answering))

    def _corrected(self, first: Closing, answering: Sequence[str]) -> Closing:
        """A second finalisation, mostly after an export: words, numbers, the cumulation or a side change."""
        chance, region = self.chance, self.region
        at = first.at + timedelta(days=chance.randint(2, 80), minutes=chance.randint(1, 600))
        again = replace(first, at=at, conclusion="Conclusion complétée après relecture.")
        match chance.randrange(5):
            case 0:
                expert = chance.choice(answering)
                return replace(again, expert=expert, expert_number=region.by_address[expert].number)
            case 1:
                own = region.by_address
                return replace(
                    again,
                    requester_number=own[first.requester].number,
                    expert_number=own[first.expert].number,
                )
            case 2:
                return replace(again, cumulated=not first.cumulated)
            case 3:
                stand_ins = [
                    name
                    for name in region.delegates.get(first.requester, ())
                    if not region.by_address[name].service
                ]
                requester = chance.choice([first.requester, *stand_ins])
                number = region.by_address[requester].number
                return replace(again, requester=requester, requester_number=number)
            case _:
                return again
