"""The patient of a conversation, as the request states it: identity traits, or anonymous. Never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

__all__ = ["Patient", "age"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Identity traits (``referentiel INS``): birth name, birth first names, birth date, sex ``F`` or ``M``.

    ``ins`` is the patient's own matricule or NIR, 15 characters without spaces, '' when unknown. An
    anonymous patient has no trait at all. ``birth_place`` is the official code (COG) of the commune or
    country of birth, '' when unknown; ``qualified`` says that somebody answers for the INS and its traits as
    the national service gave them: only then may a document carry them (``RNIV``). ``first_first_name`` is
    the first of the birth first names where that is more than their first word; used names are those of daily
    life. ``ins_oid`` is the authority of the INS (NIR, NIA or a test one), '' for the deployment's own of
    NIR; ``birth_order`` the rank in a multiple birth, 0 where that is not said.
    """

    birth_name: str = ""
    first_names: str = ""
    birth_date: date | None = None
    sex: str = ""
    ins: str = ""
    anonymous: bool = False
    birth_place: str = ""
    qualified: bool = False
    first_first_name: str = ""
    used_name: str = ""
    used_first_names: str = ""
    ins_oid: str = ""
    birth_order: int = 0

    @property
    def label(self) -> str:
        """What a list shows: ``DUPONT Jean``, or '' for an anonymous patient (the caller's template says
        so).
        """
        return "" if self.anonymous else f"{self.birth_name.upper()} {self.first_names}".strip()


def age(patient: Patient, today: date) -> int | None:
    """Full years on ``today``, or ``None`` where the birth date is unknown."""
    born = patient.birth_date
    if born is None:
        return None
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
