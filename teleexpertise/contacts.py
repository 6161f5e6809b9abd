"""The extraction of the national directory (Annuaire Santé): its rows become contacts, or say why not.

A file of lines of 31 columns, `|` between them, the first line naming them. Columns are found by their name,
so that a changed order or a further column does no harm; a row is hostile until its address, kind and name
are what they must be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from teleexpertise.people import AccountKind
from teleexpertise.plaintext import one_space, squashed

__all__ = ["LONGEST_LINE", "Contact", "Fault", "NotAnExtraction", "Rejected", "read_extraction"]

#: No row of the real file comes near; more is never looked at.
LONGEST_LINE = 8192
_COLUMNS = 31
_LONGEST_FIELD = 200

_ADDRESS = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?=.{4,190}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)
_POSTCODE = re.compile(r"\d{5}", re.ASCII)

#: What we read, with the names (squashed) under which a header may have it; the first that is there counts.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "kind": ("typedebal",),
    "address": ("adressebal",),
    "family": ("nomdexercice", "nom"),
    "first": ("prenomdexercice", "prenom"),
    "title": ("civilitedexercice", "libellecivilitedexercice", "codecivilitedexercice", "civilite"),
    "profession": ("libelleprofession", "profession"),
    "specialty": ("libellesavoirfaire", "savoirfaire"),
    "company": ("raisonsocialestructurebal", "raisonsocialestructure", "raisonsociale"),
    "shop": ("enseignecommercialestructurebal", "enseignecommercialestructure", "enseignecommerciale"),
    "unit": ("servicederattachement",),
    "postcode": ("codepostalstructurebal", "codepostalstructure", "codepostal"),
    "town": ("libellecommunestructurebal", "libellecommunestructure", "libellecommune", "bureaucedex"),
    "red": ("listerouge",),
}
_NEEDED = ("kind", "address")
#: As letters write them.
_TITLES = {"MME": "Mme", "MLLE": "Mme", "M": "M.", "DR": "Dr", "PR": "Pr"}
_KINDS = {"PER": AccountKind.PERSON, "ORG": AccountKind.SERVICE, "CAB": AccountKind.SERVICE}
_YES = frozenset({"o", "oui", "true", "1", "vrai"})


class NotAnExtraction(ValueError):
    """A file whose first line is not the header of an extraction; the text says what is wrong."""


class Fault(StrEnum):
    """Why a row was not taken."""

    TOO_LONG = "line too long"
    COLUMNS = "wrong number of columns"
    NOT_TEXT = "not UTF-8, or control characters"
    ADDRESS = "no mail address"
    KIND = "unknown kind of mailbox"
    APPLICATION = "mailbox of a software"
    NAME = "no name"
    RED = "red list"
    DUPLICATE = "address seen before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A mailbox of the national directory that can be written to. ``address`` is lower case, ``department`` a
    code.
    """

    address: str
    kind: AccountKind
    name: str
    profession: str = ""
    specialty: str = ""
    organisation: str = ""
    department: str = ""
    postcode: str = ""
    town: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not taken: its number in the file (the header is 1) and why. ``red`` is the address of a
    row on the red list: it must not be kept, though another row of the file may show it.
    """

    line: int
    fault: Fault
    red: str = ""


class _Refused(Exception):
    def __init__(self, fault: Fault, red: str = "") -> None:
        super().__init__(fault)
        self.fault, self.red = fault, red


def read_extraction(lines: Iterable[bytes]) -> Iterator[Contact | Rejected]:
    """Read the lines of an extraction one by one (with or without their ends; a longer line than
    ``LONGEST_LINE`` may come cut). Raises :class:`NotAnExtraction`.

    The first row of an address counts; the national file has some twice.
    """
    numbered = enumerate(lines, start=1)
    _, first = next(numbered, (0, b""))
    places, width = _header(first)
    seen: set[str] = set()
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            contact = _contact(_fields(line, places, width))
            if contact.address in seen:
                raise _Refused(Fault.DUPLICATE)
        except _Refused as refused:
            if refused.red:
                seen.add(refused.red)
            yield Rejected(number, refused.fault, refused.red)
        else:
            seen.add(contact.address)
            yield contact


def _header(line: bytes) -> tuple[Mapping[str, int], int]:
    """Where each column of ours stands, and how many columns there are."""
    try:
        names = line[:LONGEST_LINE].decode("utf-8-sig").strip("\r\n").split("|")
    except UnicodeDecodeError:
        raise NotAnExtraction("the first line is not UTF-8") from None
    # The extraction ends its lines with a separator: that is no column.
    if names and not names[-1].strip():
        names.pop()
    if len(names) != _COLUMNS:
        raise NotAnExtraction(f"the first line has {len(names)} columns, not {_COLUMNS}")
    known: dict[str, int] = {}
    for place, name in enumerate(names):
        known.setdefault(squashed(name), place)
    places = {}
    for wanted, ways in _NAMES.items():
        there = [known[way] for way in ways if way in known]
        if there:
            places[wanted] = there[0]
    missing = [wanted for wanted in _NEEDED if wanted not in places]
    if missing:
        raise NotAnExtraction("the first line names no column `Type de BAL` or `Adresse BAL`")
    return places, len(names)


def _fields(line: bytes, places: Mapping[str, int], width: int) -> dict[str, str]:
    if len(line) > LONGEST_LINE:
        raise _Refused(Fault.TOO_LONG)
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise _Refused(Fault.NOT_TEXT) from None
    if any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in text):
        raise _Refused(Fault.NOT_TEXT)
    cells = text.split("|")
    if len(cells) == width + 1 and not cells[-1].strip():
        cells.pop()
    if len(cells) != width:
        raise _Refused(Fault.COLUMNS)
    read = {
        name: " ".join(one_space(cells[place]).split())[:_LONGEST_FIELD] for name, place in places.items()
    }
    if not all(map(str.isprintable, read.values())):
        raise _Refused(Fault.NOT_TEXT)
    return read


def _contact(cells: Mapping[str, str]) -> Contact:
    address = cells["address"].lower()
    if not _ADDRESS.fullmatch(address) or ".." in address:
        raise _Refused(Fault.ADDRESS)
    if cells.get("red", "").lower() in _YES:
        raise _Refused(Fault.RED, address)
    code = cells["kind"].upper()
    if code == "APP":
        raise _Refused(Fault.APPLICATION)
    kind = _KINDS.get(code)
    if kind is None:
        raise _Refused(Fault.KIND)
    organisation = cells.get("company") or cells.get("shop", "")
    title = _TITLES.get(cells.get("title", "").upper(), cells.get("title", ""))
    person = " ".join(filter(None, (title, cells.get("first"), cells.get("family", "").upper())))
    unit = ", ".join(filter(None, (cells.get("unit"), organisation)))
    named = person if cells.get("family") else ""
    name = named if kind is AccountKind.PERSON else unit or named
    if not squashed(name):
        raise _Refused(Fault.NAME)
    postcode = cells.get("postcode", "")
    postcode = postcode if _POSTCODE.fullmatch(postcode) else ""
    return Contact(
        address=address,
        kind=kind,
        name=name,
        profession=cells.get("profession", ""),
        specialty=cells.get("specialty", ""),
        organisation=organisation if kind is AccountKind.PERSON else "",
        department=_department(postcode),
        postcode=postcode,
        town=cells.get("town", ""),
    )


def _department(postcode: str) -> str:
    """The department of a postcode; overseas ones have three digits, Corsica's are parted at 20200."""
    if postcode.startswith(("97", "98")):
        return postcode[:3]
    if postcode.startswith("20"):
        return "2A" if postcode < "20200" else "2B"
    return postcode[:2]
