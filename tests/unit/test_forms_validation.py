"""Typed values and sentences, kind by kind; and the forms that an expert's declaration calls for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from teleexpertise.forms import (
    FieldKind,
    FormKind,
    Value,
    element_answers,
    load_catalogue,
    render_html,
    render_text,
    validate,
)
from teleexpertise.forms.rendering import FormCopy
from teleexpertise.people import IdentityPolicy, ItemKind, NirPolicy, PrerequisiteItem
from tests.support.forms import CATALOGUE, EXPERT, FILLED, FORM_ID, TODAY, sample_finalisation, sample_request


def checked(name: str, typed: str) -> tuple[object, str]:
    """(typed value, problem) of one line of the request form."""
    validation = validate(sample_request(), {**FILLED, name: typed}, TODAY)
    return validation.values.get(name), validation.problems.get(name, "")


def test_filled_form_is_accepted_and_json_able() -> None:
    validation = validate(sample_request(), FILLED, TODAY)
    assert not validation.problems
    assert json.loads(json.dumps(dict(validation.values))) == FILLED


def test_empty_form_names_every_required_line_and_no_other() -> None:
    form = sample_request()
    problems = validate(form, {}, TODAY).problems
    assert set(problems) == {field.name for field in form.fields if field.required}
    assert {"anonymous", "ins", "phone", "element_2"}.isdisjoint(problems)


@pytest.mark.parametrize(("typed", "value"), [
    ("03/02/1957", "1957-02-03"), ("3/2/1957", "1957-02-03"), ("03.02.1957", "1957-02-03"),
    ("3-2-1957", "1957-02-03"), ("03021957", "1957-02-03"), ("03 02 1957", "1957-02-03"),
    ("3 février 1957", "1957-02-03"), ("1er août 2001", "2001-08-01"), ("1957-02-03", "1957-02-03"),
    ("29/02/2024", "2024-02-29"), ("22/11/2026", "2026-11-22"),
])  # fmt: skip
def test_dates_as_people_write_them(typed: str, value: str) -> None:
    assert checked("birth_date", typed) == (value, "")


@pytest.mark.parametrize(("typed", "sentence"), [
    ("3/2/57", "l'année de « 3/2/57 » doit s'écrire avec quatre chiffres : attendu JJ/MM/AAAA."),
    ("31/02/1957", "la date « 31/02/1957 » n'existe pas : attendu JJ/MM/AAAA."),
    ("02/13/1957", "la date « 02/13/1957 » n'existe pas : attendu JJ/MM/AAAA."),
    ("23/11/2026", "la date « 23/11/2026 » est à venir."),
    ("01/01/1850", "la date « 01/01/1850 » est trop ancienne."),
    ("vers 1957", "« vers 1957 » n'est pas une date : attendu JJ/MM/AAAA, par exemple 03/02/1957."),
])  # fmt: skip
def test_wrong_dates_say_what_is_wrong(typed: str, sentence: str) -> None:
    assert checked("birth_date", typed) == (None, sentence)


@pytest.mark.parametrize(("typed", "value"), [
    ("24 heures", "24h"), ("24h", "24h"), ("24", "24h"), ("48 - 72 heures", "72h"), ("48h", "72h"),
    ("48-72\u00a0HEURES", "72h"), ("7 jours", "7j"), ("7", "7j"), ("sans delai", "aucune"),
    ("Sans", "aucune"),
    ("vitale", "vitale"), ("Urgence vitale", "vitale"), ("VITAL", "vitale"),
])  # fmt: skip
def test_urgency(typed: str, value: str) -> None:
    assert checked("urgency", typed) == (value, "")


@pytest.mark.parametrize("typed", ["heures", "demain", "24 heures ou 7 jours", "?", "-"])
def test_urgency_in_doubt_is_asked_back_with_the_choices(typed: str) -> None:
    value, sentence = checked("urgency", typed)
    assert value is None
    assert sentence.endswith("Au choix : 24 heures ; 48-72 heures ; 7 jours ; sans délai ; vitale.")


@pytest.mark.parametrize(("typed", "value"), [
    ("oui", True), ("Oui.", True), ("OUI, recueilli ce jour", True), ("o", True), ("Yes", True),
])  # fmt: skip
def test_consent(typed: str, value: bool) -> None:
    assert checked("consent", typed) == (value, "")


def test_consent_must_be_given_and_said_plainly() -> None:
    assert checked("consent", "non")[1].startswith("une téléexpertise demande le consentement préalable")
    assert checked("consent", "oui ou non")[1].startswith("répondez oui ou non")
    assert checked("consent", "à recueillir")[1].startswith("répondez oui ou non")


@pytest.mark.parametrize(("typed", "value"), [
    ("0471000000", "04 71 00 00 00"), ("04.71.00.00.00", "04 71 00 00 00"),
    ("04-71-00-00-00", "04 71 00 00 00"), ("04/71/00/00/00", "04 71 00 00 00"),
    ("+33 4 71 00 00 00", "04 71 00 00 00"), ("+33 (0)4 71 00 00 00", "04 71 00 00 00"),
    ("0033471000000", "04 71 00 00 00"), ("+41 22 345 67 89", "+41223456789"),
    ("0262 00 00 00", "02 62 00 00 00"),
])  # fmt: skip
def test_phone_numbers(typed: str, value: str) -> None:
    assert checked("phone", typed) == (value, "")


@pytest.mark.parametrize("typed", ["0471", "poste 4112", "04 71 00 00 00 00", "1234567890"])
def test_wrong_phone_numbers(typed: str) -> None:
    assert "n'est pas un numéro de téléphone" in checked("phone", typed)[1]


def test_patient_number_is_normalised_and_doubted_against_the_traits() -> None:
    validation = validate(sample_request(), {**FILLED, "ins": "2 57 02 99 999 123 02"}, TODAY)
    assert validation.problems["ins"].startswith("la clé")
    validation = validate(sample_request(), {**FILLED, "ins": "2 57 02 99 999 123 56", "sex": "M"}, TODAY)
    assert "ins" in validation.problems or "autre sexe" in validation.warnings["ins"]


def test_anonymous_patient_has_no_identity() -> None:
    traits = ("birth_name", "first_names", "birth_date")
    anonymous = {name: value for name, value in FILLED.items() if name not in traits} | {"anonymous": "oui"}
    assert not validate(sample_request(), anonymous, TODAY).problems
    named = validate(
        sample_request(), {**anonymous, "birth_name": "DUPONT", "birth_date": "03/02/1957"}, TODAY
    )
    assert named.problems == {
        "birth_name": "laissez cette ligne vide, puisque vous avez répondu oui à « Patient anonyme »."
    }
    assert validate(sample_request(), {**anonymous, "anonymous": "non"}, TODAY).problems


def test_request_form_follows_the_experts_declaration() -> None:
    def names(**changes: object) -> dict[str, bool]:
        form = sample_request(replace(EXPERT, **changes))  # type: ignore[arg-type]
        return {field.name: field.required for field in form.fields}

    assert "anonymous" not in names(identity=IdentityPolicy.REQUIRED)
    assert names()["anonymous"] is False
    assert "ins" not in names(nir=NirPolicy.NOT_ASKED)
    assert names(nir=NirPolicy.MANDATORY)["ins"] is True
    assert names(nir=NirPolicy.OPTIONAL)["ins"] is False


def test_lines_for_prerequisites_are_answered_under_the_items_own_names() -> None:
    names = ("Question", "Poids : kg (à jeun)", "Poids kg à jeun", "[x]", "???", "Question", "x" * 500)
    items = tuple(PrerequisiteItem(name=name, kind=ItemKind.FIELD, mandatory=True) for name in names)
    form = sample_request(replace(EXPERT, items=items))
    labels = [field.label for field in form.fields if field.element]
    assert len(form.labels()) >= len(form.fields)
    assert len(set(labels)) == len(labels) == 7
    assert not any(set(label) & set(":()[]") for label in labels)
    answers = {field.name: "oui" for field in form.fields if field.element}
    assert element_answers(form, answers) == tuple((name, "oui") for name in names)


def test_finalisation_offers_members_and_numbers() -> None:
    form = sample_finalisation()
    text = render_text(FormCopy(form=form, form_id=FORM_ID, values={"exchanges": [1, 3], "addressees": [2]}))
    assert "Numéros connus\u00a0: 430000018/05 (Avis Dermatologie CH LE PUY)\u00a0;" in text
    assert "[x] 1. Question du 22/11\n[ ] 2. Photo\n[x] 3. Réponse" in text
    typed: dict[str, Value] = {
        "requester": "MSP du Velay", "expert": "avis dermato", "expert_billing": "431234567 (Dr Rémy PERRET)",
        "outcome": "examens", "conclusion": "Exérèse.", "exchanges": [1], "addressees": [],
    }  # fmt: skip
    validation = validate(form, typed, TODAY)
    assert validation.problems == {}
    assert validation.values == {
        "requester": "msp.velay@cabinet.example", "expert": "avis.dermato@ch.example",
        "expert_billing": "431234567", "outcome": "Examens complémentaires", "conclusion": "Exérèse.",
        "exchanges": [1], "addressees": [],
    }  # fmt: skip
    assert (
        "plusieurs réponses"
        in validate(form, {**typed, "outcome": "Consultation"}, TODAY).problems["outcome"]
    )


def test_checklist_that_vanished_is_asked_back_and_an_unticked_one_is_not() -> None:
    problems = validate(sample_finalisation(), {"addressees": []}, TODAY).problems
    assert problems["exchanges"].startswith("les lignes à cocher manquent")
    assert "addressees" not in problems


def test_too_long_an_answer_is_refused() -> None:
    assert checked("birth_name", "x" * 101) == (None, "la réponse est trop longue : 100 caractères au plus.")


def test_html_holds_the_same_lines_escaped() -> None:
    copy = FormCopy(
        form=sample_request(), form_id=FORM_ID, values={**FILLED, "question": "<script>alert(1)</script>"}
    )
    html = render_html(copy)
    assert html.count("<div") == len(render_text(copy).split("\n"))
    assert "<script" not in html
    assert "Question : &lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_declarations_are_sound() -> None:
    catalogue = load_catalogue()
    assert set(catalogue.forms) == set(FormKind)
    for form in catalogue.forms.values():
        names = {field.name for field in form.fields}
        assert len(names) == len(form.fields)
        for field in form.fields:
            assert not set(":()[]<>|\\") & set(field.label), field.label
            assert not field.only_if_not or form.field(field.only_if_not).kind is FieldKind.YES_NO
            assert field.must_be is None or field.must_be_sentence


def test_every_sentence_can_be_said_with_the_words_it_gets() -> None:
    form = CATALOGUE.form(FormKind.ASK)
    for name in form.sentences:
        words = dict.fromkeys(
            ("typed", "other", "options", "longest", "nearest", "count", "most", "size"), "9"
        )
        said = form.say(name, **words)
        assert said.endswith((".", "?"))
        assert "{" not in said
