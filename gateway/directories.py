"""The directory's search indexes, kept in memory and renewed when what they were built from has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.store.directory import DirectoryPart
from gateway.store.store import Store
from gateway.store.transaction import Transaction
from teleexpertise.contacts import Contact
from teleexpertise.directory import Directory, DirectoryEntry
from teleexpertise.people import AccountKind

__all__ = ["Directories"]


@dataclass(frozen=True, slots=True)
class _Built:
    version: str
    directory: Directory


@dataclass(slots=True)
class Directories:
    """One index of experts and one of contacts. Each query asks the database for the version of the part (a
    row by its key), so that a change by another process is seen by the next query; an index is built at most
    once per version and beside the event loop.
    """

    synonyms: Mapping[str, Sequence[str]]
    departments: Mapping[str, str]
    _built: dict[DirectoryPart, _Built] = field(default_factory=dict)
    _building: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def refresh(self, store: Store) -> None:
        """Build what is old outside of any writing transaction, so that nobody waits for its lock."""
        async with store.reading() as tx:
            await self.experts(tx)
            await self.contacts(tx)

    async def experts(self, tx: Transaction) -> Directory:
        """The index of the experts that the directory shows, as this transaction sees them."""
        return await self._current(tx, DirectoryPart.EXPERTS)

    async def contacts(self, tx: Transaction) -> Directory:
        """The index of the national directory's contacts."""
        return await self._current(tx, DirectoryPart.CONTACTS)

    async def _current(self, tx: Transaction, part: DirectoryPart) -> Directory:
        version = await tx.contacts.version(part)
        built = self._built.get(part)
        if built is not None and built.version == version:
            return built.directory
        async with self._building:  # of ten who ask at once, one builds
            built = self._built.get(part)
            if built is None or built.version != version:
                entries = await _entries(tx, part)
                built = _Built(version, await asyncio.to_thread(self._index, entries))
                self._built[part] = built
        return built.directory

    def _index(self, entries: Iterable[DirectoryEntry]) -> Directory:
        return Directory(entries, self.synonyms, self.departments)


async def _entries(tx: Transaction, part: DirectoryPart) -> list[DirectoryEntry]:
    if part is DirectoryPart.EXPERTS:
        return [DirectoryEntry.of(expert) for expert in await tx.experts.listed()]
    return [_entry(contact) for contact in await tx.contacts.all()]


def _entry(contact: Contact) -> DirectoryEntry:
    """A contact takes no requests: "avis" alone, which lists expert services, does not find it as one."""
    return DirectoryEntry(
        address=contact.address,
        name=contact.name,
        service=False,
        specialties=tuple(filter(None, (contact.specialty, contact.profession))),
        department=contact.department,
        postcode=contact.postcode,
        town=contact.town,
        organisation=contact.organisation if contact.kind is AccountKind.PERSON else "",
        delay_days=0,
    )
