"""Which way a screened mail goes: to a bounce, a conversation, the service's commands, or a mailbox."""

from __future__ import annotations

from gateway.pipeline import member_mail, reports, service_mail
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.refusing import refused
from gateway.pipeline.unit import Unit
from gateway.smtp.envelope import Envelope, RecipientOptions
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["route"]


async def route(unit: Unit, incoming: Incoming) -> str:
    """Put all consequences of one mail into the transaction; returns the outcome's name for the journal.

    Raises a refusal with its SMTP answer; then nothing of the transaction is kept.
    """
    addressed = incoming.addressed
    if len(addressed.conversations) > 1:
        raise refused(unit.services, RefusalReason.TWO_CONVERSATIONS)
    if addressed.bounces:
        return await reports.match_bounce(unit, incoming)
    if addressed.conversations:
        (conversation,) = addressed.conversations
        return await member_mail.receive(unit, incoming, conversation)
    if addressed.service:
        return await service_mail.receive(unit, incoming)
    return await pass_on(unit, incoming)


async def pass_on(unit: Unit, incoming: Incoming) -> str:
    """Ordinary mail: kept, and put into the outbox for each recipient; its own envelope sender hears of a
    failure.
    """
    message = await unit.store(incoming)
    for recipient in incoming.addressed.others:
        await unit.send(
            message,
            recipient,
            fields=incoming.trace,
            mail_from=incoming.envelope.mail_from,
            wishes=_wishes(incoming.envelope, recipient),
        )
    return "passed on"


def _wishes(envelope: Envelope, recipient: str) -> dict[str, object]:
    """What the sender wants to hear of this recipient (RFC 3461); empty without DSN parameters."""
    named = zip(envelope.recipients, envelope.options, strict=False)
    options = next((option for name, option in named if name.lower() == recipient), RecipientOptions())
    wishes: dict[str, object] = {
        "notify": sorted(options.notify),
        "original": options.original,
        "ret": envelope.dsn.ret,
        "envid": envelope.dsn.envid,
    }
    return {name: value for name, value in wishes.items() if value}
