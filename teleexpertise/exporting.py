"""``Export expert 01/01/2026 31/03/2026 xlsx``: an export ordered in a subject, words in any order
(A.37-A.39).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from teleexpertise.billing.tariffs import Role
from teleexpertise.plaintext import folded

__all__ = ["EXPORT_FORMATS", "Export", "export_subject", "read_export"]

EXPORT_FORMATS = ("xlsx", "csv")

_ROLES = {
    "expert": Role.EXPERT,
    "requis": Role.EXPERT,
    "demandeur": Role.REQUESTER,
    "requerant": Role.REQUESTER,
}
_ROLE_WORDS = {Role.EXPERT: "expert", Role.REQUESTER: "demandeur"}
_DAY = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})")
_ADDRESS = re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{1,255}")
_FILLERS = frozenset({"du", "au", "de", "a", "pour", "comme", "en", "format", "et"})


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


def read_export(words: str) -> Export:
    """Read what stands behind the word ``Export``. Total: what is not understood becomes a problem."""
    text = " ".join(folded(words).split())
    pending = bool(re.search(r"\ben cours\b", text))
    days: list[date] = []
    role: Role | None = None
    kind, account, problems = "xlsx", "", []
    for word in re.sub(r"\ben cours\b", " ", text).split():
        if word in _ROLES and role in (None, _ROLES[word]):
            role = _ROLES[word]
        elif word in EXPORT_FORMATS:
            kind = word
        elif _ADDRESS.fullmatch(word) and not account:
            account = word
        elif (day := _day(word)) is not None and len(days) < 2:
            days.append(day)
        elif word not in _FILLERS:
            problems.append(word)
    first, last = (*days, None, None)[:2]
    if first is not None and last is not None and last < first:
        problems.append(f"{first:%d/%m/%Y} > {last:%d/%m/%Y}")
    return Export(role, pending, first, last, kind, account, tuple(problems))


def _day(word: str) -> date | None:
    match = _DAY.fullmatch(word)
    if match is None:
        return None
    day, month, year = map(int, match.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None


def export_subject(command: Export) -> str:
    """The subject to type: :func:`read_export` of it gives the command back, its problems left out."""
    words = [
        "Export",
        _ROLE_WORDS[command.role] if command.role else "",
        "en cours" if command.pending else "",
        *(f"{day:%d/%m/%Y}" for day in (command.first, command.last) if day),
        command.account,
        command.kind,
    ]
    return " ".join(word for word in words if word)
