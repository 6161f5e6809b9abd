"""Find a form in the text of an answer: its id, its lines with their quote depth, the words above it.

A form may stand in an answer twice, the filled copy above and the quoted original below: all blocks of the id
that stands least deep are returned, the reading weighs them. Pure and total.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from teleexpertise.forms.marks import BEGIN, END, FORM_ID, without_bullet
from teleexpertise.plaintext import folded, one_space

__all__ = ["FormLine", "FoundForm", "find_form"]

#: Longer texts are no answers to a form; lines beyond are not looked at.
_MOST_LINES = 5000
_LONGEST_LINE = 20_000
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
class FormLine:
    """One line between the marks: quote depth (0: the answerer's own), its text without quote marks."""

    depth: int
    text: str


@dataclass(frozen=True, slots=True)
class FoundForm:
    """A form in an answer: its id in lower case, its blocks of lines, the answerer's own words above it.

    ``complete`` is false where a block has lost its end mark (quotations that a client cut do not count).
    """

    form_id: str
    blocks: tuple[tuple[FormLine, ...], ...]
    remark: str = ""
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Block:
    form_id: str
    depth: int
    lines: tuple[FormLine, ...]
    closed: bool


def _split(line: str) -> FormLine:
    """Take the quote marks off a line."""
    match = _QUOTE.match(line)
    if match is None:
        return FormLine(0, line.strip(" "))
    return FormLine(match[1].count(">") + match[1].count("|"), line[match.end() :].strip(" "))


def _lines(text: str) -> list[FormLine]:
    return [_split(line[:_LONGEST_LINE]) for line in one_space(text).split("\n", _MOST_LINES)[:_MOST_LINES]]


def _starts_original(lines: list[FormLine], index: int) -> bool:
    """Whether an unmarked quotation (Outlook) begins at this line."""
    plain = folded(lines[index].text)
    if _ORIGINAL.match(plain):
        return True
    if not _HEADER_FROM.match(plain + " "):
        return False
    return any(_HEADER_MORE.match(folded(line.text) + " ") for line in lines[index + 1 : index + 5])


def find_form(text: str) -> FoundForm | None:
    """The form in a text, ``None`` without one with an id. Of several ids the least quoted, then first."""
    lines = _lines(text)
    blocks: list[_Block] = []
    first = len(lines)
    deeper = index = 0
    while index < len(lines):
        if BEGIN.match(without_bullet(lines[index].text)):
            first = min(first, index)
            block, index = _block(lines, index, deeper)
            blocks += [block] if block else []
            continue
        deeper += _starts_original(lines, index)
        index += 1
    if not blocks:
        return None
    least = min(blocks, key=lambda block: block.depth)
    same = [block for block in blocks if block.form_id == least.form_id]
    return FoundForm(
        form_id=least.form_id,
        blocks=tuple(block.lines for block in same),
        remark=_remark(lines[:first]),
        complete=all(block.closed for block in same if block.depth == least.depth),
    )


def _block(lines: list[FormLine], start: int, deeper: int) -> tuple[_Block | None, int]:
    """The block whose begin mark is at ``start``, and the index after it; ``None`` where its id is lost."""
    index, form_id = start, None
    # A client that wraps at 72 may have put the id on the next line.
    while index < min(start + 3, len(lines)) and form_id is None:
        form_id = FORM_ID.search(lines[index].text)
        index += 1
    if form_id is None:
        return None, start + 1
    depth = lines[start].depth + deeper
    inside: list[FormLine] = []
    while index < len(lines):
        line = lines[index]
        bare = without_bullet(line.text)
        if END.match(bare):
            return _Block(form_id[0].lower(), depth, tuple(inside), closed=True), index + 1
        if BEGIN.match(bare):
            break
        inside.append(FormLine(line.depth + deeper, line.text))
        index += 1
    return _Block(form_id[0].lower(), depth, tuple(inside), closed=False), index


def _remark(lines: list[FormLine]) -> str:
    """The answerer's own words above a form: without quotations, what introduces them, and a signature."""
    kept: list[str] = []
    for index, line in enumerate(lines):
        plain = folded(line.text).strip()
        two = f"{plain} {folded(lines[index + 1].text).strip()}" if index + 1 < len(lines) else plain
        over = (
            line.depth
            or _starts_original(lines, index)
            or _RULE.fullmatch(plain)
            or _SIGNATURE.fullmatch(plain)
        )
        if over or _ATTRIBUTION.fullmatch(plain) or (plain.startswith("le ") and _ATTRIBUTION.fullmatch(two)):
            break
        kept.append(line.text)
    return "\n".join(kept).strip()
