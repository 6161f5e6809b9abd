"""What the mails about exchanges with patients say: one frozen class per template, as in ``contexts.py``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from teleexpertise.texts.contexts import ConversationMail, Mail

__all__ = ["PatientUnreached", "ReportWithheld"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientUnreached(Mail):
    """``patient-non-joint``: a professional's mail did not reach the patient; ``cause`` is a name of the
    table of bounces, '' for an unknown one, ``diagnostic`` what the other side said.
    """

    template: ClassVar[str] = "patient-non-joint"
    sent_at: datetime
    cause: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWithheld(ConversationMail):
    """``rapport-non-envoye``: the report was not sent to the patient; ``statement`` says why."""

    template: ClassVar[str] = "rapport-non-envoye"
    statement: str
