"""The readable text of a mail, whatever its client sent: plain text, format=flowed, or HTML as lines.

Quotations are marked by ``> `` in both, so that readers further on (forms, reports) know one convention. The
walk over HTML is our own tokenizer and not the standard library's parser: it never raises, and hostile markup
costs linear time.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from html import unescape

from teleexpertise.letters import Letter

__all__ = ["folded", "html_lines", "one_space", "readable_text", "squashed", "unsigned_text"]

#: No reader needs more of one mail; the rest is left out (the worst markup of this length takes about two
#: seconds).
MAX_CHARACTERS = 1024 * 1024
MAX_QUOTE_DEPTH = 20

_LINE_END = re.compile("\r{1,4}\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_SPACE_KINDS = re.compile("[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
#: Marks without width that clients and word processors scatter: soft hyphen, zero-width space, direction
#: marks.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def one_space(text: str) -> str:
    """Line ends as LF, every kind of space as a plain space, no invisible or control characters, NFC."""
    text = _LINE_END.sub("\n", text)
    text = _INVISIBLE.sub("", _SPACE_KINDS.sub(" ", text))
    return unicodedata.normalize("NFC", _CONTROLS.sub("", text))


def folded(text: str) -> str:
    """Text for comparing: lower case, without accents, ligatures opened, quotes and dashes made plain."""
    text = text.replace("œ", "oe").replace("Œ", "OE").replace("æ", "ae").replace("Æ", "AE")
    plain = unicodedata.normalize("NFKD", one_space(text))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub("[‐-―−]", "-", re.sub("[‘’ʼ´`]", "'", plain)).casefold()


def squashed(text: str) -> str:
    """The letters and digits of :func:`folded` text alone: a label however a client wrapped it."""
    return "".join(letter for letter in folded(text) if letter.isalnum())


def readable_text(letter: Letter) -> str:
    """The words of a letter as lines with ``> `` quotation; no-break spaces stay as they came.

    Of a mail of which only a part is signed they are that part's words. HTML is preferred when the text part
    is empty or plainly shorter than it: clients that write HTML only put a stub or nothing there.
    """
    text = _LINE_END.sub("\n", letter.text[:MAX_CHARACTERS])
    parameters = {name.lower(): value.lower() for name, value in letter.content_parameters}
    if letter.content_type == "text/plain" and parameters.get("format") == "flowed":
        text = _unflowed(text, delete_space=parameters.get("delsp") == "yes")
    return _fuller(text, letter.html)


def unsigned_text(letter: Letter) -> str:
    """What stands outside of the signed part, as :func:`readable_text` gives the rest; '' for nothing."""
    return _fuller(_LINE_END.sub("\n", letter.unsigned_text[:MAX_CHARACTERS]), letter.unsigned_html)


def _fuller(text: str, html: str) -> str:
    if not html:
        return text
    from_html = html_lines(html)
    return from_html if 2 * _substance(text) < _substance(from_html) else text


def _substance(text: str) -> int:
    return sum(map(len, text.split()))


_FLOWED_QUOTE = re.compile(r"(>*) ?")


def _unflowed(text: str, *, delete_space: bool) -> str:
    """Join the soft line breaks of ``format=flowed`` text (``RFC 3676 §4``), each quote depth for itself.

    A line that ends in ``: `` is kept apart: an empty form line whose trailing space some client left on.
    """
    lines: list[tuple[int, str]] = []
    soft = False
    for raw in text.split("\n"):
        match = _FLOWED_QUOTE.match(raw)
        assert match is not None, "the pattern matches the empty string"
        depth, content = len(match[1]), raw[match.end() :]
        if soft and lines and lines[-1][0] == depth and content != "-- ":
            before = lines[-1][1]
            lines[-1] = (depth, (before[:-1] if delete_space else before) + content)
        else:
            lines.append((depth, content))
        soft = content.endswith(" ") and content != "-- " and not content.rstrip().endswith(":")
    return "\n".join("> " * depth + content for depth, content in lines)


# One string, so that the formatter leaves it in five lines instead of fifty.
_BREAKS = frozenset(
    "address article aside caption center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 "  # noqa: SIM905
    "header hr li main nav ol p pre section table tbody tfoot thead tr ul".split()
)
_APART = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote"})
_UNSEEN = frozenset({"head", "noscript", "script", "style", "template", "title"})
_TAG_NAME = re.compile(r"/?([A-Za-z][A-Za-z0-9:_-]{0,40})")
_HTML_SPACES = re.compile("[ \t\n\r\f]+")
_LONGEST_ATTRIBUTES = 4096


@dataclass(slots=True)
class _Page:
    """Lines being written: quote depth, whether inside ``pre``, whether a blank line is due."""

    lines: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    depth: int = 0
    preformatted: int = 0
    apart: bool = False
    last_depth: int = 0

    def say(self, text: str) -> None:
        """Add words to the line in hand; white space collapses outside ``pre``."""
        if self.preformatted:
            first, *others = text.split("\n")
            self.words.append(first)
            for line in others:
                self.end_line(keep_empty=True)
                self.words.append(line)
        else:
            self.words.append(_HTML_SPACES.sub(" ", text))

    def end_line(self, *, keep_empty: bool = False) -> None:
        """Put the line in hand down, with its quote marks."""
        line = "".join(self.words)
        line = line if self.preformatted else re.sub(" {2,}", " ", line).strip(" ")
        self.words.clear()
        if not line and not keep_empty:
            return
        if self.apart and line and self.lines and self.lines[-1].strip("> "):
            self.lines.append(("> " * min(self.depth, self.last_depth)).rstrip())
        self.apart, self.last_depth = False, self.depth
        self.lines.append(("> " * self.depth + line).rstrip(" "))


def _tag_end(html: str, start: int, last: int) -> int:
    """Position of the ``>`` that closes the tag opened at ``start``; quoted attribute values may hold one."""
    limit = min(start + _LONGEST_ATTRIBUTES, last + 1)
    position = start
    while True:
        close = html.find(">", position, limit)
        if close < 0:
            return html.find(">", start)
        quotes = [found for found in (html.find(q, position, close) for q in "\"'") if found >= 0]
        if not quotes:
            return close
        opened = min(quotes)
        closed = html.find(html[opened], opened + 1, limit)
        if closed < 0:
            return html.find(">", start)
        position = closed + 1


def _turn(page: _Page, tag: str, attributes: str, *, closing: bool) -> None:
    """What one tag does to the page."""
    if tag == "br":
        page.end_line(keep_empty=True)
    elif tag == "blockquote":
        page.end_line()
        page.depth = max(0, min(MAX_QUOTE_DEPTH, page.depth + (-1 if closing else 1)))
    elif tag in _BREAKS:
        page.end_line()
        if tag == "pre":
            page.preformatted = max(0, page.preformatted + (-1 if closing else 1))
        elif tag == "li" and not closing:
            page.words.append("- ")
    elif tag in ("td", "th"):
        page.words.append(" ")
    # Word makes every line a paragraph without space around it: a blank line after each would tear values
    # apart.
    if tag in _APART and (not closing or tag == "blockquote") and "mso" not in attributes.lower():
        page.apart = True


def _skip(html: str, start: int, ending: str) -> int:
    """Position after the next ``ending``, or the end of the text: what is never closed hides the rest."""
    found = html.find(ending, start)
    return len(html) if found < 0 else found + len(ending)


def html_lines(html: str) -> str:
    """HTML as lines: blocks and ``br`` break, ``blockquote`` quotes, styles and comments vanish."""
    html = _LINE_END.sub("\n", html[:MAX_CHARACTERS])
    lower = html.lower() if html.isascii() else re.sub("[A-Z]+", lambda match: match[0].lower(), html)
    page = _Page()
    last = html.rfind(">")
    position = 0
    while position < len(html):
        opened = html.find("<", position)
        if opened < 0 or opened > last:
            page.say(unescape(html[position:].partition("<!--")[0]))
            break
        page.say(unescape(html[position:opened]))
        position = _after_markup(page, html, lower, opened, last)
    page.end_line()
    return "\n".join(page.lines)


def _after_markup(page: _Page, html: str, lower: str, opened: int, last: int) -> int:
    """Take the markup at ``opened`` and return the position after it; a ``<`` that opens none is a word."""
    if html.startswith("<!--", opened):
        return _skip(html, opened + 4, "-->")
    if html[opened + 1 : opened + 2] in ("!", "?"):
        return _skip(html, opened, ">")
    name = _TAG_NAME.match(html, opened + 1)
    if name is None:
        page.say("<")
        return opened + 1
    tag, closing = name[1].lower(), html[opened + 1] == "/"
    end = _tag_end(html, name.end(), last)
    if tag in _UNSEEN and not closing:
        return _skip(html, _skip(lower, end + 1, f"</{tag}"), ">")
    _turn(page, tag, html[name.end() : end], closing=closing)
    return end + 1
