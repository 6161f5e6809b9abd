"""Accounts declared as experts, with the documents that they hand out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from gateway.store.dialect import insert
from gateway.store.directory import DirectoryPart, renew
from gateway.store.people import ACCOUNT_COLUMNS
from gateway.store.repository import ID_CHUNK, Repository, column_values
from gateway.store.schema import absence as absences
from gateway.store.schema import account, expert_document
from gateway.store.schema import expert as experts
from teleexpertise.people import Absence, Account, Document, Expert, ItemKind, PrerequisiteItem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, RowMapping

__all__ = ["Experts"]

_OWN = tuple(column for column in experts.c if column.name != "address")
_ABSENCE = (absences.c.starts, absences.c.ends, absences.c.deputy)


def _items_of(data: list[Mapping[str, Any]]) -> tuple[PrerequisiteItem, ...]:
    return tuple(PrerequisiteItem(**{**item, "kind": ItemKind(item["kind"])}) for item in data)


def _expert_of(row: RowMapping, documents: tuple[Document, ...]) -> Expert:
    own = {column.name: row[column] for column in _OWN}
    own |= {"specialties": tuple(own["specialties"]), "departments": tuple(own["departments"])}
    own["items"] = _items_of(own["items"])
    mine = {column.name: row[column] for column in ACCOUNT_COLUMNS}
    away = None
    if row[absences.c.starts] is not None:
        away = Absence(
            starts=row[absences.c.starts], ends=row[absences.c.ends], deputy=row[absences.c.deputy]
        )
    return Expert(account=Account(**mine), documents=documents, absence=away, **own)


class Experts(Repository):
    """Experts by the address of their account."""

    __slots__ = ()

    async def get(self, address: str) -> Expert | None:
        """The expert with all documents, or ``None``."""
        found = await self._matching(experts.c.address == address)
        return found[0] if found else None

    async def absence(self, address: str) -> Absence | None:
        """The absence that an expert has announced, over or not; ``None`` without one."""
        row = await self._first(select(absences).where(absences.c.address == address))
        return None if row is None else Absence(starts=row["starts"], ends=row["ends"], deputy=row["deputy"])

    async def all(self) -> tuple[Expert, ...]:
        """All experts by address, listed or not, with their documents: one read for a directory that is
        then kept.
        """
        return await self._matching()

    async def listed(self) -> tuple[Expert, ...]:
        """The experts that the directory shows, without their documents: what an index is built from."""
        rows = await self._rows(experts.c.listed, account.c.active)
        return tuple(_expert_of(row, ()) for row in rows)

    async def some(self, addresses: Sequence[str]) -> dict[str, Expert]:
        """The experts of some addresses that the directory shows, with their documents."""
        found: dict[str, Expert] = {}
        for start in range(0, len(addresses), ID_CHUNK):
            chunk = addresses[start : start + ID_CHUNK]
            some = await self._matching(experts.c.address.in_(chunk))
            found |= {one.account.address: one for one in some if one.listed and one.account.active}
        return found

    async def _rows(self, *conditions: ColumnElement[bool]) -> Sequence[RowMapping]:
        statement = select(*ACCOUNT_COLUMNS, *_OWN, *_ABSENCE).join_from(experts, account)
        statement = statement.outerjoin(absences, absences.c.address == experts.c.address).where(*conditions)
        return await self._all(statement.order_by(experts.c.address))

    async def _matching(self, *conditions: ColumnElement[bool]) -> tuple[Expert, ...]:
        rows = await self._rows(*conditions)
        documents: dict[str, list[Document]] = {}
        handed_out = select(expert_document).join_from(expert_document, experts).where(*conditions)
        for row in await self._all(handed_out.order_by(expert_document.c.position)):
            document = Document(
                filename=row["filename"], content_type=row["content_type"], content=row["content"]
            )
            documents.setdefault(row["address"], []).append(document)
        return tuple(_expert_of(row, tuple(documents.get(row["address"], ()))) for row in rows)

    async def put(self, expert: Expert) -> None:
        """Declare an expert, or replace what was declared. The account must be there
        (:class:`ConstraintBroken`).
        """
        address = expert.account.address
        own = column_values(expert, "account", "documents", "absence")
        own["items"] = [column_values(item) for item in expert.items]
        row = {"address": address, **own}
        statement = insert(self._connection, experts).values(row)
        await self._changed(statement.on_conflict_do_update(index_elements=["address"], set_=own))
        await self._changed(delete(expert_document).where(expert_document.c.address == address))
        documents = [
            {"address": address, "position": position, **column_values(document)}
            for position, document in enumerate(expert.documents)
        ]
        await self._add_all(expert_document, documents)
        await self._changed(delete(absences).where(absences.c.address == address))
        if expert.absence is not None:
            await self._add(absences, {"address": address, **column_values(expert.absence)})
        await renew(self._connection, DirectoryPart.EXPERTS)
