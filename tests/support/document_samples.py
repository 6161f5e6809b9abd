"""Sample mails about documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from teleexpertise.texts import contexts
from teleexpertise.texts.document_contexts import DocumentPlaced, IntegrationRefused, Processed

__all__ = ["document_mails"]


def document_mails(now: datetime, about: Mapping[str, Any]) -> dict[str, contexts.Mail]:
    """Mails about documents that came in or went out, by a name for each case."""
    return {
        "integration-echouee": IntegrationRefused(
            recipient="dossier@autre.mssante.example",
            sent_at=now,
            code="902",
            diagnostic="902^Identifiant de patient inconnu",
            **about,
        ),
        "accuse-traitement": Processed(received_at=now),
        "document-classe": DocumentPlaced(
            subject_received="XDM/1.0/DDM+Compte rendu", received_at=now, folder="SAULNIER Odette 1979-03-28"
        ),
        "document-laisse": DocumentPlaced(subject_received="Compte rendu", received_at=now),
        "document-non-classe": DocumentPlaced(subject_received="CR", received_at=now, failed=True),
    }
