"""Messages as received or written, byte for byte, and the decisions made on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, bindparam, exists, select, update

from gateway.store.repository import ID_CHUNK, Repository, column_values
from gateway.store.rows import DecisionRow, HeldState, MessageRow, OutboxState
from gateway.store.schema import conversation as conversations
from gateway.store.schema import decision as decisions
from gateway.store.schema import decrypted_message as decrypted
from gateway.store.schema import event as events
from gateway.store.schema import form_copy, held_letter, outbox
from gateway.store.schema import message as messages
from gateway.store.schema import mirror as mirrors
from gateway.store.schema import mirror_event as mirrored

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

__all__ = ["Decisions", "Messages"]

_COLUMNS = (*(c for c in messages.c if c.name != "raw"), messages.c.raw.is_(None).label("purged"))
_NAMES = tuple(column.name for column in _COLUMNS)

_TO_BE_DONE = (OutboxState.PENDING, OutboxState.HELD)


def _digest(octets: bytes) -> str:
    return sha256(octets).hexdigest()


def _row_of(row: RowMapping) -> MessageRow:
    return MessageRow(**row)


@cache
def _message() -> Executable:
    return select(*_COLUMNS).where(messages.c.id == bindparam("message"))


@cache
def _raw() -> Executable:
    return select(messages.c.raw).where(messages.c.id == bindparam("message"))


@cache
def _clear() -> Executable:
    return select(decrypted.c.raw).where(decrypted.c.message_id == bindparam("message"))


@cache
def _whole() -> Executable:
    columns = select(*_COLUMNS, messages.c.raw, decrypted.c.raw.label("clear"))
    return columns.outerjoin_from(messages, decrypted).where(messages.c.id == bindparam("message"))


@cache
def _mail_ids() -> Executable:
    named = (messages.c.conversation_id == bindparam("conversation")) & (messages.c.mail_id != "")
    return select(messages.c.mail_id).where(named).order_by(messages.c.received_at, messages.c.id)


@cache
def _by_mail_id() -> Executable:
    named = messages.c.mail_id == bindparam("mail_id")
    return select(*_COLUMNS).where(named).order_by(messages.c.received_at, messages.c.id)


@cache
def _deciding() -> Executable:
    return decisions.insert().returning(decisions.c.id)


class Messages(Repository):
    """Messages by identifier, Message-ID or conversation."""

    __slots__ = ()

    async def add(self, row: MessageRow, raw: bytes) -> None:
        """Store a message. Raises :class:`ConstraintBroken` for an identifier that is taken."""
        values = column_values(row, "purged") | {"raw": raw}
        await self._add(messages, values)

    async def get(self, message_id: UUID) -> MessageRow | None:
        """What is known of a message without its octets, or ``None``."""
        row = await self._first(_message(), {"message": message_id})
        return _row_of(row) if row else None

    async def get_whole(self, message_id: UUID) -> tuple[MessageRow, bytes | None, bytes | None] | None:
        """What :meth:`get`, :meth:`get_raw` and :meth:`get_clear` say, in one look; ``None`` for an unknown
        one.
        """
        row = await self._first(_whole(), {"message": message_id})
        if row is None:
            return None
        return MessageRow(**{name: row[name] for name in _NAMES}), row["raw"], row["clear"]

    async def get_raw(self, message_id: UUID) -> bytes | None:
        """The octets as received; ``None`` when purged or unknown."""
        row = await self._first(_raw(), {"message": message_id})
        return row["raw"] if row else None

    async def add_clear(self, message_id: UUID, clear: bytes) -> None:
        """Keep the mail with its decrypted content beside the ciphertext that was received."""
        await self._add(decrypted, {"message_id": message_id, "sha256": _digest(clear), "raw": clear})

    async def get_clear(self, message_id: UUID) -> bytes | None:
        """The mail with its decrypted content; ``None`` where it was not encrypted to us, or is purged."""
        row = await self._first(_clear(), {"message": message_id})
        return row["raw"] if row else None

    async def clear_sha256(self, message_id: UUID) -> str | None:
        """The hash of what was decrypted, also once it is purged; ``None`` where nothing was."""
        row = await self._first(select(decrypted.c.sha256).where(decrypted.c.message_id == message_id))
        return row["sha256"] if row else None

    async def get_readable(self, message_id: UUID) -> bytes | None:
        """The octets that are read and delivered: decrypted where the mail came encrypted to us."""
        clear = await self.get_clear(message_id)
        return clear if clear is not None else await self.get_raw(message_id)

    async def any_decrypted(self, message_ids: Collection[UUID], conversations: Collection[UUID]) -> bool:
        """Whether one of these messages, or one of these conversations' messages, came encrypted to us."""
        concerned = messages.c.id.in_(message_ids) | messages.c.conversation_id.in_(conversations)
        statement = select(decrypted.c.message_id).join(messages).where(concerned).limit(1)
        return await self._first(statement) is not None

    async def place(self, message_id: UUID, conversation_id: UUID) -> bool:
        """Say which conversation a message belongs to, once that is known; ``False`` for an unknown
        message.
        """
        statement = (
            update(messages).where(messages.c.id == message_id).values(conversation_id=conversation_id)
        )
        return bool(await self._changed(statement))

    async def by_mail_ids(self, mail_ids: Iterable[str]) -> tuple[UUID, ...]:
        """The conversations that hold a message with one of these Message-IDs, each once."""
        wanted = list(dict.fromkeys(mail_ids))
        found: dict[UUID, None] = {}
        for start in range(0, len(wanted), ID_CHUNK):
            cited = messages.c.mail_id.in_(wanted[start : start + ID_CHUNK])
            placed = messages.c.conversation_id.is_not(None)
            statement = select(messages.c.conversation_id).where(cited, placed).distinct()
            found |= dict.fromkeys(row["conversation_id"] for row in await self._all(statement))
        return tuple(sorted(found))

    async def by_mail_id(self, mail_id: str) -> tuple[MessageRow, ...]:
        """The messages with this Message-ID, oldest first: ours may come back, and it may be repeated."""
        return tuple(map(_row_of, await self._all(_by_mail_id(), {"mail_id": mail_id})))

    async def by_queue_id(self, queue_id: str) -> tuple[MessageRow, ...]:
        """The messages that one SMTP dialogue brought, by the queue id that it told; none for ''."""
        return await self._matching(messages.c.queue_id == queue_id) if queue_id else ()

    async def caused_by(self, message_ids: Iterable[UUID]) -> tuple[MessageRow, ...]:
        """The mails that the gateway wrote because of these messages, oldest first."""
        wanted = list(dict.fromkeys(message_ids))
        found: list[MessageRow] = []
        for start in range(0, len(wanted), ID_CHUNK):
            found += await self._matching(messages.c.cause_id.in_(wanted[start : start + ID_CHUNK]))
        return tuple(sorted(found, key=lambda row: (row.received_at, row.id)))

    async def of(self, conversation_id: UUID) -> tuple[MessageRow, ...]:
        """The messages of a conversation, oldest first."""
        return await self._matching(messages.c.conversation_id == conversation_id)

    async def mail_ids(self, conversation_id: UUID) -> tuple[str, ...]:
        """The Message-IDs of a conversation's mails, oldest first; mails without one left out."""
        rows = await self._all(_mail_ids(), {"conversation": conversation_id})
        return tuple(row["mail_id"] for row in rows)

    async def outlived(self, moment: datetime, closed: Collection[str], limit: int) -> tuple[MessageRow, ...]:
        """The oldest messages from before ``moment`` whose octets are kept and of no more use.

        What they caused is over: they belong to no conversation, or to one (ours or mirrored) in a ``closed``
        state that was not touched since ``moment``; no delivery, form or letter held in doubt waits for them.
        """
        going_on = conversations.c.state.not_in(closed) | (conversations.c.updated_at >= moment)
        told_in = (events.c.message_id == messages.c.id) & (conversations.c.id == events.c.conversation_id)
        held_elsewhere = (mirrored.c.message_id == messages.c.id) & (mirrors.c.id == mirrored.c.mirror_id)
        mirror_going_on = mirrors.c.state.not_in(closed) | (mirrors.c.updated_at >= moment)
        return await self._matching(
            messages.c.received_at < moment,
            messages.c.raw.is_not(None),
            ~exists().where(conversations.c.id == messages.c.conversation_id, going_on),
            ~exists().where(told_in, going_on),
            ~exists().where(held_elsewhere, mirror_going_on),
            ~exists().where(outbox.c.message_id == messages.c.id, outbox.c.state.in_(_TO_BE_DONE)),
            ~exists().where(held_letter.c.message_id == messages.c.id, held_letter.c.state == HeldState.HELD),
            ~exists().where(form_copy.c.message_id == messages.c.id),
            limit=limit,
        )

    async def purge(self, message_id: UUID) -> bool:
        """Forget the octets and the envelope; hash and identifiers stay. ``False`` when nothing was left to
        purge.
        """
        await self._changed(update(decrypted).where(decrypted.c.message_id == message_id).values(raw=None))
        kept = (messages.c.id == message_id) & messages.c.raw.is_not(None)
        return bool(await self._changed(update(messages).where(kept).values(raw=None, envelope={})))

    async def _matching(
        self, *conditions: ColumnElement[bool], limit: int | None = None
    ) -> tuple[MessageRow, ...]:
        statement = select(*_COLUMNS).where(*conditions).limit(limit)
        rows = await self._all(statement.order_by(messages.c.received_at, messages.c.id))
        return tuple(map(_row_of, rows))


class Decisions(Repository):
    """Why what was done was done: for ``gateway explain``."""

    __slots__ = ()

    async def add(self, row: DecisionRow) -> int:
        """Store a decision; its number."""
        return int((await self._connection.execute(_deciding(), column_values(row, "id"))).scalar_one())

    async def of(self, conversation_id: UUID) -> tuple[DecisionRow, ...]:
        """The decisions on a conversation in order."""
        return await self._matching(decisions.c.conversation_id == conversation_id)

    async def of_message(self, message_id: UUID) -> tuple[DecisionRow, ...]:
        """The decisions on a message in order."""
        return await self._matching(decisions.c.message_id == message_id)

    async def _matching(self, condition: ColumnElement[bool]) -> tuple[DecisionRow, ...]:
        rows = await self._all(select(decisions).where(condition).order_by(decisions.c.id))
        return tuple(DecisionRow(**row) for row in rows)
