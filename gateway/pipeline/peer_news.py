"""What gateways tell each other: where a conversation stands, and who of the other's people is in it.

A member's own mail does not come back to him, a report goes to its addressees alone, a keyword is no mail:
the record of another operator would stay behind. So the holder writes a short signed mail to the service of
the other gateway; no person is shown it and it calls for no answer.

To the operator of the requester or the expert it brings what their exports and yearly limits need
(A.38-A.41), the patient's identity too, as the mails of the conversation do; never where anything of it came
encrypted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from gateway.compose.composer import Draft
from gateway.pipeline.fanout import reply_to, thread_fields
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.unit import Unit
from gateway.store.told_activities import told_of
from teleexpertise.claims import HOP_FIELD, STANDING, Claim, claim_fields
from teleexpertise.conversation import Conversation
from teleexpertise.letters import Attachment, Mailbox
from teleexpertise.people import Party
from teleexpertise.texts.standing import Standing
from teleexpertise.told import TOLD_FILENAME, Told, dump_told

__all__ = ["learn_peer", "tell_peers"]


async def learn_peer(unit: Unit, incoming: Incoming) -> None:
    """Remember that an operator runs a gateway: its mark of relaying stands on the mail, and the domain in
    it is listed with the certificate that the mail came under, as that of the author is.

    Nothing is believed by that but where to send news; a false mark costs a mail that nobody takes.
    """
    author = incoming.letter.author
    marks = {value.strip().lower() for value in incoming.letter.values(HOP_FIELD)}
    if incoming.local or author is None or len(marks) != 1:
        return
    (domain,) = marks
    service = f"{unit.services.settings.service.local_part}@{domain}"
    certificate = incoming.envelope.peer.certificate or b""
    if unit.services.trust.sender_fault(certificate, service, author.address) is None:
        await unit.tx.peers.learn(author.domain, service, unit.now)


async def tell_peers(unit: Unit, conversation: Conversation, also: Iterable[Party] = ()) -> None:
    """Write to the gateway of each operator that has members in the conversation, or had one until now."""
    present: dict[str, list[str]] = {}
    for party in (*conversation.active(), *also):
        service = None if party.local else await unit.tx.peers.service(Mailbox(party.address).domain)
        if service is not None:
            named = present.setdefault(service, [])
            if conversation.member(party.address):
                named.append(party.address)
    told = await _told(unit, conversation) if present else None
    sides = {
        await unit.tx.peers.service(Mailbox(party.address).domain)
        for party in _sides(conversation)
        if not party.local
    }
    for service, members in present.items():
        facts = told.without_people() if told is not None and service not in sides else told
        await _tell(unit, conversation, service, tuple(dict.fromkeys(members)), facts)


def _sides(conversation: Conversation) -> tuple[Party, ...]:
    """Who is a side or was one at the opening: an operator whose side became another's learns of it."""
    opening = conversation.opening
    return (conversation.requester, conversation.expert, opening.requester, opening.expert)


async def _told(unit: Unit, conversation: Conversation) -> Told | None:
    """What is told of a conversation; without the patient where something of it came encrypted, since the
    news goes open.
    """
    rows = [row async for row in unit.tx.activities.named([conversation.ref])]
    if not rows:
        return None
    causes = () if unit.cause is None else (unit.cause,)
    told = told_of(rows[0])
    if await unit.tx.messages.any_decrypted(causes, (conversation.id,)) or any(
        exchange.encrypted for exchange in conversation.exchanges
    ):
        return replace(told, patient=None, insured_number="")
    return told


async def _tell(
    unit: Unit, conversation: Conversation, service: str, members: tuple[str, ...], told: Told | None
) -> None:
    in_reply_to, references = thread_fields(conversation.thread)
    claim = Claim(
        id=conversation.id,
        ref=conversation.ref,
        event=STANDING,
        seq=conversation.seq,
        state=conversation.state,
        to=members,
    )
    draft = Draft(
        body=unit.services.texts.render(Standing(reference=conversation.ref, state=conversation.state)),
        from_name=unit.services.settings.service.display_name,
        to=(Mailbox(service),),
        automatic="auto-generated",
        reply_to=reply_to(unit, conversation),
        in_reply_to=in_reply_to,
        references=references,
        fields=claim_fields(claim),
        attachments=() if told is None else (_attached(told),),
    )
    message = await unit.write(draft, conversation.id)
    # By the null sender: a gateway that is gone must not be reported to people who never wrote to it.
    # Open, whatever came encrypted in the conversation: then it says nothing of the patient.
    await unit.send(message, service, conversation=conversation.id, mail_from="", wishes={"open": True})


def _attached(told: Told) -> Attachment:
    octets = json.dumps(dump_told(told), ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return Attachment(TOLD_FILENAME, "application/json", octets)
