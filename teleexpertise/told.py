"""What the holder of a conversation tells another gateway whose people are a side of it: the facts that an
export and the yearly limits need, and no word of what was written. Pure reading and writing.

It travels as JSON in the mails between gateways (``etat``). Bounds are strict: it comes from outside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from teleexpertise.events import Author, Place
from teleexpertise.patients import Patient
from teleexpertise.people import Party

__all__ = ["TOLD_FILENAME", "Told", "dump_told", "load_told", "read_told"]

#: The name of the attachment that holds it; a gateway of an earlier version passes over it.
TOLD_FILENAME = "activite.json"
_MOST_OCTETS = 32 * 1024
_LONGEST = 200
_MOST_VERSIONS = 1000
_MOST_DAYS = 366
#: As the request form: a rank of one digit.
_MOST_BORN = 10
_YEARS = range(2000, 2200)
#: A spreadsheet has no day before 1900.
_BIRTHS = range(1900, 2200)
_LATER = ("specialty", "declined_at")
_ADDRESS = re.compile(r"[^\s,;:<>()\"@\\]{1,64}@[^\s,;:<>()\"@\\]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One conversation as its holder sees it; moments are aware, what has not happened yet is ``None``.

    ``requester`` and ``expert`` are the sides now, ``asked_of`` the account that was asked. ``patient`` is
    ``None`` where the holder keeps it back: its content came encrypted, or no side is of this operator.
    ``finalised_at`` is of the last of ``version`` finalisations, ``acted_at`` of the first; ``finaliser`` did
    the last one. The places are where each side worked then, as far as the holder knows. ``specialty`` is the
    first that was asked, '' where none was, and ``None``, as ``declined_at`` of a refusal, from a gateway of
    an earlier version, which does not tell it.
    """

    requester: Party
    expert: Party
    asked_of: str
    requested_at: datetime
    urgency: str = ""
    delay_days: int = 7
    patient: Patient | None = None
    insured_number: str = ""
    answered_at: datetime | None = None
    acted_at: datetime | None = None
    finalised_at: datetime | None = None
    finaliser: Author | None = None
    version: int = 0
    outcome: str = ""
    level: str = ""
    cumulated: bool = False
    listed_patient: bool | None = None
    requester_place: Place | None = None
    expert_place: Place | None = None
    specialty: str | None = None
    declined_at: datetime | None = None

    def without_people(self) -> Told:
        """The same for an operator none of whose people is a side: the parties' addresses and names alone."""
        return replace(
            self,
            requester=Party(self.requester.address, self.requester.name),
            expert=Party(self.expert.address, self.expert.name),
            patient=None,
            insured_number="",
            requester_place=None,
            expert_place=None,
        )


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Told]:
    return TypeAdapter(Told)


def dump_told(told: Told) -> dict[str, Any]:
    """It as JSON data. What earlier versions did not know is left out while it is not told: facts that they
    recorded stay the same octets.
    """
    found: dict[str, Any] = _adapter().dump_python(told, mode="json")
    return {name: value for name, value in found.items() if name not in _LATER or value is not None}


def load_told(data: object) -> Told:
    """It from JSON data that :func:`dump_told` made. Raises ``ValueError`` for anything else."""
    return _adapter().validate_python(data)


def read_told(octets: bytes) -> Told | None:
    """It from an attachment; ``None`` for what is too long, is not of this form, or contradicts itself."""
    if len(octets) > _MOST_OCTETS:
        return None
    try:
        told = load_told(json.loads(octets))
    except (ValueError, ValidationError, RecursionError):
        return None
    return told if _sound(told) else None


def _sound(told: Told) -> bool:
    moments = (told.requested_at, told.answered_at, told.acted_at, told.finalised_at, told.declined_at)
    finalised = (told.acted_at is None, told.finalised_at is None, told.version == 0)
    addresses = (told.requester.address, told.expert.address, told.asked_of)
    return (
        all(moment is None or (_possible(moment) and moment >= told.requested_at) for moment in moments)
        and len(set(finalised)) == 1
        and 0 <= told.version <= _MOST_VERSIONS
        and 0 <= told.delay_days <= _MOST_DAYS
        and all(_ADDRESS.fullmatch(each) and each == each.lower() for each in addresses)
        and all(len(text) <= _LONGEST and text.isprintable() for text in _texts(asdict(told)))
        and (told.patient is None or told.patient.sex in ("", "F", "M"))
        and (told.patient is None or 0 <= told.patient.birth_order < _MOST_BORN)
        and (told.patient is None or not (born := told.patient.birth_date) or born.year in _BIRTHS)
    )


def _possible(moment: datetime) -> bool:
    """Whether it is aware and of a year with which exports and figures can reckon in any zone."""
    return moment.tzinfo is not None and moment.year in _YEARS


def _texts(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for each in data.values():
            yield from _texts(each)
