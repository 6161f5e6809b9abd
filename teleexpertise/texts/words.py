"""The French words for our enumerations (states, events, next steps), read once from ``words.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["Words", "load_words"]


@dataclass(frozen=True, slots=True)
class Words:
    """Tables from our words to French ones; ``tables[table][word]``."""

    tables: Mapping[str, Mapping[str, str]]

    def of(self, table: str, word: str) -> str:
        """The French of one word. Raises ``KeyError`` for a word that the table does not hold."""
        return self.tables[table][word]

    def label(self, table: str, word: str) -> str:
        """The French of one word where the table holds it, else the word itself (already a label)."""
        return self.tables[table].get(word, word)

    def state(self, state: str) -> str:
        """The label of a conversation's state, as in subjects: ``requested`` -> « demandée »."""
        return self.of("states", state)

    def bracket(self, reference: str, state: str) -> str:
        """The opening of every subject that we write: ``[TLE-2026-000123 - demandée]``."""
        return f"[{reference} - {self.state(state)}]"


def load_words() -> Words:
    """Read the packaged table."""
    return Words(tomllib.loads(files("teleexpertise.texts").joinpath("words.toml").read_text("utf-8")))
