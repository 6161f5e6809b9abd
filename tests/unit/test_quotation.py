"""Whose words stand in a mail: quotations of the usual clients are left out, everything else is kept."""

from hypothesis import given
from hypothesis import strategies as st

from teleexpertise.quotation import own_words


def test_top_posted_answer_keeps_only_what_was_written_now() -> None:
    text = "Exérèse complète.\n\nLe 22/11/2026 à 10:38, Dr MARTIN a écrit :\n> Faut-il une exérèse ?\n> Merci"
    assert own_words(text) == "Exérèse complète."


def test_answers_between_quoted_lines_are_kept_in_order() -> None:
    assert own_words("> Depuis quand ?\nTrois mois.\n> Douloureux ?\nNon.") == "Trois mois.\nNon."


def test_an_unmarked_original_of_outlook_ends_the_words() -> None:
    text = "Oui.\n\nDe : Dr MARTIN\nEnvoyé : lundi\nObjet : avis\n\nFaut-il ?"
    assert own_words(text) == "Oui."


def test_a_sentence_like_an_attribution_without_quotation_is_kept() -> None:
    text = "Le cardiologue, consulté hier, a écrit :\npas de contre-indication."
    assert own_words(text) == text


def test_a_signature_says_who_speaks_and_stays() -> None:
    assert own_words("Oui.\n-- \nDr Rémy PERRET") == "Oui.\n--\nDr Rémy PERRET"


@given(st.text())
def test_any_text_has_own_words_and_none_is_quoted(text: str) -> None:
    assert not any(line.startswith(">") for line in own_words(text).split("\n"))
