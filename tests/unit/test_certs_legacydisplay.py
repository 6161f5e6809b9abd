"""Copies of hidden header fields above the words (RFC 9788 §4.5.3): never a way to hide words."""

import pytest

from certs.legacydisplay import declares_legacy_display, without_legacy_html, without_legacy_text

CLASS = "header-protection-legacy-display"
PAGE = f"""<html><head><title></title></head><body>
<div class="{CLASS}">
<pre>Subject: Avis
From: Aude &lt;a@b.example&gt;</pre>
</div>
<p>Bonjour</p>
</body></html>"""


@pytest.mark.parametrize(
    ("hp", "parameter", "declared"),
    [("cipher", "1", True), ("CIPHER", "1", True), ("clear", "1", False), (None, "1", False),
     ("cipher", None, False), ("cipher", "0", False), ("cipher", "true", False)],
)  # fmt: skip
def test_only_a_hidden_header_has_copies(hp: str | None, parameter: str | None, declared: bool) -> None:
    assert declares_legacy_display(hp, parameter) is declared


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Subject: Avis\n\nBonjour\n\nAude\n", "Bonjour\n\nAude\n"),
        ("Subject: Avis\r\n\r\nBonjour\r\n", "Bonjour\r\n"),
        ("Subject: un avis\n sur deux lignes\nTo: b@c.example\n\nBonjour", "Bonjour"),
        ("Subject:\n\nBonjour", "Bonjour"),
    ],
)
def test_fields_before_the_first_empty_line_are_not_shown(text: str, shown: str) -> None:
    assert without_legacy_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Bonjour,\n\nVoici la question.\n",  # no field at all
        "Attention: arrêter le traitement\n\nBonjour",  # looks like a field and is none
        "Subject: Avis\nArrêtez le traitement\n\nBonjour",  # words among the fields
        "Subject: Avis",  # no empty line: nothing ends the copies
        " Subject: Avis\n\nBonjour",
        "\n\nBonjour",
        "",
    ],
)
def test_words_are_never_left_out(text: str) -> None:
    assert without_legacy_text(text) == text


@pytest.mark.parametrize(
    "page",
    [PAGE, PAGE.replace(f'"{CLASS}"', f"'{CLASS}'"),
     PAGE.replace(f'"{CLASS}"', CLASS).replace("<div", "<DIV"),
     PAGE.replace("<pre>", "<div><pre>").replace("</pre>", "</pre></div>")],
)  # fmt: skip
def test_the_marked_division_at_the_top_of_the_page_is_not_shown(page: str) -> None:
    shown = without_legacy_html(page)
    assert "Subject" not in shown
    assert "a@b.example" not in shown
    assert shown.endswith("<p>Bonjour</p>\n</body></html>")
    assert shown.startswith("<html><head><title></title></head><body>")


@pytest.mark.parametrize(
    "page",
    [
        PAGE.replace("Avis", "Avis\nArrêtez le traitement"),
        PAGE.replace("<p>Bonjour</p>", "").replace("<body>", "<body><p>Bonjour</p>"),  # not the first
        PAGE.replace("</div>", ""),  # never ends
        PAGE.replace(CLASS, "header-protection"),
        PAGE.replace(f'class="{CLASS}"', f'title="class={CLASS}"'),
        "",
        f"<div class={CLASS}>",
    ],
)
def test_words_of_a_page_are_never_left_out(page: str) -> None:
    assert without_legacy_html(page) == page


def test_hostile_pages_cost_no_time_worth_telling() -> None:
    """Nothing to assert but an end: what backtracks would not come to it."""
    for page in (
        "<body " * 100_000,
        f"<div class={CLASS}>" * 50_000,
        f"<body><div class={CLASS}>" + "<" * 500_000,
    ):
        assert without_legacy_html(page) == page
    assert without_legacy_text("Subject: " + " " * 500_000) == "Subject: " + " " * 500_000
