"""Write a form into a mail: the same lines as text and as HTML, complete in both: any Reply can be read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from html import escape

from teleexpertise.forms.declarations import Field, FieldKind, Form, Value
from teleexpertise.forms.marks import END_MARK, ERROR_SIGN, ESCAPE, NOTE_SIGN, begin_mark
from teleexpertise.forms.structure import looks_like_sign
from teleexpertise.plaintext import one_space
from teleexpertise.texts.typography import french

__all__ = ["FormCopy", "render_html", "render_text", "shown_value"]

#: Notes are cut shorter than any client wraps, even quoted twice: their rest would stand on a line without a
#: sign.
_NOTE_WIDTH = 68


@dataclass(frozen=True, slots=True, kw_only=True)
class FormCopy:
    """One form as sent: prefilled or typed ``values``, sentences by field name ('' : the form)."""

    form: Form
    form_id: str
    values: Mapping[str, Value] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)


class _Look(Enum):
    """How a line looks in HTML: its style."""

    MARK = "color:#767676"
    NOTE = "color:#5f6b76;font-size:90%"
    ERROR = "color:#b00020"
    LINE = ""


def shown_value(declared: Field, value: Value | None) -> str:
    """A value as people read it: an option's label, ``oui``, ``03/02/1957``; wrong words as they were."""
    if isinstance(value, bool):
        return "oui" if value else "non"
    if value is None or isinstance(value, list):
        return ""
    text = one_space(value).strip()
    if declared.kind is FieldKind.CHOICE and (option := declared.option(text)):
        return option.label
    if declared.kind is FieldKind.DATE:
        try:
            born = date.fromisoformat(text)
        except ValueError:
            return " ".join(text.split())
        return f"{born.day:02d}/{born.month:02d}/{born.year:04d}"
    return text if declared.several_lines else " ".join(text.split())


def _signed(sign: str, text: str) -> list[str]:
    words = french(" ".join(one_space(text).split()))
    return [
        f"{sign} {line}" for line in textwrap.wrap(words, _NOTE_WIDTH - len(sign) - 1, break_on_hyphens=False)
    ]


def _notes(form: Form, declared: Field) -> Iterator[str]:
    if declared.help:
        yield declared.help
    # A hint says short options already, and a single one is filled in already.
    if declared.kind is FieldKind.CHOICE and len(declared.options) > 1 and not declared.hint:
        yield form.notes["choice"].format(options=declared.option_labels())
    elif declared.kind is FieldKind.BILLING and declared.options:
        yield form.notes["known"].format(options=declared.option_labels())


def _label(form: Form, declared: Field) -> str:
    hints = [declared.hint] if declared.hint else []
    if declared.kind is FieldKind.YES_NO and not declared.hint:
        hints.append(form.notes["yes_no"])
    # A hint that says itself when a field may stay empty stands alone.
    if not (
        declared.required or declared.kind is FieldKind.CHECKLIST or form.notes["optional"] in declared.hint
    ):
        hints.append(form.notes["optional"])
    hint = f" ({', '.join(hints)})" if hints else ""
    return f"{declared.label}{hint} :"


def _value_lines(copy: FormCopy, declared: Field) -> list[str]:
    """The label line with the value, and its further lines, escaped where they look like a sign."""
    value = copy.values.get(declared.name)
    label = _label(copy.form, declared)
    if declared.kind is FieldKind.CHECKLIST:
        ticked = value if isinstance(value, list) else []
        return [label] + [
            f"[{'x' if int(option.value) in ticked else ' '}] {option.label}" for option in declared.options
        ]
    first, *others = (line.strip(" ") for line in shown_value(declared, value).split("\n"))
    labels = copy.form.labels() if others else {}
    escaped = [
        ESCAPE + line if line and looks_like_sign(labels, others[index : index + 3]) else line
        for index, line in enumerate(others)
    ]
    return [f"{label} {first}".rstrip(), *escaped]


def _lines(copy: FormCopy) -> Iterator[tuple[_Look, str]]:
    """Every line of the form between and including its marks."""
    yield _Look.MARK, begin_mark(copy.form_id)
    for said in (copy.problems, copy.warnings):
        for line in _signed(ERROR_SIGN, said.get("", "")):
            yield _Look.ERROR, line
    for declared in copy.form.fields:
        yield _Look.LINE, ""
        for note in _notes(copy.form, declared):
            for line in _signed(NOTE_SIGN, note):
                yield _Look.NOTE, line
        for said in (copy.problems, copy.warnings):
            if sentence := said.get(declared.name):
                for line in _signed(ERROR_SIGN, f"{declared.label} : {sentence}"):
                    yield _Look.ERROR, line
        for line in _value_lines(copy, declared):
            yield _Look.LINE, line
    yield _Look.LINE, ""
    yield _Look.MARK, END_MARK


def render_text(copy: FormCopy) -> str:
    """The form as lines of a text part, no space at line ends, LF between them and none at the end."""
    return "\n".join(line for _, line in _lines(copy))


def render_html(copy: FormCopy) -> str:
    """The form as HTML: one ``div`` per line, which clients keep as a line when they quote or edit it."""
    rows = []
    for look, line in _lines(copy):
        style = f' style="{look.value}"' if look.value else ""
        rows.append(f"<div{style}>{escape(line) or '<br>'}</div>")
    return "\n".join(rows)
