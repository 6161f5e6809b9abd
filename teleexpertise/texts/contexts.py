"""What each mail says: one frozen class per template, whose name it carries.

``reference`` is ``TLE-2026-000123``, ``state`` a word of the state table; ages and delays are in days. Empty
strings and tuples mean that there is nothing to say. :class:`Notice`, which phones show on a locked screen,
has no place for patient data, and no subject of ours shows any.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from teleexpertise.events import AttachmentNote, Author, Billed
from teleexpertise.patients import Patient
from teleexpertise.people import Absence as Away
from teleexpertise.people import Expert, Party, PrerequisiteItem
from teleexpertise.texts.kinds import (
    CommandDone,
    FormPurpose,
    NextStep,
    NoticeEvent,
    RefusalReason,
    Role,
    UnmadeWork,
)
from teleexpertise.texts.views import Link

__all__ = [
    "Absence",
    "AlreadyClosed",
    "ChecklistLine",
    "Closed",
    "ClosingConfirmation",
    "CommandConfirmation",
    "CommandDone",
    "Confirmation",
    "ConversationMail",
    "Doubt",
    "DoubtExpired",
    "ExpertCard",
    "FormMail",
    "FormProblem",
    "FormPurpose",
    "Help",
    "Invited",
    "Mail",
    "MissingItems",
    "MoreAsked",
    "NextStep",
    "NotDelivered",
    "Notice",
    "NoticeEvent",
    "Opening",
    "OtherTool",
    "Question",
    "RateLimited",
    "Refusal",
    "RefusalReason",
    "Relayed",
    "Removed",
    "ReportReady",
    "Role",
    "Synthesis",
    "Undelivered",
    "Unmade",
    "UnmadeWork",
    "VitalEmergency",
    "Worklist",
    "WorklistRow",
]


@dataclass(frozen=True, slots=True)
class Mail:
    """The base of all contexts: ``template`` names the file under ``templates/``."""

    template: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationMail(Mail):
    """A mail about one conversation; its subject begins with reference and state."""

    reference: str
    state: str


@dataclass(frozen=True, slots=True)
class ExpertCard:
    """One expert of the directory with the link that asks for the request form."""

    expert: Expert
    request: Link
    absence: Away | None = None
    deputy: str = ""
    """The name of who answers during the absence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Help(Mail):
    """``aide``: the commands; ``received`` is the subject that was not understood, '' for ``Aide``."""

    template: ClassVar[str] = "aide"
    directory: Link
    services: Link
    request: Link
    worklist: Link
    received: str = ""
    others: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class FormProblem:
    """One line of a form that must be corrected: its label and a sentence."""

    label: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormMail(Mail):
    """``formulaire``: a form to fill in by Reply. ``form_html`` is trusted HTML made by the forms package.

    ``reference`` and ``state`` are '' for a new request. ``expert`` gives what the expert asks for (request
    form only). ``kept`` are the names of attachments already received.
    """

    template: ClassVar[str] = "formulaire"
    purpose: FormPurpose
    form_text: str
    form_html: str
    reference: str = ""
    state: str = ""
    expert: Expert | None = None
    problems: tuple[FormProblem, ...] = ()
    enclosed: str = ""
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalEmergency(Mail):
    """``urgence-vitale``: nothing was opened or sent; call 15."""

    template: ClassVar[str] = "urgence-vitale"
    expert_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTool(Mail):
    """``redirection``: the expert takes requests with another tool (``tool``: its https link)."""

    template: ClassVar[str] = "redirection"
    expert_name: str
    tool_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation(ConversationMail):
    """``confirmation``: the request is open; echo of what was understood. ``urgency`` is a label.

    ``missing`` are the names of the mandatory elements that the expert still waits for.
    """

    template: ClassVar[str] = "confirmation"
    author: Author
    expert: Party
    patient: Patient
    urgency: str
    delay_days: int
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingConfirmation(ConversationMail):
    """``confirmation-cloture``: finalised, declined or cancelled (``state``); ``billed`` by each side."""

    template: ClassVar[str] = "confirmation-cloture"
    author: Author
    requester: Party
    expert: Party
    patient: Patient
    outcome: str = ""
    conclusion: str = ""
    reason: str = ""
    version: int = 1
    warnings: tuple[str, ...] = ()
    addressees: tuple[str, ...] = ()
    billed: tuple[Billed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandConfirmation(ConversationMail):
    """``confirmation-commande``: a small command was done; ``person`` is who was removed or invited."""

    template: ClassVar[str] = "confirmation-commande"
    done: CommandDone
    person: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistRow:
    """One conversation of the worklist. ``other`` names the other party, ``patient`` is a label or '',
    ``account`` whom the reader acts for, '' themselves.

    Of a conversation that another operator's gateway holds (``held_by`` is its domain) no more is known here
    than it told; ``asked_for`` names those of the reader's accounts that are in it.
    """

    reference: str
    state: str
    role: Role
    other: str
    patient: str
    age_days: int
    delay_days: int
    next_step: NextStep
    overdue: bool = False
    links: tuple[Link, ...] = ()
    encrypted: int = 0
    """Mails that are encrypted end to end."""
    account: str = ""
    held_by: str = ""
    asked_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist(Mail):
    """``teleexpertises``: where the reader stands; ``owner`` is the account whose list it is,
    ``total`` how many are open, of which ``rows`` may show the oldest alone.
    """

    template: ClassVar[str] = "teleexpertises"
    owner: str
    rows: tuple[WorklistRow, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt(ConversationMail):
    """``doute``: a mail is held until its author confirms. ``subject_received`` as the author wrote it."""

    template: ClassVar[str] = "doute"
    other: str
    subject_received: str
    received_at: datetime
    confirm: Link
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtExpired(ConversationMail):
    """``doute-expire``: a mail that its author did not confirm for ``days``; nobody has got it."""

    template: ClassVar[str] = "doute-expire"
    subject_received: str
    received_at: datetime
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Mail):
    """``refus``: why nothing was done. ``detail`` is the address, name or reference the sentence is about,
    ``statement`` is the whole sentence for ``OTHER``.
    """

    template: ClassVar[str] = "refus"
    reason: RefusalReason
    detail: str = ""
    statement: str = ""
    subject_received: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyClosed(ConversationMail):
    """``conflit``: another closing was there first; ``by`` and ``at`` say whose and when."""

    template: ClassVar[str] = "conflit"
    by: Author
    at: datetime
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class ChecklistLine:
    """One element an expert asks for, and whether it has been received."""

    item: PrerequisiteItem
    given: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening(ConversationMail):
    """``ouverture``: what the expert asks for, to both sides. ``documents`` are the file names attached to
    fill in.
    """

    template: ClassVar[str] = "ouverture"
    requester: Party
    expert: Party
    delay_days: int
    prerequisites: str = ""
    checklist: tuple[ChecklistLine, ...] = ()
    documents: tuple[str, ...] = ()
    absence: Away | None = None
    deputy: Party | None = None
    deputy_until: date | None = None
    expert_links: tuple[Link, ...] = ()
    requester_links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(ConversationMail):
    """``question``: the request itself. ``answers`` are the lines that the expert's form asked for."""

    template: ClassVar[str] = "question"
    requester: Party
    author: Author
    expert: Party
    patient: Patient
    consent: bool
    urgency: str
    question: str
    asked_at: datetime
    remark: str = ""
    phone: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[AttachmentNote, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingItems(ConversationMail):
    """``elements-manquants``: mandatory elements still asked from the requester, and the expert's words."""

    template: ClassVar[str] = "elements-manquants"
    expert: Party
    missing: tuple[str, ...] = ()
    asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreAsked(ConversationMail):
    """``complement``: the expert asks for more; the conversation waits for the requester."""

    template: ClassVar[str] = "complement"
    author: Author
    asked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited(ConversationMail):
    """``invitation``: to the members and to the person, who sees nothing from before."""

    template: ClassVar[str] = "invitation"
    person: Party
    by: Author
    requester: str
    expert: str
    remove: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed(ConversationMail):
    """``retrait``: somebody was removed from the conversation; told to the members and to that person."""

    template: ClassVar[str] = "retrait"
    person: Party
    by: Author


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReady(ConversationMail):
    """``rapport``: the report is attached as ``filename``; ``lacking``: why there is no CDA, in sentences."""

    template: ClassVar[str] = "rapport"
    requester: Party
    expert: Party
    finaliser: Author
    outcome: str
    conclusion: str
    filename: str
    version: int = 1
    addressees: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(ConversationMail):
    """``cloture``: declined or cancelled (see ``state``), by whom and why."""

    template: ClassVar[str] = "cloture"
    author: Author
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDelivered(ConversationMail):
    """``non-remise``: the author's mail did not reach ``recipient``; ``diagnostic`` is the other server's
    answer. ``cause``: of a patient, see ``PatientUnreached``; ``None`` of others.
    """

    template: ClassVar[str] = "non-remise"
    recipient: str
    sent_at: datetime
    diagnostic: str = ""
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered(Mail):
    """``non-remise-courrier``: the text of a report on ordinary mail (``delivered``: a receipt)."""

    template: ClassVar[str] = "non-remise-courrier"
    recipient: str
    sent_at: datetime
    diagnostic: str = ""
    cause: str | None = None
    delivered: bool = False
    unsealed: bool = False
    """It came encrypted, and nothing is known to encrypt it for this recipient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence(ConversationMail):
    """``absence``: an automatic answer, shown once and never counted as an answer."""

    template: ClassVar[str] = "absence"
    author: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(ConversationMail):
    """``avis``: the short notice in INBOX. No patient data, no word of the conversation."""

    template: ClassVar[str] = "avis"
    event: NoticeEvent
    who: str
    folder: str
    missing: tuple[str, ...] = ()
    false_name: bool = False
    """The sender's display name shows an address that is not the sender's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed(ConversationMail):
    """``relais``: a foreign author's words for a foreign member; the original is attached."""

    template: ClassVar[str] = "relais"
    author: Author
    sent_at: datetime
    text: str
    attachments: tuple[AttachmentNote, ...] = ()
    unsigned: str = ""
    """What stood outside of the signed part of the mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis(ConversationMail):
    """``synthese``: the provisional PDF is attached as ``filename``; nothing else has changed."""

    template: ClassVar[str] = "synthese"
    filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited(Mail):
    """``limite``: the refusal of whoever got too many automatic answers within this hour of the clock."""

    template: ClassVar[str] = "limite"
    answers_per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmade(ConversationMail):
    """``travail-abandonne``: what could not be made or filed; ``holder`` is whose folder it was for."""

    template: ClassVar[str] = "travail-abandonne"
    work: UnmadeWork
    holder: str = ""
