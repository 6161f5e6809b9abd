"""Figures about a service's activity: delays, volumes, and the share answered within the promised delay;
pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from math import ceil
from statistics import median

from teleexpertise.states import State

__all__ = ["Asked", "Delays", "Elsewhere", "Figures", "Group", "delays", "figures", "percentile"]

_HOUR = timedelta(hours=1)
#: Nobody owes an answer to these.
_OUTSIDE = frozenset({State.CANCELLED, State.REDIRECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: no name in it. ``specialty`` is the first that was asked, ``department`` the requester's;
    '' where they are not known. A refusal counts as an answer by ``answered_at``.

    ``elsewhere``: another operator holds it, and then either is ``None`` where that one did not tell it;
    ``answer_told`` is False where it was answered and nobody told when.
    """

    asked_at: datetime
    answered_at: datetime | None
    finalised_at: datetime | None
    delay_days: int
    state: State
    specialty: str | None = ""
    department: str | None = ""
    elsewhere: bool = False
    answer_told: bool = True

    @property
    def finalised(self) -> bool:
        """Whether it is; of one that is held elsewhere the state may say so before anybody told when."""
        return self.finalised_at is not None or self.state is State.COMPLETED

    def in_time(self, now: datetime) -> bool | None:
        """Whether the answer came within the promised delay; ``None`` while that is open, nobody owes one,
        or nobody told when it came.
        """
        if not self.answer_told:
            return None
        if self.state in _OUTSIDE and self.answered_at is None:
            return None
        promised = self.asked_at + timedelta(days=self.delay_days)
        if self.answered_at is not None:
            return self.answered_at <= promised
        return False if now > promised else None


@dataclass(frozen=True, slots=True)
class Delays:
    """Hours from the request on: how many were measured, their median and what nine of ten stay within;
    ``None`` without any.
    """

    count: int
    median: float | None
    ninetieth: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The figures of some requests. ``name`` is a specialty, a department, a month ``2026-03``, or ''.

    ``due`` are those that were answered or whose promised delay is over, ``in_time`` those of them answered
    within it.
    """

    name: str
    asked: int
    finalised: int
    answer: Delays
    finalisation: Delays
    due: int
    in_time: int

    @property
    def share(self) -> float | None:
        """The share answered within the promised delay, 0 to 1; ``None`` where nothing was due."""
        return self.in_time / self.due if self.due else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What other operators hold: how many requests of it are among the figures, and what is in none of them
    because it was not told.

    ``untold`` are conversations of which nothing but their existence is known, counted nowhere else.
    ``specialty`` and ``department`` are counted requests that stand in no row of these tables, ``answer``
    those that were answered at an unknown moment: they are in no delay and no share.
    """

    counted: int = 0
    untold: int = 0
    specialty: int = 0
    department: int = 0
    answer: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """All together, and by specialty and department (the largest first) and by month of the request."""

    whole: Group
    specialties: tuple[Group, ...]
    departments: tuple[Group, ...]
    months: tuple[Group, ...]
    elsewhere: Elsewhere = field(default_factory=Elsewhere)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all stays within (nearest rank). ``values`` are sorted, not
    empty.
    """
    return values[max(0, ceil(share * len(values)) - 1)]


def delays(spans: Iterable[timedelta]) -> Delays:
    """Median and ninetieth percentile of some spans, hours."""
    hours = sorted(span / _HOUR for span in spans)
    if not hours:
        return Delays(0, None, None)
    return Delays(len(hours), median(hours), percentile(hours, 0.9))


def _group(name: str, requests: Sequence[Asked], now: datetime) -> Group:
    judged = [found for request in requests if (found := request.in_time(now)) is not None]
    return Group(
        name=name,
        asked=len(requests),
        finalised=sum(request.finalised for request in requests),
        answer=delays(r.answered_at - r.asked_at for r in requests if r.answered_at is not None),
        finalisation=delays(r.finalised_at - r.asked_at for r in requests if r.finalised_at is not None),
        due=len(judged),
        in_time=sum(judged),
    )


def _without_gaps(months: Sequence[Group], now: datetime) -> tuple[Group, ...]:
    """These months and those between them without any request: a picture must not draw what is a year apart
    side by side.
    """
    known = {group.name: group for group in months}
    if not known:
        return ()
    (year, month), last = map(int, months[0].name.split("-")), months[-1].name
    found = []
    while (name := f"{year}-{month:02}") <= last:
        found.append(known.get(name) or _group(name, (), now))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return tuple(found)


def figures(requests: Sequence[Asked], now: datetime, zone: tzinfo, untold: int = 0) -> Figures:
    """The figures of these requests; months are those of the readers' zone. ``untold`` are conversations
    elsewhere of which no facts are known: they are said beside the figures.
    """

    def by(key: Callable[[Asked], str | None]) -> list[Group]:
        found: dict[str, list[Asked]] = {}
        for request in requests:
            name = key(request)
            if name is not None:
                found.setdefault(name, []).append(request)
        return [_group(name, some, now) for name, some in found.items()]

    def largest(groups: list[Group]) -> tuple[Group, ...]:
        return tuple(sorted(groups, key=lambda group: (-group.asked, group.name)))

    months = by(lambda request: f"{request.asked_at.astimezone(zone):%Y-%m}")
    return Figures(
        whole=_group("", requests, now),
        specialties=largest(by(lambda request: request.specialty)),
        departments=largest(by(lambda request: request.department)),
        months=_without_gaps(sorted(months, key=lambda group: group.name), now),
        elsewhere=Elsewhere(
            counted=sum(request.elsewhere for request in requests),
            untold=untold,
            specialty=sum(request.specialty is None for request in requests),
            department=sum(request.department is None for request in requests),
            answer=sum(not request.answer_told for request in requests),
        ),
    )
