"""What is forgotten in time: forms nobody answered, counts of answers given in hours long past, letters that
nobody confirmed, exchanges with patients and the octets of mails whose retention has ended.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from gateway.pipeline.stored_letters import believed_letter
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store.errors import StoreError
from gateway.store.rows import HeldRow, HeldState
from gateway.workers.rounds import each
from teleexpertise.letters import Mailbox
from teleexpertise.states import CLOSED
from teleexpertise.texts import contexts as mails

__all__ = ["keep_house", "tidy_up"]

_EVERY_SECONDS = 3600.0
_ROOM = "housekeeping"
#: Expired forms stay a while, so that a late answer is told that its form is too old rather than unknown.
_FORMS_STAY = timedelta(days=30)
_COUNTS_STAY = timedelta(hours=2)
#: Bounds of one round. Mail that comes in waits for a transaction: each is short, and what is left is done an
#: hour later.
_MOST_LETTERS = 200
_PURGED_TOGETHER = 100
_MOST_PURGES = 100


async def keep_house(services: Services) -> None:
    """Clear up every hour until cancelled; a database that is busy is cleared up the next time."""
    while True:
        try:
            await tidy_up(services)
        except StoreError as error:
            structlog.get_logger(_ROOM).warning("put off", error=type(error).__name__)
        await asyncio.sleep(_EVERY_SECONDS)


async def tidy_up(services: Services) -> None:
    """Clear up once. Raises :class:`StoreError`; what was done until then stays done."""
    now = services.clock()
    async with services.store.transaction() as tx:
        await tx.forms.forget_expired(now - _FORMS_STAY)
        await tx.answers.forget_before(now - _COUNTS_STAY)
    await _drop_doubts(services, now)
    await _purge(services, now)
    await _forget_exchanges(services, now)


async def _drop_doubts(services: Services, now: datetime) -> None:
    """Letters held for longer than ``conversation.held_days`` go to nobody, and their authors are told."""
    days = services.settings.conversation.held_days
    async with services.store.reading() as tx:
        held = await tx.held.waiting_since(now - timedelta(days=days), _MOST_LETTERS)

    async def drop(row: HeldRow) -> None:
        async with services.store.transaction() as tx:
            if await tx.held.settle(row.id, HeldState.DROPPED):
                await _tell_dropped(Unit(services, tx, now, cause=row.message_id), row, days)

    await each(_ROOM, held, drop, lambda row: str(row.id))


async def _tell_dropped(unit: Unit, row: HeldRow, days: int) -> None:
    message = await unit.tx.messages.get(row.message_id)
    letter = await believed_letter(unit.services, unit.tx, row.message_id)
    conversation = await unit.load(row.conversation_id)
    assert message is not None, "a held letter is stored"
    assert letter is not None, "the octets of a held letter are kept"
    assert conversation is not None, "a letter is held for a conversation"
    mail = mails.DoubtExpired(
        reference=conversation.ref,
        state=conversation.state,
        subject_received=letter.subject,
        received_at=row.created_at,
        days=days,
    )
    author = Mailbox(row.author, str(message.envelope.get("name", "")))
    await unit.answer(mail, author, in_reply_to=message.mail_id)
    await unit.audit("housekeeping", "drop", str(row.message_id), "not confirmed")


async def _purge(services: Services, now: datetime) -> None:
    """Octets older than ``retention.messages_days`` are forgotten; hash and identifiers stay."""
    moment = now - timedelta(days=services.settings.retention.messages_days)
    for _ in range(_MOST_PURGES):
        async with services.store.reading() as tx:
            old = await tx.messages.outlived(moment, CLOSED, _PURGED_TOGETHER)
        if not old:
            return
        async with services.store.transaction() as tx:
            for message in old:
                await tx.messages.purge(message.id)
            unit = Unit(services, tx, now)
            await unit.audit("housekeeping", "purge", "messages", "done", count=len(old))


async def _forget_exchanges(services: Services, now: datetime) -> None:
    """Exchanges with patients whose last mail has outlived the retention: an answer is refused then."""
    moment = now - timedelta(days=services.settings.retention.messages_days)
    async with services.store.transaction() as tx:
        count = await tx.exchanges.forget_before(moment)
        if count:
            await Unit(services, tx, now).audit("housekeeping", "purge", "exchanges", "done", count=count)
