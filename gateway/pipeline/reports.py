"""Reports on what we sent: bounces of conversation mail are matched by their address and told to the
author.
"""

from __future__ import annotations

from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.unit import Unit
from gateway.relay.dsn import Action, read_report
from gateway.store.rows import BounceRow, MessageRow
from teleexpertise.conversation import Conversation
from teleexpertise.events import Author, DeliveryFailed
from teleexpertise.facts import Facts, Trigger
from teleexpertise.letters import Mailbox

__all__ = ["match_bounce", "tell_failure"]


async def match_bounce(unit: Unit, incoming: Incoming) -> str:
    """A mail to one of our bounce addresses: a failure report goes to the author concerned, all else is
    kept only.
    """
    message = await unit.store(incoming)
    report = read_report(incoming.raw)
    (first, *_) = sorted(incoming.addressed.bounces, key=str)
    bounce = await unit.tx.bounces.get(first)
    failed = [each for each in report.recipients if each.action is Action.FAILED] if report else []
    if not failed or bounce is None:
        return "report ignored"
    told = await tell_failure(unit, bounce, message, failed[0].status, failed[0].diagnostic)
    return "bounce told" if told else "bounce kept"


async def tell_failure(
    unit: Unit, bounce: BounceRow, evidence: MessageRow, status: str, diagnostic: str
) -> bool:
    """Record that a mail of a conversation did not reach somebody, and tell its author; ``False`` without
    one.

    ``evidence`` is the stored mail that says so. Once per recipient and message: reports repeat.
    """
    failed = await unit.tx.messages.get(bounce.message_id) if bounce.message_id else None
    if failed is None or failed.conversation_id is None:
        return False
    conversation = await unit.load(failed.conversation_id)
    if conversation is None or (failed.mail_id, bounce.recipient) in conversation.failures:
        return False
    writer = _writer(conversation, failed)
    service = unit.services.book.service
    facts = Facts(
        trigger=Trigger.BOUNCE,
        author=Author(service, unit.services.settings.service.display_name),
        proposed=DeliveryFailed(recipient=bounce.recipient, status=status or "5.0.0", mail_id=failed.mail_id),
    )
    act = Act(
        facts=facts,
        message=evidence,
        answer_to=writer,
        recipient=bounce.recipient,
        sent_at=failed.received_at,
        diagnostic=diagnostic,
    )
    await carry_out(unit, conversation, conversation.id, act)
    return True


def _writer(conversation: Conversation, failed: MessageRow) -> Mailbox:
    """Who is to know: the author of the failed mail, or for a mail of ours the requester."""
    for exchange in conversation.exchanges:
        if exchange.message == failed.id:
            return Mailbox(exchange.author.address, exchange.author.name)
    return Mailbox(conversation.requester.address, conversation.requester.name)
