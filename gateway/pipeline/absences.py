"""An absence that an expert has announced: who stands in, what it concerns, and the thread on its way to who
comes.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.intake.rawmail import header_fields, split
from gateway.pipeline.unit import Unit
from gateway.store.rows import Direction, MessageRow, OutboxRow
from teleexpertise.absences import Waiting, asking, concerns, standing_in
from teleexpertise.conversation import Conversation
from teleexpertise.events import Exchanged, ExpertAway, Posted
from teleexpertise.people import Absence, Expert, Party
from teleexpertise.states import OPEN

__all__ = ["away", "hand_over", "waiting_for"]

#: Posts of the thread that were the expert's alone.
_EXPERTS_OWN = frozenset({"rappel"})
#: Header fields of a delivery that are about its recipient and not about the mail.
_RECIPIENTS_OWN = frozenset({"x-tle-place", "x-tle-copy"})


async def away(unit: Unit, absence: Absence, expert: str, askers: Collection[str]) -> ExpertAway:
    """An expert's absence as those who ask meet it: who stands in, until when that one is away as well."""
    deputy = await _stand_in(unit, absence, expert, askers)
    own = await unit.tx.experts.absence(deputy.address) if deputy is not None else None
    until = own.ends if own is not None and own.covers(unit.today) else None
    return ExpertAway(absence=absence, deputy=deputy, deputy_until=until)


async def _stand_in(unit: Unit, absence: Absence, expert: str, askers: Collection[str]) -> Party | None:
    """Who answers for an absent expert those who ask, ``None`` for nobody: a deputy is an account of ours."""
    named = await unit.account(absence.deputy) if absence.deputy else None
    return standing_in(named, expert, askers)


# -- what waits ---------------------------------------------------------------------------------------------


async def waiting_for(unit: Unit, expert: Expert) -> Waiting:
    """What an expert's absence, under way or to come, finds waiting today; nothing where there is none."""
    absence, address = expert.absence, expert.account.address
    if absence is None or absence.ends < unit.today:
        return Waiting()
    passed_on = told = 0
    for identifier in await unit.tx.conversations.asked_of(address, OPEN):
        conversation = await unit.load(identifier)
        if conversation is None:
            continue
        deputy = await _stand_in(unit, absence, address, asking(conversation))
        if concerns(conversation, absence, deputy):
            passed_on += deputy is not None
            told += deputy is None
    return Waiting(passed_on, told)


# -- the thread so far --------------------------------------------------------------------------------------


async def hand_over(unit: Unit, conversation: Conversation, deputy: Party) -> None:
    """Send the deputy each mail of the thread as the expert got it, in its order; then let their keywords say
    where the conversation stands now.
    """
    place = await unit.placed_fields(deputy)
    for row in await _delivered(unit, conversation, deputy):
        message = await unit.tx.messages.get(row.message_id) if row.message_id else None
        assert message is not None, "what was delivered is stored"
        fields = [
            (str(name), str(value))
            for name, value in row.payload["fields"]
            if str(name).lower() not in _RECIPIENTS_OWN
        ]
        await unit.send(
            message,
            deputy.address,
            conversation=conversation.id,
            fields=(*place, *fields),
            drop=map(str, row.payload["drop"]),
        )
    await unit.job(
        "tag",
        f"tag:{conversation.id}:{conversation.seq}:{deputy.address}",
        recipient=deputy.address,
        conversation=conversation.id,
        payload={"state": str(conversation.state)},
    )


async def _delivered(unit: Unit, conversation: Conversation, deputy: Party) -> list[OutboxRow]:
    """The deliveries of the thread to the expert, less what the deputy got once (by a blind copy)."""
    records = await unit.tx.events.of(conversation.id)
    posted = {
        record.message
        for record in records
        if isinstance(record.event, Posted) and record.event.template not in _EXPERTS_OWN
    }
    exchanged = {record.message for record in records if isinstance(record.event, Exchanged)}
    caused = await unit.tx.messages.caused_by(exchanged)
    retold = {row.id for row in caused if row.id not in posted and await _is_retold(unit, row)}
    done = await unit.tx.outbox.of_messages((*posted, *exchanged, *retold))
    rows = [row for row in done if row.action == "deliver"]
    had = {row.message_id for row in rows if row.recipient == deputy.address}
    expert = conversation.opening.expert.address
    return [row for row in rows if row.recipient == expert and row.message_id not in had]


async def _is_retold(unit: Unit, row: MessageRow) -> bool:
    """Whether a mail of ours tells a member's words again; a notice of them bears no mark of the thread."""
    raw = await unit.tx.messages.get_raw(row.id) if row.direction is Direction.WRITTEN else None
    fields = header_fields(split(raw)[0]) if raw is not None else ()
    return any(name == "x-tle-event" for name, _ in fields)
