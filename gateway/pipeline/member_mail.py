"""A mail to a conversation: placed, its author known, doubt held, strangers invited, then decided on."""

from __future__ import annotations

from uuid import UUID

from gateway.pipeline import service_mail
from gateway.pipeline.attachment_notes import notes_of
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.holding import hold
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.ordinary import pass_on
from gateway.pipeline.refusing import refused
from gateway.pipeline.unit import Unit
from gateway.store.rows import MessageRow
from teleexpertise.automatic import Automatic
from teleexpertise.commands import subject_reference
from teleexpertise.conversation import Conversation
from teleexpertise.events import AbsenceNoted, Author, Exchanged, MemberJoined
from teleexpertise.facts import Facts, Trigger
from teleexpertise.forms import find_form, form_identity
from teleexpertise.letters import Letter
from teleexpertise.people import Party, Rights
from teleexpertise.placing import Authorship, authorship, doubt, strangers
from teleexpertise.plaintext import readable_text
from teleexpertise.prerequisites import count_given
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["MOST_MEMBERS", "post_letter", "receive"]

#: Each who joins is announced to all: a Cc of a thousand names would be half a million mails.
MOST_MEMBERS = 30


async def receive(unit: Unit, incoming: Incoming, identifier: UUID, *, confirmed: bool = False) -> str:
    """A mail placed into a conversation by its reply address (or by what it cites, for the service address).

    ``confirmed`` says that its author has answered our doubt. Raises a refusal for somebody who is no member.
    """
    conversation = await unit.load(identifier)
    if conversation is None:
        raise refused(unit.services, RefusalReason.UNKNOWN_CONVERSATION)
    if incoming.automatic is not None:
        return await _automatic(unit, incoming, conversation)
    rights = await unit.tx.delegations.rights()
    if await _fills_a_form(unit, incoming, rights):
        return await service_mail.receive(unit, incoming)
    by = authorship(conversation, incoming.login, incoming.written_as, rights)
    if by is None:
        raise refused(unit.services, RefusalReason.NOT_A_MEMBER, conversation.ref)
    letter = incoming.letter
    if not confirmed and await _is_known(unit, incoming, conversation):
        return "duplicate"
    invited = await _invited(unit, letter, conversation, by.author)
    if not confirmed:
        reference = subject_reference(letter.subject)
        known = await unit.known_ids(conversation.id)
        why = doubt(letter, conversation, known, reference)
        if why is not None:
            return await hold(unit, incoming, conversation, why)
    message = await unit.tx.messages.get(incoming.id) or await unit.store(incoming, conversation.id)
    if confirmed:
        await unit.tx.messages.place(message.id, conversation.id)
    after = await post_letter(unit, incoming, conversation, by, message, invited)
    await _pass_on_copies(unit, incoming, message, after)
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
    """Blind copies: recipients of the envelope who are no members get the mail as ordinary mail."""
    others = [name for name in incoming.addressed.others if conversation.member(name) is None]
    await pass_on(unit, incoming, message, others)


async def _is_known(unit: Unit, incoming: Incoming, conversation: Conversation) -> bool:
    """The same sender, Message-ID and body count once; the same Message-ID with another body is another
    mail.
    """
    letter = incoming.letter
    if not letter.message_id:
        return False
    for place in (conversation.id, None):  # posted already, or held in doubt
        known = await unit.tx.messages.find_duplicate(
            place, incoming.written_as, letter.message_id, letter.body_sha256
        )
        if known is not None:
            return True
    return False


async def _invited(
    unit: Unit, letter: Letter, conversation: Conversation, author: Author
) -> tuple[Party, ...]:
    """Who is named in To or Cc and no member yet; refused before anything is sent where one is out of
    reach.
    """
    book = unit.services.book
    services = [mailbox.address for mailbox in (*letter.to, *letter.cc) if book.is_service(mailbox.address)]
    parties: list[Party] = []
    named = strangers(letter, conversation, services, author)
    if len(conversation.active()) + len(named) > MOST_MEMBERS:
        raise refused(unit.services, RefusalReason.TOO_MANY_MEMBERS, str(MOST_MEMBERS))
    for mailbox in named:
        if unit.services.is_local(mailbox.address):
            account = await unit.account(mailbox.address)
            if account is None or not account.active:
                raise refused(unit.services, RefusalReason.OUTSIDE_TRUST, mailbox.address)
            parties.append(Party.of(account))
        elif unit.services.trust.listed(mailbox.domain):
            parties.append(Party(mailbox.address, mailbox.name or mailbox.address, local=False))
        else:
            raise refused(unit.services, RefusalReason.OUTSIDE_TRUST, mailbox.address)
    return tuple(parties)


async def post_letter(
    unit: Unit,
    incoming: Incoming,
    conversation: Conversation,
    by: Authorship,
    message: MessageRow,
    invited: tuple[Party, ...] = (),
) -> Conversation:
    """Invite who was named, then decide on the mail itself: it is the first that the invited see."""
    for person in invited:
        facts = Facts(
            trigger=Trigger.INVITE, author=by.author, proposed=MemberJoined(party=person), side=by.side
        )
        act = Act(facts=facts, message=message, incoming=incoming, person=person)
        _, after = await carry_out(unit, conversation, conversation.id, act)
        conversation = after or conversation
    letter = incoming.letter
    given = count_given(letter.attachments)
    exchanged = Exchanged(
        side=by.side,
        attachments=notes_of(letter.attachments),
        images=given.images,
        documents=given.documents,
        late=conversation.closed,
        encrypted=incoming.encrypted,
        signature=str(incoming.signature.verdict),
    )
    facts = Facts(trigger=Trigger.MESSAGE, author=by.author, proposed=exchanged, side=by.side)
    act = Act(
        facts=facts,
        message=message,
        incoming=incoming,
        answer_to=incoming.login,
        text=readable_text(letter),
    )
    _, after = await carry_out(unit, conversation, conversation.id, act)
    return after or conversation


async def _automatic(unit: Unit, incoming: Incoming, conversation: Conversation) -> str:
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
