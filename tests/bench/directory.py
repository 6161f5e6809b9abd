"""A directory of 100,000 contacts: how long the index takes, and what a page of a search costs."""

from __future__ import annotations

import time
from random import Random

from config import departments, specialties
from gateway.directories import Directories
from gateway.store import Store
from teleexpertise.contacts import Contact
from teleexpertise.people import AccountKind
from tests.bench.databases import on_each_database, seconds, settled
from tests.bench.yardsticks import tell

__all__ = ["measure_directory"]

ENTRIES = 100_000
_CHUNK = 1000
_PAGE = 20
_FIRST = ("Aude", "Rémy", "Léa", "Zoé", "Ysoline", "Léopold")
_TOWNS = ("Le Puy-en-Velay", "Saint-Étienne", "Lyon", "Clermont-Ferrand", "Blavozy", "Yssingeaux")
#: The last four: a word of all, the beginnings of 5,000 words that all have, both, and all of each other.
_QUERIES = (
    *("dermato 43", "Saint-Etienne", "ROUX4711", "cardio lyon léa", "geriatrie st etienne 42", "inconnu"),
    *("médecin", "roux", "medecin roux", "med medecin rou roux"),
)


def _contact(number: int, chance: Random, names: list[str]) -> Contact:
    department = f"{number % 95 + 1:02}"
    return Contact(
        address=f"medecin{number}@demo.mssante.example",
        kind=AccountKind.PERSON,
        name=f"Dr {chance.choice(_FIRST)} ROUX{number % 5000}",
        profession="Médecin",
        specialty=chance.choice(names),
        department=department,
        postcode=f"{department}{number % 900:03}",
        town=chance.choice(_TOWNS),
    )


async def _measure(store: Store, name: str) -> None:
    """What :func:`gateway.pipeline.directory_pages.directory_page` does for contacts; the index is kept, its
    version read each time.
    """
    chance, names = Random(1), [each.name for each in specialties()]
    async with store.transaction() as tx:
        for start in range(0, ENTRIES, _CHUNK):
            some = [_contact(number, chance, names) for number in range(start, start + _CHUNK)]
            await tx.contacts.put(some, "bench")
        await tx.contacts.changed()
    await settled(store)
    kept = Directories({each.name: each.synonyms for each in specialties()}, departments())
    begun = time.process_time()
    await kept.refresh(store)
    tell(f"directory of {ENTRIES:,} contacts, {name}: index built once", time.process_time() - begun)
    for query in _QUERIES:
        found = 0

        async def page(query: str = query) -> None:
            nonlocal found
            async with store.reading() as tx:
                directory = await kept.contacts(tx)
                hits = directory.find(query)
                found = len(hits)
                await tx.contacts.some([entry.address for entry in hits.page(0, _PAGE)])

        begun = time.process_time()
        await page()
        first = time.process_time() - begun  # the sets of its words are made, afterwards they are kept
        tell(f"{name}: « {query} », {found:,} found", await seconds(page), "the first time", first)


def measure_directory() -> None:
    """A page of each search, on each database."""
    on_each_database(_measure)
