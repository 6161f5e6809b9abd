"""Reports on what we sent: bounces of conversation mail are matched by their address and told to the
author.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.compose.composer import Draft
from gateway.pipeline import member_mail, receipts
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.patient_returns import cause_for, is_return, note_unreached, own_text
from gateway.pipeline.refusing import refused
from gateway.pipeline.unit import Unit
from gateway.relay.dsn import Action, read_report
from gateway.store.rows import BounceRow, MessageRow
from teleexpertise.automatic import Automatic
from teleexpertise.conversation import Conversation
from teleexpertise.events import Author, DeliveryFailed
from teleexpertise.facts import Facts, Trigger
from teleexpertise.letters import Mailbox
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["match_bounce", "tell_failure"]

#: Posts that only who finalised can have sent again.
_DEPOSITS = frozenset({"document-joint"})


async def match_bounce(unit: Unit, incoming: Incoming) -> str:
    """A mail to one of our bounce addresses: a failure report goes to the author concerned; an absence
    notice, which comes there too (``RFC 3834 §4``), is shown in its conversation; a receipt that the mail
    asked for is noted; a person is told where to write.
    """
    (first, *_) = sorted(incoming.addressed.bounces, key=str)
    bounce = await unit.tx.bounces.get(first)
    receipt = receipts.receipt_of(incoming)
    if receipt is not None and bounce is not None:
        return await receipts.note_at_bounce(unit, incoming, receipt, bounce)
    returned = is_return(unit, incoming)
    if incoming.automatic is None and not returned:
        raise refused(unit.services, RefusalReason.REPORTS_ONLY)
    sent = await unit.tx.messages.get(bounce.message_id) if bounce and bounce.message_id else None
    if incoming.automatic is Automatic.ABSENCE and sent is not None and sent.conversation_id is not None:
        conversation = await unit.load(sent.conversation_id)
        if conversation is not None:
            return await member_mail.automatic(unit, incoming, conversation)
    message = await unit.store(incoming)
    report = read_report(incoming.readable)
    failed = [each for each in report.recipients if each.action is Action.FAILED] if report else []
    if bounce is None or not (failed or (returned and report is None)):
        return "report ignored"
    if incoming.local and not await receipts.from_there(unit, incoming, bounce.recipient):
        # Servers write reports, accounts of ours do not: it is somebody whom the mail was passed on to.
        return "report of a stranger ignored"
    status, diagnostic = (failed[0].status, failed[0].diagnostic) if failed else ("", "")
    words = own_text(incoming.letter)
    told = await tell_failure(unit, bounce, message, status, diagnostic, words=words)
    return "bounce told" if told else "bounce kept"


async def tell_failure(
    unit: Unit,
    bounce: BounceRow,
    evidence: MessageRow | None,
    status: str,
    diagnostic: str,
    *,
    words: Sequence[str] = (),
    told: bool = False,
) -> bool:
    """Record that a mail of a conversation did not reach somebody, and tell its author; ``False`` without
    one.

    ``evidence`` is the stored report; where our own queue gave up there is none, and a signed mail of ours is
    kept in its place: every event has its message. Once per recipient and message: reports repeat. ``words``
    are what the report says beside ``diagnostic``; ``told`` that the author knows already, by the evidence
    itself.
    """
    failed = await unit.tx.messages.get(bounce.message_id) if bounce.message_id else None
    if failed is None or failed.conversation_id is None:
        return False
    conversation = await unit.load(failed.conversation_id)
    if conversation is None or (failed.mail_id, bounce.recipient) in conversation.failures:
        return False
    writer = await receipts.sender_of(unit, conversation, failed, bounce.recipient, _DEPOSITS)
    cause = cause_for(unit.services, bounce.recipient, status, (diagnostic, *words))
    await note_unreached(unit, bounce.recipient, failed.mail_id, status, diagnostic)
    evidence = evidence or await _testimony(unit, conversation, failed, bounce.recipient, diagnostic, cause)
    service = unit.services.book.service
    facts = Facts(
        trigger=Trigger.BOUNCE,
        author=Author(service, unit.services.settings.service.display_name),
        proposed=DeliveryFailed(recipient=bounce.recipient, status=status or "5.0.0", mail_id=failed.mail_id),
    )
    act = Act(
        facts=facts,
        message=evidence,
        answer_to=None if told else writer,
        recipient=bounce.recipient,
        sent_at=failed.received_at,
        diagnostic=diagnostic,
        cause=cause,
        about=failed.mail_id,
    )
    await carry_out(unit, conversation, conversation.id, act)
    return True


async def _testimony(
    unit: Unit,
    conversation: Conversation,
    failed: MessageRow,
    recipient: str,
    diagnostic: str,
    cause: str | None,
) -> MessageRow:
    """The message of an event that no mail caused: written and signed, sent to nobody."""
    service = Mailbox(unit.services.book.service, unit.services.settings.service.display_name)
    mail = mails.NotDelivered(
        reference=conversation.ref,
        state=conversation.state,
        recipient=recipient,
        sent_at=failed.received_at,
        diagnostic=diagnostic,
        cause=cause,
    )
    draft = Draft(
        body=unit.services.texts.render(mail),
        from_name=service.name,
        to=(service,),
        automatic="auto-generated",
    )
    return await unit.write(draft, conversation.id)
