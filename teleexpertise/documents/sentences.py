"""The sentences about documents: what is missing, wrong or doubtful, in French and English."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files

__all__ = ["for_professionals", "reasons", "sentence", "sentences"]

#: What only the operator can set: one sentence of it is enough for a professional.
_SETTINGS = frozenset(
    f"missing.{name}" for name in ("custodian_finess", "custodian_name", "practice_setting", "facility_type")
)


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


def for_professionals(lacking: Iterable[str]) -> tuple[str, ...]:
    """The French sentences of what is lacking for a document, those that a reader can do something about
    first; settings of the service, whose names say nothing to them, are one sentence at the end.
    """
    names = tuple(lacking)
    own = tuple(name for name in names if name not in _SETTINGS)
    return sentences((*own, "missing.settings") if len(own) < len(names) else own)
