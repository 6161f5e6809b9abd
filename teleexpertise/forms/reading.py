"""Take the lines of a found form apart into raw values, however the client quoted, wrapped or reordered them.

The rules: a value that stands less deep in quotations beats a deeper one; two different values of one depth
are asked back; a line without label continues the value before it; an answer may stand on its own line under
a quoted label. Nothing is dropped in silence: what was not understood is named in a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from teleexpertise.forms.declarations import Field, FieldKind, Form, Value
from teleexpertise.forms.finding import FormLine, FoundForm
from teleexpertise.forms.marks import ESCAPE, ITEM, without_bullet
from teleexpertise.forms.rendering import shown_value
from teleexpertise.forms.structure import COLON, is_note, match_label, typed_label
from teleexpertise.plaintext import squashed

__all__ = ["FormReading", "read_form", "short"]

#: Shorter lines were not broken by a client's wrapping.
_WRAPPED_WIDTH = 60
#: What people put in place of the colon.
_DASH = re.compile("[ \u00a0][-–—=]")
_NEAR = 0.72
_LONGEST_TYPED_LABEL = 60
_MOST_WARNINGS = 5


def short(text: str, length: int = 40) -> str:
    """A typed text as a sentence shows it: one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormReading:
    """Raw ``values`` by field name (fields that the answer shows), sentences by field ('' : the form)."""

    values: Mapping[str, Value]
    problems: Mapping[str, str]
    warnings: Mapping[str, str]
    remark: str = ""


@dataclass(slots=True)
class _Said:
    """One value as it stands in the text, line by line."""

    depth: int
    lines: list[str]

    def text(self, declared: Field) -> str:
        """The value: lines kept, or joined by a space."""
        if declared.several_lines:
            return "\n".join(line.rstrip() for line in self.lines).strip()
        return " ".join(" ".join(self.lines).split())


@dataclass(slots=True)
class _Reader:
    """The walk over the lines: what was said so far, and which field the next line would continue."""

    form: Form
    prefilled: Mapping[str, Value]
    labels: Mapping[str, Field]
    said: dict[str, list[_Said]] = field(default_factory=dict)
    ticks: dict[str, list[tuple[int, int, bool]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    current: Field | None = None
    label: _Said = field(default_factory=lambda: _Said(0, []))
    answer: _Said | None = None
    note_depth: int | None = None
    after_blank: bool = False
    before: str = ""

    def walk(self, lines: Sequence[FormLine]) -> None:
        """Read one block."""
        self.current = self.answer = self.note_depth = None
        index = 0
        while index < len(lines):
            taken = self._take(lines, index)
            self.before = lines[index + taken - 1].text
            index += taken

    def _take(self, lines: Sequence[FormLine], index: int) -> int:
        """Read the line at ``index`` and return how many lines that took."""
        line = lines[index]
        match = match_label(self.labels, [following.text for following in lines[index : index + 3]])
        if match is not None and not (match.alias and self.current and self.current.several_lines):
            # A word that merely stands for a label is ordinary text where somebody writes several lines.
            self._open(match.field, _Said(line.depth, [match.rest]))
            return match.taken
        if not line.text:
            self._blank(line.depth)
        elif line.text.startswith(ESCAPE):
            self._escaped(FormLine(line.depth, line.text.removeprefix(ESCAPE)))
        elif self._tick(line):
            self.note_depth = None
        elif is_note(line.text):
            self.note_depth = line.depth
        elif self.note_depth is None or line.depth < self.note_depth:
            self._continue(line)
        elif self._unknown_label(line.text) or self._unknown_label(line.text, _DASH, near=1.0):
            # Not the rest of a wrapped note: a label that was damaged. The value before the notes is over.
            self.current = self.note_depth = None
        return 1

    def _open(self, declared: Field, said: _Said) -> None:
        self.current, self.label, self.answer = declared, said, None
        self.note_depth, self.after_blank = None, False
        self.said.setdefault(declared.name, []).append(said)

    def _blank(self, depth: int) -> None:
        self.note_depth, self.after_blank = None, True
        open_said = self.answer if self.answer and self.answer.depth == depth else self.label
        if self.current and self.current.several_lines and open_said.depth == depth:
            open_said.lines.append("")

    def _tick(self, line: FormLine) -> bool:
        """Take a ticked line of the checklist in hand."""
        if self.current is None or self.current.kind is not FieldKind.CHECKLIST:
            return False
        match = ITEM.match(without_bullet(line.text))
        if match is None:
            return False
        self.ticks.setdefault(self.current.name, []).append((line.depth, int(match[2]), bool(match[1])))
        return True

    def _escaped(self, line: FormLine) -> None:
        """A line that we kept from being read as a sign when we showed the answerer's own words again."""
        after_blank, self.after_blank = self.after_blank, False
        if self.current is not None:
            self._append(self.current, line, after_blank=after_blank)

    def _continue(self, line: FormLine) -> None:
        """A line that is no sign: it belongs to the value in hand, or is named in a warning."""
        after_blank, self.after_blank = self.after_blank, False
        if self.current is None:
            self._not_understood(line.text)
        elif self.current.kind is FieldKind.CHECKLIST:
            # The text behind a tick may be wrapped; what is not part of it was typed by the answerer.
            parts = [squashed(option.label) for option in self.current.options]
            if not any(squashed(line.text) in part for part in parts):
                self._not_understood(line.text)
        elif self._unknown_label(line.text):
            self.current = self.current if self.current.several_lines else None
            if self.current:
                self._append(self.current, line, after_blank=after_blank)
        else:
            self._append(self.current, line, after_blank=after_blank)

    def _append(self, declared: Field, line: FormLine, *, after_blank: bool) -> None:
        if line.depth < self.label.depth and not (not after_blank and self._broken_off(declared, line.text)):
            if self.answer is None or self.answer.depth != line.depth:
                self.answer = _Said(line.depth, [])
                self.said[declared.name].append(self.answer)
            self.answer.lines.append(line.text)
        elif declared.several_lines:
            self.label.lines.append(line.text)
        elif line.depth > self.label.depth:
            return  # what is left of the quoted value that the answerer's own line replaced
        elif after_blank and self.label.text(declared):
            self._not_understood(line.text)
        else:
            self.label.lines.append(line.text)

    def _broken_off(self, declared: Field, text: str) -> bool:
        """Whether a line is the rest of a prefilled value that a client wrapped without quoting it."""
        start = squashed(self.label.text(declared))
        whole = squashed(shown_value(declared, self.prefilled.get(declared.name)))
        return bool(start) and len(self.before) >= _WRAPPED_WIDTH and whole.startswith(start + squashed(text))

    def _unknown_label(self, text: str, separator: re.Pattern[str] = COLON, near: float = _NEAR) -> bool:
        """Whether a line begins with what is nearly a label; warns then, naming the nearest."""
        typed = typed_label(text, separator)
        if (
            typed is None
            or not 2 < len(typed[0]) <= _LONGEST_TYPED_LABEL
            or len(self.warnings) >= _MOST_WARNINGS
        ):
            return False
        found = get_close_matches(squashed(typed[0]), self.labels, n=1, cutoff=near)
        if not found:
            return False
        nearest = self.labels[found[0]].label
        self.warnings.append(self.form.say("unknown_label", typed=short(typed[0]), other=nearest))
        return True

    def _not_understood(self, text: str) -> None:
        if squashed(text) and len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(self.form.say("unknown_line", typed=short(text)))


def read_form(form: Form, found: FoundForm, prefilled: Mapping[str, Value] | None = None) -> FormReading:
    """The raw values of a found form; ``prefilled`` are the values with which this copy was sent."""
    reader = _Reader(form, prefilled or {}, form.labels())
    for block in found.blocks:
        reader.walk(block)
    values: dict[str, Value] = {}
    problems: dict[str, str] = {}
    warnings: dict[str, str] = {"": " ".join(reader.warnings)} if reader.warnings else {}
    for declared in form.fields:
        if declared.kind is FieldKind.CHECKLIST:
            _weigh_ticks(reader, declared, values, problems, warnings)
        elif declared.name in reader.said:
            _weigh_texts(form, declared, reader.said[declared.name], values, problems)
            _unwrap(declared, reader.prefilled.get(declared.name), values)
    if not found.complete:
        problems[""] = form.say("unclosed")
    elif _answered_above(form, found.remark, values):
        problems[""] = form.say("answered_above")
    return FormReading(values=values, problems=problems, warnings=warnings, remark=found.remark)


def _weigh_texts(
    form: Form, declared: Field, said: Sequence[_Said], values: dict[str, Value], problems: dict[str, str]
) -> None:
    """The value that stands least deep; a second, different one of that depth is a problem."""
    spoken = [(one.depth, text) for one in said if (text := one.text(declared))]
    least = min((depth for depth, _ in spoken), default=0)
    texts = [text for depth, text in spoken if depth == least]
    values[declared.name] = texts[0] if texts else ""
    other = next((text for text in texts if text.split() != texts[0].split()), None)
    if other is not None:
        problems[declared.name] = form.say("doubled", typed=short(texts[0]), other=short(other))


def _unwrap(declared: Field, sent: Value | None, values: dict[str, Value]) -> None:
    """Lines that differ from what was sent by white space alone were broken by a client, not by anybody."""
    said = values[declared.name]
    if declared.several_lines and isinstance(sent, str) and isinstance(said, str):
        values[declared.name] = sent if said.split() == sent.split() else said


def _weigh_ticks(
    reader: _Reader,
    declared: Field,
    values: dict[str, Value],
    problems: dict[str, str],
    warnings: dict[str, str],
) -> None:
    """Tick by tick as for texts. Lines that are gone count as not ticked, but only where any line is left."""
    ticks = reader.ticks.get(declared.name)
    if not ticks:
        return
    form, known = reader.form, [int(option.value) for option in declared.options]
    ticked = []
    for number in known:
        marks = [(depth, tick) for depth, one, tick in ticks if one == number]
        least = min((depth for depth, _ in marks), default=0)
        answers = {tick for depth, tick in marks if depth == least}
        if len(answers) > 1:
            typed, other = f"[x] {number}.", f"[ ] {number}."
            problems[declared.name] = form.say("doubled", typed=typed, other=other)
        elif answers == {True}:
            ticked.append(number)
    values[declared.name] = ticked
    seen = {number for _, number, _ in ticks}
    if gone := [number for number in known if number not in seen]:
        warnings[declared.name] = form.say("checklist_gone", typed=short(", ".join(map(str, gone))))
    elif strange := sorted(seen.difference(known)):
        warnings[declared.name] = form.say("checklist_unknown", typed=short(", ".join(map(str, strange))))


def _answered_above(form: Form, remark: str, values: Mapping[str, Value]) -> bool:
    """Whether the words above the form answer a label that is left empty inside, or name it in full and say
    something else.
    """
    labels = form.labels()
    for match in (match_label(labels, [line]) for line in remark.split("\n")):
        if match is None or not match.rest:
            continue
        inside = values.get(match.field.name)
        other = isinstance(inside, str) and squashed(inside) != squashed(match.rest)
        if not inside or (other and not match.alias):
            return True
    return False
