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
from tests.year.plan import Size
from tests.year.region import make_region

__all__ = ["measure_directory"]

ENTRIES = 100_000
_CHUNK = 1000
_PAGE = 20
#: The last four: what most or all entries meet, alone and together.
_QUERIES = (
    *("dermato 43", "Saint-Etienne", "cardio lyon", "geriatrie st etienne 42", "inconnu"),
    *("a", "dr", "dr a", "d dr a e"),
)
_SIZE = Size(professionals=ENTRIES, experts=60, patients=40, conversations=0)


def _contacts() -> list[Contact]:
    """The professionals of a sample year, two hundred times as many as it has."""
    return [
        Contact(
            address=member.address,
            kind=AccountKind.PERSON,
            name=member.name,
            profession=member.profession,
            specialty=member.specialty,
            department=member.department,
            postcode=f"{member.department[:2]}000",
            town=member.town,
        )
        for member in make_region(Random(1), _SIZE, 2025).members[:ENTRIES]
    ]


async def _measure(store: Store, name: str) -> None:
    """What :func:`gateway.pipeline.directory_pages.directory_page` does for contacts; the index is kept, its
    version read each time.
    """
    contacts = _contacts()
    async with store.transaction() as tx:
        for start in range(0, ENTRIES, _CHUNK):
            await tx.contacts.put(contacts[start : start + _CHUNK], "bench")
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
