"""What somebody types to find a patient: names in any order, a birth date, an INS or a hospital's number;
pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from teleexpertise.names import query_terms

__all__ = ["Query", "read_query"]

_DAY = re.compile(r"\b(?:(\d{1,2})[/.](\d{1,2})[/.](\d{4})|(\d{4})-(\d\d)-(\d\d))\b", re.ASCII)
_INS = re.compile(r"\b[12](?:[ .\-]?[0-9AB]){14}\b", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"\S*\d\S*")
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Query:
    """A search: every term of ``terms`` must be met by one of its beginnings of words, and all else must
    hold.

    ``born`` is a birth date, ``ins`` a matricule, ``number`` an establishment's own number (IPP); ``None`` or
    '' where none was typed.
    """

    terms: tuple[frozenset[str], ...] = ()
    born: date | None = None
    ins: str = ""
    number: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to look for."""
        return not (self.terms or self.born or self.ins or self.number)


def _day(match: re.Match[str]) -> date | None:
    day, month, year = match.group(1, 2, 3) if match[1] else match.group(6, 5, 4)
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def read_query(text: str) -> Query:
    """Take a search apart. What is no date, INS or number is part of a name."""
    rest, born, ins, number = text[:_LONGEST], None, "", ""
    if found := _INS.search(rest):
        ins = re.sub(r"[ .\-]", "", found[0]).upper()
        rest = rest[: found.start()] + " " + rest[found.end() :]
    if (found := _DAY.search(rest)) and (day := _day(found)):
        born, rest = day, rest[: found.start()] + " " + rest[found.end() :]
    if found := _NUMBER.search(rest):
        number, rest = found[0], rest[: found.start()] + " " + rest[found.end() :]
    return Query(query_terms(rest), born, ins, number)
