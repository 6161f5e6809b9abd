"""Sample mails of the directory with contacts and of declarations."""

from __future__ import annotations

from teleexpertise.contacts import Contact
from teleexpertise.people import Absence, AccountKind, Expert
from teleexpertise.texts import Link, contexts, directory_contexts

__all__ = ["declaring_mails"]


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
        "preferences-par-un-autre": directory_contexts.PreferencesSaved(
            account=expert.account, expert=None, again=request, by="Mme Léa ROCHE"
        ),
    }
