"""The signs by which a form is found again in an answer, and the escape that keeps foreign text from it.

Marks, notes, ticks and labels are only ever recognised at the beginning of a line. A foreign text (an
exchange shown in a form) goes through :func:`exchange_line`, after which it holds no character any sign is
made of, however a client may wrap it; the filler's own lines are escaped by a backslash where a form is shown
again.
"""

from __future__ import annotations

import re
import unicodedata

from teleexpertise.plaintext import one_space
from teleexpertise.tokens import TOKEN_LENGTH

__all__ = [
    "BEGIN",
    "END",
    "END_MARK",
    "ERROR_SIGN",
    "ESCAPE",
    "FORM_ID",
    "ITEM",
    "NOTE_SIGN",
    "begin_mark",
    "exchange_line",
    "without_bullet",
]

ERROR_SIGN = "/!\\"
NOTE_SIGN = "(?)"
ESCAPE = "\\"
END_MARK = "--- FIN DU FORMULAIRE ---"

#: Three dashes and the id make 70 characters, so that a mark quoted once still fits into lines of 72.
BEGIN = re.compile(r"[\s*_]*[-‐-―]{2,}\s*D\S{1,3}BUT\s+DU\s+FORMULAIRE(?!\w)", re.IGNORECASE)
END = re.compile(r"[\s*_]*[-‐-―]{2,}\s*FIN\s+DU\s+FORMULAIRE(?!\w)", re.IGNORECASE)
FORM_ID = re.compile(rf"(?<![A-Z0-9])[A-Z2-7]{{{TOKEN_LENGTH}}}(?![A-Z0-9])", re.IGNORECASE)
#: ``[x] 3. text``, as people tick: ``[X]``, ``[ ]``, ``[]``, ``(x)``, a check mark; the number counts, not
#: the text.
ITEM = re.compile(r"[\[(]\s*([xX×✓✔☑✗✘]?)\s*[\])]\s*(\d{1,4})\s*[.)]")

_BULLET = re.compile(r"(?:[-*•·◦▪–][ \t]+)+(?=\S)")
_LONGEST_EXCHANGE = 160
#: Replacements that look alike and that no sign is made of. U+2236 is a colon to the eye only.
_HARMLESS = str.maketrans({":": "∶", "[": "‹", "]": "›", ">": "›", "<": "‹", "|": "¦", "\\": "/"})
#: Round brackets stay, medicine is full of them, except around what would be a tick or the sign of a note.
_TICK = re.compile(r"\(\s*([xX×✓✔☑✗✘?]?)\s*\)")
_DASHES = re.compile("[-‐-―−﹘﹣－_]{2,}|[–—―]")


def begin_mark(form_id: str) -> str:
    """The first line of a form."""
    return f"--- DÉBUT DU FORMULAIRE {form_id} ---"


def without_bullet(line: str) -> str:
    """A line without the bullets that clients and people put before it."""
    return _BULLET.sub("", line, count=1) if _BULLET.match(line) else line


def exchange_line(number: int, text: str) -> str:
    """One exchange as a numbered line of a form: no line end, colon, bracket, quote sign or dashes; at most
    160 characters.

    Compatibility forms (full-width colon, brackets) are made plain first, so that none slips past the table.
    """
    plain = unicodedata.normalize("NFKC", one_space(text[: 20 * _LONGEST_EXCHANGE]))
    plain = _DASHES.sub("-", plain.translate(_HARMLESS))
    while _TICK.search(plain):
        plain = _TICK.sub(r"\1", plain)
    plain = " ".join(one_space(plain).split())
    if len(plain) > _LONGEST_EXCHANGE:
        plain = plain[: _LONGEST_EXCHANGE - 1].rstrip() + "…"
    return f"{number}. {plain}".rstrip()
