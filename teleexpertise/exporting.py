"""``Export expert 01/01/2026 31/03/2026 xlsx``: an export ordered in a subject, words in any order
(A.37-A.39). Dates as people write them: ``1er mars 2026``, ``1/3/26``, ``mars 2026``, ``2026``.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from teleexpertise.billing.tariffs import Role
from teleexpertise.plaintext import folded
from teleexpertise.spans import MONTHS

__all__ = ["EXPORT_FORMATS", "Export", "export_subject", "read_export"]

EXPORT_FORMATS = ("xlsx", "csv")

_ROLES = {
    "expert": Role.EXPERT,
    "requis": Role.EXPERT,
    "demandeur": Role.REQUESTER,
    "requerant": Role.REQUESTER,
}
_ROLE_WORDS = {Role.EXPERT: "expert", Role.REQUESTER: "demandeur"}
_MONTH_NAME = rf"(?:{'|'.join(MONTHS)})\b"
_MONTH = rf"{_MONTH_NAME}\.?"
_DAY_OF_MONTH = r"(?:1er|\d{1,2})"
_YEAR = r"(?:19|20)\d\d"
#: What stands for a day or a span of days, the longest form first. A part that is left out before ``au`` is
#: that of the date behind it: ``du 1er au 15 mars 2026``.
_SPAN = re.compile(
    rf"""(?<![\w.-])(?:
    (?P<iso>\d{{4}}-\d{{1,2}}-\d{{1,2}})
    | (?P<quarter>(?:t[1-4]|[1-4](?:er|nd|eme|e)?\ trimestre)\ ?{_YEAR})
    | (?P<day>{_DAY_OF_MONTH}(?:
        [/.-]\d{{1,2}}[/.-](?:{_YEAR}|\d\d)
        | \ {_MONTH}(?:\ {_YEAR}(?!\d))?
        | (?=\ au?\ {_DAY_OF_MONTH}\ {_MONTH})))
    | (?P<month>(?:{_MONTH}|\d{{1,2}}/(?={_YEAR}\b))(?:\ ?{_YEAR}(?!\d))?)
    | (?P<year>{_YEAR})
    )(?![\w/.])""",
    re.VERBOSE,
)
_DASH_BETWEEN = re.compile(r"(?<=/\d{4})-(?=\d{1,2}/)")
_PARTS = re.compile(rf"\d+|{_MONTH_NAME}")
_PENDING = re.compile(r"\ben cours\b")
_ELISION = re.compile(r"\b(?:l|d|jusqu)'")
#: Behind these words a single day is the last one of the period.
_LAST = re.compile(r"\b(?:au|jusqu'(?:au|en|a)) $")
_SINCE = re.compile(r"\b(?:depuis(?: le)?|partir (?:du|de)) $")
_ON = re.compile(r"\ble $")
_ADDRESS = re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{1,255}")
_FILLERS = frozenset(
    (
        "du",
        "au",
        "de",
        "a",
        "le",
        "la",
        "les",
        "des",
        "mon",
        "mes",
        "pour",
        "comme",
        "en",
        "format",
        "et",
        "depuis",
        "partir",
        "entre",
        "jusqu",
        "activite",
        "teleexpertise",
        "teleexpertises",
        "finalisees",
        "terminees",
        "-",
    )
)


@dataclass(frozen=True, slots=True)
class Export:
    """Ask for one's activity as a file.

    ``role`` None means both; ``pending`` what is still open; ``account`` is one of those acted for, '' all of
    them. ``problems`` are the words that were not understood: nothing is exported then, and they are told
    back.
    """

    role: Role | None = None
    pending: bool = False
    first: date | None = None
    last: date | None = None
    kind: str = "xlsx"
    account: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Typed:
    """A day, some months or a year as it stands in the text; parts that were left out are ``None``."""

    words: str
    place: int
    year: int | None
    month: int | None = None
    day: int | None = None
    months: int = 1

    def days(self, later: _Typed | None) -> tuple[date, date] | None:
        """Its first and its last day, with what is missing as the ``later`` date has it; ``None`` for no day
        of the calendar.
        """
        year, month = self.year, self.month
        if later is not None:
            year = later.year if year is None else year
            month = later.month if month is None and self.day is not None else month
        if year is None or (self.day is not None and month is None):
            return None
        try:
            if self.day is not None and month is not None:
                return date(year, month, self.day), date(year, month, self.day)
            end = 12 if month is None else month + self.months - 1
            return date(year, 1 if month is None else month, 1), date(year, end, monthrange(year, end)[1])
        except ValueError:
            return None


def read_export(words: str) -> Export:
    """Read what stands behind the word ``Export``. Total: what is not understood becomes a problem."""
    text = " ".join(folded(words).split())
    pending = bool(_PENDING.search(text))
    addresses = _ADDRESS.findall(text)
    text = _ADDRESS.sub(" ", _PENDING.sub(" ", text))
    text = _DASH_BETWEEN.sub(" ", text)
    first, last, problems = _period(text)
    roles: set[Role] = set()
    kind = "xlsx"
    for word in _ELISION.sub("", _SPAN.sub(" ", text)).split():
        if word in _ROLES:
            roles.add(_ROLES[word])
        elif word in EXPORT_FORMATS:
            kind = word
        elif word not in _FILLERS:
            problems.append(word)
    problems += addresses[1:]
    role = next(iter(roles)) if len(roles) == 1 else None
    return Export(role, pending, first, last, kind, next(iter(addresses), ""), tuple(problems))


def _period(text: str) -> tuple[date | None, date | None, list[str]]:
    """The first and the last day that a text names, and what of it is no day or no period."""
    found = list(_typed(text))
    if len(found) > 2:
        return None, None, [one.words for one in found[2:]]
    spans = []
    for number, one in enumerate(found):
        days = one.days(found[number + 1] if number + 1 < len(found) else None)
        if days is None:
            return None, None, [one.words]
        spans.append(days)
    if not spans:
        return None, None, []
    if len(spans) == 1:
        return *_open_ended(*spans[0], text[: found[0].place]), []
    first, last = spans[0][0], spans[1][1]
    return first, last, [f"{first:%d/%m/%Y} > {last:%d/%m/%Y}"] if last < first else []


def _open_ended(first: date, last: date, before: str) -> tuple[date | None, date | None]:
    """The period that one span alone stands for, by the words before it: a single day begins it."""
    if _LAST.search(before):
        return None, last
    if _SINCE.search(before) or (first == last and not _ON.search(before)):
        return first, None
    return first, last


def _typed(text: str) -> Iterator[_Typed]:
    for match in _SPAN.finditer(text):
        parts: list[int | None] = [
            MONTHS[part] if part in MONTHS else int(part) for part in _PARTS.findall(match[0])
        ]
        words, place = match[0], match.start()
        match match.lastgroup:
            case "iso":
                year, month, day = parts
                yield _Typed(words, place, year, month, day)
            case "quarter":
                quarter, year = parts
                yield _Typed(words, place, year, 3 * (quarter or 1) - 2, months=3)
            case "day":
                day, month, year = (*parts, None, None)[:3]
                yield _Typed(words, place, _whole(year), month, day)
            case "month":
                month, year = (*parts, None)[:2]
                yield _Typed(words, place, year, month)
            case _:
                yield _Typed(words, place, parts[0])


def _whole(year: int | None) -> int | None:
    """A year of two digits is one of this century: there was no tele-expertise before."""
    return year + 2000 if year is not None and year < 100 else year


def export_subject(command: Export) -> str:
    """The subject to type: :func:`read_export` of it gives the command back, its problems left out."""
    days = [f"{day:%d/%m/%Y}" for day in (command.first, command.last) if day]
    words = [
        "Export",
        _ROLE_WORDS[command.role] if command.role else "",
        "en cours" if command.pending else "",
        "au" if command.last and not command.first else "",
        *days,
        command.account,
        command.kind,
    ]
    return " ".join(word for word in words if word)
