"""The rules of reading: quoted and doubled values, marks, labels, ticks, and answers sent back."""

from __future__ import annotations

from uuid import UUID

import pytest

from teleexpertise.forms import (
    Form,
    FormCopy,
    FormReading,
    find_form,
    form_identity,
    form_token,
    read_form,
    render_text,
    validate,
)
from tests.support.forms import FILLED, FORM_ID, REQUESTER, TODAY, sample_finalisation, sample_request

OTHER_ID = form_token(b"a key for tests", UUID(int=2))
BEGIN = f"--- DÉBUT DU FORMULAIRE {FORM_ID} ---"
END = "--- FIN DU FORMULAIRE ---"


def read(lines: str, form: Form | None = None, above: str = "") -> FormReading:
    found = find_form(f"{above}{BEGIN}\n{lines}\n{END}\n")
    assert found is not None
    return read_form(form or sample_request(), found)


def test_form_id_is_ours_only_with_our_key() -> None:
    assert form_identity(b"a key for tests", FORM_ID) == UUID(int=1)
    assert form_identity(b"a key for tests", FORM_ID.upper()) == UUID(int=1)
    assert form_identity(b"another key", FORM_ID) is None


def test_unquoted_value_beats_a_quoted_one_wherever_it_stands() -> None:
    assert read("> Nom de naissance : DUPONT\nNom de naissance : DURAND").values["birth_name"] == "DURAND"
    assert read("Nom de naissance : DURAND\n> Nom de naissance : DUPONT").values["birth_name"] == "DURAND"
    assert read("> Nom de naissance : DUPONT\nDURAND").values["birth_name"] == "DURAND"
    assert read(">> Sexe : F\n> Sexe : M").values["sex"] == "M"


def test_empty_unquoted_value_is_no_value() -> None:
    assert read("> Nom de naissance : DUPONT\nNom de naissance :").values["birth_name"] == "DUPONT"


def test_two_different_values_of_one_depth_are_asked_back() -> None:
    reading = read("Nom de naissance : DUPONT\nNom de naissance : DURAND")
    assert reading.problems == {
        "birth_name": "deux valeurs différentes ont été lues, « DUPONT » et « DURAND ». Gardez-en une seule."
    }
    assert read("Nom de naissance : DUPONT\nNom de naissance :  DUPONT").problems == {}
    assert "birth_name" in read("> Nom de naissance : A\n> Nom de naissance : B").problems


def test_form_present_twice_is_weighed_as_one() -> None:
    filled = f"{BEGIN}\nNom de naissance : DUPONT\n{END}\n\n"
    reading = read("> Nom de naissance : AVANT\n> Prénoms : Jeanne", above=filled)
    assert (reading.values["birth_name"], reading.values["first_names"]) == ("DUPONT", "Jeanne")


def test_least_quoted_of_several_forms_is_the_answer() -> None:
    old = f"> --- DÉBUT DU FORMULAIRE {OTHER_ID} ---\n> Nom de naissance : AVANT\n> {END}\n"
    found = find_form(f"{old}{BEGIN}\nNom de naissance : DUPONT\n{END}")
    assert found is not None
    assert found.form_id == FORM_ID
    assert read_form(sample_request(), found).values == {"birth_name": "DUPONT"}


@pytest.mark.parametrize("text", [
    "", "Nom de naissance : DUPONT", "--- DÉBUT DU FORMULAIRE ---\nSexe : F\n--- FIN DU FORMULAIRE ---",
    f"DÉBUT DU FORMULAIRE {FORM_ID}", f"--- DÉBUT DU FORMULAIRE {FORM_ID[:-1]} ---",
])  # fmt: skip
def test_no_form_without_mark_and_id(text: str) -> None:
    assert find_form(text) is None


def test_nothing_outside_the_marks_is_read() -> None:
    reading = read("Sexe : F", above="Nom de naissance : DUPONT\n\n")
    assert reading.values == {"sex": "F"}
    assert reading.remark == "Nom de naissance : DUPONT"


def test_answers_above_the_form_are_told_where_to_go() -> None:
    reading = read("> Nom de naissance :", above="Nom de naissance : DUPONT\n\n")
    assert reading.problems[""].startswith("Vos réponses semblent écrites au-dessus du formulaire")


def test_lost_end_mark_is_asked_back_with_what_was_read() -> None:
    found = find_form(f"{BEGIN}\nNom de naissance : DUPONT\n")
    assert found is not None
    reading = read_form(sample_request(), found)
    assert reading.values == {"birth_name": "DUPONT"}
    assert "FIN DU FORMULAIRE" in reading.problems[""]


@pytest.mark.parametrize("line", [
    "nom de naissance: DUPONT", "NOM DE NAISSANCE\u00a0: DUPONT", "Nom de naissance\u202f:\u202fDUPONT",
    "Nom de naissance：DUPONT", "*Nom de naissance :* DUPONT", "- Nom de naissance : DUPONT", "Nom : DUPONT",
    "• Nom de naissance (de jeune fille) : DUPONT", "Nom de\nnaissance : DUPONT",
    "Nom de naissance :\nDUPONT", "\u200bNom de\u00adnaissance : DUPONT  ",
    "Nom de naissance :\n\nDUPONT", "**Nom de naissance :** DUPONT",
])  # fmt: skip
def test_labels_as_clients_and_people_leave_them(line: str) -> None:
    reading = read(line)
    assert reading.values["birth_name"] == "DUPONT"
    assert reading.warnings == {}


def test_line_without_label_continues_the_value() -> None:
    values = read("Prénoms : Jeanne\nMarie\nQuestion : Une\n\ndeux\nTA : 12/8, TTT : aucun\nSexe : F").values
    assert values["first_names"] == "Jeanne Marie"
    assert values["question"] == "Une\n\ndeux\nTA : 12/8, TTT : aucun"
    assert values["sex"] == "F"


def test_word_for_a_label_is_ordinary_text_within_several_lines() -> None:
    values = read(
        "Question : Bonjour\nTéléphone : celui de la fille\nTéléphone où vous joindre : 0471000000"
    ).values
    assert values == {"question": "Bonjour\nTéléphone : celui de la fille", "phone": "0471000000"}


def test_nearly_a_label_is_named_in_a_warning_and_taken_for_nothing() -> None:
    reading = read("Expert : Avis Dermatologie\nNom de naisance : DUPONT\nTEXTE")
    assert reading.values == {"expert": "Avis Dermatologie"}
    warning = (
        "« Nom de naisance » n'est pas un libellé de ce formulaire ; vouliez-vous dire « Nom de naissance » ?"
    )
    assert reading.warnings[""].startswith(warning)
    assert "« TEXTE »" in reading.warnings[""]


@pytest.mark.parametrize("damaged", ["Dat de naissance : 01/02/1960", "Date de naissance - 01/02/1960"])
def test_a_damaged_label_below_a_note_is_named_and_no_rest_of_the_note(damaged: str) -> None:
    note = "> (?) Celui de la vie courante, s'il diffère du premier prénom de"
    reading = read(f"> Nom de naissance : DUPONT\n{note}\n> naissance - ou non.\n> {damaged}\n> Sexe : F")
    assert reading.values == {"birth_name": "DUPONT", "sex": "F"}
    assert "vouliez-vous dire « Date de naissance » ?" in reading.warnings[""]


def test_lost_end_mark_above_the_quoted_original_is_seen() -> None:
    text = f"{BEGIN}\nNom de naissance : DUPONT\n\nLe 22/11, X a écrit :\n> {BEGIN}\n> Sexe :\n> {END}"
    found = find_form(text)
    assert found is not None
    assert not found.complete
    cut = find_form(f"{BEGIN}\nSexe : F\n{END}\n> {BEGIN}\n> Sexe :")
    assert cut is not None
    assert cut.complete


def test_many_wrong_lines_give_few_warnings() -> None:
    reading = read("\n".join(f"Nom de naisanc{n} : x" for n in range(4000)))
    assert len(reading.warnings[""]) < 1000


def test_wrapped_prefilled_value_whose_rest_lost_its_quotation() -> None:
    words = "Lésion pigmentée du mollet gauche, évolutive depuis juin, 9 mm"
    lines = "> Question : Lésion pigmentée du mollet gauche, évolutive depuis\njuin, 9 mm"
    found = find_form(f"> {BEGIN}\n{lines}\n> {END}")
    assert found is not None
    assert read_form(sample_request(), found).values["question"] == "juin, 9 mm"
    question = read_form(sample_request(), found, {"question": words}).values["question"]
    assert str(question).split() == words.split()


CHECKLIST = "Échanges à joindre au compte rendu :\n"


@pytest.mark.parametrize(("lines", "ticked"), [
    ("[x] 1. a\n[ ] 2. b\n[X] 3. c", [1, 3]),
    ("[] 1. a\n(x) 2. b\n[ x ] 3) c", [2, 3]),
    ("- [x] 1. a\n* [ ] 2. b\n> [x] 3. c", [1, 3]),
    ("> [x] 1. a\n> [x] 2. b\n[ ] 2. b\n> [ ] 3. c\n[x] 3. c", [1, 3]),
    ("[x] 1. Question du\n22/11\n[✓] 2. b\n[ ]3. c", [1, 2]),
    ("[ ] 1. a\n[ ] 2. b\n[ ] 3. c", []),
])  # fmt: skip
def test_ticks(lines: str, ticked: list[int]) -> None:
    reading = read(CHECKLIST + lines, sample_finalisation())
    assert reading.values["exchanges"] == ticked
    assert (reading.problems, reading.warnings) == ({}, {})


def test_ticks_in_conflict_gone_or_unknown() -> None:
    form = sample_finalisation()
    assert "[x] 2." in read(CHECKLIST + "[ ] 1. a\n[x] 2. b\n[ ] 2. b\n[ ] 3. c", form).problems["exchanges"]
    assert "considérées comme non cochées : 2, 3." in read(CHECKLIST + "[x] 1. a", form).warnings["exchanges"]
    reading = read(CHECKLIST + "[x] 1. a\n[ ] 2. b\n[ ] 3. c\n[x] 4. d", form)
    assert (reading.values["exchanges"], "4" in reading.warnings["exchanges"]) == ([1], True)


def test_two_checklists_keep_their_own_numbers() -> None:
    form = sample_finalisation()
    lines = f"Destinataires du compte rendu :\n[ ] 1. x\n[x] 2. y\n{CHECKLIST}[x] 1. a\n[ ] 2. b\n[ ] 3. c"
    values = read(lines, form).values
    assert (values["addressees"], values["exchanges"]) == ([2], [1])


def test_words_typed_among_ticks_are_named() -> None:
    reading = read(CHECKLIST + "[x] 1. a\nsauf la photo floue\n[x] 2. b\n[x] 3. c", sample_finalisation())
    assert reading.warnings[""] == "La ligne « sauf la photo floue » n'a pas été comprise."


def test_ticks_without_their_checklist_are_nothing() -> None:
    assert "exchanges" not in read("[x] 1. a", sample_finalisation()).values


def test_wrong_answer_comes_back_as_filled_with_the_sentence_above_its_line_and_reads_the_same() -> None:
    form = sample_request()
    typed = read(
        "Nom de naissance : DUPONT\nDate de naissance : 31/02/1957\nUrgence : dès\nQuestion : a\n\\Sexe : x"
    )
    wrong = validate(form, typed.values, TODAY)
    again = render_text(
        FormCopy(
            form=form, form_id=OTHER_ID, values=typed.values, problems=wrong.problems, warnings=wrong.warnings
        )
    )
    lines = again.split("\n")
    line = lines.index("Date de naissance (JJ/MM/AAAA) : 31/02/1957")
    assert lines[line - 2 : line] == [
        "/!\\ Date de naissance\u00a0: la date «\u00a031/02/1957\u00a0» n'existe pas\u00a0:",
        "/!\\ attendu JJ/MM/AAAA.",
    ]  # fmt: skip
    found = find_form("\n".join(f"> {line}" for line in lines))
    assert found is not None
    assert found.form_id == OTHER_ID
    reading = read_form(form, found)
    assert {name: value for name, value in reading.values.items() if value} == typed.values
    assert (reading.problems, reading.warnings) == ({}, {})


def test_text_of_a_mark_or_label_inside_an_answer_survives_being_shown_again() -> None:
    form = sample_request()
    signs = "/!\\ attention\n(?) quoi\n> cité\n\\x\n[x] 1. y\nNom\nde naissance : X"
    question = f"Bonjour\nSexe : M\n{END}\n{BEGIN}\n{signs}"
    values = {**FILLED, "question": question}
    found = find_form(render_text(FormCopy(form=form, form_id=FORM_ID, values=values)))
    assert found is not None
    reading = read_form(form, found)
    assert validate(form, reading.values, TODAY).values == values


def test_no_line_of_ours_is_long_enough_to_be_wrapped_when_quoted_once() -> None:
    for form in (sample_request(), sample_finalisation()):
        copy = FormCopy(form=form, form_id=FORM_ID, problems={"": "mot " * 100, "expert": "mot " * 100})
        assert max(map(len, render_text(copy).split("\n"))) <= 72
        assert not any(line != line.rstrip() for line in render_text(copy).split("\n"))


def test_acting_account_as_the_person_writes_it() -> None:
    for typed in ("Dr Zoé MARTIN", "zoe martin", "zoe.martin@cabinet.example", "Dr Z"):
        validation = validate(sample_request(), read(f"Agir en tant que : {typed}").values, TODAY)
        assert validation.values["acting"] == REQUESTER.address
