"""Requests that came as documents, found again by the numbers that software gives them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from gateway.store.repository import Repository, column_values
from gateway.store.schema import document_request as requests

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import ColumnElement

__all__ = ["DocumentRequestRow", "DocumentRequests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRequestRow:
    """One document of a request: its numbers (``root`` or ``root^extension``, '' for none) and version."""

    conversation_id: UUID
    document_id: str
    sender: str
    set_id: str
    order_id: str
    version: int
    message_id: UUID
    received_at: datetime


class DocumentRequests(Repository):
    """The documents of requests by their numbers."""

    __slots__ = ()

    async def add(self, row: DocumentRequestRow) -> None:
        """Note a document; one that is noted for this conversation already stays as it is."""
        await self._add_new(requests, column_values(row))

    async def related(
        self, documents: tuple[str, ...], set_id: str, order_id: str
    ) -> tuple[DocumentRequestRow, ...]:
        """The documents of any sender with one of these numbers, oldest first; '' is no number."""
        ways: list[ColumnElement[bool]] = [requests.c.document_id.in_([name for name in documents if name])]
        if set_id:
            ways.append(requests.c.set_id == set_id)
        if order_id:
            ways.append(requests.c.order_id == order_id)
        rows = await self._all(select(requests).where(or_(*ways)).order_by(requests.c.received_at))
        return tuple(DocumentRequestRow(**row) for row in rows)

    async def of(self, conversation_id: UUID) -> tuple[DocumentRequestRow, ...]:
        """The documents of one conversation, oldest first."""
        mine = requests.c.conversation_id == conversation_id
        rows = await self._all(select(requests).where(mine).order_by(requests.c.received_at))
        return tuple(DocumentRequestRow(**row) for row in rows)
