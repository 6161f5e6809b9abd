"""Receipts (RFC 8098): one made for a mail that asks the service for it, those of others noted in the record.

No receipt is ever answered, and none is made for automatic mail, for a null sender, or for another address
than the one that the mail came from (RFC 8098 §2.1): nothing can loop. What people's own mailboxes do with a
request is their client's business: the gateway never says that a person has read a mail.
"""

from __future__ import annotations

from gateway.intake.addresses import read_addresses
from gateway.intake.faults import IntakeFault
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.ordinary import pass_on
from gateway.pipeline.unit import Unit
from gateway.relay.mdn import (
    DispositionReport,
    ReceiptFacts,
    build_receipt,
    read_integration_mail,
    read_receipt,
)
from gateway.store.rows import BounceRow, MessageRow
from teleexpertise.conversation import Conversation, Receipt
from teleexpertise.events import Author, IntegrationFailed, Posted, ReceiptNoted
from teleexpertise.facts import Facts, Trigger
from teleexpertise.letters import Mailbox
from teleexpertise.texts.document_contexts import Processed

__all__ = ["acknowledge", "note_at_bounce", "receipt_of", "receive", "sender_of"]

_REPORTS = frozenset({"rapport", "document-joint"})
_REQUEST = "Disposition-Notification-To"
_OPTIONS = "Disposition-Notification-Options"
_CONTAINERS = ("multipart/report", "multipart/signed")
#: Signed mails are not all read again: the type of the report stands before any text.
_KIND, _EARLY = b"disposition-notification", 64 * 1024


# -- made ----------------------------------------------------------------------------------------------


async def acknowledge(unit: Unit, incoming: Incoming) -> None:
    """Put the receipt that a mail to an address of ours asked for into the outbox: ``processed``, no more."""
    services, letter = unit.services, incoming.letter
    addressee = _wanted_by(incoming)
    ours = [name.lower() for name in incoming.envelope.recipients if services.book.is_ours(name)]
    if not addressee or not ours or services.book.is_service(addressee):
        return
    body = services.texts.render(Processed(received_at=incoming.received_at))
    identifier = services.new_id()
    facts = ReceiptFacts(
        sender=Mailbox(services.book.service, services.settings.service.display_name),
        addressee=addressee,
        subject=body.subject,
        message_id=f"<{identifier}@{services.settings.service.domain}>",
        now=unit.now,
        reporting_ua=services.settings.hostname,
        recipient=ours[0],
        original_message_id=letter.message_id,
        fields=services.composer.always,
    )
    receipt = await unit.keep(identifier, facts.message_id, build_receipt(facts, body.text))
    await unit.send(receipt, addressee, mail_from="")


def _wanted_by(incoming: Incoming) -> str:
    """The one address that asked for a receipt and may get it by itself, '' for none."""
    letter, mail_from = incoming.letter, incoming.envelope.mail_from
    if incoming.automatic is not None or not mail_from or not letter.first(_REQUEST):
        return ""
    if "required" in letter.first(_OPTIONS).lower():
        return ""  # an option that must be understood, and we know none (RFC 8098 §2.2)
    try:
        asked = [box for value in letter.values(_REQUEST) for box in read_addresses(value, 2)]
    except IntakeFault:
        return ""
    if len(asked) != 1 or asked[0].address.lower() != mail_from.lower():
        return ""
    return asked[0].address


# -- understood ----------------------------------------------------------------------------------------


def receipt_of(incoming: Incoming) -> DispositionReport | None:
    """What a mail says of a mail before it, ``None`` for one that is no receipt."""
    if incoming.letter.content_type in _CONTAINERS and _KIND in incoming.readable[:_EARLY].lower():
        found = read_receipt(incoming.readable)
        if found is not None:
            return found
    return read_integration_mail(incoming.letter)


async def note_at_bounce(
    unit: Unit, incoming: Incoming, receipt: DispositionReport, bounce: BounceRow
) -> str:
    """A receipt at the address that a mail of ours asked it to: the address says which mail and recipient.

    Whoever a copy was passed on to reads that address as well, and tells of nobody's reading but their own.
    """
    sent = await unit.tx.messages.get(bounce.message_id) if bounce.message_id else None
    named = receipt.message_id
    elsewhere = named and sent is not None and named != sent.mail_id
    if sent is None or elsewhere or not await _from_there(unit, incoming, bounce.recipient):
        await unit.store(incoming)
        return "receipt ignored"
    return await _note(unit, incoming, receipt, sent, bounce.recipient)


async def _from_there(unit: Unit, incoming: Incoming, recipient: str) -> bool:
    """Whether a mail comes from the side of a recipient: of ours the account or who may act for it, elsewhere
    the operator, whose software writes receipts in names of its own.
    """
    if incoming.written_as.lower() == recipient.lower():
        return True
    if incoming.local:
        return await unit.tx.delegations.allows(recipient, incoming.login.address)
    certificate = incoming.envelope.peer.certificate or b""
    return unit.services.trust.sender_fault(certificate, "", recipient) is None


async def receive(unit: Unit, incoming: Incoming, receipt: DispositionReport) -> str | None:
    """A receipt that came elsewhere, on its way to a member or to the service; ``None`` where it is about no
    mail that its author had of us.

    Its author is who got the mail: the operator or the login vouches for the address.
    """
    writer = incoming.written_as
    for sent in await unit.tx.messages.by_mail_id(receipt.message_id) if receipt.message_id else ():
        if sent.conversation_id is None or not await _had(unit, sent, writer):
            continue
        outcome = await _note(unit, incoming, receipt, sent, writer)
        await pass_on(unit, incoming, await unit.store(incoming), incoming.addressed.others)
        return outcome
    return None


async def _had(unit: Unit, sent: MessageRow, address: str) -> bool:
    """Whether we delivered a message to an address."""
    deliveries = await unit.tx.outbox.of_messages([sent.id])
    return any(row.action in ("deliver", "relay") and row.recipient.lower() == address for row in deliveries)


async def _note(
    unit: Unit, incoming: Incoming, receipt: DispositionReport, sent: MessageRow, recipient: str
) -> str:
    """Record it once, and tell who sent the mail where an integration failed."""
    conversation = await unit.load(sent.conversation_id) if sent.conversation_id else None
    if conversation is None:
        await unit.store(incoming)
        return "receipt ignored"
    message = await unit.store(incoming, conversation.id)
    word = f"error {receipt.code}".strip() if receipt.failed else str(receipt.disposition)
    if Receipt(sent.mail_id, recipient, word) in conversation.receipts:
        return "receipt known"
    await unit.audit(recipient, "receipt", str(sent.id), word)
    if not receipt.failed:
        noted = ReceiptNoted(recipient=recipient, mail_id=sent.mail_id, disposition=str(receipt.disposition))
        author = Author(recipient, _name(conversation, recipient))
        await unit.record(conversation, conversation.id, [noted], author, message)
        return f"receipt: {word}"
    service = Author(unit.services.book.service, unit.services.settings.service.display_name)
    facts = Facts(
        trigger=Trigger.INTEGRATION,
        author=service,
        proposed=IntegrationFailed(recipient=recipient, mail_id=sent.mail_id, code=receipt.code),
    )
    act = Act(
        facts=facts,
        message=message,
        answer_to=await sender_of(unit, conversation, sent, recipient, _REPORTS),
        recipient=recipient,
        sent_at=sent.received_at,
        diagnostic=receipt.diagnostic,
        code=receipt.code,
        about=sent.mail_id,
    )
    await carry_out(unit, conversation, conversation.id, act)
    return f"integration failed: {receipt.code or 'no code'}"


def _name(conversation: Conversation, address: str) -> str:
    party = next((m.party for m in conversation.members if m.party.address == address), None)
    return party.name if party else ""


async def sender_of(
    unit: Unit, conversation: Conversation, sent: MessageRow, recipient: str, finalisers: frozenset[str]
) -> Mailbox | None:
    """Who is to know what became of a mail: its author; of our posts named in ``finalisers`` who finalised;
    of another mail of ours the requester, and where that is ``recipient`` the expert.
    """
    for exchange in conversation.exchanges[1:]:
        if exchange.message == sent.id:
            return Mailbox(exchange.author.address, exchange.author.name)
    records = await unit.tx.events.of(conversation.id)
    posted = [r.event.template for r in records if r.message == sent.id and isinstance(r.event, Posted)]
    if finalisers.intersection(posted) and conversation.completion is not None:
        finaliser = conversation.completion.finaliser
        return Mailbox(finaliser.address, finaliser.name)
    parties = (conversation.requester, conversation.expert)
    party = next((party for party in parties if party.address != recipient), None)
    return Mailbox(party.address, party.name) if party else None
