"""Codes of professions, settings, facilities and acts, found by the words that accounts say."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from config import read_resource
from teleexpertise.plaintext import folded

__all__ = ["CodeTables", "Coded", "code_tables"]

_DOCTOR = "G15_10"


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of a nomenclature and its French label."""

    code: str
    label: str


def _words(text: str) -> str:
    """Folded, everything that is no letter or digit as one space, a space at both ends."""
    return " " + " ".join("".join(c if c.isalnum() else " " for c in folded(text)).split()) + " "


@dataclass(frozen=True, slots=True)
class CodeTables:
    """The shipped tables; word -> code for professions and for the specialties of doctors."""

    professions: Mapping[str, Coded]
    specialties: Mapping[str, Coded]
    practice_settings: Mapping[str, str]
    facility_types: Mapping[str, str]
    acts: Mapping[str, str]

    def role(self, profession: str, specialty: str) -> Coded | None:
        """The code of what an account says of its owner, ``None`` where no profession is recognised.

        A doctor gets the specialty, by the longest word that fits, where one is recognised.
        """
        stated = _words(profession)
        starting = [word for word in self.professions if stated.startswith(word)]
        found = self.professions[max(starting, key=len)] if starting else None
        # A specialty of doctors alone, such as "Cardiologie", does not make a doctor.
        if found is None or found.code != _DOCTOR:
            return found
        for said in (_words(specialty), stated):
            within = [word for word in self.specialties if word in said]
            if within:
                return self.specialties[max(within, key=len)]
        return found

    @property
    def labels(self) -> Mapping[str, str]:
        """Every code of professions and specialties with its label."""
        return {coded.code: coded.label for coded in (*self.professions.values(), *self.specialties.values())}


def _by_word(rows: list[dict[str, object]]) -> Mapping[str, Coded]:
    found: dict[str, Coded] = {}
    for row in rows:
        words = row["words"]
        assert isinstance(words, list), "the shipped table is checked by a test"
        found |= {_words(word): Coded(str(row["code"]), str(row["label"])) for word in words}
    return MappingProxyType(found)


@lru_cache(maxsize=1)
def code_tables() -> CodeTables:
    """The tables of ``config/documents.toml``."""
    table = tomllib.loads(read_resource("documents.toml"))
    return CodeTables(
        professions=_by_word(table["profession"]),
        specialties=_by_word(table["specialty"]),
        practice_settings=MappingProxyType(table["practice_settings"]),
        facility_types=MappingProxyType(table["facility_types"]),
        acts=MappingProxyType(table["acts"]),
    )
