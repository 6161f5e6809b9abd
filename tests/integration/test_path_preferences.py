"""Answers to the form of preferences as people and their programs leave them: nothing is lost in silence."""

from __future__ import annotations

import textwrap
from email.message import EmailMessage

import pytest

from tests.support import region
from tests.support.forms import quoted, typed_into
from tests.support.gateway import Client, TestGateway, text_of, words_of

PROSE = (
    "Plaies chroniques du pied diabétique et ulcères veineux ; ni brûlure, ni plaie aiguë, ni jeune enfant."
)
ITEMS = "2 photos obligatoires : Vue rapprochée de la plaie avec une règle, et vue d'ensemble\nphoto : Pied"


@pytest.fixture
def client(served: TestGateway) -> Client:
    return served.client(region.STRANGER)


def back(client: Client, form: EmailMessage, text: str) -> EmailMessage:
    return client.answer_to(client.send(client.reply(form, text)))


def cleared(client: Client, *labels: str) -> None:
    """Empty lines again that a test has filled in."""
    form = client.ask_service("Préférences")
    done = back(client, form, quoted(typed_into(text_of(form), dict.fromkeys(labels, ""))))
    assert "enregistrées" in str(done["subject"])


def test_lines_that_a_client_broke_anew_are_unchanged(client: Client) -> None:
    form = client.ask_service("Préférences")
    values = {"Description de votre": PROSE, "Liste des éléments": ITEMS}
    assert "enregistrées" in str(back(client, form, quoted(typed_into(text_of(form), values)))["subject"])
    form = client.ask_service("Préférences")
    broken = [
        f"> {part}"
        for line in text_of(form).splitlines()
        for part in textwrap.wrap(line, 68, break_on_hyphens=False) or [""]
    ]
    assert "inchangées" in str(back(client, form, "\n".join(broken))["subject"])
    cleared(client, *values)


def test_answers_above_the_form_are_asked_back_and_other_words_above_it_are_told(client: Client) -> None:
    form = client.ask_service("Préférences")
    said = back(client, form, f"Délai maximum de réponse : 9\n\n{quoted(text_of(form))}")
    assert "à corriger" in str(said["subject"])
    assert "écrites au-dessus du formulaire" in words_of(said)
    said = back(client, said, f"Merci de mettre mon délai à 9 jours.\n\n{quoted(text_of(said))}")
    assert "inchangées" in str(said["subject"])
    assert "ce que vous avez écrit au-dessus du formulaire n'a pas été lu" in words_of(said)
    form = client.ask_service("Délégués")
    said = back(client, form, f"Merci d'ajouter {region.NURSE.address}.\n\n{quoted(text_of(form))}")
    assert "à corriger" in str(said["subject"])


def test_a_form_that_lost_its_first_line_is_said_to_be_broken(client: Client) -> None:
    form = client.ask_service("Préférences")
    text = text_of(form).partition("--- DÉBUT")[2].partition("\n")[2]
    said = back(client, form, quoted(typed_into_part(text, "Délai maximum de réponse (en jours) : 7", "9")))
    assert "non pris en compte" in str(said["subject"])
    assert "« DÉBUT DU FORMULAIRE »" in words_of(said)


def typed_into_part(text: str, line: str, value: str) -> str:
    assert line in text
    return text.replace(line, f"{line.rpartition(':')[0]}: {value}")


def test_a_line_that_is_gone_keeps_what_it_said_and_an_emptied_one_does_not(client: Client) -> None:
    form = client.ask_service("Préférences")
    values = {
        "Prérequis en": "Une photo.",
        "Limites et territoire": "Haute-Loire.",
        "Unité fonctionnelle": "4210",
    }
    back(client, form, quoted(typed_into(text_of(form), values)))
    form = client.ask_service("Préférences")
    kept = ("--- ", "Délai maximum")
    few = "\n\n".join(line for line in text_of(form).splitlines() if line.startswith(kept))
    said = words_of(back(client, form, quoted(typed_into(few, {"Délai maximum": "9"}))))
    assert "Délai maximum : 9 jours" in said
    assert "Prérequis : Une photo." in said
    assert "Limites et territoire : Haute-Loire." in said
    cleared(client, *values)
    said = words_of(client.ask_service("Préférences"))
    assert "4210" not in said
    assert "Haute-Loire." not in said


def test_what_is_wrong_is_told_in_the_order_of_the_form(client: Client) -> None:
    form = client.ask_service("Préférences")
    values = {"Dates d'absence": "en août", "Départements couverts": "69 et x", "Délai maximum": "bientôt"}
    said = words_of(back(client, form, quoted(typed_into(text_of(form), values))))
    labels = ("Délai maximum de réponse", "Départements couverts", "Dates d'absence")
    places = [said.index(f"{label} : ") for label in labels]
    assert places == sorted(places)
    assert said.startswith("Bonjour, /!\\ 3 lignes du formulaire sont à corriger.")


def test_a_form_overtaken_by_another_comes_back_with_one_plain_sentence(client: Client) -> None:
    first, second = client.ask_service("Préférences"), client.ask_service("Préférences")
    back(client, second, quoted(typed_into(text_of(second), {"Unité fonctionnelle": "4210"})))
    said = back(client, first, quoted(text_of(first)))
    assert "Le formulaire est à vérifier." in words_of(said)
    assert "\n: " not in text_of(said)
    assert "\nCes préférences ont été modifiées depuis" in text_of(said)
    cleared(client, "Unité fonctionnelle")


def test_no_line_of_a_mail_begins_with_a_sign_that_belongs_to_the_word_before(client: Client) -> None:
    form = client.ask_service("Préférences")
    values = {"Limites et territoire": "Ni œil rouge douloureux ni baisse de vision récente : adressez"}
    said = text_of(back(client, form, quoted(typed_into(text_of(form), values))))
    assert not [line for line in said.splitlines() if line.lstrip().startswith((": ", "; ", "? ", "! ", "»"))]
    cleared(client, *values)
