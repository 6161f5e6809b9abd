"""The words by which contexts choose between sentences; their French is in templates and ``words.toml``."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "CommandDone",
    "FormPurpose",
    "NextStep",
    "NoticeEvent",
    "RefusalReason",
    "Role",
    "UnmadeWork",
]


class Role(StrEnum):
    """On which side of a conversation the reader is."""

    REQUESTER = "requester"
    EXPERT = "expert"


class NextStep(StrEnum):
    """What the worklist says is to be done next, and by whom."""

    ANSWER = "answer"
    WAIT_ANSWER = "wait_answer"
    SEND_ITEMS = "send_items"
    WAIT_ITEMS = "wait_items"
    FINALISE = "finalise"
    WAIT_REPORT = "wait_report"
    NONE = "none"


class NoticeEvent(StrEnum):
    """What a short notice in INBOX announces."""

    REQUEST = "request"
    ANSWER = "answer"
    MISSING = "missing"
    REPORT = "report"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    INVITATION = "invitation"
    WITHDRAWAL = "withdrawal"
    FAILURE = "failure"
    REMINDER = "reminder"
    ABSENCE = "absence"
    SUBSTITUTION = "substitution"


class FormPurpose(StrEnum):
    """What a form is for; says the introduction above it."""

    REQUEST = "request"
    FINALISE = "finalise"
    DECLINE = "decline"
    CANCEL = "cancel"
    ASK = "ask"
    SYNTHESIS = "synthesis"
    PREFERENCES = "preferences"
    DELEGATES = "delegates"
    FILING = "filing"


class CommandDone(StrEnum):
    """What a small command of the reader has caused."""

    REMOVED = "removed"
    ASKED = "asked"
    INVITED = "invited"
    KNOWN = "known"
    ADDED = "added"


class RefusalReason(StrEnum):
    """Why a mail was not accepted; each has its sentence in the template."""

    NOT_A_MEMBER = "not_a_member"
    MAY_NOT_ACT = "may_not_act"
    TWO_CONVERSATIONS = "two_conversations"
    OUTSIDE_TRUST = "outside_trust"
    LIST_STALE = "list_stale"
    UNKNOWN_CONVERSATION = "unknown_conversation"
    CONVERSATION_CLOSED = "conversation_closed"
    EXPERT_ONLY = "expert_only"
    REQUESTER_ONLY = "requester_only"
    UNKNOWN_EXPERT = "unknown_expert"
    FORM_UNKNOWN = "form_unknown"
    FORM_USED = "form_used"
    FORM_BROKEN = "form_broken"
    FORM_NOT_YOURS = "form_not_yours"
    NOT_REMOVABLE = "not_removable"
    PARTIES_ONLY = "parties_only"
    REPORTS_ONLY = "reports_only"
    UNKNOWN_ADDRESS = "unknown_address"
    SUSPENDED = "suspended"
    HAS_LEFT = "has_left"
    TOO_MANY_MEMBERS = "too_many_members"
    NOT_OPENED = "not_opened"
    UNSIGNED_FORM = "unsigned_form"
    PATIENT = "patient"
    PATIENT_FIRST = "patient_first"
    PATIENT_CLOSED = "patient_closed"
    PATIENT_NOT_ANSWERING = "patient_not_answering"
    PATIENT_ADDRESS = "patient_address"
    PATIENT_SIZE = "patient_size"
    PATIENT_MEMBER = "patient_member"
    OTHER = "other"


class UnmadeWork(StrEnum):
    """What the service could not do, however often it tried."""

    REPORT = "report"
    SYNTHESIS = "synthesis"
    FILING = "filing"
