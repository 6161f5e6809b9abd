"""A register of 100,000 patients: how long a search takes, and whom a request is matched against."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

from gateway.store import Store
from gateway.store.schema import patient, patient_word
from teleexpertise.matching import match, traits_key
from teleexpertise.names import search_words
from teleexpertise.patients import Patient
from teleexpertise.searching import read_query
from tests.bench.databases import on_each_database, seconds, settled
from tests.bench.yardsticks import tell
from tests.year.entering import patient_of_plan
from tests.year.plan import Size
from tests.year.region import make_region

__all__ = ["measure_patients"]

PATIENTS = 100_000
_CHUNK = 5000
_SIZE = Size(professionals=30, experts=12, patients=PATIENTS, conversations=0)


def _people() -> list[Patient]:
    """The patients of a sample year, five times as many as it has."""
    return [patient_of_plan(person) for person in make_region(Random(46), _SIZE, 2025).patients]


def _searches(people: list[Patient]) -> tuple[str, ...]:
    """What is typed: a name that many have, beginnings, first names that thousands have, a day, nobody."""
    one = people[0]
    common, ((first, _), (second, _)) = (
        Counter(each.birth_name for each in people).most_common(1)[0][0],
        Counter(each.first_names.split()[0] for each in people).most_common(2),
    )
    assert one.birth_date is not None
    return (
        f"{common} {first}".lower(),
        "m",
        first.lower(),
        f"{first} {second}".lower(),
        f"{one.birth_name[:5]} {one.first_names.split()[0]}".lower(),
        f"{one.birth_date:%d/%m/%Y}",
        "zzz",
    )


async def _fill(store: Store, everybody: list[Patient]) -> None:
    """Rows written at once: one by one would take two minutes, and is not what is measured."""
    made = datetime(2026, 1, 1, tzinfo=UTC)
    for start in range(1, PATIENTS + 1, _CHUNK):
        people = dict(enumerate(everybody[start - 1 : start - 1 + _CHUNK], start=start))
        rows = [
            {
                "id": number,
                "traits": traits_key(each),
                "birth_name": each.birth_name,
                "first_names": each.first_names,
                "birth_date": each.birth_date,
                "sex": each.sex,
                "ins": each.ins or None,
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
    people = _people()
    await _fill(store, people)
    await settled(store)
    for words in _searches(people):

        async def search(words: str = words) -> None:
            async with store.reading() as tx:
                await tx.patients.search(read_query(words))

        tell(f"search {PATIENTS:,} patients, {name}: {words}", await seconds(search))
    stated = replace(people[-1], ins="")

    async def recognise() -> None:
        async with store.reading() as tx:
            match(stated, await tx.patients.candidates(stated))

    tell(f"match a request against {PATIENTS:,} patients, {name}", await seconds(recognise))


def measure_patients() -> None:
    """Searches on each database."""
    on_each_database(_measure)
