"""A register of 100,000 patients: how long a search takes, and whom a request is matched against."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

from gateway.store import Store
from gateway.store.schema import patient, patient_word
from teleexpertise.matching import match, traits_key
from teleexpertise.names import search_words
from teleexpertise.patients import Patient
from teleexpertise.searching import read_query
from tests.bench.databases import on_each_database, seconds, settled
from tests.bench.yardsticks import tell

__all__ = ["measure_patients"]

PATIENTS = 100_000
_CHUNK = 5000
_SYLLABLES = (
    *("BA", "DE", "FI", "GO", "LU", "MA", "NE", "RI"),
    *("SO", "TU", "VIN", "CHAR", "LET", "MON", "DU", "PONT"),
)
_FREQUENT = ("MARTIN", "BERNARD", "DUBOIS", "THOMAS", "ROBERT", "PETIT", "DURAND")
_FIRST = ("Jean", "Marie", "Pierre", "Jeanne", "Léa", "Zoé", "Paul", "Anne", "Élise", "Jean-Pierre")
_SEARCHES = ("martin jean", "m", "jean", "jean pierre marie", "duma jean-pierre", "03/02/1957", "zzz")


def _person(chance: Random, names: list[str]) -> Patient:
    name = chance.choice(_FREQUENT) if chance.random() < 0.08 else chance.choice(names)
    name = f"DE {name}" if chance.random() < 0.1 else name
    name = f"{name}-{chance.choice(names)}" if chance.random() < 0.1 else name
    first = " ".join(chance.sample(_FIRST, chance.choice((1, 2, 3))))
    born = date(1930, 1, 1) + timedelta(days=chance.randrange(35_000))
    return Patient(birth_name=name, first_names=first, birth_date=born, sex=chance.choice("FM"))


async def _fill(store: Store) -> None:
    """Rows written at once: one by one would take two minutes, and is not what is measured."""
    chance = Random(46)
    names = ["".join(chance.choice(_SYLLABLES) for _ in range(chance.choice((2, 3)))) for _ in range(6000)]
    made = datetime(2026, 1, 1, tzinfo=UTC)
    for start in range(1, PATIENTS + 1, _CHUNK):
        people = {number: _person(chance, names) for number in range(start, start + _CHUNK)}
        rows = [
            {
                "id": number,
                "traits": traits_key(each),
                "birth_name": each.birth_name,
                "first_names": each.first_names,
                "birth_date": each.birth_date,
                "sex": each.sex,
                "ins_oid": "",
                "created_at": made,
            }
            for number, each in people.items()
        ]
        words = [
            {"word": word, "patient_id": number}
            for number, each in people.items()
            for word in search_words(each)
        ]
        async with store.transaction() as tx:
            await tx.patients._add_all(patient, rows)
            await tx.patients._add_all(patient_word, words)


async def _measure(store: Store, name: str) -> None:
    await _fill(store)
    await settled(store)
    for words in _SEARCHES:

        async def search(words: str = words) -> None:
            async with store.reading() as tx:
                await tx.patients.search(read_query(words))

        tell(f"search {PATIENTS:,} patients, {name}: {words}", await seconds(search))
    stated = Patient(birth_name="MARTIN", first_names="Jeanne", birth_date=date(1957, 3, 2), sex="F", ins="")

    async def recognise() -> None:
        async with store.reading() as tx:
            match(stated, await tx.patients.candidates(stated))

    tell(f"match a request against {PATIENTS:,} patients, {name}", await seconds(recognise))


def measure_patients() -> None:
    """Searches on each database."""
    on_each_database(_measure)
