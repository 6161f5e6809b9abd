"""The report says what the law and its readers want, shows pictures upright, and fetches nothing."""

import io
import re
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader
from weasyprint import HTML

from teleexpertise.patients import Patient
from teleexpertise.report import ReportExchange
from teleexpertise.report.printing import ImagesOnly, ReportPrinter
from tests.support.reports import attachment, photo, sample
from tests.support.samples import AUTHOR, NOW

PRINTER = ReportPrinter(ZoneInfo("Europe/Paris"))


def pages(pdf: bytes) -> list[str]:
    return [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(io.BytesIO(pdf)).pages]


@pytest.fixture(scope="module")
def final() -> bytes:
    return PRINTER.pdf(sample())


def test_a_report_holds_what_the_law_asks_for(final: bytes) -> None:
    text = " ".join(pages(final))
    for piece in (
        "Compte rendu de téléexpertise",
        "TLE-2026-000123",
        "FAUXCOMPTE Bertille Anne",
        "née le 02/03/1957",
        "Dr Nadège ARSAC",
        "10100000017",
        "Avis Dermatologie CH LE PUY",
        "Dr Rémy PERRET pour Avis Dermatologie CH LE PUY",
        "22/11/2026 à 10",
        "exérèse complète",
        "Faut-il une exérèse rapide",
        "Phototype II",
        "reçu après la clôture",
        "chiffré de bout en bout",
        "fiche.pdf",
        "fichue.jpg (image illisible)",
        "Aucun incident technique",
        "R. 6316-4",
    ):
        assert piece in text, piece
    assert "words nobody can read" not in text


def test_every_page_has_its_number_and_the_reference(final: bytes) -> None:
    texts = pages(final)
    for number, text in enumerate(texts, 1):
        assert f"page {number}/{len(texts)}" in text
        assert "TLE-2026-000123" in text
        assert "Confidentiel" in text


def test_the_same_report_gives_the_same_octets(final: bytes) -> None:
    assert PRINTER.pdf(sample()) == final


def test_it_is_pdf_a_with_fonts_inside_and_no_patient_in_its_title(final: bytes) -> None:
    assert re.search(rb"pdfaid:part[=>\"]+1", final)
    assert b"/SMask" not in final  # ISO 19005-1 §6.4: no transparency
    reader = PdfReader(io.BytesIO(final))
    catalog = reader.root_object
    # Tagged: read aloud in order, in its language.
    assert "/StructTreeRoot" in catalog
    assert str(catalog["/MarkInfo"].get_object()) == "{'/Marked': True}"
    assert str(catalog["/Lang"]) == "fr"
    assert reader.metadata is not None
    assert reader.metadata.title == "Compte rendu de téléexpertise TLE-2026-000123"
    for page in reader.pages:
        for font in page["/Resources"]["/Font"].values():  # type: ignore[index]
            descendant = font.get_object()["/DescendantFonts"][0].get_object()
            assert "/FontFile2" in descendant["/FontDescriptor"].get_object()


def test_letters_without_a_glyph_are_shown_as_such() -> None:
    text = " ".join(pages(PRINTER.pdf(sample(question="A 👩🏽 B 漢字 C é œ", attachments=(), exchanges=()))))
    assert "A \ufffd B \ufffd C é œ" in text
    # A whole sentence may hide behind one mark: the page says so, and no other page does.
    said = "Certains caractères (émoticônes, écritures étrangères) ne peuvent pas être imprimés"
    assert said in text.replace("\u00a0", " ")
    assert said not in " ".join(pages(PRINTER.pdf(sample(attachments=(), exchanges=()))))


def test_pictures_are_inside_and_stripped_of_metadata(final: bytes) -> None:
    images = {image.name: image.data for page in PdfReader(io.BytesIO(final)).pages for image in page.images}
    assert len(images) == 2
    assert b"Secret Camera Maker" not in b"".join(images.values())


def test_a_synthesis_says_that_it_is_provisional() -> None:
    text = " ".join(
        pages(PRINTER.pdf(sample(state="on_hold", finaliser=None, finalised_at=None, conclusion="")))
    )
    assert "Synthèse provisoire" in text
    assert "ne tient pas lieu de compte rendu" in text
    assert "Téléexpertise en attente" in text
    assert "version 1" not in text


def test_an_anonymous_patient_and_the_other_mentions() -> None:
    report = sample(
        patient=Patient(anonymous=True),
        version=2,
        missing=("Dermoscopie",),
        incidents=("Un message n'a pas pu être remis.",),
        exchanges=(),
        attachments=(),
    )
    text = " ".join(pages(PRINTER.pdf(report)))
    for piece in ("Anonyme", "annule et remplace", "non fourni : Dermoscopie", "pas pu être remis"):
        assert piece in text.replace("\u00a0", " "), piece


@pytest.mark.parametrize(
    "hostile",
    [
        "<h1>Faux titre</h1><img src='http://tracker.example/x'><script>alert(1)</script>",
        "<style>@import url(http://tracker.example/x.css)</style>{{ report.patient.ins }}",
        "é" * 3_000,
        "\u202egnitirw\u202c \x00\x07\x1b \ud800 שלום 👩🏽‍⚕️ مرحبا",
        "",
    ],
)
def test_hostile_words_do_no_harm(hostile: str) -> None:
    exchange = ReportExchange(number=1, at=NOW, author=AUTHOR, text=hostile)
    pdf = PRINTER.pdf(sample(question=hostile, conclusion=hostile, exchanges=(exchange,), attachments=()))
    text = " ".join(pages(pdf))
    if hostile.startswith("<"):
        assert hostile.split(">")[0] in text
    assert b"tracker.example" not in re.sub(rb"stream.*?endstream", b"", pdf, flags=re.DOTALL)


def test_every_foreign_address_is_refused() -> None:
    fetcher = ImagesOnly({"image:0": b"x"})
    for url in (
        "http://a.example/",
        "https://a.example/",
        "file:///etc/passwd",
        "data:text/plain,x",
        "image:1",
        "",
    ):
        with pytest.raises(ValueError):
            fetcher.fetch(url)
    assert fetcher.fetch("image:0").read() == b"x"


def test_a_page_that_names_a_file_does_not_get_it() -> None:
    page = "<img src='file:///etc/hostname'><link rel=stylesheet href='http://a.example/x.css'>text"
    pdf = HTML(string=page, url_fetcher=ImagesOnly({})).write_pdf()
    assert not [image for sheet in PdfReader(io.BytesIO(pdf)).pages for image in sheet.images]


def test_many_pictures_are_bounded() -> None:
    pieces = tuple(attachment(f"p{n}.jpg", "image/jpeg", photo(8 + n, 8)) for n in range(70))
    text = " ".join(pages(PRINTER.pdf(sample(attachments=pieces, exchanges=()))))
    assert text.count("image non reproduite ici") == 10
    assert "p69.jpg" in text
