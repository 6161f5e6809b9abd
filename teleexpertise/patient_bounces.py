"""Why a patient's mailbox returned a mail, told from status and words by a table (ENS §6), never guessed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass

from teleexpertise.plaintext import folded

__all__ = ["BounceTable", "load_bounces"]

_STATUS = re.compile(r"[245](\.\d{1,3}\.\d{1,3})")
#: Of a text that somebody else wrote as much is looked at.
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class _Cause:
    name: str
    statuses: frozenset[str]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BounceTable:
    """The causes in their order, and the subjects by which a plain mail is known to be a return."""

    subjects: tuple[str, ...]
    causes: tuple[_Cause, ...]

    def is_return(self, subject: str) -> bool:
        """Whether the subject of an operator's mail is that of a return, be it a report or plain mail."""
        begin = _plain(subject)
        return any(begin.startswith(known) for known in self.subjects)

    def cause(self, status: str, texts: Iterable[str]) -> str:
        """The cause by words, then by enhanced status (``5.2.2``, RFC 3463); '' for none of the table."""
        said = [_plain(text) for text in texts]
        for cause in self.causes:
            if any(word in text for text in said for word in cause.words):
                return cause.name
        match = _STATUS.match(status)
        detail = match[1] if match else ""
        return next((cause.name for cause in self.causes if detail in cause.statuses), "")


def _plain(text: str) -> str:
    return " ".join(folded(text[:_LONGEST]).replace("’", "'").split())


def load_bounces(source: str) -> BounceTable:
    """Read the table. Raises ``KeyError``, ``tomllib.TOMLDecodeError`` for a table that is none."""
    table = tomllib.loads(source)
    return BounceTable(
        tuple(_plain(subject) for subject in table["subjects"]),
        tuple(
            _Cause(
                row["name"],
                frozenset(status[1:] for status in row["statuses"]),
                tuple(_plain(word) for word in row["words"]),
            )
            for row in table["cause"]
        ),
    )
