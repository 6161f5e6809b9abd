"""Quotation in mails: which lines are quoted, which introduce a quotation, which words are the author's
own now.

The mail itself always stays whole; this serves lists, forms and the report. Pure, total and bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from teleexpertise.plaintext import folded, one_space

__all__ = [
    "QuotedLine",
    "attribution_length",
    "ends_words",
    "first_words",
    "own_words",
    "quoted_lines",
    "starts_original",
]

#: Longer texts are no letters; lines beyond are not looked at.
_MOST_LINES = 5000
_LONGEST_LINE = 20_000
#: What begins an original stands at the begin of its line: long lines cost no more than short ones.
_LONGEST_INTRODUCTION = 200
_QUOTE = re.compile(r"[ ]*((?:[>|][ ]*)+)")
#: "-----Message d'origine-----" and its like: what follows is quoted although nothing marks its lines.
_ORIGINAL = re.compile(
    r"\s*-{2,}\s*(?:message d'origine|original message|message original|message transfere|forwarded message|"
    r"courriel original|mail original|ursprungliche nachricht)\b"
)
_HEADER_FROM = re.compile(r"[\s*_]*(?:de|from|von)\s?[*_]*\s?:[\s*_]")
_HEADER_MORE = re.compile(
    r"[\s*_]*(?:envoye|date|sent|gesendet|objet|subject|betreff|a|to|an)(?: le)?\s?[*_]*\s?:[\s*_]"
)
_RULE = re.compile(r"\s*_{10,}\s*")
#: "Le 22 novembre 2026 à 10:38, X a écrit :", also over two lines.
_ATTRIBUTION = re.compile(
    r"(?:le|on|am) .{0,200}?(?:a ecrit|wrote|schrieb)\s?:?|.{0,200} (?:a ecrit|wrote|schrieb)\s?:"
)
_SIGNATURE = re.compile(
    r"--|envoye (?:de|a partir de|depuis) .*|sent from .*|telecharge[rz] outlook .*|obtenir outlook .*"
)


@dataclass(frozen=True, slots=True)
class QuotedLine:
    """One line: quote depth (0: the writer's own), its text without quote marks."""

    depth: int
    text: str


def _split(line: str) -> QuotedLine:
    """Take the quote marks off a line."""
    match = _QUOTE.match(line)
    if match is None:
        return QuotedLine(0, line.strip(" "))
    return QuotedLine(match[1].count(">") + match[1].count("|"), line[match.end() :].strip(" "))


def quoted_lines(text: str) -> list[QuotedLine]:
    """The lines of a text with their quote depth, no-break spaces made plain."""
    return [_split(line[:_LONGEST_LINE]) for line in one_space(text).split("\n", _MOST_LINES)[:_MOST_LINES]]


def starts_original(lines: list[QuotedLine], index: int) -> bool:
    """Whether an unmarked quotation (Outlook) begins at this line."""
    plain = folded(lines[index].text[:_LONGEST_INTRODUCTION])
    if _ORIGINAL.match(plain):
        return True
    if not _HEADER_FROM.match(plain + " "):
        return False
    following = (folded(line.text[:_LONGEST_INTRODUCTION]) + " " for line in lines[index + 1 : index + 5])
    return any(map(_HEADER_MORE.match, following))


def attribution_length(lines: list[QuotedLine], index: int) -> int:
    """How many lines here introduce a quotation ("Le ..., X a écrit :"): 0, 1 or 2."""
    plain = folded(lines[index].text).strip()
    if _ATTRIBUTION.fullmatch(plain):
        return 1
    if plain.startswith("le ") and index + 1 < len(lines):
        both = f"{plain} {folded(lines[index + 1].text).strip()}"
        return 2 if _ATTRIBUTION.fullmatch(both) else 0
    return 0


def ends_words(lines: list[QuotedLine], index: int) -> bool:
    """Whether the writer's own words end before this line: a rule, a signature, an unmarked original."""
    plain = folded(lines[index].text).strip()
    return bool(starts_original(lines, index) or _RULE.fullmatch(plain) or _SIGNATURE.fullmatch(plain))


def first_words(lines: list[QuotedLine]) -> str:
    """The words above everything else: without quotations, what introduces them, and a signature."""
    kept: list[str] = []
    for index, line in enumerate(lines):
        if line.depth or ends_words(lines, index) or attribution_length(lines, index):
            break
        kept.append(line.text)
    return "\n".join(kept).strip()


def own_words(text: str) -> str:
    """The lines that are not quoted nor introduce a quotation, down to an unmarked original below them.

    Answers written between quoted lines are kept in their order; a signature is kept, it says who speaks.
    """
    lines = quoted_lines(text)
    kept: list[str] = []
    index = 0
    while index < len(lines) and not starts_original(lines, index):
        quoted_next = any(line.depth for line in lines[index + 1 : index + 4])
        introduces = attribution_length(lines, index) if not lines[index].depth and quoted_next else 0
        if not lines[index].depth and not introduces:
            kept.append(lines[index].text)
        index += max(introduces, 1)
    words = "\n".join(kept).strip()
    return re.sub(r"\n{3,}", "\n\n", words)
