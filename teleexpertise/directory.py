"""The directory of experts: free search by specialty, name, department, town or postcode.

Accents, letter case and word order do not matter, a word may be cut short, and every word of the query must
match
something. The index is built once per change of the directory; a query costs the postings of its words only.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from teleexpertise.people import AccountKind, Expert
from teleexpertise.plaintext import folded

__all__ = ["Directory", "DirectoryEntry", "query_words"]

_MAX_QUERY_CHARACTERS = 200
_MAX_QUERY_WORDS = 12
_SHORTEST_PREFIX = 3
_SERVICES = "avis"

_WORD = re.compile(r"[^\W_]+")
# Words that join others in French, and titles: they distinguish no expert.
_FILLERS = frozenset({"a", "au", "aux", "d", "de", "des", "du", "en", "et", "l", "la", "le", "les"}) | {
    *("dr", "docteur", "pr", "professeur", "m", "mme"),
}
_SAINTS = {"st": "saint", "ste": "sainte"}

# How much a matching word says, by the field that it was found in; a word cut short says a little less.
_NAME, _SPECIALTY, _PLACE, _SYNONYM, _COVERED = 50, 60, 40, 30, 20
_CUT_SHORT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """What the directory knows of one expert; ``department`` is a code (``43``, ``2A``), ``covered`` more of
    them.
    """

    address: str
    name: str
    service: bool = False
    specialties: tuple[str, ...] = ()
    department: str = ""
    covered: tuple[str, ...] = ()
    postcode: str = ""
    town: str = ""
    organisation: str = ""
    delay_days: int = 7

    @classmethod
    def of(cls, expert: Expert) -> DirectoryEntry:
        """The entry of a declared expert."""
        account = expert.account
        return cls(
            address=account.address,
            name=account.name,
            service=account.kind is AccountKind.SERVICE,
            specialties=expert.specialties or tuple(filter(None, (account.specialty,))),
            department=account.department,
            covered=expert.departments,
            postcode=account.postcode,
            town=account.town,
            organisation=account.organisation,
            delay_days=expert.delay_days,
        )


def query_words(query: str) -> tuple[str, ...]:
    """The words of a query as the index holds them: folded, bounded, fillers dropped unless there is nothing
    else.
    """
    words = _words(query[:_MAX_QUERY_CHARACTERS])
    telling = [word for word in words if word not in _FILLERS]
    return tuple(dict.fromkeys(telling or words))[:_MAX_QUERY_WORDS]


def _words(text: str) -> list[str]:
    return [_SAINTS.get(word, word) for word in _WORD.findall(folded(text))]


class Directory:
    """A search index over experts. ``synonyms`` maps a specialty to other words for it, ``departments`` code
    to name.
    """

    def __init__(
        self,
        entries: Iterable[DirectoryEntry],
        synonyms: Mapping[str, Sequence[str]] | None = None,
        departments: Mapping[str, str] | None = None,
    ) -> None:
        """Order entries by what a reader wants when all else is equal: the shortest delay, then the name."""
        self._synonyms = {folded(name): tuple(words) for name, words in (synonyms or {}).items()}
        self._departments = {code.casefold(): name for code, name in (departments or {}).items()}
        self._entries = sorted(entries, key=lambda e: (e.delay_days, folded(e.name), e.address))
        self._postings: dict[str, dict[int, int]] = {}
        self._exact: dict[str, list[int]] = {}
        # Specialties, towns and departments come again and again.
        words_of = lru_cache(maxsize=10_000)(_words)
        synonyms_of = lru_cache(maxsize=1_000)(self._synonym_words)
        for position, entry in enumerate(self._entries):
            for weight, text in self._fields(entry):
                self._add(position, weight, words_of(text))
            for specialty in entry.specialties:
                self._add(position, _SYNONYM, synonyms_of(specialty))
            for exact in dict.fromkeys((entry.address, entry.name.lower())):
                self._exact.setdefault(exact, []).append(position)
        self._vocabulary = sorted(self._postings)

    def __len__(self) -> int:
        """How many experts are in the directory."""
        return len(self._entries)

    def search(self, query: str) -> list[DirectoryEntry]:
        """Every expert that all words of the query match, best first; all of them for an empty query."""
        if not query.strip():
            return list(self._entries)
        words = query_words(query)
        if not words:
            return []
        scores: Mapping[int, int] | None = None
        for found in sorted(map(self._matches, words), key=len):
            if scores is None:
                scores = found
            else:
                scores = {p: score + found[p] for p, score in scores.items() if p in found}
        # Few scores, many hits: grouping them costs a third of sorting pairs.
        groups: dict[int, list[int]] = {}
        for position, score in (scores or {}).items():
            groups.setdefault(score, []).append(position)
        entries = self._entries
        return [
            entries[position] for score in sorted(groups, reverse=True) for position in sorted(groups[score])
        ]

    def exactly(self, text: str) -> list[DirectoryEntry]:
        """The experts whose address or name is ``text``, whatever the letter case."""
        return [self._entries[position] for position in self._exact.get(text.strip().lower(), ())]

    def named(self, text: str) -> list[DirectoryEntry]:
        """The experts that ``text`` designates: by address, else by whole name, else what a search finds."""
        address = text.strip().casefold()
        for same in (
            [entry for entry in self._entries if entry.address == address],
            [entry for entry in self._entries if _words(entry.name) == _words(text)],
        ):
            if same:
                return same
        return self.search(text) if text.strip() else []

    def _fields(self, entry: DirectoryEntry) -> Iterator[tuple[int, str]]:
        yield _NAME, entry.name
        yield _NAME, entry.organisation
        if entry.service:
            yield _NAME, _SERVICES
        for specialty in entry.specialties:
            yield _SPECIALTY, specialty
        yield _PLACE, f"{entry.town} {entry.postcode} {entry.department}"
        yield _PLACE, self._departments.get(entry.department.casefold(), "")
        for code in entry.covered:
            yield _COVERED, f"{code} {self._departments.get(code.casefold(), '')}"

    def _synonym_words(self, specialty: str) -> tuple[str, ...]:
        words = (word for synonym in self._synonyms.get(folded(specialty), ()) for word in _words(synonym))
        return tuple(dict.fromkeys(words))

    def _add(self, position: int, weight: int, words: Iterable[str]) -> None:
        for word in words:
            posting = self._postings.setdefault(word, {})
            posting[position] = max(weight, posting.get(position, 0))

    def _matches(self, word: str) -> Mapping[int, int]:
        """Positions and scores for one word of a query: the word itself, and words that begin with it."""
        found: dict[int, int] = {}
        candidates = list(self._candidates(word))
        if candidates == [word]:
            return self._postings[word]
        for candidate in candidates:
            if candidate == word:  # the first one, if there at all
                found = dict(self._postings[word])
                continue
            loss = 0 if candidate == word else _CUT_SHORT
            for position, weight in self._postings[candidate].items():
                found[position] = max(found.get(position, 0), weight - loss)
        return found

    def _candidates(self, word: str) -> Iterator[str]:
        # « 1 » is typed for the department 01; « 43 » also begins the postcodes of its department.
        if word.isdigit() and len(word) == 1:
            word = f"0{word}"
        exact_only = word == _SERVICES or (len(word) < _SHORTEST_PREFIX and not word.isdigit())
        if exact_only:
            if word in self._postings:
                yield word
            return
        for index in range(bisect_left(self._vocabulary, word), len(self._vocabulary)):
            candidate = self._vocabulary[index]
            if not candidate.startswith(word):
                return
            yield candidate
