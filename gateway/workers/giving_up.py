"""What happens when a delivery is given up: somebody who can act is told, and never by a loop (RFC 5321
§6.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.pipeline.patient_returns import note_unreached
from gateway.pipeline.reports import tell_failure
from gateway.pipeline.unit import Unit
from gateway.relay.dsn import Action
from gateway.services import Services
from gateway.store.rows import Direction, MessageRow, OutboxRow
from gateway.store.transaction import Transaction
from gateway.workers.confidential import NOT_SEALED
from gateway.workers.failure import ActionFailed
from gateway.workers.receipts import report_delivery, wishes_failure
from teleexpertise.letters import Mailbox
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.document_contexts import DocumentPlaced
from teleexpertise.texts.export_contexts import ExportRefused

__all__ = ["GivingUp"]

_UNMADE = {
    "make_report": mails.UnmadeWork.REPORT,
    "synthesis": mails.UnmadeWork.SYNTHESIS,
    "file": mails.UnmadeWork.FILING,
}


@dataclass(frozen=True, slots=True)
class GivingUp:
    """Tells of failures: the author in the thread, the envelope sender by a delivery report (RFC 3464), who
    waits for what could not be made or filed.
    """

    services: Services

    async def tell(self, tx: Transaction, row: OutboxRow, failure: ActionFailed) -> None:
        """Tell of one action that is given up; for a null sender there is nobody to tell but the operator."""
        unit = Unit(self.services, tx, self.services.clock(), cause=row.message_id)
        await unit.audit(row.recipient, f"give up {row.action}", str(row.id), failure.status)
        if row.action == "export":
            to = Mailbox(row.recipient, str(row.payload.get("name", "")))
            await unit.answer(ExportRefused(), to, in_reply_to=str(row.payload.get("in_reply_to", "")))
            return
        if row.action == "file_document":
            await _tell_not_filed(unit, row)
            return
        if row.action in _UNMADE:
            await _tell_unmade(unit, row, _UNMADE[row.action])
            return
        message = await tx.messages.get(row.message_id) if row.message_id else None
        if message is None or not row.mail_from:
            return
        bounce_id = self.services.book.bounced(row.mail_from)
        bounce = await tx.bounces.get(bounce_id) if bounce_id else None
        if bounce is not None:
            evidence = await _reported_to_author(unit, row, message, failure)
            await tell_failure(
                unit, bounce, evidence, failure.status, failure.text, told=evidence is not None
            )
        elif bounce_id is None:
            await note_unreached(unit, row.recipient, message.mail_id, failure.status, failure.text)
            if wishes_failure(row):
                await report_delivery(unit, row, message, Action.FAILED, failure.status, failure.text)


async def _tell_not_filed(unit: Unit, row: OutboxRow) -> None:
    """Who answered whose a document is hears that it is in no folder."""
    message = await unit.tx.messages.get(row.message_id) if row.message_id else None
    mail = DocumentPlaced(
        subject_received=str(row.payload["subject"]),
        received_at=message.received_at if message else row.first_at,
        failed=True,
    )
    to = Mailbox(str(row.payload["login"]), str(row.payload["name"]))
    await unit.answer(mail, to, in_reply_to=str(row.payload["in_reply_to"]))


async def _reported_to_author(
    unit: Unit, row: OutboxRow, message: MessageRow, failure: ActionFailed
) -> MessageRow | None:
    """A delivery report to the author of a mail that came encrypted and could not be passed on so; ``None``
    for all other failures, which are told in the thread.
    """
    author = str(message.envelope.get("login", ""))
    if failure.status != NOT_SEALED or message.direction is not Direction.RECEIVED or not author:
        return None
    return await report_delivery(
        unit, replace(row, mail_from=author), message, Action.FAILED, failure.status, failure.text
    )


async def _tell_unmade(unit: Unit, row: OutboxRow, work: mails.UnmadeWork) -> None:
    """Who ordered a synthesis hears of it; of a report, who finalised for the expert."""
    assert row.conversation_id is not None, "what is made belongs to a conversation"
    conversation = await unit.load(row.conversation_id)
    assert conversation is not None, "a conversation in the queue was opened"
    to = Mailbox(row.recipient, str(row.payload.get("name", "")))
    if work is not mails.UnmadeWork.SYNTHESIS:
        expert = conversation.completion.finaliser if conversation.completion else conversation.expert
        to = Mailbox(expert.address, expert.name)
    holder = next((m.party.name for m in conversation.members if m.party.address == row.recipient), "")
    mail = mails.Unmade(
        reference=conversation.ref, state=conversation.state, work=work, holder=holder or row.recipient
    )
    await unit.answer(mail, to, in_reply_to=str(row.payload.get("in_reply_to", "")))
