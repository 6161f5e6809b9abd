"""A mail to a conversation: placed, its author known, doubt held, strangers invited, then decided on."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from gateway.pipeline import service_mail
from gateway.pipeline.attachment_notes import notes_of
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.holding import hold
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.membership import join, left_behind, named_strangers
from gateway.pipeline.ordinary import pass_on
from gateway.pipeline.receipts import acknowledge
from gateway.pipeline.refusing import refused
from gateway.pipeline.unit import Unit
from gateway.store.rows import MessageRow
from teleexpertise.automatic import Automatic
from teleexpertise.commands import Invite, subject_reference
from teleexpertise.conversation import Conversation
from teleexpertise.events import AbsenceNoted, Author, Exchanged
from teleexpertise.facts import Facts, Trigger
from teleexpertise.forms import find_form, form_identity
from teleexpertise.letters import Attachment
from teleexpertise.people import Party, Rights
from teleexpertise.placing import Authorship, authorship, doubt
from teleexpertise.plaintext import readable_text
from teleexpertise.prerequisites import count_given
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["Brought", "automatic", "post_letter", "receive"]


@dataclass(frozen=True, slots=True)
class Brought:
    """What a document says: its words, and the files that go with them."""

    words: str
    attachments: tuple[Attachment, ...]


async def receive(unit: Unit, incoming: Incoming, identifier: UUID, *, confirmed: bool = False) -> str:
    """A mail placed into a conversation by its reply address (or by what it cites, for the service address).

    ``confirmed`` says that its author has answered our doubt. Raises a refusal for somebody who is no member.
    """
    conversation = await unit.load(identifier)
    if conversation is None:
        raise refused(unit.services, RefusalReason.UNKNOWN_CONVERSATION)
    if incoming.automatic is not None:
        return await automatic(unit, incoming, conversation)
    rights = await unit.tx.delegations.rights()
    if await _fills_a_form(unit, incoming, rights):
        return await service_mail.receive(unit, incoming)
    by = authorship(conversation, incoming.login, incoming.written_as, rights)
    if by is None:
        raise refused(unit.services, RefusalReason.NOT_A_MEMBER, conversation.ref)
    letter = incoming.letter
    if not confirmed and await _is_known(unit, incoming, conversation):
        return "duplicate"
    invited = await named_strangers(unit, letter, conversation, by.author)
    if not confirmed:
        reference = subject_reference(letter.subject)
        known = await unit.known_ids(conversation.id)
        why = doubt(letter, conversation, known, reference)
        if why is not None:
            return await hold(unit, incoming, conversation, why)
    message = await unit.store(incoming, conversation.id)
    await _tell_left_behind(unit, incoming, conversation)
    after = await post_letter(unit, incoming, conversation, by, message, invited)
    await _pass_on_copies(unit, incoming, message, after)
    await acknowledge(unit, incoming)
    return f"posted to {conversation.ref}"


async def _fills_a_form(unit: Unit, incoming: Incoming, rights: Rights) -> bool:
    """Whether the mail answers a form, though it went to the conversation's address.

    A form of somebody else is only quoted: a member who writes one into a mail must not keep the others from
    answering it.
    """
    found = find_form(readable_text(incoming.letter))
    identifier = form_identity(unit.services.key, found.form_id) if found else None
    if identifier is None:
        return False
    row = await unit.tx.forms.get(identifier)
    return row is None or rights.may_act(incoming.login.address, row.owner)


async def _pass_on_copies(
    unit: Unit, incoming: Incoming, message: MessageRow, conversation: Conversation
) -> None:
    """Blind copies: recipients of the envelope who never were members get the mail as ordinary mail."""
    members = {member.party.address for member in conversation.members}
    others = [name for name in incoming.addressed.others if name not in members]
    await pass_on(unit, incoming, message, others)


async def _is_known(unit: Unit, incoming: Incoming, conversation: Conversation) -> bool:
    """The same sender, Message-ID and body count once here, posted or held; another body is another mail, and
    so is the copy that went elsewhere in a transaction of its own.
    """
    if not incoming.letter.message_id:
        return False
    held = {row.message_id for row in await unit.tx.held.of(conversation.id)}
    return any(
        row.conversation_id == conversation.id or row.id in held for row in await unit.copies(incoming)
    )


async def _tell_left_behind(unit: Unit, incoming: Incoming, conversation: Conversation) -> None:
    """Tell the author of people in copy who have left: they got nothing, and how they could again."""
    for address in left_behind(incoming, conversation):
        mail = mails.Refusal(
            reason=RefusalReason.HAS_LEFT,
            detail=address,
            subject_received=incoming.letter.subject,
            links=(unit.services.links.to(Invite(address, conversation.ref)),),
        )
        await unit.answer(mail, incoming.login, in_reply_to=incoming.letter.message_id)


async def post_letter(
    unit: Unit,
    incoming: Incoming,
    conversation: Conversation,
    by: Authorship,
    message: MessageRow,
    invited: tuple[Party, ...] = (),
    brought: Brought | None = None,
) -> Conversation:
    """Invite who was named, then decide on the mail itself: it is the first that the invited see. ``brought``
    is what a document in it says in its place.
    """
    conversation = await join(unit, incoming, message, conversation, by, invited)
    letter = incoming.letter
    # What cannot be read, or stands outside of the signed part, brings no element of the request.
    shown = letter.attachments if brought is None else brought.attachments
    counted = letter.signed_attachments if brought is None else brought.attachments
    given = count_given(() if incoming.encrypted else counted)
    exchanged = Exchanged(
        side=by.side,
        attachments=notes_of(shown),
        images=given.images,
        documents=given.documents,
        late=conversation.closed,
        encrypted=incoming.encrypted,
        signature=str(incoming.signature.verdict),
        words=brought.words if brought else "",
    )
    facts = Facts(trigger=Trigger.MESSAGE, author=by.author, proposed=exchanged, side=by.side)
    act = Act(
        facts=facts,
        message=message,
        incoming=incoming,
        answer_to=incoming.login,
        attachments=shown,
    )
    _, after = await carry_out(unit, conversation, conversation.id, act)
    return after or conversation


async def automatic(unit: Unit, incoming: Incoming, conversation: Conversation) -> str:
    """Automatic mail changes no state, is not fanned out and never answered; an absence is shown once (RFC
    3834).
    """
    message = await unit.store(incoming, conversation.id)
    await _pass_on_copies(unit, incoming, message, conversation)
    party = conversation.member(incoming.written_as)
    shown = incoming.automatic is Automatic.ABSENCE and party is not None
    if not shown or party is None or party.address in conversation.absences:
        return f"automatic mail kept: {incoming.automatic}"
    facts = Facts(
        trigger=Trigger.ABSENCE,
        author=Author(party.address, party.name),
        proposed=AbsenceNoted(address=party.address),
        side=conversation.side(party.address),
    )
    act = Act(facts=facts, message=message, text=readable_text(incoming.letter)[:2000])
    await carry_out(unit, conversation, conversation.id, act)
    return "absence shown"
