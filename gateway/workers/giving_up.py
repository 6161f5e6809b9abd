"""What happens when a delivery is given up: somebody who can act is told, and never by a loop (RFC 5321 §6.1)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.intake.rawmail import split
from gateway.pipeline.reports import tell_failure
from gateway.pipeline.unit import Unit
from gateway.relay.dsn import Action, RecipientReport, ReportFacts, build_report
from gateway.services import Services
from gateway.store.rows import MessageRow, OutboxRow
from gateway.workers.failure import ActionFailed
from teleexpertise.letters import Mailbox
from teleexpertise.texts import contexts as mails

__all__ = ["GivingUp"]


@dataclass(frozen=True, slots=True)
class GivingUp:
    """Tells of failures: the author in the thread, or the envelope sender by a delivery report (RFC 3464)."""

    services: Services

    async def tell(self, row: OutboxRow, failure: ActionFailed) -> None:
        """Tell of one action that is given up; for a null sender there is nobody to tell but the operator."""
        async with self.services.store.transaction() as tx:
            unit = Unit(self.services, tx, self.services.clock())
            await unit.audit(row.recipient, f"give up {row.action}", str(row.id), failure.status)
            message = await tx.messages.get(row.message_id) if row.message_id else None
            if message is None or not row.mail_from:
                return
            bounce_id = self.services.book.bounced(row.mail_from)
            bounce = await tx.bounces.get(bounce_id) if bounce_id else None
            if bounce is not None:
                await tell_failure(unit, bounce, message, failure.status, failure.text)
            elif bounce_id is None and "NEVER" not in row.payload.get("notify", []):
                await self._report(unit, row, message, failure)

    async def _report(self, unit: Unit, row: OutboxRow, message: MessageRow, failure: ActionFailed) -> None:
        raw = await unit.tx.messages.get_raw(message.id)
        header, _ = split(raw or b"")
        mail = mails.Undelivered(
            recipient=row.recipient, sent_at=message.received_at, diagnostic=failure.text
        )
        body = self.services.texts.render(mail)
        identifier = self.services.new_id()
        facts = ReportFacts(
            sender=Mailbox(self.services.book.service, self.services.settings.service.display_name),
            addressee=row.mail_from,
            subject=body.subject,
            message_id=f"<{identifier}@{self.services.settings.service.domain}>",
            now=unit.now,
            reporting_mta=self.services.settings.hostname,
            arrived_at=message.received_at,
            recipients=(RecipientReport(Action.FAILED, failure.status, row.recipient, "", failure.text, ""),),
        )
        report = await unit.keep(identifier, facts.message_id, build_report(facts, body.text, header))
        await unit.send(report, row.mail_from, mail_from="")
