"""Legacy display elements (RFC 9788 §4.5.3, §5.2.2): copies of hidden header fields that a sender puts above
the words, for readers that do not know header protection. Ours do, and leave the copies out of what is shown.

Only text that a person reads is made shorter here. Stored octets, and what is verified or sent on, keep it.
"""

from __future__ import annotations

import re
from html import unescape

__all__ = ["declares_legacy_display", "without_legacy_html", "without_legacy_text"]

_LONGEST = 64 * 1024
"""Characters of an element; the header fields of a message fit in it many times."""

# Only header fields that a reader is shown (RFC 9787 §1.1.2) are copied. Anything else is no such element: it
# may be words that somebody wants one reader to see and another not.
_COPIED = re.compile(
    r"(?:subject|from|to|cc|date|reply-to|followup-to|sender|resent-[a-z-]{1,20}):(?:[ \t].*)?", re.IGNORECASE
)
_BODY = re.compile(r"<body\b[^>]{0,1000}>", re.IGNORECASE)
_OPENING = re.compile(
    r"\s*<div\s+class=(?:\"\s*header-protection-legacy-display\s*\"|'\s*header-protection-legacy-display\s*'"
    r"|header-protection-legacy-display)\s*>",
    re.IGNORECASE,
)
_DIVISION = re.compile(r"<(/?)div\b", re.IGNORECASE)
_MARKUP = re.compile(r"<[^<>]{0,1000}>")


def declares_legacy_display(payload_hp: str | None, parameter: str | None) -> bool:
    """Tell whether a text part holds such an element: `parameter` is its `hp-legacy-display`, `payload_hp`
    the `hp` of the whole protected payload, which must be `cipher` (RFC 9788 §2.1.2, §4.5.3.1).
    """
    return (payload_hp or "").lower() == "cipher" and parameter == "1"


def without_legacy_text(text: str) -> str:
    """Return a plain text without the element: all up to the first empty line (RFC 9788 §4.5.3.2).

    The text is returned as it is where those lines are anything but copies of header fields.
    """
    matched = re.search(r"(?:\A|\n)\r?\n", text[:_LONGEST])
    if matched is None or not _only_fields(text[: matched.start()]):
        return text
    return text[matched.end() :]


def without_legacy_html(page: str) -> str:
    """Return an HTML text without the element: the `div` of its class that comes first in the body (RFC 9788
    §4.5.3.3). The text is returned as it is where there is none or it holds anything but header fields.
    """
    body = _BODY.search(page)
    opening = _OPENING.match(page, body.end() if body else 0)
    if opening is None:
        return page
    depth = 1
    for division in _DIVISION.finditer(page, opening.end(), opening.end() + _LONGEST):
        depth += -1 if division.group(1) else 1
        if depth == 0:
            end = page.find(">", division.end())
            words = unescape(_MARKUP.sub("", page[opening.end() : division.start()]))
            return page[: opening.start()] + page[end + 1 :] if end > 0 and _only_fields(words) else page
    return page


def _only_fields(text: str) -> bool:
    """Tell whether each line is a copied header field or goes on with the one above."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or lines[0][0] in " \t":
        return False
    return all(line[0] in " \t" or _COPIED.fullmatch(line) is not None for line in lines)
