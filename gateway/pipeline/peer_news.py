"""What gateways tell each other: where a conversation stands, and who of the other's people is in it.

A member's own mail does not come back to him, a report goes to its addressees alone, a keyword is no mail:
the record of another operator would stay behind. So the holder writes a short signed mail to the service of
the other gateway; no person is shown it, it calls for no answer and holds no patient data.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.compose.composer import Draft
from gateway.pipeline.fanout import reply_to, thread_fields
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.unit import Unit
from teleexpertise.claims import HOP_FIELD, STANDING, Claim, claim_fields
from teleexpertise.conversation import Conversation
from teleexpertise.letters import Mailbox
from teleexpertise.people import Party
from teleexpertise.texts.standing import Standing

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
    for service, members in present.items():
        await _tell(unit, conversation, service, tuple(dict.fromkeys(members)))


async def _tell(unit: Unit, conversation: Conversation, service: str, members: tuple[str, ...]) -> None:
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
    )
    message = await unit.write(draft, conversation.id)
    # By the null sender: a gateway that is gone must not be reported to people who never wrote to it.
    # Open, whatever came encrypted in the conversation: reference and state are all that it says.
    await unit.send(message, service, conversation=conversation.id, mail_from="", wishes={"open": True})
