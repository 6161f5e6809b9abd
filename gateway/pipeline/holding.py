"""Mails held in doubt: their author is asked "Pour TLE-2026-000123 ?" and one confirmation places them."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from certs.dkim import DkimReport
from certs.verdicts import Reason, SignatureReport, Verdict
from gateway.pipeline import member_mail
from gateway.pipeline.incoming import Encryption, Incoming, noted
from gateway.pipeline.refusing import within_rate
from gateway.pipeline.stored_letters import judged_then, read_signed
from gateway.pipeline.unit import Unit
from gateway.smtp.envelope import Envelope, Peer, PeerKind
from gateway.store.rows import HeldRow, HeldState, MessageRow
from teleexpertise.commands import Confirm
from teleexpertise.conversation import Conversation
from teleexpertise.letters import Letter, Mailbox
from teleexpertise.placing import Doubt
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import RefusalReason
from teleexpertise.tokens import seal, unseal

__all__ = ["confirm", "hold", "revived"]

_PURPOSE = "held"


async def hold(unit: Unit, incoming: Incoming, conversation: Conversation, why: Doubt) -> str:
    """Keep the mail out of the conversation and ask its author which one was meant."""
    await within_rate(unit, incoming.login)
    await unit.store(incoming)
    held = unit.services.new_id()
    await unit.tx.held.add(
        HeldRow(
            id=held,
            conversation_id=conversation.id,
            author=incoming.login.address,
            message_id=incoming.id,
            created_at=unit.now,
        )
    )
    token = seal(unit.services.key, _PURPOSE, held)
    mail = mails.Doubt(
        reference=conversation.ref,
        state=conversation.state,
        other=conversation.expert.name,
        subject_received=incoming.letter.subject,
        received_at=unit.now,
        confirm=unit.services.links.to(Confirm(token)),
        closed=conversation.closed,
    )
    await unit.answer(mail, incoming.login, in_reply_to=incoming.letter.message_id)
    return f"held: {why}"


async def confirm(unit: Unit, incoming: Incoming, token: str) -> str:
    """The author confirms a held mail: it is placed as if it had come now. A token works once."""
    await unit.store(incoming)
    held_id = unseal(unit.services.key, _PURPOSE, token)
    row = await unit.tx.held.get(held_id) if held_id else None
    if row is None or row.author != incoming.login.address or row.state is not HeldState.HELD:
        mail = mails.Refusal(reason=RefusalReason.FORM_UNKNOWN, subject_received=incoming.letter.subject)
        await unit.answer(mail, incoming.login, in_reply_to=incoming.letter.message_id)
        return "confirmation unknown"
    await unit.tx.held.settle(row.id, HeldState.RELEASED)
    # What follows announces the letter, not the mail that confirms it.
    unit.cause = row.message_id
    original = await revived(unit, row.message_id)
    outcome = await member_mail.receive(unit, original, row.conversation_id, confirmed=True)
    return f"released: {outcome}"


async def revived(unit: Unit, message: UUID) -> Incoming:
    """A stored mail as it stood at the door, from what was kept with it; its signature was judged then."""
    row = await unit.tx.messages.get(message)
    raw = await unit.tx.messages.get_raw(message)
    clear = await unit.tx.messages.get_clear(message)
    assert row is not None, "a held mail is kept until it is settled"
    assert raw is not None, "a held mail is kept until it is settled"
    readable = raw if clear is None else clear
    signature = await judged_then(unit.services, row, readable, in_clear=clear is None)
    letter = await read_signed(unit.services, readable, signature, row.received_at)
    if not letter.message_id:
        letter = replace(letter, message_id=row.mail_id)
    return replace(_incoming(unit, row, raw, letter, signature), clear=clear)


def _incoming(
    unit: Unit, row: MessageRow, raw: bytes, letter: Letter, signature: SignatureReport
) -> Incoming:
    kept = row.envelope
    login = Mailbox(str(kept["login"]), str(kept["name"]))
    local = unit.services.is_local(login.address)
    envelope = Envelope(
        queue_id=row.queue_id,
        peer=Peer(kind=PeerKind.USER if local else PeerKind.OPERATOR, ip=""),
        mail_from=str(kept["mail_from"]),
        recipients=tuple(kept["recipients"]),
        received_at=row.received_at,
    )
    return Incoming(
        id=row.id,
        envelope=envelope,
        raw=raw,
        sha256=row.sha256,
        letter=letter,
        login=login,
        local=local,
        signature=noted(
            replace(signature, verdict=Verdict(str(kept["signature"])), reason=Reason(str(kept["reason"]))),
            letter,
        ),
        trace=tuple((str(name), str(value)) for name, value in kept["trace"]),
        addressed=unit.services.book.sort(envelope.recipients),
        automatic=None,
        encryption=Encryption(kept["encryption"]) if kept.get("encryption") else None,
        received_at=row.received_at,
        dkim=DkimReport(),  # its keys may be gone by now, so nothing is believed for its sake
    )
