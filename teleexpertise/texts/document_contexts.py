"""What the mails about documents and receipts say: one frozen class per template, as in ``contexts.py``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from teleexpertise.people import Party
from teleexpertise.texts.contexts import ConversationMail, Mail

__all__ = ["DocumentPlaced", "EnclosedReport", "IntegrationRefused", "Processed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclosedReport(ConversationMail):
    """``document-joint``: the report for somebody outside of the conversation; ``structured``: with a CDA,
    ``patient``: for the patient, who cannot answer.
    """

    template: ClassVar[str] = "document-joint"
    requester: Party
    expert: Party
    version: int = 1
    structured: bool = True
    patient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationRefused(ConversationMail):
    """``integration-echouee``: the software of ``recipient`` did not take in what the mail carried.

    ``code`` is the national error (900 to 906, '' for another), ``diagnostic`` the words of that software.
    """

    template: ClassVar[str] = "integration-echouee"
    recipient: str
    sent_at: datetime
    code: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed(Mail):
    """``accuse-traitement``: the receipt that a mail to the service asked for; it says no more than that."""

    template: ClassVar[str] = "accuse-traitement"
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPlaced(Mail):
    """``document-classe``: what became of the document of a mail after its patient was asked for.

    ``folder`` is the patient's, '' where the document stays in INBOX; ``failed``: it could not be filed.
    """

    template: ClassVar[str] = "document-classe"
    subject_received: str
    received_at: datetime
    folder: str = ""
    failed: bool = False
