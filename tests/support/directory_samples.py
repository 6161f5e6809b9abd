"""Sample mails of the directory with contacts and of declarations."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from teleexpertise.absences import Waiting
from teleexpertise.contacts import Contact
from teleexpertise.people import Absence, AccountKind, Expert
from teleexpertise.texts import Link, contexts, directory_contexts

__all__ = ["declaring_mails"]


#: What an absence finds waiting, by the name of the case.
_ABSENCES: dict[str, dict[str, Any]] = {
    "plusieurs": {"deputy": "Dr Paul ROUX", "waiting": Waiting(3, 2)},
    "une": {"deputy": "Dr Paul ROUX", "waiting": Waiting(1, 1)},
    "en-cours-plusieurs": {"deputy": "Dr Paul ROUX", "waiting": Waiting(3), "begun": True},
    "en-cours-une": {"deputy": "Dr Paul ROUX", "waiting": Waiting(1, 1), "begun": True},
    "en-cours-aucune": {"deputy": "Dr Paul ROUX", "begun": True},
    "remplacant-absent": {
        "deputy": "Dr Paul ROUX",
        "deputy_away": Absence(starts=date(2026, 8, 10), ends=date(2026, 8, 20)),
    },
    "sans-remplacant": {"waiting": Waiting(told=2)},
    "sans-remplacant-en-cours": {"waiting": Waiting(told=1), "begun": True},
    "sans-remplacant-ni-demande": {},
}


def declaring_mails(expert: Expert, request: Link, services: Link, away: Absence) -> dict[str, contexts.Mail]:
    """Pages with contacts or nobody, and preferences as saved, by a name that says which case it is."""
    return {
        "annuaire-vide": directory_contexts.DirectoryPage(
            query="alchimie 99", total=0, cards=(), services=services
        ),
        "annuaire-correspondants": directory_contexts.DirectoryPage(
            query="roche",
            total=1,
            cards=(contexts.ExpertCard(expert, request, away, "Dr Paul ROUX"),),
            contacts=(
                Contact(
                    address="lea.roche@cabinet.mssante.example",
                    kind=AccountKind.PERSON,
                    name="Mme Léa ROCHE",
                    profession="Infirmier",
                    postcode="43000",
                    town="LE PUY EN VELAY",
                ),
            ),
            total_contacts=1,
        ),
        "preferences": directory_contexts.PreferencesSaved(
            account=expert.account,
            expert=expert,
            again=request,
            absence=away,
            deputy="Dr Paul ROUX",
            warnings=("à vérifier.",),
        ),
        **{
            f"preferences-absence-{case}": directory_contexts.PreferencesSaved(
                account=expert.account,
                expert=replace(expert, items=(), documents=()),
                again=request,
                absence=away,
                **said,
            )
            for case, said in _ABSENCES.items()
        },
        "preferences-par-un-autre": directory_contexts.PreferencesSaved(
            account=expert.account, expert=None, again=request, by="Mme Léa ROCHE"
        ),
    }
