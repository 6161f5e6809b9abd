"""The readable text of a mail: which view is taken, HTML as lines, flowed lines joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleexpertise.letters import Letter
from teleexpertise.plaintext import folded, html_lines, one_space, readable_text, squashed


@pytest.mark.parametrize(("html", "text"), [
    ("<p>un</p><p>deux</p>", "un\n\ndeux"),
    ('<p class="MsoNormal">un</p><p class=MsoNormal>deux</p>', "un\ndeux"),
    ("un<br>deux<br/><BR>trois", "un\ndeux\n\ntrois"),
    ("<div>a</div><div><br></div><div>b  c\n d</div>", "a\n\nb c d"),
    ("<blockquote>a<blockquote>b</blockquote>c</blockquote>d", "> a\n>\n> > b\n>\n> c\n\nd"),
    ("<ul><li>un<li>deux</ul>", "- un\n- deux"),
    ("<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>", "a b\nc"),
    ("&eacute;t&#233; 5&nbsp;mm &lt;b&gt; &unknown; &amp;amp;", "été 5\u00a0mm <b> &unknown; &amp;"),
    ("<head><title>t</title></head><style>p{}</style><script>a<b</script>x<!-- y --> z", "x z"),
    ("<pre>a\n  b</pre>c", "a\n  b\nc"),
    ('<img alt="a > b">x 3 < 4 et 5 > 2', "x 3 < 4 et 5 > 2"),
    ("<![if !supportLists]>a<![endif]><?xml x?><o:p>b</o:p>", "ab"),
    ("<a href='https://x.example'>lien</a>", "lien"),
    ("jamais ferm\u00e9 <a href='x", "jamais fermé <a href='x"),
    ("<b>gras</b>mot<!-- ", "grasmot"),
])  # fmt: skip
def test_html_as_lines(html: str, text: str) -> None:
    assert html_lines(html) == text


@pytest.mark.parametrize(("text", "html", "taken"), [
    ("court", "<p>court</p>", "court"),
    ("", "<p>seul</p>", "seul"),
    ("  \n", "<p>seul</p>", "seul"),
    ("Message HTML.", f"<p>{'long ' * 20}</p>", ("long " * 20).strip()),
    ("le texte entier est ici", "", "le texte entier est ici"),
])  # fmt: skip
def test_html_is_taken_when_the_text_part_is_a_stub(text: str, html: str, taken: str) -> None:
    assert readable_text(Letter("", "", (), text=text, html=html)) == taken


def test_flowed_lines_are_joined_within_their_quotation() -> None:
    text = "> un \n> deux\n>> trois \n>> quatre\nNom : \nPrénom : \n espace\ncinq \nsix\n-- \nsignature"
    letter = Letter("", "", (), text=text, content_parameters=(("format", "flowed"),))
    assert readable_text(letter).split("\n") == [
        "> un deux", "> > trois quatre", "Nom : ", "Prénom : ", "espace", "cinq six", "-- ", "signature",
    ]  # fmt: skip
    cut = Letter("", "", (), text="tro \nis", content_parameters=(("format", "flowed"), ("delsp", "yes")))
    assert readable_text(cut) == "trois"


def test_folding() -> None:
    assert folded("Œuvre À l’ÉTÉ\u00a0: ½") == "oeuvre a l'ete : 1⁄2"
    assert squashed("« Né(e) le » :") == "neele"
    assert one_space("a\u2028b\u00a0c\u200bd\r\ne\x00") == "a\nb cd\ne"


@given(st.text(alphabet=st.sampled_from("<>/!-?&;\"'= abp\n"), max_size=200) | st.text(max_size=200))
def test_any_markup_gives_text(html: str) -> None:
    html_lines(html)
    readable_text(Letter("", "", (), text=html, html=html, content_parameters=(("format", "flowed"),)))


@pytest.mark.parametrize(
    "piece", ["<!--", "<a ", "<a '", '<a "', "<", "</", "<!", "<style>", "<pre>\n", "&", "<a b='>"]
)
def test_hostile_markup_costs_linear_time(piece: str) -> None:
    # Not measured: quadratic work on this much would run into the test's time limit.
    html_lines(piece * (400_000 // len(piece)))
    html_lines(piece * (400_000 // len(piece)) + ">")
