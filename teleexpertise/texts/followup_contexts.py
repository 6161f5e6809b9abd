"""What the mails say that time causes: reminders, absences, the alert, the digest; see ``contexts``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from teleexpertise.events import ReminderKind
from teleexpertise.people import Absence, Party
from teleexpertise.texts.contexts import ConversationMail, ExpertCard, Mail
from teleexpertise.texts.kinds import NoticeEvent
from teleexpertise.texts.views import Link

__all__ = [
    "AbsenceInForce",
    "Deadline",
    "DeputyReminder",
    "Digest",
    "DigestLine",
    "ExpertAbsent",
    "Reminder",
    "Replacement",
    "Unanswered",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline(ConversationMail):
    """``echeance``: the system message that keeps in the record why a reminder went out; sent to nobody."""

    template: ClassVar[str] = "echeance"
    reminder: ReminderKind
    asked_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder(ConversationMail):
    """``rappel``: to the expert, before a delay ends. ``ends_at`` is when it does."""

    template: ClassVar[str] = "rappel"
    reminder: ReminderKind
    requester: str
    asked_at: datetime
    ends_at: datetime
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeputyReminder(Reminder):
    """``rappel-remplacant``: to the deputy of ``absent``, an expert who is away ``until`` that day."""

    template: ClassVar[str] = "rappel-remplacant"
    absent: str
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered(ConversationMail):
    """``sans-reponse``: to the requester, when all delays are over; ``others`` are further experts."""

    template: ClassVar[str] = "sans-reponse"
    expert: str
    asked_at: datetime
    others: tuple[ExpertCard, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceInForce(ConversationMail):
    """``absence-en-cours``: the system message that keeps in the record that the expert is away while waited
    for, and who stands in ('' for nobody); sent to nobody.
    """

    template: ClassVar[str] = "absence-en-cours"
    expert: str
    absence: Absence
    asked_at: datetime
    at: datetime
    deputy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertAbsent(ConversationMail):
    """``expert-absent``: to the requester, when nobody can stand in for the expert; ``others`` are further
    experts, ``self_asked`` that the deputy is who asked, ``answered`` that the expert has written before.
    """

    template: ClassVar[str] = "expert-absent"
    expert: str
    absence: Absence
    asked_at: datetime
    answered: bool = False
    self_asked: bool = False
    others: tuple[ExpertCard, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement(ConversationMail):
    """``remplacement``: to all, when the ``deputy`` of the absent expert joins. ``due`` is the end of the
    delay that the expert announced, ``None`` once it is over; ``deputy_until`` the last day of the deputy's
    own absence, in which ``others`` may be asked.
    """

    template: ClassVar[str] = "remplacement"
    expert: str
    absence: Absence
    deputy: Party
    requester: str
    asked_at: datetime
    remove: Link
    answered: bool = False
    due: datetime | None = None
    deputy_until: date | None = None
    others: tuple[ExpertCard, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestLine:
    """One thing that happened: when, what, by whom; no word of the conversation."""

    at: datetime
    event: NoticeEvent
    who: str
    reference: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest(Mail):
    """``resume``: what happened since the digest before, in place of single notices."""

    template: ClassVar[str] = "resume"
    lines: tuple[DigestLine, ...]
    folder: str
    worklist: Link
