"""The lines of a declaration: each kind of right and wrong, and what was saved reads as itself again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import Specialty, departments, specialties
from teleexpertise.declaring import (
    MOST_FILE_OCTETS,
    Declaration,
    Known,
    deputy_named,
    file_may_be_handed_out,
    preferences_values,
    read_preferences,
)
from teleexpertise.forms import (
    FormCopy,
    Value,
    find_form,
    preferences_form,
    read_form,
    render_html,
    render_text,
    validate,
)
from teleexpertise.people import Absence, Account, Document, Expert, ItemKind, NoticeMode, PrerequisiteItem
from teleexpertise.plaintext import html_lines
from tests.support.forms import CATALOGUE, FORM_ID, TODAY, quoted

ME = Account(address="avis.dermato@ch.example", name="Avis Dermatologie", specialty="Dermatologie")
DEPUTY = Account(address="paul.roux@ch.example", name="Dr Paul ROUX")
KNOWN = Known(
    specialties={each.name: each.synonyms for each in specialties()},
    departments=departments(),
    deputy=DEPUTY,
    today=TODAY,
    usual_items={each.name: each.usual_items for each in specialties() if each.usual_items},
)
BARE = Declaration(account=ME, expert=None)
LISTED: dict[str, Value] = preferences_values(ME, None, TODAY) | {"listed": True, "description": "Peau."}


def declared(
    lines: dict[str, Value], before: Declaration = BARE, documents: tuple[Document, ...] = ()
) -> Declaration:
    form = preferences_form(CATALOGUE, before.account, [each.filename for each in documents])
    return read_preferences(form, LISTED | lines, before, documents, KNOWN)


def expert(**lines: Value) -> Expert:
    found = declared(lines)
    assert found.problems == {}
    assert found.expert is not None
    return found.expert


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("dermato", ("Dermatologie",)),
        ("DERMATOLOGIE ; cardio, Cardiologie", ("Dermatologie", "Cardiologie")),
        ("plaies et cicatrisation", ("Plaies et cicatrisation",)),
        ("", ()),
    ],
)
def test_specialties_by_name_or_by_a_word_for_them(typed: str, names: tuple[str, ...]) -> None:
    assert expert(specialties=typed).specialties == names


@pytest.mark.parametrize(
    "specialty", [each for each in specialties() if each.usual_items], ids=lambda each: each.name
)
def test_the_usual_elements_of_each_specialty_are_lines_that_the_form_takes(specialty: Specialty) -> None:
    lines = specialty.usual_items
    assert lines
    items = expert(items="\n".join(lines)).items
    shown = preferences_values(ME, Expert(account=ME, description="x", items=items), TODAY)["items"]
    assert shown == "\n".join(lines)
    form = preferences_form(CATALOGUE, ME, [], {specialty.name: lines})
    assert f"Pour {specialty.name}, on demande souvent : « {lines[0]} »" in form.field("items").help
    assert "souvent" not in preferences_form(CATALOGUE, ME, []).field("items").help


def test_a_specialty_declared_before_needs_no_table() -> None:
    old = Expert(account=ME, description="x", specialties=("Médecine du sport",))
    found = declared({"specialties": "médecine du sport"}, Declaration(account=ME, expert=old))
    assert found.expert is not None
    assert found.expert.specialties == ("Médecine du sport",)


def test_unknown_specialties_are_asked_back_all_with_the_nearest() -> None:
    said = declared({"specialties": "Cardiologe, Dermato, Neurologi, Xyzzy"}).problems["specialties"]
    assert "Cardiologie" in said
    assert "« Neurologi »" in said
    assert "« Xyzzy » n'est pas une spécialité connue. Si la vôtre manque" in said


@pytest.mark.parametrize(
    ("typed", "codes"),
    [
        ("43", ("43",)),
        ("1, 2a", ("01", "2A")),
        ("43 63 07", ("43", "63", "07")),
        ("Haute-Loire, puy de dome", ("43", "63")),
        ("43 Haute-Loire ; 974 (La Réunion)", ("43", "974")),
        ("Côte-d'Or", ("21",)),
        ("Rhône et Loire, 2A", ("69", "42", "2A")),
        ("Eure-et-Loir et 43/15", ("28", "43", "15")),
        ("43 et 63 + Cantal", ("43", "63", "15")),
    ],
)
def test_departments_by_code_or_name(typed: str, codes: tuple[str, ...]) -> None:
    assert expert(departments=typed).departments == codes


@pytest.mark.parametrize("typed", ["99", "43 Lozère", "Haute Loir", "4 3 x"])
def test_an_unknown_department_is_asked_back(typed: str) -> None:
    assert "n'est pas un département" in declared({"departments": typed}).problems["departments"]


@pytest.mark.parametrize(
    ("typed", "item"),
    [
        ("photo obligatoire : Vue rapprochée", ("Vue rapprochée", ItemKind.IMAGE, True, 1)),
        ("Photos : Lésion", ("Lésion", ItemKind.IMAGE, True, 1)),
        ("- 3 photographies facultatives: Plaie : bords", ("Plaie : bords", ItemKind.IMAGE, False, 3)),
        ("document optionnel : Bilan", ("Bilan", ItemKind.DOCUMENT, False, 1)),
        ("RÉPONSE OBLIGATOIRE : Âge", ("Âge", ItemKind.FIELD, True, 1)),
    ],
)
def test_elements_one_per_line(typed: str, item: tuple[str, ItemKind, bool, int]) -> None:
    found = expert(items=f"\n{typed}\n\n").items
    assert [(each.name, each.kind, each.mandatory, each.count) for each in found] == [item]


@pytest.mark.parametrize(
    "typed",
    [
        "Vue rapprochée",
        "photo obligatoire",
        "photo obligatoire :",
        "vidéo obligatoire : Marche",
        "0 photos : Lésion",
        "51 photos : Lésion",
        "2 réponses obligatoires : Âge",
        "photo : A\nphoto facultative : a",
        "photo : " + "x" * 201,
        "\n".join(f"photo : {n}" for n in range(31)),
    ],
)
def test_a_wrong_element_is_asked_back(typed: str) -> None:
    found = declared({"items": typed})
    assert set(found.problems) == {"items"}


@pytest.mark.parametrize(
    ("typed", "absence"),
    [
        ("du 01/12/2026 au 15/12/2026", Absence(starts=date(2026, 12, 1), ends=date(2026, 12, 15))),
        (
            "Absente du 1.12.2026 au 15-12-2026, remplacée par Dr Roux <Paul.Roux@ch.example>.",
            Absence(starts=date(2026, 12, 1), ends=date(2026, 12, 15), deputy=DEPUTY.address),
        ),
        ("22/11/2026 - 22/11/2026", Absence(starts=TODAY, ends=TODAY)),
        ("du 1er au 15 décembre 2026", Absence(starts=date(2026, 12, 1), ends=date(2026, 12, 15))),
        ("du 1er déc. 2026 au 15/12/26 inclus", Absence(starts=date(2026, 12, 1), ends=date(2026, 12, 15))),
        ("du 1 au 15/12/2026", Absence(starts=date(2026, 12, 1), ends=date(2026, 12, 15))),
        (
            "du dimanche 20 décembre au 3 janvier 2027 (remplacement : paul.roux@ch.example)",
            Absence(starts=date(2026, 12, 20), ends=date(2027, 1, 3), deputy=DEPUTY.address),
        ),
        ("aucune", None),
        ("", None),
    ],
)
def test_absences(typed: str, absence: Absence | None) -> None:
    assert expert(absence=typed).absence == absence


@pytest.mark.parametrize(
    "typed",
    [
        "en août",
        "du 1er au 15 décembre",
        "du 1er au 15 brumaire 2026",
        "du 01/12/2026",
        "du 15/12/2026 au 01/12/2026",
        "du 31/11/2026 au 05/12/2026",
        "du 01/11/2026 au 21/11/2026",
        "du 01/12/2026 au 15/12/2028",
        "du 01/12/2026 au 15/12/2026, remplacé par le Dr Roux",
        "du 01/12/2026 au 15/12/2026, remplacé par nobody@ch.example",
        "du 01/12/2026 au 15/12/2026, remplacé par avis.dermato@ch.example",
        "du 01/12/2026 au 15/12/2026 paul.roux@ch.example",
    ],
)
def test_a_wrong_absence_is_asked_back(typed: str) -> None:
    assert set(declared({"absence": typed}).problems) == {"absence"}


@pytest.mark.parametrize(
    ("typed", "days"),
    [("3", 3), ("2 jours", 2), ("48 h", 2), ("24 à 48h", 2), ("une semaine", 7), ("sous 30 heures", 2)],
)
def test_delays_as_people_say_them(typed: str, days: int) -> None:
    assert expert(delay_days=typed).delay_days == days


def test_the_deputy_is_looked_up_by_the_address_typed() -> None:
    assert deputy_named({"absence": "remplacé par <Paul.ROUX@ch.example>"}) == DEPUTY.address
    assert deputy_named({"absence": "remplacé par Paul"}) == ""


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("description", ""),
        ("delay_days", "0"),
        ("delay_days", "366"),
        ("delay_days", "bientôt"),
        ("delay_days", "3 jours ouvrés"),
        ("delay_days", "1 mois"),
        ("tool_url", "http://outil.example"),
        ("tool_url", "https://outil.example/a b"),
        ("tool_url", "javascript:alert(1)"),
    ],
)
def test_other_wrong_lines(line: str, typed: str) -> None:
    assert set(declared({line: typed}).problems) == {line}


def test_files_are_bounded_in_number_and_size_and_named_once() -> None:
    def file(name: str, size: int = 1) -> Document:
        return Document(filename=name, content_type="application/pdf", content=bytes(size))

    many = tuple(file(f"{n}.pdf") for n in range(11))
    large = (file("a.pdf", MOST_FILE_OCTETS), file("b.pdf"))
    for files in (many, large, (file("A.pdf"), file("a.PDF", 2))):
        assert set(declared({}, documents=files).problems) == {"documents"}
    assert declared({}, documents=many[:10]).problems == {}


def test_only_what_people_open_is_handed_out() -> None:
    assert all(map(file_may_be_handed_out, ("a.pdf", "A.DOCX", "fiche.v2.odt")))
    assert not any(map(file_may_be_handed_out, ("a.exe", "a.pdf.js", "a", ".pdf", "a.docm", "a.html", "pdf")))


def test_who_declares_nothing_is_no_expert_and_who_withdraws_keeps_her_words() -> None:
    nothing = declared({"listed": False, "description": ""})
    assert (nothing.problems, nothing.expert) == ({}, None)
    kept = declared({"listed": False})
    assert kept.expert is not None
    assert (kept.expert.listed, kept.expert.description) == (False, "Peau.")


# Mail is read in NFC, so what is in another form comes back composed.
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20).map(partial(normalize, "NFC"))
items = st.lists(
    st.builds(
        PrerequisiteItem, name=names, kind=st.just(ItemKind.IMAGE), mandatory=..., count=st.integers(1, 50)
    )
    | st.builds(PrerequisiteItem, name=names, kind=st.just(ItemKind.FIELD), mandatory=...),
    max_size=4,
    unique_by=lambda item: item.name.casefold(),
)
days = st.dates(TODAY, date(2027, 6, 1))
texts = st.lists(
    st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=50), max_size=3
)
experts = st.builds(
    Expert,
    account=st.just(ME),
    description=texts.map(lambda lines: "\n".join(["Peau.", *lines])),
    specialties=st.lists(st.sampled_from(sorted(KNOWN.specialties)), min_size=1, max_size=3, unique=True).map(
        tuple
    ),
    departments=st.lists(st.sampled_from(sorted(KNOWN.departments)), min_size=1, max_size=3, unique=True).map(
        tuple
    ),
    delay_days=st.integers(1, 365),
    items=items.map(tuple),
    absence=st.none()
    | st.tuples(days, days).map(
        lambda pair: Absence(starts=min(pair), ends=max(pair), deputy=DEPUTY.address)
    ),
    tool_url=st.sampled_from(["", "https://outil.example/x?y=1"]),
)


@given(experts, st.sampled_from([NoticeMode.NOTICE, NoticeMode.INBOX, NoticeMode.DIGEST]), st.booleans())
def test_what_was_saved_comes_back_from_an_unchanged_form(
    found: Expert, notice: NoticeMode, html: bool
) -> None:
    account = replace(ME, notice=notice)
    form = preferences_form(CATALOGUE, account, [])
    values = preferences_values(account, replace(found, account=account), TODAY)
    copy = FormCopy(form=form, form_id=FORM_ID, values=values)
    text = html_lines(render_html(copy)) if html else quoted(render_text(copy))
    answered = find_form(text)
    assert answered is not None
    reading = read_form(form, answered, values)
    checked = validate(form, reading.values, TODAY)
    assert {**reading.problems, **checked.problems} == {}
    before = Declaration(account=account, expert=replace(found, account=account))
    after = read_preferences(form, checked.values, before, (), KNOWN)
    assert after.problems == {}
    assert after.account == account
    assert after.expert is not None

    def words(expert: Expert) -> Expert:
        squeezed = "\n".join(" ".join(line.split()) for line in expert.description.strip().split("\n"))
        return replace(expert, description=squeezed)

    assert words(after.expert) == words(replace(found, account=account))


@pytest.mark.parametrize("specialty", list(KNOWN.usual_items))
def test_a_usual_checklist_is_understood(specialty: str) -> None:
    items = expert(specialties=specialty, items="liste usuelle").items
    assert len(items) == len(KNOWN.usual_items[specialty]) >= 2
    # Taken over, it stands in the form line by line and can be changed.
    shown = preferences_values(ME, expert(specialties=specialty, items="Liste usuelle"), TODAY)["items"]
    assert expert(specialties=specialty, items=shown).items == items


def test_the_usual_checklists_of_several_specialties_name_an_element_once() -> None:
    names = [item.name for item in expert(specialties="Cardiologie, Neurologie", items="liste usuelle").items]
    assert names.count("Traitements en cours") == 1
    assert {"ECG 12 dérivations", "Compte rendu d'IRM"} <= set(names)
    mixed = "document obligatoire : compte rendu d'irm\nListe usuelle\nphoto obligatoire : Démarche"
    items = expert(specialties="Neurologie", items=mixed).items
    assert [(item.name, item.mandatory) for item in items] == [
        ("Examen clinique", True), ("Traitements en cours", True), ("compte rendu d'irm", True),
        ("Démarche", True),
    ]  # fmt: skip
    for unknown in ("", "dermatto"):
        problems = declared({"specialties": unknown, "items": "liste usuelle"}).problems
        assert "pas de liste usuelle" in problems["items"]
