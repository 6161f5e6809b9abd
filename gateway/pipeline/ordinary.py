"""Ordinary mail: kept, and passed on to its recipients as it is; documents in it are also filed."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.pipeline.incoming import Incoming
from gateway.pipeline.mirroring import record_answer
from gateway.pipeline.unit import Unit
from gateway.pipeline.wishes import wishes_of
from gateway.store.rows import MessageRow
from teleexpertise.archives import holds_documents

__all__ = ["pass_on", "sort_documents"]


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


async def sort_documents(
    unit: Unit, incoming: Incoming, message: MessageRow, recipients: Iterable[str]
) -> None:
    """Let a worker file a mail that holds an archive of documents for each recipient of ours who wants it."""
    if incoming.encrypted or not any(holds_documents(a) for a in incoming.letter.attachments):
        return
    for recipient in recipients:
        account = await unit.account(recipient.lower()) if unit.services.is_local(recipient) else None
        if account is None or not account.active or not account.files_reports:
            continue
        await unit.job(
            "sort",
            f"sort:{message.id}:{account.address}",
            recipient=account.address,
            conversation=None,
            message=message.id,
            payload={"fields": [list(pair) for pair in incoming.trace], "drop": []},
        )
