"""Which way a screened mail goes: to a bounce, a conversation (ours or a peer's), the service's commands, or
a mailbox.
"""

from __future__ import annotations

from gateway.pipeline import (
    member_mail,
    mirroring,
    patient_exchanges,
    patient_returns,
    receipts,
    reports,
    service_mail,
)
from gateway.pipeline.document_filing import sort_documents
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.ordinary import pass_on
from gateway.pipeline.peer_news import learn_peer
from gateway.pipeline.refusing import refused
from gateway.pipeline.unit import Unit
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["route"]


async def route(unit: Unit, incoming: Incoming) -> str:
    """Put all consequences of one mail into the transaction; returns the outcome's name for the journal.

    Raises a refusal with its SMTP answer; then nothing of the transaction is kept.
    """
    addressed = incoming.addressed
    if len(addressed.conversations) > 1:
        raise refused(unit.services, RefusalReason.TWO_CONVERSATIONS)
    patient_exchanges.check_outgoing(unit, incoming)
    admitted = await patient_exchanges.admit(unit, incoming)
    await learn_peer(unit, incoming)
    receipt = None if addressed.bounces else receipts.receipt_of(incoming)
    if receipt is not None:
        noted = await receipts.receive(unit, incoming, receipt)
        if noted is not None:
            return noted
    belief = await mirroring.believed(unit, incoming)
    if addressed.conversations:
        (conversation,) = addressed.conversations
        return await member_mail.receive(unit, incoming, conversation)
    if belief is not None and not addressed.bounces:
        return await mirroring.receive(unit, incoming, belief)
    if addressed.service:
        return await service_mail.receive(unit, incoming)
    if addressed.bounces:
        outcome = await reports.match_bounce(unit, incoming)
        await pass_on(unit, incoming, await unit.store(incoming), addressed.others)
        return outcome
    message = await unit.store(incoming)
    await pass_on(unit, incoming, message, addressed.others)
    await sort_documents(unit, incoming, message, addressed.others)
    await patient_exchanges.follow(unit, incoming, message, admitted)
    await patient_returns.explain_return(unit, incoming)
    return "passed on"
