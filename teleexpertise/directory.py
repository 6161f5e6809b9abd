"""The directory of experts: free search by specialty, name, department, town or postcode.

Accents, letter case and word order do not matter, a word may be cut short, and every word of the query must
match something. The index is built once per change of the directory.

A query is answered by sets of entries held as integers, an octet for each entry: what matches two words is
one AND, whatever the number of entries, and only the page that is looked at is ever made into a list. So a
query that all entries match costs hardly more than one that few do.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice

from teleexpertise.people import AccountKind, Expert
from teleexpertise.plaintext import folded

__all__ = ["Directory", "DirectoryEntry", "Hits", "query_words"]

_MAX_QUERY_CHARACTERS = 200
_MAX_QUERY_WORDS = 12
_SHORTEST_PREFIX = 3
_SERVICES = "avis"

_WORD = re.compile(r"[^\W_]+")
# Words that join others in French, and titles: they distinguish no expert.
_FILLERS = frozenset({"a", "au", "aux", "d", "de", "des", "du", "en", "et", "l", "la", "le", "les"}) | {
    *("dr", "docteur", "pr", "professeur", "m", "mme", "pour", "un", "une", "dans", "sur", "chez", "par"),
}
_SAINTS = {"st": "saint", "ste": "sainte"}

# How much a matching word says, by the field that it was found in; a word cut short says a little less.
_NAME, _SPECIALTY, _PLACE, _SYNONYM, _COVERED = 50, 60, 40, 30, 20
_CUT_SHORT = 5

_NEAR = 0.75
_SHORT = 3
_MOST_SPELT = 500
"""Experts whose names and towns are compared with a misspelt word: some milliseconds."""

_LEVELS_KEPT = 32
"""Words whose entries are kept as sets, some 100 kB for each 100,000 entries and field: the usual ones."""

_Bits = int
"""A set of entries: an octet 1 at the place of each, the first one highest."""
_Posting = list[tuple[int, "array[int]"]]
"""The entries that hold a word, by how much it says there."""


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


@dataclass(frozen=True, slots=True)
class Hits(Collection[DirectoryEntry]):
    """What a search found, best first; ``groups`` are sets of entries, those of the best score first."""

    entries: Sequence[DirectoryEntry]
    groups: tuple[_Bits, ...]

    def __len__(self) -> int:
        """How many there are."""
        return sum(group.bit_count() for group in self.groups)

    def __iter__(self) -> Iterator[DirectoryEntry]:
        """All of them, best first."""
        return (self.entries[position] for group in self.groups for position in self._positions(group, 0))

    def __contains__(self, entry: object) -> bool:
        """Whether an entry is among them."""
        return any(found == entry for found in self)

    def page(self, first: int, most: int) -> list[DirectoryEntry]:
        """Those from number ``first`` on (0: the best), ``most`` of them."""
        found: list[DirectoryEntry] = []
        for group in self.groups:
            count = group.bit_count()
            if first >= count:
                first -= count
                continue
            places = islice(self._positions(group, first), most - len(found))
            found += [self.entries[position] for position in places]
            first = 0
            if len(found) >= most:
                break
        return found

    def _positions(self, group: _Bits, skipped: int) -> Iterator[int]:
        octets, position = group.to_bytes(len(self.entries), "big"), -1
        while (position := octets.find(1, position + 1)) >= 0:
            if skipped:
                skipped -= 1
            else:
                yield position


def _words(text: str) -> list[str]:
    return [_SAINTS.get(word, word) for word in _WORD.findall(folded(text))]


def _may_be_cut(word: str) -> bool:
    """Whether words that begin with this one are meant too. « 43 » begins the postcodes of its department."""
    if word.isdigit():
        return len(word) > 1
    return word != _SERVICES and len(word) >= _SHORTEST_PREFIX


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
        self._postings: dict[str, _Posting] = {}
        self._exact: dict[str, list[int]] = {}
        # Specialties, towns and departments come again and again.
        words_of = lru_cache(maxsize=10_000)(_words)
        synonyms_of = lru_cache(maxsize=1_000)(self._synonym_words)
        for position, entry in enumerate(self._entries):
            weights: dict[str, int] = {}
            for weight, text in self._fields(entry):
                for word in words_of(text):
                    weights[word] = max(weight, weights.get(word, 0))
            for specialty in entry.specialties:
                for word in synonyms_of(specialty):
                    weights[word] = max(_SYNONYM, weights.get(word, 0))
            for word, weight in weights.items():
                self._add(position, weight, word)
            for exact in dict.fromkeys((entry.address, entry.name.lower())):
                self._exact.setdefault(exact, []).append(position)
        self._vocabulary = sorted(self._postings)
        self._levels = lru_cache(maxsize=_LEVELS_KEPT)(self._levels_of)
        self._known_words = self._spelling()

    def __len__(self) -> int:
        """How many experts are in the directory."""
        return len(self._entries)

    def find(self, query: str, without: Collection[str] = ()) -> Hits:
        """Every expert that all words of the query match, best first, those with the addresses ``without``
        left out; all of them for an empty query.
        """
        everybody = int.from_bytes(b"\x01" * len(self._entries), "big")
        words = query_words(query)
        if query.strip() and not words:
            return Hits(self._entries, ())
        scores = {0: self._but(everybody, without)}
        # What may be cut short and begins another word of the query asks for nothing that the other does not.
        telling = [
            word
            for word in words
            if not (_may_be_cut(word) and any(o != word and o.startswith(word) for o in words))
        ]
        for levels in sorted(map(self._levels, telling), key=len):
            met: dict[int, _Bits] = {}
            for score, among in scores.items():
                for level, bits in levels:
                    if both := among & bits:
                        met[score + level] = met.get(score + level, 0) | both
            scores = met
        return Hits(self._entries, tuple(scores[score] for score in sorted(scores, reverse=True)))

    def nearest(self, query: str, most: int) -> tuple[str, ...]:
        """Searches like one that finds nobody, which do find somebody: misspelt words put right, then a word
        left out, the one that leaves the fewest first.
        """
        words = query_words(query)
        right = tuple(word if self._levels(word) else self._respelt(word) for word in words)
        shorter = [right[:place] + right[place + 1 :] for place in range(len(right))]
        found = {" ".join(each): len(self.find(" ".join(each))) for each in shorter if each}
        best = sorted((count, each) for each, count in found.items() if count)
        whole = [" ".join(right)] if right != words and len(self.find(" ".join(right))) else []
        return tuple([*whole, *(each for _, each in best)][:most])

    def _respelt(self, word: str) -> str:
        """The nearest word among those by which experts are looked for, or the same."""
        near = get_close_matches(word, self._known_words, n=1, cutoff=_NEAR)
        return near[0] if near else word

    def _spelling(self) -> tuple[str, ...]:
        """Words of specialties and departments, then of experts' names and towns; bounded."""
        texts = [*self._synonyms, *(word for words in self._synonyms.values() for word in words)]
        texts += self._departments.values()
        texts += (text for entry in self._entries[:_MOST_SPELT] for text in (entry.town, entry.name))
        return tuple(dict.fromkeys(word for text in texts for word in _words(text) if len(word) > _SHORT))

    def search(self, query: str) -> list[DirectoryEntry]:
        """The same as a list: for directories of which all that match is wanted."""
        return list(self.find(query))

    def _but(self, everybody: _Bits, without: Collection[str]) -> _Bits:
        left_out = bytearray(len(self._entries))
        for address in without:
            for position in self._exact.get(address, ()):
                left_out[position] = self._entries[position].address == address
        return everybody & ~int.from_bytes(left_out, "big") if without else everybody

    def exactly(self, text: str) -> list[DirectoryEntry]:
        """The experts whose address or name is ``text``, whatever the letter case."""
        return [self._entries[position] for position in self._exact.get(text.strip().lower(), ())]

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

    def _add(self, position: int, weight: int, word: str) -> None:
        posting = self._postings.setdefault(word, [])
        for known, positions in posting:
            if known == weight:
                positions.append(position)
                return
        posting.append((weight, array("I", (position,))))

    def _levels_of(self, word: str) -> tuple[tuple[int, _Bits], ...]:
        """The entries that hold a word, or one that begins with it, by how much that says; each entry once,
        at its highest.
        """
        marks: dict[int, bytearray] = {}
        for candidate in self._candidates(word):
            loss = 0 if candidate == word else _CUT_SHORT
            for weight, positions in self._postings[candidate]:
                mark = marks.setdefault(weight - loss, bytearray(len(self._entries)))
                for position in positions:
                    mark[position] = 1
        seen, levels = 0, []
        for level in sorted(marks, reverse=True):
            bits = int.from_bytes(marks[level], "big")
            levels.append((level, bits & ~seen))
            seen |= bits
        return tuple(levels)

    def _candidates(self, word: str) -> Iterator[str]:
        if word.isdigit() and len(word) == 1:
            word = f"0{word}"  # « 1 » is typed for the department 01
        if not _may_be_cut(word):
            if word in self._postings:
                yield word
            return
        for index in range(bisect_left(self._vocabulary, word), len(self._vocabulary)):
            candidate = self._vocabulary[index]
            if not candidate.startswith(word):
                return
            yield candidate
