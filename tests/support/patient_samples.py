"""Sample mails about what goes to patients, and does not."""

from __future__ import annotations

from datetime import datetime

from teleexpertise.people import Party
from teleexpertise.texts import contexts
from teleexpertise.texts.document_contexts import EnclosedReport
from teleexpertise.texts.patient_contexts import PatientUnreached, ReportWithheld

__all__ = ["patient_mails"]


def patient_mails(ref: str, requester: Party, expert: Party, now: datetime) -> dict[str, contexts.Mail]:
    """Reports for others, one of them the patient, and mails that did not arrive, by a name for each case."""
    state = "completed"
    return {
        "document-joint": EnclosedReport(
            reference=ref, state=state, requester=requester, expert=expert, version=2, structured=False
        ),
        "document-joint-patient": EnclosedReport(
            reference=ref, state=state, requester=requester, expert=expert, patient=True
        ),
        "patient-non-joint": PatientUnreached(sent_at=now, cause="closed"),
        "patient-non-joint-inconnu": PatientUnreached(sent_at=now, diagnostic="599 ?"),
        "rapport-non-envoye": ReportWithheld(reference=ref, state=state, statement="Trop grand."),
    }
