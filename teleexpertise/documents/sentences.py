"""The sentences about documents: what is missing, wrong or doubtful, in French and English."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files

__all__ = ["reasons", "sentence", "sentences"]


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Mapping[str, str]]:
    text = files("teleexpertise.documents").joinpath("sentences.toml").read_text("utf-8")
    groups = tomllib.loads(text)
    return {f"{group}.{name}": words for group, names in groups.items() for name, words in names.items()}


def reasons() -> frozenset[str]:
    """Every name that has sentences: ``missing.…``, ``wrong.…``, ``doubtful.…``."""
    return frozenset(_table())


def sentence(reason: str, language: str = "fr") -> str:
    """The sentence of a reason, ``fr`` or ``en``; raises ``KeyError`` for a name that is none."""
    return _table()[reason][language]


def sentences(names: Iterable[str], language: str = "fr") -> tuple[str, ...]:
    """The sentences of several reasons, in order."""
    return tuple(sentence(name, language) for name in names)
