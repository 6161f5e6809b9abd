"""A mail to the service address: a filled form, a command in its subject, or the continuation of a thread."""

from __future__ import annotations

from gateway.pipeline import commanding, document_requests, form_answers, member_mail
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.ordinary import pass_on
from gateway.pipeline.receipts import acknowledge
from gateway.pipeline.refusing import refused, within_rate
from gateway.pipeline.unit import Unit
from teleexpertise.commands import Unknown, read_command
from teleexpertise.forms import find_form, has_end_mark
from teleexpertise.plaintext import readable_text, unsigned_text
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["receive"]


async def receive(unit: Unit, incoming: Incoming) -> str:
    """Answer a command or a form; nothing automatic is ever answered."""
    if incoming.automatic is not None:
        await unit.store(incoming)
        await _pass_on_copies(unit, incoming)
        return f"automatic mail kept: {incoming.automatic}"
    letter = incoming.letter
    if _of_a_peer(incoming):
        await unit.store(incoming)
        await _pass_on_copies(unit, incoming)
        return "mail of a peer's conversation kept"
    if await _answered_already(unit, incoming):
        return "duplicate"
    await within_rate(unit, incoming.login)
    text = readable_text(letter)
    found = find_form(text)
    command = read_command(letter.subject)
    if found is not None:
        outcome = await form_answers.receive(unit, incoming, found)
    elif find_form(unsigned_text(letter)) is not None:
        outcome = await _form_not_taken(unit, incoming, RefusalReason.UNSIGNED_FORM)
    elif has_end_mark(text):
        outcome = await _form_not_taken(unit, incoming, RefusalReason.FORM_BROKEN)
    elif not isinstance(command, Unknown):
        outcome = await commanding.obey(unit, incoming, command)
    else:
        cited = (*letter.in_reply_to, *letter.references)
        conversations = await unit.tx.messages.by_mail_ids(cited) if cited else ()
        if len(conversations) > 1:
            raise refused(unit.services, RefusalReason.TWO_CONVERSATIONS)
        if conversations:
            return await member_mail.receive(unit, incoming, conversations[0])
        asked = await document_requests.receive(unit, incoming)
        if asked is not None:
            outcome = asked
        elif incoming.encrypted:
            outcome = await _form_not_taken(unit, incoming, RefusalReason.NOT_OPENED)
        elif await _answers_a_form(unit, cited):
            outcome = await _form_not_taken(unit, incoming, RefusalReason.FORM_UNKNOWN)
        else:
            outcome = await commanding.obey(unit, incoming, command)
    await _pass_on_copies(unit, incoming)
    await acknowledge(unit, incoming)
    return outcome


def _of_a_peer(incoming: Incoming) -> bool:
    """Whether a peer gateway fanned this mail out to our service: its author wrote to a conversation there.

    The field need not be believed: a forged one only costs its author the answer.
    """
    return not incoming.local and bool(incoming.letter.first("X-TLE-Id"))


async def _pass_on_copies(unit: Unit, incoming: Incoming) -> None:
    """People whom a command or form was addressed to as well get it as ordinary mail."""
    message = await unit.tx.messages.get(incoming.id)
    if message is not None:
        await pass_on(unit, incoming, message, incoming.addressed.others)


async def _answered_already(unit: Unit, incoming: Incoming) -> bool:
    """A mail that came twice (a retry after a lost 250) is answered once."""
    if not incoming.letter.message_id:
        return False
    ours = {unit.services.book.service, *map(unit.services.book.reply, incoming.addressed.conversations)}
    return any(
        not ours.isdisjoint(str(name).lower() for name in row.envelope.get("recipients", ()))
        for row in await unit.copies(incoming)
    )


async def _answers_a_form(unit: Unit, cited: tuple[str, ...]) -> bool:
    """Whether a mail replies to one of our forms though the form itself is gone from it."""
    for mail_id in cited:
        for row in await unit.tx.messages.by_mail_id(mail_id):
            if row.sender == unit.services.book.service and row.conversation_id is None:
                return True
    return False


async def _form_not_taken(unit: Unit, incoming: Incoming, reason: RefusalReason) -> str:
    links = unit.services.links
    mail = mails.Refusal(
        reason=reason,
        subject_received=incoming.letter.subject,
        links=links.everyday(),
    )
    await unit.reply(incoming, mail)
    return f"form not taken: {reason}"
