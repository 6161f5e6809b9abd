"""What the answer to a search of the register says: see ``contexts``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from teleexpertise.patients import Patient
from teleexpertise.texts.contexts import Mail, Role
from teleexpertise.texts.views import Link

__all__ = ["PastCase", "PatientFound", "PatientsFound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCase:
    """One conversation of a patient; ``version`` is that of the last report, 0 before the first, ``held_by``
    the domain of another operator that holds it.
    """

    reference: str
    state: str
    role: Role
    other: str
    opened_on: date
    finalised_on: date | None
    version: int
    held_by: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFound:
    """One patient: of the identity name, birth and sex are shown. ``cases`` are the last of ``total``,
    ``again`` the names of experts who were asked, each with the link that asks anew for this patient.
    """

    patient: Patient
    cases: tuple[PastCase, ...]
    total: int
    again: tuple[tuple[str, Link], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientsFound(Mail):
    """``patients``: who was found for ``query``; ``understood`` is False where nothing was asked for,
    ``more`` that there are others.
    """

    template: ClassVar[str] = "patients"
    query: str
    understood: bool
    patients: tuple[PatientFound, ...]
    more: bool = False
    links: tuple[Link, ...] = ()
