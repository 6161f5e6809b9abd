"""Declarations and requests by mail form, as a client fills them in."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import EmailMessage

from teleexpertise.people import Account
from tests.support.forms import quoted, typed_into
from tests.support.gateway import Client, text_of

CLEAR = {"Dates d'absence": "", "Adresse d'un autre outil": "", "Liste des éléments": "", "Prérequis en": ""}
#: What makes a complete declaration of the nurse's form; tests change some lines of it.
DECLARED = {
    "Apparaître dans l'annuaire": "oui",
    "Description de votre": "Plaies chroniques du pied diabétique. Délai : 3 jours.",
    "Limites et territoire": "Pas de brûlures ; Haute-Loire seulement.",
    "Délai maximum": "3",
    "Vos spécialités": "escarre, Dermato",
    "Départements couverts": "43, Ardèche",
    "Identité du patient": "exigée",
    "NIR du patient": "obligatoire",
}


def form_for(client: Client, account: str = "") -> EmailMessage:
    return client.ask_service(f"Préférences {account}".strip())


def answer(
    client: Client,
    form: EmailMessage,
    values: Mapping[str, str],
    files: Mapping[str, bytes] | None = None,
    edit: tuple[str, str] | None = None,
) -> EmailMessage:
    """The service's answer to a form filled in by Reply, quoted below as mail clients do it."""
    text = typed_into(text_of(form), values)
    if edit:
        assert edit[0] in text
        text = text.replace(*edit)
    mail = client.reply(form, quoted(text))
    for name, content in (files or {}).items():
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return client.answer_to(client.send(mail))


def declare(client: Client, values: Mapping[str, str], account: str = "") -> EmailMessage:
    """A declaration that must be taken."""
    done = answer(client, form_for(client, account), values)
    assert str(done["subject"]).startswith("Préférences "), text_of(done)
    return done


def request(client: Client, expert: Account, values: Mapping[str, str]) -> EmailMessage:
    """The service's answer to a request for an expert."""
    form = client.ask_service(f"Nouvelle téléexpertise {expert.address}")
    return client.answer_to(client.send(client.reply(form, quoted(typed_into(text_of(form), values)))))


REQUEST = {
    "Nom de naissance": "DUPONT-ESSAI",
    "Prénoms": "Jeanne",
    "Date de naissance": "03/02/1957",
    "Sexe": "F",
    "Consentement": "oui",
    "Urgence": "7 jours",
    "Question": "Plaie du talon depuis 3 mois.",
}
