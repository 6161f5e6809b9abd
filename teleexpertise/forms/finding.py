"""Find a form in the text of an answer: its id, its lines with their quote depth, the words above it.

A form may stand in an answer twice, the filled copy above and the quoted original below: all blocks of the id
that stands least deep are returned, the reading weighs them. Pure and total.
"""

from __future__ import annotations

from dataclasses import dataclass

from teleexpertise.forms.marks import BEGIN, END, FORM_ID, without_bullet
from teleexpertise.quotation import QuotedLine as FormLine
from teleexpertise.quotation import first_words, quoted_lines, starts_original

__all__ = ["FormLine", "FoundForm", "find_form", "has_end_mark"]


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


def find_form(text: str) -> FoundForm | None:
    """The form in a text, ``None`` without one with an id. Of several ids the least quoted, then first."""
    lines = quoted_lines(text)
    blocks: list[_Block] = []
    first = len(lines)
    deeper = index = 0
    while index < len(lines):
        if BEGIN.match(without_bullet(lines[index].text)):
            first = min(first, index)
            block, index = _block(lines, index, deeper)
            blocks += [block] if block else []
            continue
        deeper += starts_original(lines, index)
        index += 1
    if not blocks:
        return None
    least = min(blocks, key=lambda block: block.depth)
    same = [block for block in blocks if block.form_id == least.form_id]
    return FoundForm(
        form_id=least.form_id,
        blocks=tuple(block.lines for block in same),
        remark=first_words(lines[:first]),
        complete=all(block.closed for block in same if block.depth == least.depth),
    )


def has_end_mark(text: str) -> bool:
    """Whether a form ends in a text, whatever became of its beginning."""
    return any(END.match(without_bullet(line.text)) for line in quoted_lines(text))


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
