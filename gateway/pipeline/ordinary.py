"""Ordinary mail: kept, and passed on to its recipients as it is."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.pipeline.incoming import Incoming
from gateway.pipeline.mirroring import record_answer
from gateway.pipeline.unit import Unit
from gateway.pipeline.wishes import wishes_of
from gateway.store.rows import MessageRow

__all__ = ["pass_on"]


async def pass_on(unit: Unit, incoming: Incoming, message: MessageRow, recipients: Iterable[str]) -> None:
    """Put a stored mail into the outbox for each recipient; its own envelope sender hears of a failure.

    One that answers in a conversation that a peer holds is recorded as such.
    """
    for recipient in recipients:
        mirror = await record_answer(unit, incoming, message, recipient)
        await unit.send(
            message,
            recipient,
            mirror=mirror,
            fields=incoming.trace,
            mail_from=incoming.envelope.mail_from,
            wishes=wishes_of(incoming.envelope, recipient),
        )
