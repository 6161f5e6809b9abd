"""Delivery reports on ordinary mail, to its envelope sender: failures unless unwanted, successes when
wished (RFC 3461).
"""

from __future__ import annotations

from gateway.intake.rawmail import split
from gateway.pipeline.patient_returns import cause_for
from gateway.pipeline.unit import Unit
from gateway.relay.dsn import Action, RecipientReport, ReportFacts, build_report
from gateway.store.rows import MessageRow, OutboxRow
from gateway.workers.confidential import NOT_SEALED
from teleexpertise.letters import Mailbox
from teleexpertise.texts import contexts as mails

__all__ = ["report_delivery", "wishes_failure", "wishes_success"]


def wishes_failure(row: OutboxRow) -> bool:
    """Whether the sender wants to hear of a failure: by default, or by naming it (``RFC 3461 §4.1``)."""
    notify = row.payload.get("notify") or ["FAILURE"]
    return bool(row.mail_from) and "FAILURE" in notify


def wishes_success(row: OutboxRow) -> bool:
    """Whether the sender asked to be told of the delivery."""
    return bool(row.mail_from) and "SUCCESS" in row.payload.get("notify", [])


async def report_delivery(
    unit: Unit, row: OutboxRow, message: MessageRow, action: Action, status: str, diagnostic: str
) -> MessageRow:
    """Write a report (``RFC 3464``) and put it into the outbox with a null sender, so that it is never
    answered. It holds the header of the original as it came: of an encrypted one what stood outside.
    """
    services = unit.services
    raw = await unit.tx.messages.get_raw(message.id)
    header, _ = split(raw or b"")
    mail = mails.Undelivered(
        recipient=row.recipient,
        sent_at=message.received_at,
        diagnostic=diagnostic,
        delivered=action is Action.DELIVERED,
        unsealed=status == NOT_SEALED,
        cause=cause_for(services, row.recipient, status, [diagnostic]),
    )
    body = services.texts.render(mail)
    identifier = services.new_id()
    original = str(row.payload.get("original", "")).removeprefix("rfc822;")
    facts = ReportFacts(
        sender=Mailbox(services.book.service, services.settings.service.display_name),
        addressee=row.mail_from,
        subject=body.subject,
        message_id=f"<{identifier}@{services.settings.service.domain}>",
        now=unit.now,
        reporting_mta=services.settings.hostname,
        arrived_at=message.received_at,
        recipients=(RecipientReport(action, status, row.recipient, original, diagnostic, ""),),
        envelope_id=str(row.payload.get("envid", "")),
        fields=services.composer.always,
    )
    report = await unit.keep(identifier, facts.message_id, build_report(facts, body.text, header))
    await unit.send(report, row.mail_from, mail_from="", wishes={"open": True})
    return report
