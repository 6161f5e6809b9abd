"""Spans of days and numbers of days, as French readers type them on one line; pure.

``folded`` text goes in (see `teleexpertise.plaintext`): lower case, without accents.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

__all__ = ["MONTHS", "days_in", "span_in"]

MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            ("janvier", "janv"),
            ("fevrier", "fevr", "fev"),
            ("mars",),
            ("avril", "avr"),
            ("mai",),
            ("juin",),
            ("juillet", "juil"),
            ("aout",),
            ("septembre", "sept"),
            ("octobre", "oct"),
            ("novembre", "nov"),
            ("decembre", "dec"),
        ),
        start=1,
    )
    for name in names
}
"""Names and abbreviations of months, folded, with their numbers."""

_NUMBERS: Final = {**MONTHS, "jan": 1}
_MONTH: Final = "|".join(sorted(_NUMBERS, key=len, reverse=True))
_NUMBERED: Final = (
    r"(?P<{0}d>\d{{1,2}})\s?[/.-]\s?(?P<{0}m>\d{{1,2}})(?:\s?[/.-]\s?(?P<{0}y>\d{{4}}|\d{{2}}))?"
)
_NAMED: Final = r"(?P<{0}D>1er|\d{{1,2}})(?:\s*(?P<{0}M>" + _MONTH + r")\.?)?(?:\s*(?P<{0}Y>\d{{4}}))?"
_DAY: Final = rf"(?:(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)\s+)?(?:{_NUMBERED}|{_NAMED})"
_SPAN: Final = re.compile(
    rf"(?:absente?s?\s+)?(?:du\s+)?{_DAY.format('a')}\s*(?:au|jusqu'au|-|a)\s*{_DAY.format('b')}"
    r"(?:\s+inclus)?(?P<rest>\D.*)?"
)
_COUNT: Final = re.compile(
    r"(?:sous\s+|(?:\d{1,3}|une?)\s*(?:h(?:eures?)?|j(?:ours?)?|semaines?)?\s*(?:a|-|ou)\s*)?(?P<count>\d{1,3}|une?)\s*"
    r"(?P<unit>h(?:eures?)?|j(?:ours?)?|semaines?)?\s*(?:maximum|maxi|max|au plus)?\.?"
)
_HOURS_A_DAY: Final = 24
_DAYS_A_WEEK: Final = 7


def days_in(typed: str) -> int | None:
    """The days of a delay: ``3``, ``3 jours``, ``48 h``, ``une semaine``, ``24 a 48 h``; else ``None``.

    Hours that are no whole days are rounded up.
    """
    found = _COUNT.fullmatch(typed)
    if found is None:
        return None
    count = int(found["count"]) if found["count"].isdigit() else 1
    unit = (found["unit"] or "j")[0]
    if unit == "h":
        return -(-count // _HOURS_A_DAY)
    return count * _DAYS_A_WEEK if unit == "s" else count


def span_in(typed: str) -> tuple[date, date, str] | None:
    """First and last day, and the words behind: ``du 1er au 15 août 2026``, ``1/8/26 - 15/8/26``.

    The first day may leave month and year, or the year, to the last. ``None`` for what is no span, ValueError
    for a day that no calendar has.
    """
    found = _SPAN.fullmatch(typed)
    if found is None:
        return None
    last_day, last_month, last_year = _parts(found, "b")
    day, month, year = _parts(found, "a")
    if last_month is None or last_year is None or day is None or last_day is None:
        return None
    month = month or last_month
    if year is None:
        # From December to January the year that is not said is the one before.
        year = last_year - (month > last_month)
    return date(year, month, day), date(last_year, last_month, last_day), (found["rest"] or "").strip()


def _parts(found: re.Match[str], side: str) -> tuple[int | None, int | None, int | None]:
    """Day, month, year of one side, as far as they are said."""
    if found[f"{side}d"]:
        year = found[f"{side}y"]
        return int(found[f"{side}d"]), int(found[f"{side}m"]), _century(year) if year else None
    name, year = found[f"{side}M"], found[f"{side}Y"]
    day = 1 if found[f"{side}D"] == "1er" else int(found[f"{side}D"])
    return day, _NUMBERS[name] if name else None, int(year) if year else None


def _century(year: str) -> int:
    return int(year) if len(year) > 2 else 2000 + int(year)
