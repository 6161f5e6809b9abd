"""What a form is: its fields, their kinds and labels, read from ``forms.toml``: more forms cost no code.

A value is JSON-able, so that a draft can be stored and shown again as it was filled in: text, a truth value,
or the numbers of ticked lines; dates are ISO texts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from teleexpertise.plaintext import squashed

__all__ = ["Catalogue", "Field", "FieldKind", "Form", "FormKind", "Option", "Value", "load_catalogue"]

Value = str | bool | list[int]


class FieldKind(StrEnum):
    """How the words of a field are read and checked."""

    TEXT = "text"
    MULTILINE = "multiline"
    DATE = "date"
    CHOICE = "choice"
    YES_NO = "yes_no"
    CHECKLIST = "checklist"
    PHONE = "phone"
    ADDRESS = "address"
    NIR = "nir"
    INS = "ins"
    RPPS = "rpps"
    FINESS = "finess"
    BILLING = "billing"
    COG = "cog"


class FormKind(StrEnum):
    """The forms that ``forms.toml`` declares."""

    REQUEST = "request"
    FINALISE = "finalise"
    DECLINE = "decline"
    CANCEL = "cancel"
    ASK = "ask"
    SYNTHESIS = "synthesis"
    PREFERENCES = "preferences"
    DELEGATES = "delegates"


@dataclass(frozen=True, slots=True)
class Option:
    """An answer of a choice or line of a checklist: ``value`` stored, ``label`` shown, its synonyms.

    ``brief`` is what notes and sentences list in the label's place, '' the label itself.
    """

    value: str
    label: str
    also: tuple[str, ...] = ()
    brief: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of a form. ``label`` has no colon; lengths are characters; see ``forms.toml`` for the rest.

    ``element`` is '' or the name of the expert's prerequisite item that the line answers.
    """

    name: str
    label: str
    kind: FieldKind
    required: bool = True
    options: tuple[Option, ...] = ()
    aliases: tuple[str, ...] = ()
    hint: str = ""
    help: str = ""
    longest: int = 0
    must_be: bool | None = None
    must_be_sentence: str = ""
    only_if_not: str = ""
    required_unless: str = ""
    tolerated: bool = False
    leads: str = ""
    element: str = ""

    @property
    def several_lines(self) -> bool:
        """Whether line ends belong to the value."""
        return self.kind is FieldKind.MULTILINE

    @property
    def limit(self) -> int:
        """The most characters taken."""
        return self.longest or (20_000 if self.several_lines else 300)

    def option(self, value: str) -> Option | None:
        """The option that stores ``value``."""
        return next((option for option in self.options if option.value == value), None)

    def option_labels(self) -> str:
        """All options in one line, as sentences and notes show them."""
        return " ; ".join(option.brief or option.label for option in self.options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form of one kind, complete with the options of this copy, and the sentences to speak about it."""

    kind: str
    title: str
    intro: str
    fields: tuple[Field, ...]
    sentences: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    notes: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def field(self, name: str) -> Field:
        """The field of that name. Raises ``KeyError``."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    def labels(self) -> dict[str, Field]:
        """Squashed label or alias -> field; a label wins over another field's alias."""
        found: dict[str, Field] = {}
        for candidate in self.fields:
            for alias in candidate.aliases:
                found.setdefault(squashed(alias), candidate)
        found.update({squashed(candidate.label): candidate for candidate in self.fields})
        return found

    def say(self, sentence: str, **words: str) -> str:
        """The French sentence of that name with its words filled in."""
        return self.sentences[sentence].format(**words)

    def changed(self, **changes: Field | None) -> Form:
        """The same form with fields replaced by name, or left out where the change is ``None``."""
        fields = (changes.get(candidate.name, candidate) for candidate in self.fields)
        return replace(self, fields=tuple(candidate for candidate in fields if candidate is not None))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All declared forms by kind."""

    forms: Mapping[str, Form]

    def form(self, kind: str) -> Form:
        """The declaration of one kind, options that depend on the case still empty. Raises ``KeyError``."""
        return self.forms[kind]


def _option(row: Mapping[str, Any]) -> Option:
    return Option(row["value"], row["label"], tuple(row.get("also", ())))


def _field(row: Mapping[str, Any]) -> Field:
    plain = {key: value for key, value in row.items() if key not in ("kind", "options", "aliases")}
    return Field(
        kind=FieldKind(row["kind"]),
        options=tuple(_option(option) for option in row.get("options", ())),
        aliases=tuple(row.get("aliases", ())),
        **plain,
    )


def _distinct(kind: str, fields: Iterable[Field]) -> None:
    labels = [squashed(candidate.label) for candidate in fields]
    if len(set(labels)) < len(labels) or "" in labels:
        raise ValueError(f"form {kind}: two fields with one label, or a label without a letter")


def load_catalogue() -> Catalogue:
    """Read the packaged declarations. Raises ``ValueError`` for two fields of one label in a form."""
    table = tomllib.loads(files("teleexpertise.forms").joinpath("forms.toml").read_text("utf-8"))
    sentences = MappingProxyType(table["sentences"])
    notes = MappingProxyType(table["notes"])
    forms: dict[str, Form] = {}
    for kind, row in table["forms"].items():
        fields = tuple(_field(declared) for declared in row["fields"])
        _distinct(kind, fields)
        forms[kind] = Form(
            kind=kind, title=row["title"], intro=row["intro"], fields=fields, sentences=sentences, notes=notes
        )
    return Catalogue(MappingProxyType(forms))
