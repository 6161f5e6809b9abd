"""Figures about a service's activity: delays, volumes, and the share answered within the promised delay;
pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from math import ceil
from statistics import median

from teleexpertise.states import State

__all__ = ["Asked", "Delays", "Figures", "Group", "delays", "figures", "percentile"]

_HOUR = timedelta(hours=1)
#: Nobody owes an answer to these.
_OUTSIDE = frozenset({State.CANCELLED, State.REDIRECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: no name in it. ``specialty`` is the first that was asked, ``department`` the requester's;
    '' where they are not known. A refusal counts as an answer by ``answered_at``.
    """

    asked_at: datetime
    answered_at: datetime | None
    finalised_at: datetime | None
    delay_days: int
    state: State
    specialty: str = ""
    department: str = ""

    def in_time(self, now: datetime) -> bool | None:
        """Whether the answer came within the promised delay; ``None`` while that is open, or nobody owes
        one.
        """
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


@dataclass(frozen=True, slots=True)
class Figures:
    """All together, and by specialty and department (the largest first) and by month of the request."""

    whole: Group
    specialties: tuple[Group, ...]
    departments: tuple[Group, ...]
    months: tuple[Group, ...]


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
        finalised=sum(request.finalised_at is not None for request in requests),
        answer=delays(r.answered_at - r.asked_at for r in requests if r.answered_at is not None),
        finalisation=delays(r.finalised_at - r.asked_at for r in requests if r.finalised_at is not None),
        due=len(judged),
        in_time=sum(judged),
    )


def figures(requests: Sequence[Asked], now: datetime, zone: tzinfo) -> Figures:
    """The figures of these requests; months are those of the readers' zone."""

    def by(key: Callable[[Asked], str]) -> list[Group]:
        found: dict[str, list[Asked]] = {}
        for request in requests:
            found.setdefault(key(request), []).append(request)
        return [_group(name, some, now) for name, some in found.items()]

    def largest(groups: list[Group]) -> tuple[Group, ...]:
        return tuple(sorted(groups, key=lambda group: (-group.asked, group.name)))

    months = by(lambda request: f"{request.asked_at.astimezone(zone):%Y-%m}")
    return Figures(
        whole=_group("", requests, now),
        specialties=largest(by(lambda request: request.specialty)),
        departments=largest(by(lambda request: request.department)),
        months=tuple(sorted(months, key=lambda group: group.name)),
    )
