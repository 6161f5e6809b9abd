"""What an account declares of itself: the preferences form read into account and expert, whole or not at all.

A declaration that has one wrong line changes nothing: :func:`read_preferences` gives the new account and
expert, or one French sentence per wrong line. The values shown are the inverse: what was saved reads as
itself again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from difflib import get_close_matches
from typing import TypeVar

from teleexpertise.forms import Form, Value
from teleexpertise.people import (
    Absence,
    Account,
    Document,
    Expert,
    IdentityPolicy,
    ItemKind,
    NirPolicy,
    NoticeMode,
    PrerequisiteItem,
)
from teleexpertise.plaintext import folded, squashed
from teleexpertise.spans import days_in, span_in

__all__ = [
    "MOST_FILES",
    "MOST_FILE_OCTETS",
    "Declaration",
    "Known",
    "deputy_named",
    "file_may_be_handed_out",
    "preferences_values",
    "read_preferences",
]

_Read = TypeVar("_Read")

MOST_FILES = 10
#: Documents travel in each opening message, in base64 and beside the requester's photos.
MOST_FILE_OCTETS = 8 * 1024 * 1024
_MOST_ITEMS = 30
_MOST_COUNT = 50
_LONGEST_NAME = 200
_MOST_NAMED = 20
_LONGEST_ABSENCE_DAYS = 366
_LONGEST_DELAY_DAYS = 365
_NEAREST = 3
_MOST_TOLD = 5
_MEBIBYTE = 1024 * 1024

#: What people can open and print; nothing that runs, no macros.
_FILE_KINDS = frozenset(
    {"pdf", "doc", "docx", "odt", "rtf", "txt", "xls", "xlsx", "ods", "jpg", "jpeg", "png"}
)

_ITEM = re.compile(
    r"(?:(?P<count>\d{1,4})\s+)?(?P<kind>photo|photographie|image|document|fichier|reponse|champ|question)s?"
    r"(?:\s+(?P<duty>obligatoire|facultati(?:f|ve)|optionnel(?:le)?)s?)?\s*$"
)
_KINDS = {
    **dict.fromkeys(("photo", "photographie", "image"), ItemKind.IMAGE),
    **dict.fromkeys(("document", "fichier"), ItemKind.DOCUMENT),
    **dict.fromkeys(("reponse", "champ", "question"), ItemKind.FIELD),
}
_SHOWN = {
    ItemKind.IMAGE: ("photo", "obligatoire", "facultative"),
    ItemKind.DOCUMENT: ("document", "obligatoire", "facultatif"),
    ItemKind.FIELD: ("réponse", "obligatoire", "facultative"),
}
_DEPUTY = re.compile(
    r"[(,;]?\s*(?:remplace(?:e|\(e\))?s?\s+par|remplacante?\s*:?|remplacement\s*(?:par|:)?)\s*(?P<deputy>\S.*)"
)
#: What stands in the checklist for the lines that are usual in one's specialties.
_USUAL = frozenset({"listeusuelle", "lalisteusuelle", "usuelle", "elementsusuels"})
_NOBODY = frozenset({"", "non", "aucune", "aucun", "neant", "pas d'absence", "-"})
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"]{1,64}@[^\s@<>()\[\],;:\"]{1,255}")
_TOOL = re.compile(r"https://[^\s<>\"\\]{1,400}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a declaration is checked against: specialties with their synonyms, departments by code, the
    account of the deputy named (``None`` where there is no such active one), the day, and the lines of the
    checklist that are usual in a specialty.
    """

    specialties: Mapping[str, Sequence[str]]
    departments: Mapping[str, str]
    deputy: Account | None
    today: date
    usual_items: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """The account and its expert as declared (``None``: declares nothing); or ``problems`` by field name."""

    account: Account
    expert: Expert | None
    problems: Mapping[str, str] = field(default_factory=dict)


class _Wrong(Exception):
    """A line that is no value of its field: the name of the sentence and words for it, or ``said``."""

    def __init__(self, sentence: str, *, said: str = "", **words: str) -> None:
        super().__init__(sentence)
        self.sentence, self.said, self.words = sentence, said, words


def file_may_be_handed_out(filename: str) -> bool:
    """Whether a file is of a kind that requesters can open, and nothing that runs, by its name."""
    return filename.rpartition(".")[2].lower() in _FILE_KINDS and "." in filename.lstrip(".")


# -- as shown


def preferences_values(account: Account, expert: Expert | None, today: date) -> dict[str, Value]:
    """The lines of the form as saved so far; an absence that is over is not shown any more."""
    shown: dict[str, Value] = {
        "account": account.address,
        "listed": expert is not None and expert.listed,
        "billing_number": account.billing_number,
        "unit": account.unit,
        "notice": str(account.notice),
        "files_reports": account.files_reports,
    }
    expert = expert or Expert(account=account, description="")
    specialties = expert.specialties or tuple(filter(None, (account.specialty,)))
    departments = expert.departments or tuple(filter(None, (account.department,)))
    return shown | {
        "description": expert.description,
        "limits": expert.limits,
        "delay_days": str(expert.delay_days),
        "specialties": ", ".join(specialties),
        "departments": ", ".join(departments),
        "tool_url": expert.tool_url,
        "identity": str(expert.identity),
        "nir": str(expert.nir),
        "prerequisites": expert.prerequisites,
        "items": "\n".join(map(_item_line, expert.items)),
        "documents": list(range(1, len(expert.documents) + 1)),
        "absence": _absence_line(expert.absence, today),
    }


def _item_line(item: PrerequisiteItem) -> str:
    word, mandatory, optional = _SHOWN[item.kind]
    several = item.count > 1
    duty = mandatory if item.mandatory else optional
    words = f"{item.count} {word}s {duty}s" if several else f"{word} {duty}"
    return f"{words} : {item.name}"


def _absence_line(absence: Absence | None, today: date) -> str:
    if absence is None or absence.ends < today:
        return ""
    line = f"du {absence.starts:%d/%m/%Y} au {absence.ends:%d/%m/%Y}"
    return f"{line}, remplacé par {absence.deputy}" if absence.deputy else line


# -- as read


def deputy_named(values: Mapping[str, Value]) -> str:
    """The address that the line of absence names, lower case; '' for none."""
    found = _ADDRESS.findall(_text(values, "absence"))
    return found[0].lower() if found else ""


def _text(values: Mapping[str, Value], name: str) -> str:
    value = values.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def read_preferences(
    form: Form,
    values: Mapping[str, Value],
    before: Declaration,
    documents: Sequence[Document],
    known: Known,
) -> Declaration:
    """The declaration that typed and validated ``values`` make of ``before``; ``documents`` are those kept.

    What is wrong is in its ``problems``; nothing of it is to be saved then.
    """
    reader = _Reader(form, values, known, before)
    expert = reader.expert(documents)
    account = replace(
        before.account,
        billing_number=_text(values, "billing_number"),
        unit=_text(values, "unit"),
        notice=NoticeMode(_text(values, "notice") or before.account.notice),
        files_reports=values.get("files_reports") is True,
    )
    empty = Expert(account=before.account, description="", listed=False)
    bare = replace(expert, specialties=(), departments=())
    declared = replace(expert, account=account) if expert.listed or before.expert or bare != empty else None
    return Declaration(account=account, expert=declared, problems=reader.problems)


@dataclass(slots=True)
class _Reader:
    form: Form
    values: Mapping[str, Value]
    known: Known
    before: Declaration
    problems: dict[str, str] = field(default_factory=dict)

    def expert(self, documents: Sequence[Document]) -> Expert:
        """The expert that the lines describe, as far as they are right."""
        listed = self.values.get("listed") is True
        if listed and not _text(self.values, "description"):
            self._say("description", _Wrong("description_missing"))
        self._try("documents", lambda: _check_files(documents), None)
        identity = IdentityPolicy(_text(self.values, "identity") or IdentityPolicy.REQUIRED)
        nir = NirPolicy(_text(self.values, "nir") or NirPolicy.OPTIONAL)
        if nir is NirPolicy.MANDATORY and identity is not IdentityPolicy.REQUIRED:
            self._say("nir", _Wrong("nir_without_identity"))
        text = self.values
        return Expert(
            account=self.before.account,
            description=_text(text, "description"),
            limits=_text(text, "limits"),
            specialties=self._try("specialties", self._specialties, ()),
            departments=self._try("departments", self._departments, ()),
            delay_days=self._try("delay_days", self._delay, 7),
            identity=identity,
            nir=nir,
            prerequisites=_text(text, "prerequisites"),
            items=self._try("items", self._items, ()),
            documents=tuple(documents),
            tool_url=self._try("tool_url", self._tool, ""),
            listed=listed,
            absence=self._try("absence", self._absence, None),
        )

    def _try(self, name: str, read: Callable[[], _Read], otherwise: _Read) -> _Read:
        try:
            return read()
        except _Wrong as wrong:
            self._say(name, wrong)
            return otherwise

    def _say(self, name: str, wrong: _Wrong) -> None:
        self.problems.setdefault(name, wrong.said or self.form.say(wrong.sentence, **wrong.words))

    def _delay(self) -> int:
        typed = _text(self.values, "delay_days")
        days = days_in(" ".join(folded(typed).split()))
        if days is None or not 1 <= days <= _LONGEST_DELAY_DAYS:
            raise _Wrong("delay", typed=_short(typed))
        return days

    def _specialties(self) -> tuple[str, ...]:
        """Known names, or what was declared before; a synonym stands for its specialty."""
        expert, account = self.before.expert, self.before.account
        own = [*(expert.specialties if expert else ()), account.specialty]
        names = {squashed(name): name for name in own if name}
        for name, synonyms in self.known.specialties.items():
            names.update({squashed(synonym): name for synonym in synonyms if squashed(synonym) not in names})
        names.update({squashed(name): name for name in self.known.specialties})
        pieces = _pieces(_text(self.values, "specialties"))
        return self._named(pieces, lambda piece: names.get(squashed(piece)), names, "specialty")

    def _departments(self) -> tuple[str, ...]:
        """Codes, from codes or names."""
        codes = {code.casefold(): code for code in self.known.departments}
        names = {squashed(name): code for code, name in self.known.departments.items()}

        def code_of(piece: str) -> str | None:
            first, *others = re.split(r"[\s()]+", piece.strip("() "))
            code = codes.get(first.casefold().zfill(2))
            if code and (not others or squashed("".join(others)) == squashed(self.known.departments[code])):
                return code
            return names.get(squashed(piece))

        pieces: list[str] = []
        for piece in _pieces(_text(self.values, "departments")):
            words = [word for word in re.split(r"[\s/+]+", piece) if word != "et"]
            many = len(words) > 1 and all(word.casefold().zfill(2) in codes for word in words)
            listed = re.split(r"\s+et\s+|\s*[/+]\s*", piece) if code_of(piece) is None else [piece]
            pieces += words if many else listed
        shown = {key: f"{self.known.departments[code]} ({code})" for key, code in names.items()}
        return self._named(pieces, code_of, shown, "department")

    def _named(
        self,
        pieces: Sequence[str],
        name_of: Callable[[str], str | None],
        shown: Mapping[str, str],
        sentence: str,
    ) -> tuple[str, ...]:
        """What each piece stands for, once each; what stands for nothing is asked back with the nearest."""
        if len(pieces) > _MOST_NAMED * 6:
            raise _Wrong("too_many", count=str(len(pieces)), most=str(_MOST_NAMED * 6))
        names = [name_of(piece) for piece in pieces]
        wrong = [piece for piece, name in zip(pieces, names, strict=True) if name is None]
        if wrong:
            told = (self._unknown(piece, shown, sentence) for piece in wrong[:_MOST_TOLD])
            raise _Wrong(sentence, said=" ".join(told))
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def _unknown(self, piece: str, shown: Mapping[str, str], sentence: str) -> str:
        near = get_close_matches(squashed(piece)[:60], shown, n=_NEAREST, cutoff=0.5)
        nearest = ", ".join(dict.fromkeys(shown[key] for key in near))
        if not nearest:
            return self.form.say(f"{sentence}_strange", typed=_short(piece))
        return self.form.say(sentence, typed=_short(piece), nearest=nearest)

    def _tool(self) -> str:
        typed = _text(self.values, "tool_url").strip("<>")
        if typed and not _TOOL.fullmatch(typed):
            raise _Wrong("url")
        return typed

    def _items(self) -> tuple[PrerequisiteItem, ...]:
        lines = [line.strip() for line in _text(self.values, "items").split("\n") if line.strip()]
        if any(squashed(line) in _USUAL for line in lines):
            lines = self._with_usual([line for line in lines if squashed(line) not in _USUAL])
        if len(lines) > _MOST_ITEMS:
            raise _Wrong("too_many", count=str(len(lines)), most=str(_MOST_ITEMS))
        items: dict[str, PrerequisiteItem] = {}
        for line in lines:
            item = _item(line)
            if squashed(item.name) in items:
                raise _Wrong("item_twice", typed=_short(item.name))
            items[squashed(item.name)] = item
        return tuple(items.values())

    def _with_usual(self, own: list[str]) -> list[str]:
        """The lines that are usual in the specialties of this form, then one's own: these say how many and
        whether mandatory where both name an element.
        """
        try:
            names = self._specialties()
        except _Wrong:
            names = ()
        lines: dict[str, str] = {}
        for line in (line for name in names for line in self.known.usual_items.get(name, ())):
            lines.setdefault(_element(line), line)
        if not lines:
            raise _Wrong("items_usual")
        mine = {_element(line) for line in own}
        return [*(line for name, line in lines.items() if name not in mine), *own]

    def _absence(self) -> Absence | None:
        typed = " ".join(folded(_text(self.values, "absence")).split()).strip(" .")
        if typed in _NOBODY:
            return None
        try:
            span = span_in(typed)
        except ValueError:
            raise _Wrong("absence_day") from None
        if span is None:
            raise _Wrong("absence_shape")
        starts, ends, rest = span
        replaced = _DEPUTY.fullmatch(rest)
        if rest and replaced is None:
            raise _Wrong("absence_shape")
        if ends < starts:
            raise _Wrong("absence_order")
        if ends < self.known.today:
            raise _Wrong("absence_past")
        if (ends - starts).days > _LONGEST_ABSENCE_DAYS:
            raise _Wrong("absence_long", most=str(_LONGEST_ABSENCE_DAYS))
        return Absence(starts=starts, ends=ends, deputy=self._deputy(replaced["deputy"] if replaced else ""))

    def _deputy(self, words: str) -> str:
        """The deputy's address; the account that it names was looked up before."""
        if not words:
            return ""
        address = deputy_named(self.values)
        if address == self.before.account.address:
            raise _Wrong("deputy_self")
        deputy = self.known.deputy
        if deputy is None or deputy.address != address or not deputy.active:
            raise _Wrong("deputy_unknown", typed=_short(words))
        return address


def _element(line: str) -> str:
    """The name in a line of the checklist, as it is compared."""
    return squashed(re.sub("：", ":", line).partition(":")[2])


def _item(line: str) -> PrerequisiteItem:
    """One line of the checklist: how many, of which kind, whether mandatory; behind the colon its name."""
    left, colon, name = re.sub("：", ":", line).partition(":")
    words = _ITEM.match(folded(left.strip(" -*•")).strip())
    name = " ".join(name.split())
    if words is None or not colon or not squashed(name) or len(name) > _LONGEST_NAME:
        raise _Wrong("item", typed=_short(line))
    kind, count = _KINDS[words["kind"]], int(words["count"] or 1)
    if not 1 <= count <= _MOST_COUNT or (kind is ItemKind.FIELD and count > 1):
        raise _Wrong("item_count", typed=_short(line))
    # Without a word it is mandatory: who lists an element wants it.
    mandatory = words["duty"] is None or words["duty"] == "obligatoire"
    return PrerequisiteItem(name=name, kind=kind, mandatory=mandatory, count=count)


def _check_files(documents: Sequence[Document]) -> None:
    """Bounds of number and size, and one file per name. Raises ``_Wrong``."""
    if len(documents) > MOST_FILES:
        raise _Wrong("files_many", count=str(len(documents)), most=str(MOST_FILES))
    size = sum(len(document.content) for document in documents)
    if size > MOST_FILE_OCTETS:
        most = str(MOST_FILE_OCTETS // _MEBIBYTE)
        raise _Wrong("files_large", size=f"{size / _MEBIBYTE:.1f}".replace(".", ","), most=most)
    seen: set[str] = set()
    for document in documents:
        if document.filename.casefold() in seen:
            raise _Wrong("file_name_twice", typed=_short(document.filename))
        seen.add(document.filename.casefold())


def _pieces(typed: str) -> list[str]:
    return [piece.strip(" .") for piece in re.split(r"[,;\n]", typed) if piece.strip(" .")]


def _short(text: str, length: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
