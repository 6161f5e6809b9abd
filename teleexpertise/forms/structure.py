"""What one line of a form is: label, ticked line, note or plain text. Shared by reading and rendering."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from teleexpertise.forms.declarations import Field
from teleexpertise.forms.marks import BEGIN, END, ERROR_SIGN, ESCAPE, ITEM, NOTE_SIGN, without_bullet
from teleexpertise.plaintext import squashed

__all__ = ["COLON", "LabelMatch", "is_note", "looks_like_sign", "match_label", "typed_label"]

COLON = re.compile("[:：]")
_HINT = re.compile(r"\([^()]*\)\s*[*_]*\s*$")
_LONGEST_LABEL = 200
#: A label and its hint may have been wrapped over this many lines.
_WRAPPED = 3


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """A label found: its field, the words behind its colon, and how many lines label and hint took.

    ``alias`` tells that another word stood for the label.
    """

    field: Field
    rest: str
    taken: int
    alias: bool = False


def typed_label(text: str, separator: re.Pattern[str] = COLON) -> tuple[str, str] | None:
    """(words before the first colon without their hint, words behind it), or ``None`` without a colon."""
    colon = separator.search(text[:_LONGEST_LABEL])
    if colon is None:
        return None
    left = _HINT.sub("", text[: colon.start()].strip())
    # A client that marks bold by asterisks leaves the closing ones behind the colon: "*Sexe :* F".
    bold = "*" * (len(left) - len(left.lstrip("*")))
    return left.strip(" *_"), text[colon.end() :].lstrip(" ").removeprefix(bold).strip(" ")


def match_label(labels: Mapping[str, Field], lines: Sequence[str]) -> LabelMatch | None:
    """The label with which ``lines`` begin (lines of one quote depth, the first is the one in question)."""
    text = ""
    for taken, line in enumerate(lines[:_WRAPPED], start=1):
        if is_note(line) or line.startswith(ESCAPE):
            return None
        text = f"{text} {line}".strip() if taken > 1 else without_bullet(line)
        typed = typed_label(text)
        if typed is not None:
            key = squashed(typed[0])
            field = labels.get(key) if key else None
            return LabelMatch(field, typed[1], taken, key != squashed(field.label)) if field else None
        if not line:
            return None
    return None


def is_note(text: str) -> bool:
    """Whether the line is one of ours that explains or reports, not part of an answer."""
    bare = without_bullet(text)
    return bare.startswith((ERROR_SIGN, NOTE_SIGN))


def looks_like_sign(labels: Mapping[str, Field], lines: Sequence[str]) -> bool:
    """Whether the first of these lines, shown as part of a value, would be read as something else."""
    line = without_bullet(lines[0])
    return bool(
        lines[0].startswith((ESCAPE, ">", "|"))
        or is_note(line)
        or BEGIN.match(line)
        or END.match(line)
        or ITEM.match(line)
        or match_label(labels, lines)
    )
