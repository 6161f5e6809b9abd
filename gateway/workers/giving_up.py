"""What happens when a delivery is given up: somebody who can act is told, and never by a loop (RFC 5321
§6.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.pipeline.reports import tell_failure
from gateway.pipeline.unit import Unit
from gateway.relay.dsn import Action
from gateway.services import Services
from gateway.store.rows import OutboxRow
from gateway.store.transaction import Transaction
from gateway.workers.failure import ActionFailed
from gateway.workers.receipts import report_delivery, wishes_failure

__all__ = ["GivingUp"]


@dataclass(frozen=True, slots=True)
class GivingUp:
    """Tells of failures: the author in the thread, or the envelope sender by a delivery report (RFC 3464)."""

    services: Services

    async def tell(self, tx: Transaction, row: OutboxRow, failure: ActionFailed) -> None:
        """Tell of one action that is given up; for a null sender there is nobody to tell but the operator."""
        unit = Unit(self.services, tx, self.services.clock(), cause=row.message_id)
        await unit.audit(row.recipient, f"give up {row.action}", str(row.id), failure.status)
        message = await tx.messages.get(row.message_id) if row.message_id else None
        if message is None or not row.mail_from:
            return
        bounce_id = self.services.book.bounced(row.mail_from)
        bounce = await tx.bounces.get(bounce_id) if bounce_id else None
        if bounce is not None:
            await tell_failure(unit, bounce, None, failure.status, failure.text)
        elif bounce_id is None and wishes_failure(row):
            await report_delivery(unit, row, message, Action.FAILED, failure.status, failure.text)
