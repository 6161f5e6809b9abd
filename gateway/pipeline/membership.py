"""Who joins and who leaves a conversation: named in To or Cc, or by command; nobody out of reach, nobody
by accident.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.refusing import refused
from gateway.pipeline.unit import Unit
from gateway.store.rows import MessageRow
from teleexpertise.conversation import Conversation
from teleexpertise.events import Author, MemberJoined, MemberLeft
from teleexpertise.facts import Facts, Trigger
from teleexpertise.letters import Letter, Mailbox
from teleexpertise.patient_mail import in_patients_domain
from teleexpertise.people import Party
from teleexpertise.placing import Authorship, strangers
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["MOST_MEMBERS", "join", "leave", "left_behind", "named_strangers", "reachable"]

#: Each who joins is announced to all: a Cc of a thousand names would be half a million mails.
MOST_MEMBERS = 30


async def reachable(unit: Unit, mailbox: Mailbox) -> Party:
    """The party that an address stands for; refused where it is nobody's here, a patient's, or
    outside the trust space.
    """
    if in_patients_domain(mailbox.address, unit.services.settings.documents.patient_domain):
        raise refused(unit.services, RefusalReason.PATIENT_MEMBER)
    if unit.services.is_local(mailbox.address):
        account = await unit.account(mailbox.address)
        if account is None:
            raise refused(unit.services, RefusalReason.UNKNOWN_ADDRESS, mailbox.address)
        if not account.active:
            raise refused(unit.services, RefusalReason.SUSPENDED, mailbox.address)
        return Party.of(account)
    if not unit.services.trust.listed(mailbox.domain):
        raise refused(unit.services, RefusalReason.OUTSIDE_TRUST, mailbox.address)
    return Party(mailbox.address, mailbox.name or mailbox.address, local=False)


async def named_strangers(
    unit: Unit, letter: Letter, conversation: Conversation, author: Author
) -> tuple[Party, ...]:
    """Who is named in To or Cc and was never a member; refused before anything is sent where one is out of
    reach.
    """
    book = unit.services.book
    services = [mailbox.address for mailbox in (*letter.to, *letter.cc) if book.is_service(mailbox.address)]
    named = strangers(letter, conversation, services, author)
    _check_room(unit, conversation, len(named))
    return tuple([await reachable(unit, mailbox) for mailbox in named])


def _check_room(unit: Unit, conversation: Conversation, more: int) -> None:
    if len(conversation.active()) + more > MOST_MEMBERS:
        raise refused(unit.services, RefusalReason.TOO_MANY_MEMBERS, str(MOST_MEMBERS))


def left_behind(incoming: Incoming, conversation: Conversation) -> tuple[str, ...]:
    """People named in To, Cc or the envelope who have left the conversation.

    Replies to all carry old Cc's on: somebody removed must not get the patient's mail again by one.
    """
    left = {member.party.address for member in conversation.members if not member.active}
    letter = incoming.letter
    named = (*(mailbox.address for mailbox in (*letter.to, *letter.cc)), *incoming.addressed.others)
    return tuple(dict.fromkeys(address for address in named if address in left))


async def join(
    unit: Unit,
    incoming: Incoming,
    message: MessageRow,
    conversation: Conversation,
    by: Authorship,
    people: Sequence[Party],
) -> Conversation:
    """Let people join, one decision each; they see what follows from here on."""
    for person in people:
        _check_room(unit, conversation, 1)
        facts = Facts(
            trigger=Trigger.INVITE, author=by.author, proposed=MemberJoined(party=person), side=by.side
        )
        act = Act(facts=facts, message=message, incoming=incoming, person=person)
        _, after = await carry_out(unit, conversation, conversation.id, act)
        conversation = after or conversation
    return conversation


async def leave(
    unit: Unit,
    incoming: Incoming,
    message: MessageRow,
    conversation: Conversation,
    by: Authorship,
    person: Party,
) -> None:
    """Take somebody out; the person is told, and so are the others."""
    facts = Facts(
        trigger=Trigger.REMOVE,
        author=by.author,
        proposed=MemberLeft(address=person.address),
        side=by.side,
    )
    act = Act(
        facts=facts,
        message=message,
        incoming=incoming,
        answer_to=incoming.login,
        person=person,
        also=(person,),
    )
    await carry_out(unit, conversation, conversation.id, act)
