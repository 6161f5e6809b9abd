"""Exchanges of our mailboxes with patients: who opened them, whether they are open, the mails that belong to
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import delete, select, update

from gateway.store.dialect import insert
from gateway.store.repository import ID_CHUNK, Repository, column_values
from gateway.store.schema import patient_exchange as exchanges
from gateway.store.schema import patient_exchange_mail as mails
from teleexpertise.patient_mail import Exchange

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

__all__ = ["Exchanges"]


class Exchanges(Repository):
    """Exchanges by identifier; mailboxes and patients' addresses are lower case and without detail."""

    __slots__ = ()

    async def add(self, exchange: Exchange) -> None:
        """Keep a new exchange."""
        await self._add(exchanges, column_values(exchange))

    async def get(self, identifier: UUID) -> Exchange | None:
        """The exchange, or ``None``."""
        row = await self._first(select(exchanges).where(exchanges.c.id == identifier))
        return _row_of(row) if row else None

    async def note_mail(self, identifier: UUID, mail_id: str, at: datetime, *, answer: bool = False) -> bool:
        """A mail belongs to an exchange; ``answer``: it is the patient's. ``False`` where that was known."""
        row = {"exchange_id": identifier, "mail_id": mail_id, "at": at, "failure": ""}
        statement = insert(self._connection, mails).on_conflict_do_nothing()
        if not (await self._connection.execute(statement, row)).rowcount:
            return False
        values: dict[str, object] = {"last_at": at}
        values |= {"answers": exchanges.c.answers + 1} if answer else {"failure": ""}
        await self._changed(update(exchanges).where(exchanges.c.id == identifier).values(values))
        return True

    async def citing(self, mailbox: str, patient: str, mail_ids: Sequence[str]) -> Mapping[str, Exchange]:
        """Message-ID -> exchange, for those of some mails that belong to one of a mailbox with a patient.

        A mail that belongs to two (which no client writes) counts for the later one.
        """
        return await self._with(_pair(mailbox, patient), mail_ids)

    async def sent(self, mail_ids: Sequence[str]) -> tuple[Exchange, ...]:
        """The exchanges, of whatever mailbox and patient, that one of these mails belongs to."""
        found: dict[UUID, Exchange] = {}
        for start in range(0, len(mail_ids), ID_CHUNK):
            some = select(mails.c.exchange_id).where(mails.c.mail_id.in_(mail_ids[start : start + ID_CHUNK]))
            rows = await self._all(select(exchanges).where(exchanges.c.id.in_(some)))
            found |= {row["id"]: _row_of(row) for row in rows}
        return tuple(found.values())

    async def _with(self, condition: ColumnElement[bool], mail_ids: Sequence[str]) -> Mapping[str, Exchange]:
        joined = exchanges.join(mails, mails.c.exchange_id == exchanges.c.id)
        found: dict[str, Exchange] = {}
        for start in range(0, len(mail_ids), ID_CHUNK):
            some = mails.c.mail_id.in_(mail_ids[start : start + ID_CHUNK])
            statement = select(exchanges, mails.c.mail_id).select_from(joined).where(condition, some)
            for row in await self._all(statement.order_by(exchanges.c.opened_at)):
                found[row["mail_id"]] = _row_of(row)
        return found

    async def between(self, mailbox: str, patient: str) -> tuple[Exchange, ...]:
        """All exchanges of a mailbox with a patient, the oldest first."""
        pair = select(exchanges).where(_pair(mailbox, patient))
        return tuple(map(_row_of, await self._all(pair.order_by(exchanges.c.opened_at))))

    async def close(self, identifiers: Iterable[UUID], by: str, at: datetime) -> int:
        """Close exchanges; how many of them were open is returned."""
        wanted = exchanges.c.id.in_(list(identifiers)) & exchanges.c.closed_at.is_(None)
        return await self._changed(update(exchanges).where(wanted).values(closed_at=at, closed_by=by))

    async def note_failure(
        self, identifier: UUID, mail_ids: Sequence[str], cause: str
    ) -> tuple[str, datetime] | None:
        """The first of some mails that is one of the exchange did not reach the patient; its Message-ID and
        when it was sent, ``None`` where that was told already. ``cause`` is a name of the table of bounces,
        or ``other``.
        """
        some = mails.c.mail_id.in_(mail_ids[:ID_CHUNK])
        rows = await self._all(select(mails).where(mails.c.exchange_id == identifier, some))
        known = {row["mail_id"]: row for row in rows}
        row = next((known[name] for name in mail_ids if name in known), None)
        if row is None or row["failure"]:
            return None
        this = (mails.c.exchange_id == identifier) & (mails.c.mail_id == row["mail_id"])
        await self._changed(update(mails).where(this).values(failure=cause))
        await self._changed(update(exchanges).where(exchanges.c.id == identifier).values(failure=cause))
        return row["mail_id"], row["at"]

    async def list(
        self, limit: int, *, mailbox: str = "", patient: str = "", only_open: bool = False
    ) -> tuple[Exchange, ...]:
        """Exchanges, the last touched first; of a mailbox, with a patient, open ones alone where asked."""
        conditions: list[ColumnElement[bool]] = []
        if mailbox:
            conditions.append(exchanges.c.mailbox == mailbox)
        if patient:
            conditions.append(exchanges.c.patient == patient)
        if only_open:
            conditions.append(exchanges.c.closed_at.is_(None))
        statement = select(exchanges).where(*conditions)
        ordered = statement.order_by(exchanges.c.last_at.desc(), exchanges.c.id).limit(limit)
        return tuple(map(_row_of, await self._all(ordered)))

    async def forget_before(self, moment: datetime) -> int:
        """Forget exchanges whose last mail is older; how many is returned. Their patients write no more."""
        old = exchanges.c.last_at < moment
        mine = select(exchanges.c.id).where(old)
        await self._changed(delete(mails).where(mails.c.exchange_id.in_(mine)))
        return await self._changed(delete(exchanges).where(old))


def _pair(mailbox: str, patient: str) -> ColumnElement[bool]:
    return (exchanges.c.mailbox == mailbox) & (exchanges.c.patient == patient)


def _row_of(row: RowMapping) -> Exchange:
    return Exchange(**{name: value for name, value in row.items() if name != "mail_id"})
