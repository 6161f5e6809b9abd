"""From raw words to typed values, or sentences that say what is wrong with which line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from teleexpertise.forms.declarations import Field, FieldKind, Form, Option, Value
from teleexpertise.forms.reading import short
from teleexpertise.identifiers import (
    Identifier,
    nir_disagreements,
    read_billing_number,
    read_cog,
    read_finess,
    read_ins,
    read_nir,
    read_rpps,
)
from teleexpertise.names import leads
from teleexpertise.plaintext import folded, squashed

__all__ = ["Validation", "validate"]

_OLDEST_YEARS = 130
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"]{1,64}@[^\s@<>()\[\],;:\"]{1,255}")
_YES = frozenset({"oui", "o", "yes", "y"})
_NO = frozenset({"non", "n", "no"})
_MONTHS = (
    "janvier", "fevrier", "mars", "avril", "mai", "juin",
    "juillet", "aout", "septembre", "octobre", "novembre", "decembre",
)  # fmt: skip
_IDENTIFIERS: Mapping[FieldKind, Callable[[str], Identifier]] = MappingProxyType(
    {
        FieldKind.NIR: read_nir,
        FieldKind.INS: read_ins,
        FieldKind.RPPS: read_rpps,
        FieldKind.FINESS: read_finess,
        FieldKind.BILLING: read_billing_number,
        FieldKind.COG: read_cog,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Typed ``values`` of the lines that are right and not empty; sentences by field name for the others."""

    values: Mapping[str, Value]
    problems: Mapping[str, str]
    warnings: Mapping[str, str]


class _NotValid(Exception):
    """A typed text is not a value of its field: the name of the sentence, and words for it."""

    def __init__(self, sentence: str, **words: str) -> None:
        super().__init__(sentence)
        self.sentence, self.words = sentence, words


@dataclass(slots=True)
class _Typing:
    form: Form
    today: date
    values: dict[str, Value] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)

    def take(self, declared: Field, raw: Value | None) -> None:
        """Type one field."""
        if isinstance(raw, str):
            raw = raw.strip()
        if raw is None or raw == "" or raw == []:
            self._take_empty(declared, raw)
            return
        try:
            value = self._typed(declared, raw)
        except _NotValid as fault:
            words = {"typed": short(str(raw)), **fault.words}
            self.problems[declared.name] = self.form.say(fault.sentence, **words)
            return
        self.values[declared.name] = value
        if declared.must_be is not None and value is not declared.must_be:
            self.problems[declared.name] = declared.must_be_sentence

    def _take_empty(self, declared: Field, raw: Value | None) -> None:
        if declared.kind is FieldKind.CHECKLIST and raw != []:
            # Lines that a client dropped say nothing: a report without its exchanges must be somebody's wish.
            self.problems[declared.name] = self.form.say("checklist_missing")
        elif declared.required and not self._excused_by(declared) and not self._replaced(declared):
            self.problems[declared.name] = self.form.say("required")
        elif raw == []:
            self.values[declared.name] = []

    def _excused_by(self, declared: Field) -> Field | None:
        """The yes-or-no field that makes this one unwanted, when it was answered by yes."""
        if declared.only_if_not and self.values.get(declared.only_if_not) is True:
            return self.form.field(declared.only_if_not)
        return None

    def _replaced(self, declared: Field) -> bool:
        """Whether another line that does as well was answered."""
        return bool(declared.required_unless and self.values.get(declared.required_unless))

    def _typed(self, declared: Field, raw: Value) -> Value:
        excuse = self._excused_by(declared)
        if excuse is not None and not declared.tolerated:
            raise _NotValid("not_wanted", other=excuse.label)
        if isinstance(raw, list | bool):
            return raw
        if len(raw) > declared.limit:
            raise _NotValid("too_long", longest=str(declared.limit))
        match declared.kind:
            case FieldKind.DATE:
                return _day(raw, self.today).isoformat()
            case FieldKind.CHOICE:
                return _chosen(declared, raw)
            case FieldKind.YES_NO:
                return _yes_or_no(raw)
            case FieldKind.PHONE:
                return _phone(raw)
            case FieldKind.ADDRESS:
                return _address(raw)
            case FieldKind.TEXT | FieldKind.MULTILINE | FieldKind.CHECKLIST:
                return raw
            case _:
                return self._identifier(declared, raw)

    def _identifier(self, declared: Field, raw: str) -> str:
        offered = declared.option(raw) or next(
            (option for option in declared.options if option.label == raw), None
        )
        if offered is not None:
            return offered.value
        read = _IDENTIFIERS[declared.kind](raw)
        if read.problem:
            raise _NotValid(read.problem)
        self._warn(declared, read.warnings)
        return read.value

    def _warn(self, declared: Field, codes: tuple[str, ...]) -> None:
        said = [self.warnings.get(declared.name, ""), *(self.form.say(code) for code in codes)]
        if codes:
            self.warnings[declared.name] = " ".join(sentence for sentence in said if sentence)

    def compare_traits(self) -> None:
        """Doubt a patient's number that says another sex or birth than the lines of the same form, and refuse
        a first name that is not the first of its list.
        """
        sex, born = self.values.get("sex"), self.values.get("birth_date")
        for declared in self.form.fields:
            value = self.values.get(declared.name)
            if not isinstance(value, str):
                continue
            if declared.kind is FieldKind.INS:
                day = date.fromisoformat(born) if isinstance(born, str) else None
                self._warn(declared, nir_disagreements(value, str(sex or ""), day))
            listed = self.values.get(declared.leads) if declared.leads else None
            if listed and not leads(value, str(listed)):
                words = {"typed": short(value), "other": self.form.field(declared.leads).label}
                self.problems[declared.name] = self.form.say("not_leading", **words)


def validate(form: Form, values: Mapping[str, Value], today: date) -> Validation:
    """Type the raw values of a form. Typed values pass again unchanged: a draft can be validated anew."""
    typing = _Typing(form, today)
    # Fields that others depend on come first, wherever they stand.
    governing = {
        name for declared in form.fields for name in (declared.only_if_not, declared.required_unless)
    }
    for declared in sorted(form.fields, key=lambda declared: _turn(declared, governing)):
        typing.take(declared, values.get(declared.name))
    typing.compare_traits()
    return Validation(values=typing.values, problems=typing.problems, warnings=typing.warnings)


def _turn(declared: Field, governing: set[str]) -> int:
    """Fields that govern and are not governed come first, those that both come next."""
    return 2 if declared.name not in governing else 1 if declared.only_if_not else 0


def _day(raw: str, today: date) -> date:
    """A date as typed: ``3/2/1957``, ``03.02.1957``, ``03021957``, ``3 février 1957`` or ISO."""
    text = folded(raw).strip(" .").replace("1er ", "1 ")
    for number, month in enumerate(_MONTHS, start=1):
        text = re.sub(rf"\b{month}\b", str(number), text)
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text, re.ASCII)
    parts = match.groups()[::-1] if match else None
    if parts is None and (match := re.fullmatch(r"(\d\d)(\d\d)(\d{4})", text, re.ASCII)):
        parts = match.groups()
    if parts is None and (
        match := re.fullmatch(r"(\d{1,2})\s*[/.\- ]\s*(\d{1,2})\s*[/.\- ]\s*(\d+)", text, re.ASCII)
    ):
        parts = match.groups()
    if parts is None:
        raise _NotValid("date_shape")
    day, month_text, year = parts
    if len(year) != 4:
        raise _NotValid("date_year")
    try:
        found = date(int(year), int(month_text), int(day))
    except ValueError:
        raise _NotValid("date_none") from None
    if found > today:
        raise _NotValid("date_future")
    if found.year < today.year - _OLDEST_YEARS:
        raise _NotValid("date_old")
    return found


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", folded(text)))


def _chosen(declared: Field, raw: str) -> str:
    """The value of the one option that the words name: exactly, by address, as a beginning, by some words."""
    typed = squashed(raw)
    addresses = {address.lower() for address in _ADDRESS.findall(raw)}

    def names(option: Option) -> list[str]:
        return [squashed(name) for name in (option.value, option.label, *option.also)]

    ways: tuple[Callable[[Option], bool], ...] = (
        lambda option: typed in names(option),
        lambda option: option.value.lower() in addresses,
        lambda option: squashed(option.label).startswith(typed),
        lambda option: any(squashed(name).startswith(typed) for name in option.also),
        lambda option: _words(raw) <= _words(option.label),
    )
    for way in (ways[:1] if declared.exact else ways) if typed else ():
        fitting = [option for option in declared.options if way(option)]
        if len(fitting) == 1:
            return fitting[0].value
        if fitting:
            raise _NotValid("choice_several", options=declared.option_labels())
    raise _NotValid("choice", options=declared.option_labels())


def _yes_or_no(raw: str) -> bool:
    words = _words(raw)
    yes, no = bool(words & _YES), bool(words & _NO)
    first = (folded(raw).split() or [""])[0].strip(".,;!")
    if yes == no or first not in _YES | _NO:
        raise _NotValid("yes_no")
    return yes


def _phone(raw: str) -> str:
    """A French number as ``04 71 00 00 00``, another as ``+`` and digits. Raises ``_NotValid``."""
    text = re.sub(r"^\s*(?:\+|00)\s*33\s*(?:\(0\))?\s*0?", "0", raw)
    digits = re.sub(r"[\s.\-‐-―/()·_]", "", text)
    if re.fullmatch(r"0[1-9]\d{8}", digits, re.ASCII):
        return " ".join(digits[start : start + 2] for start in range(0, 10, 2))
    if re.fullmatch(r"(\+|00)[1-9]\d{6,13}", digits, re.ASCII):
        return "+" + digits.removeprefix("+").removeprefix("00")
    raise _NotValid("phone")


def _address(raw: str) -> str:
    text = raw.strip(" <>").removeprefix("mailto:")
    if not _ADDRESS.fullmatch(text):
        raise _NotValid("address")
    return text.lower()
