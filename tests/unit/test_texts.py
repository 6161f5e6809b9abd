"""Every mail says the same in both forms, and never betrays a patient in its subject."""

import dataclasses
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from teleexpertise.people import ItemKind
from teleexpertise.states import State
from teleexpertise.texts import Body, Link, Texts, contexts, load_words
from tests.support.samples import ADDRESS, FORM_TEXT, PATIENT, SERVICE, all_mails

MAILS = all_mails()
TEXTS = Texts(SERVICE, ZoneInfo("Europe/Paris"))


class Visible(HTMLParser):
    """Collects what a reader of the HTML part sees."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.hidden = 0
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("title", "head")
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("title", "head")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)


def seen(html: str) -> Visible:
    parser = Visible()
    parser.feed(html)
    return parser


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+(?:[.@'-]\w+)*", text))


@pytest.fixture(params=sorted(MAILS))
def body(request: pytest.FixtureRequest) -> Body:
    return TEXTS.render(MAILS[request.param])


def subclasses(cls: type[object]) -> Iterator[type[object]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def test_there_is_a_sample_of_every_mail() -> None:
    # Classes with slots are made twice; only those that carry a template are mails.
    names = {cls.__name__ for cls in subclasses(contexts.Mail) if "template" in vars(cls)}
    assert names == {type(mail).__name__ for mail in MAILS.values()}


def test_both_parts_say_the_same(body: Body) -> None:
    in_text = words(re.sub(r"<mailto:[^>]*>", "", body.text))
    in_html = words(" ".join(seen(body.html).words))
    assert in_text == in_html


def test_the_html_part_fetches_and_runs_nothing(body: Body) -> None:
    page = seen(body.html)
    names = {name for name, _ in page.attributes}
    assert names <= {"style", "href", "lang", "charset", "name", "content"}
    assert "url(" not in body.html
    links = [value or "" for name, value in page.attributes if name == "href"]
    assert all(link.startswith("mailto:") for link in links)
    assert body.html.startswith("<!DOCTYPE html>")


def test_text_lines_are_short(body: Body) -> None:
    long = [line for line in body.text.splitlines() if len(line) > 76]
    assert all(line.startswith(("  <mailto:", "  objet", "  (objet")) for line in long)


def test_subjects_are_one_line_without_patient_data(body: Body) -> None:
    assert body.subject == body.subject.strip() != ""
    assert not re.search(r"[\r\n\u00a0]|  ", body.subject)
    for secret in (PATIENT.birth_name, PATIENT.first_names.split()[0], PATIENT.ins):
        assert secret.casefold() not in body.subject.casefold()


def test_every_link_stands_beside_what_to_type() -> None:
    body = TEXTS.render(MAILS["ouverture"])
    for part in (body.text, " ".join(" ".join(seen(body.html).words).split())):
        flat = " ".join(part.split())
        for subject in ("Finaliser TLE-2026-000123", "Annuler TLE-2026-000123", "Synthèse TLE-2026-000123"):
            assert subject in flat
        assert f"écrivez à {ADDRESS} avec l'objet" in flat


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        (
            "annuaire",
            ["Avis Dermatologie CH LE PUY", "2\u00a0jours|2 jours", "fiche-dermatologie.pdf", "obligatoire"],
        ),
        ("annuaire-vide", ["Aucun expert", "Avis"]),
        ("urgence-vitale", ["appelez|Appelez", "15", "n'a pas été envoyée"]),
        (
            "ouverture",
            ["Éléments demandés par l'expert", "si possible", "Pour l'expert", "Pour le demandeur"],
        ),
        (
            "question",
            ["FAUXCOMPTE Bertille Anne", "02/03/1957", "10100000017", "04 99 99 99 99", "1,4\u00a0Mo"],
        ),
        ("confirmation", ["FAUXCOMPTE", "TLE-2026-000123", "48-72 heures", "Fiche dermatologie"]),
        ("confirmation-cloture", ["exérèse complète", "Dr Rémy PERRET pour Avis Dermatologie", "TE2"]),
        ("teleexpertises", ["en attente", "dépassé", "À vous d'envoyer", "anonyme"]),
        ("doute", ["Pour TLE-2026-000123", "Confirmer abcdef", "22/11/2026 à 10\u00a0h\u00a041"]),
        ("rapport", ["version 2", "Rendez-vous proposé"]),
        ("non-remise", ["550 5.1.1"]),
        ("relais", ["Message original|message original", "quatre mois"]),
        ("elements-manquants", ["Vue d'ensemble", "L'IPS"]),
    ],
)
def test_required_pieces(name: str, pieces: list[str]) -> None:
    body = TEXTS.render(MAILS[name])
    html = " ".join(seen(body.html).words)
    for piece in pieces:
        assert re.search(piece.replace(" ", r"\s+(?:\| )?"), body.text), piece
        assert re.search(piece.replace(" ", r"\s+"), html), piece


def test_the_notice_has_no_place_for_patient_data() -> None:
    names = {field.name for field in dataclasses.fields(contexts.Notice)}
    assert names == {"reference", "state", "event", "who", "folder", "missing", "false_name"}


def test_subjects_show_reference_and_state() -> None:
    assert TEXTS.render(MAILS["ouverture"]).subject.startswith("[TLE-2026-000123 - demandée] ")
    assert TEXTS.words.state("on_hold") == "en attente"


def test_every_word_of_the_domain_has_its_french() -> None:
    say = load_words()
    assert all(say.state(state) for state in State if state is not State.NEW)
    assert all(say.of("next_steps", step) for step in contexts.NextStep)
    assert all(say.of("item_kinds", kind) for kind in ItemKind)
    for event in contexts.NoticeEvent:
        assert say.of("notice_events", event)
        assert say.of("notice_subjects", event)
    for role in contexts.Role:
        assert say.of("other_party", role)


@pytest.mark.parametrize("reason", list(contexts.RefusalReason))
def test_every_refusal_has_one_sentence(reason: contexts.RefusalReason) -> None:
    refusal = contexts.Refusal(reason=reason, detail="TLE-2026-000123", statement="Refusé.")
    sentence = TEXTS.sentence(refusal)
    assert sentence.endswith(".")
    assert sentence in " ".join(TEXTS.render(refusal).text.split()).replace("\u00a0", " ")


@pytest.mark.parametrize("purpose", list(contexts.FormPurpose))
def test_a_form_comes_out_as_it_is(purpose: contexts.FormPurpose) -> None:
    mail = contexts.FormMail(
        purpose=purpose, form_text=FORM_TEXT, form_html="<div>Expert&nbsp;:</div>",
        reference="TLE-2026-000123", state="requested",
    )  # fmt: skip
    body = TEXTS.render(mail)
    assert FORM_TEXT in body.text
    assert "<div>Expert&nbsp;:</div>" in body.html


def test_signs_do_not_begin_a_line() -> None:
    for name in ("aide", "urgence-vitale", "doute", "limite"):
        text = TEXTS.render(MAILS[name]).text
        assert not re.search(r"(?m)^\s*[;:?!»]", text)
        assert not re.search(r"« |[ ][;:?!»](?=\s)", text), name


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script><img src=http://tracker.example/x>",
        "{{ service.address }} {% raw %}",
        "\u202egnitirw\u202c \x00\x07\x1b[31m\x1f \ud800",
        "é" * 20_000,
        "שלום 👩🏽‍⚕️ مرحبا",
        "\n\n\n-- \n\n\n",
    ],
)
def test_hostile_words_do_no_harm(hostile: str) -> None:
    sample = MAILS["question"]
    assert isinstance(sample, contexts.Question)
    mail = dataclasses.replace(sample, question=hostile, phone=hostile)
    body = TEXTS.render(mail)
    page = seen(body.html)
    assert {"src", "onerror"}.isdisjoint(name for name, _ in page.attributes)
    assert "<script" not in body.html
    for part in (body.text, body.html):
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", part)
        part.encode("utf-8")
    if "{{" in hostile:
        assert hostile in " ".join(page.words)


def test_a_hostile_name_stays_on_the_line_of_the_subject() -> None:
    mail = contexts.OtherTool(expert_name="Dr X\r\nBcc: y@z.test", tool_url="https://a.example")
    assert "\n" not in TEXTS.render(mail).subject
    assert "\r" not in TEXTS.render(mail).subject


@pytest.mark.parametrize("href", ["javascript:alert(1)", "http://a.example", "data:text/html,x", ""])
def test_links_are_mail_or_https(href: str) -> None:
    with pytest.raises(ValueError):
        Link("Cliquez", href, ADDRESS, "Aide")


def test_a_worklist_says_that_it_shows_the_oldest_alone() -> None:
    listed = MAILS["teleexpertises"]
    assert isinstance(listed, contexts.Worklist)
    assert (
        "plus anciennes sont affichées"
        not in TEXTS.render(dataclasses.replace(listed, total=len(listed.rows))).text
    )
    longer = TEXTS.render(dataclasses.replace(listed, total=len(listed.rows) + 30)).text
    assert f"Les {len(listed.rows)} plus anciennes sont affichées." in " ".join(longer.split())
