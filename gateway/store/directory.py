"""Contacts of the national directory, and versions by which indexes in memory know that they are old."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from gateway.store.dialect import insert
from gateway.store.repository import ID_CHUNK, Repository, column_values
from gateway.store.schema import contact as contacts
from gateway.store.schema import directory_state as states
from teleexpertise.contacts import Contact

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Contacts", "DirectoryPart", "renew"]

_PAGE = 2000
_OWN = tuple(column for column in contacts.c if column.name != "seen")


class DirectoryPart(StrEnum):
    """What an index is built from."""

    EXPERTS = "experts"
    CONTACTS = "contacts"


async def renew(connection: AsyncConnection, part: DirectoryPart) -> None:
    """Say in this transaction that a part has changed. The version is a word never used before and no count:
    two transactions of which one is undone must not leave the same one.
    """
    version = secrets.token_hex(12)
    statement = insert(connection, states).values(part=str(part), version=version)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["part"], set_={"version": version})
    )


class Contacts(Repository):
    """People and services of the national directory by address, and the versions of the whole directory."""

    __slots__ = ()

    async def version(self, part: DirectoryPart) -> str:
        """The version of a part as this transaction sees it; '' before its first change."""
        row = await self._first(select(states.c.version).where(states.c.part == str(part)))
        return str(row["version"]) if row else ""

    async def put(self, found: Sequence[Contact], seen: str) -> None:
        """Add contacts or replace what was known of them, as the import ``seen`` has them."""
        if not found:
            return
        statement = insert(self._connection, contacts)
        replaced = {
            column.name: statement.excluded[column.name] for column in contacts.c if column.name != "address"
        }
        statement = statement.on_conflict_do_update(index_elements=["address"], set_=replaced)
        rows = [column_values(each) | {"seen": seen} for each in found]
        await self._connection.execute(statement, rows)

    async def older_than(self, seen: str) -> int:
        """How many contacts the import ``seen`` did not have."""
        row = await self._first(select(func.count()).select_from(contacts).where(contacts.c.seen != seen))
        return int(row["count_1"]) if row else 0

    async def remove_older(self, seen: str) -> int:
        """Take out what the import ``seen`` did not have; how many those were."""
        return await self._changed(delete(contacts).where(contacts.c.seen != seen))

    async def remove(self, addresses: Sequence[str]) -> int:
        """Take some addresses out; how many of them were there."""
        removed = 0
        for start in range(0, len(addresses), ID_CHUNK):
            chunk = addresses[start : start + ID_CHUNK]
            removed += await self._changed(delete(contacts).where(contacts.c.address.in_(chunk)))
        return removed

    async def changed(self) -> None:
        """Tell that contacts were changed: indexes built before are old."""
        await renew(self._connection, DirectoryPart.CONTACTS)

    async def all(self) -> tuple[Contact, ...]:
        """All contacts by address, read in pieces between which others have their turn."""
        found: list[Contact] = []
        page = select(*_OWN).order_by(contacts.c.address).limit(_PAGE)
        while True:
            after = found[-1].address if found else ""
            rows = await self._all(page.where(contacts.c.address > after))
            found += [Contact(**row) for row in rows]
            if len(rows) < _PAGE:
                return tuple(found)
            await asyncio.sleep(0)

    async def some(self, addresses: Sequence[str]) -> dict[str, Contact]:
        """The contacts of some addresses; those that are none (any more) are left out."""
        found: dict[str, Contact] = {}
        for start in range(0, len(addresses), ID_CHUNK):
            chunk = addresses[start : start + ID_CHUNK]
            rows = await self._all(select(*_OWN).where(contacts.c.address.in_(chunk)))
            found |= {row["address"]: Contact(**row) for row in rows}
        return found
