"""People's names as they are compared: without case, accents, particles, hyphens and order; pure.

Two uses: the words under which a patient is found (:func:`search_words`, :func:`query_terms`), and whether
two names may be one person's (:func:`names_agree`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from teleexpertise.patients import Patient

__all__ = ["folded_name", "leads", "name_words", "names_agree", "query_terms", "search_words", "words_near"]

_LIGATURES = str.maketrans(
    {"œ": "oe", "æ": "ae", "Œ": "OE", "Æ": "AE", "ß": "ss", "ø": "o", "Ø": "O", "ł": "l"}
)
_PARTICLES = frozenset(
    (
        *("d", "de", "da", "do", "dos", "das", "des", "du", "del", "della", "di", "l", "la", "le", "les"),
        *("von", "van", "der", "den", "zu", "zum", "zur", "el", "al", "ben", "bin", "ibn", "ould"),
    )
)
_LONGEST = 300
#: From these lengths on one slip, or two, still leave a word that can be nobody else's.
_ONE_SLIP, _TWO_SLIPS = 4, 9


def folded_name(name: str) -> str:
    """A name without case, accents and punctuation: ``Lœtitia-Ève`` and ``LOETITIA EVE`` are one."""
    bare = unicodedata.normalize("NFKD", name.translate(_LIGATURES))
    letters = "".join(c if c.isalnum() else " " for c in bare if not unicodedata.combining(c))
    return " ".join(letters.casefold().split())


def leads(first: str, first_names: str) -> bool:
    """Whether a list of first names begins with this one, which may be of several words."""
    mine, listed = folded_name(first).split(), folded_name(first_names).split()
    return bool(mine) and listed[: len(mine)] == mine


def name_words(name: str) -> tuple[str, ...]:
    """The words of a name without particles; all of them where it has nothing else (``LE``)."""
    words = folded_name(name[:_LONGEST]).split()
    return tuple(word for word in words if word not in _PARTICLES) or tuple(words)


def _joined(name: str) -> frozenset[str]:
    """The name written as one word, with and without its particles: ``legoff`` and ``goff``."""
    return frozenset(filter(None, ("".join(folded_name(name[:_LONGEST]).split()), "".join(name_words(name)))))


def search_words(patient: Patient) -> frozenset[str]:
    """Every word under which a patient is looked for: of birth and used names, whole and joined."""
    if patient.anonymous:
        return frozenset()
    names = (patient.birth_name, patient.used_name, patient.first_names, patient.used_first_names)
    return frozenset(word for name in names for word in (*name_words(name), *_joined(name)))


def query_terms(text: str) -> tuple[frozenset[str], ...]:
    """What a search must find: for each word typed, the beginnings of words of which one must be there.

    A word may be written together with the one before or behind it (``LE GOFF``, ``Jean-Pierre``).
    """
    words = folded_name(text[:_LONGEST]).split()
    kept = [number for number, word in enumerate(words) if word not in _PARTICLES] or list(range(len(words)))
    terms = []
    for number in kept:
        around = [words[number]]
        if number > 0:
            around.append(words[number - 1] + words[number])
        if number + 1 < len(words):
            around.append(words[number] + words[number + 1])
        terms.append(frozenset(around))
    return tuple(dict.fromkeys(terms))


def _slips(one: str, other: str) -> int:
    """How many letters are wrong, missing, too many or swapped with the next (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        line = [row]
        for column, opposite in enumerate(other, start=1):
            cost = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != opposite))
            swapped = row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == opposite
            line.append(min(cost, before[column - 2] + 1) if swapped else cost)
        before, last = last, line
    return last[-1]


def words_near(one: str, other: str) -> bool:
    """Whether two words are the same but for a slip of the keyboard: the longer, the more is forgiven."""
    if one == other:
        return True
    length = min(len(one), len(other))
    allowed = 2 if length >= _TWO_SLIPS else 1 if length >= _ONE_SLIP else 0
    return abs(len(one) - len(other)) <= allowed and _slips(one, other) <= allowed


def _all_in(words: Iterable[str], others: tuple[str, ...]) -> bool:
    return all(any(words_near(word, other) for other in others) for word in words)


def names_agree(one: str, other: str) -> bool:
    """Whether two names may be one: the words of one are among those of the other, but for slips.

    Doubled names agree with their halves, names written together with those written apart. An empty name
    agrees with none.
    """
    mine, theirs = name_words(one), name_words(other)
    if not mine or not theirs:
        return False
    if _all_in(mine, theirs) or _all_in(theirs, mine):
        return True
    return any(words_near(joined, opposite) for joined in _joined(one) for opposite in _joined(other))
