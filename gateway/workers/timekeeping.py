"""What time alone causes: reminders of requests without answer, alerts to who waits, daily digests."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from gateway.compose.composer import Draft
from gateway.mirrored import load_mirror
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.directory_pages import colleagues
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store.errors import StoreError
from gateway.store.exported import DigestRow
from gateway.store.rows import MessageRow
from teleexpertise.commands import Worklist
from teleexpertise.conversation import Conversation
from teleexpertise.decision import decide
from teleexpertise.events import Author, Reminded, ReminderKind
from teleexpertise.facts import Facts, Trigger
from teleexpertise.letters import Mailbox
from teleexpertise.reminding import Timetable, reminder_due
from teleexpertise.states import State
from teleexpertise.texts import contexts as mails
from teleexpertise.texts import followup_contexts

__all__ = ["keep_time", "last_digest_hour", "on_the_clock"]

_EVERY_SECONDS = 300.0


async def keep_time(services: Services) -> None:
    """Look at the clock every five minutes until cancelled; what a busy database puts off comes the next
    time.
    """
    while True:
        try:
            await on_the_clock(services)
        except StoreError as error:
            structlog.get_logger("timekeeping").warning("put off", error=type(error).__name__)
        await asyncio.sleep(_EVERY_SECONDS)


async def on_the_clock(services: Services) -> None:
    """Do once what is due now. Raises :class:`StoreError`; what was done until then stays done."""
    await _remind(services)
    await _digest(services)


# -- reminders ----------------------------------------------------------------------------------------------


def _policy(services: Services) -> Timetable:
    settings = services.settings.reminders
    return Timetable(
        timedelta(hours=settings.before_promise_hours), timedelta(hours=settings.before_convention_hours)
    )


async def _remind(services: Services) -> None:
    """Each request that waits for its expert, in a transaction of its own: one that fails holds up no
    other.
    """
    now = services.clock()
    async with services.store.reading() as tx:
        waiting = await tx.conversations.waiting(State.REQUESTED, now)
    for identifier in waiting:
        try:
            await _remind_of(services, identifier, now)
        except StoreError as error:
            structlog.get_logger("timekeeping").warning(
                "reminder put off", conversation=str(identifier), error=type(error).__name__
            )


async def _remind_of(services: Services, identifier: UUID, now: datetime) -> None:
    async with services.store.reading() as tx:
        seen = await Unit(services, tx, now).load(identifier)
    if seen is None or reminder_due(seen, _policy(services), now) is None:
        return
    async with services.store.transaction() as tx:
        unit = Unit(services, tx, now)
        # Again inside of the transaction: an answer may have come meanwhile.
        conversation = await unit.load(identifier)
        kind = reminder_due(conversation, _policy(services), now) if conversation else None
        if conversation is not None and kind is not None:
            await _carried_out(unit, conversation, kind)


async def _carried_out(unit: Unit, conversation: Conversation, kind: ReminderKind) -> None:
    """Let the rules say what follows; where they say nothing, nothing is written."""
    services = unit.services
    others: tuple[mails.ExpertCard, ...] = ()
    reader = conversation.expert.address
    if kind is ReminderKind.ALERT:
        others = await colleagues(unit, conversation, services.settings.reminders.other_experts)
        reader = conversation.requester.address
    facts = Facts(
        trigger=Trigger.REMINDER,
        author=Author(services.book.service, services.settings.service.display_name),
        proposed=Reminded(reminder=kind, others=tuple(card.expert.account.address for card in others)),
    )
    if not decide(conversation, facts, services.rules, unit.now.astimezone(services.zone)).events:
        return
    message = await _noted(unit, conversation, kind)
    unit.cause = message.id
    act = Act(facts=facts, message=message, only=frozenset({reader}), others=others)
    await carry_out(unit, conversation, conversation.id, act)
    await unit.audit("clock", "remind", conversation.ref, str(kind))


async def _noted(unit: Unit, conversation: Conversation, kind: ReminderKind) -> MessageRow:
    """The signed system message that holds the event: mail is the record."""
    services = unit.services
    mail = followup_contexts.Deadline(
        reference=conversation.ref,
        state=conversation.state,
        reminder=kind,
        asked_at=conversation.opened_at,
        at=unit.now,
    )
    draft = Draft(
        body=services.texts.render(mail),
        from_name=services.settings.service.display_name,
        to=(Mailbox(services.book.service, services.settings.service.display_name),),
        automatic="auto-generated",
    )
    return await unit.write(draft, conversation.id)


# -- digests ------------------------------------------------------------------------------------------------


def last_digest_hour(now: datetime, hour: int) -> datetime:
    """The last time that clocks showed this hour; ``now`` is in the readers' zone."""
    today = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today <= now else today - timedelta(days=1)


async def _digest(services: Services) -> None:
    """One mail for each account with items from before the last digest hour. Items leave with the commit that
    stores their mail: none is lost and none told twice, whatever stops in between.
    """
    now = services.clock()
    boundary = last_digest_hour(now.astimezone(services.zone), services.settings.reminders.digest_hour)
    async with services.store.reading() as tx:
        waiting = await tx.digests.waiting()
    for address in sorted(address for address, oldest in waiting.items() if oldest < boundary):
        async with services.store.transaction() as tx:
            await _send_digest(Unit(services, tx, now), address)


async def _send_digest(unit: Unit, address: str) -> None:
    services = unit.services
    lines = [line for item in await unit.tx.digests.take(address) for line in await _digest_line(unit, item)]
    account = await unit.account(address)
    if not lines or account is None:
        return
    mail = followup_contexts.Digest(
        lines=tuple(lines),
        folder=services.texts.words.of("folders", "conversations"),
        worklist=services.links.to(Worklist()),
    )
    draft = Draft(
        body=services.texts.render(mail),
        from_name=services.settings.service.display_name,
        to=(Mailbox(address, account.name),),
        automatic="auto-generated",
    )
    message = await unit.write(draft)
    await unit.send(message, address, mail_from="")


async def _digest_line(unit: Unit, item: DigestRow) -> tuple[followup_contexts.DigestLine, ...]:
    """The line of one item, with the state of today; none where the conversation is gone."""
    found: tuple[str, str] | None = None
    if item.conversation_id is not None:
        conversation = await unit.tx.conversations.get(item.conversation_id)
        found = (conversation.ref, conversation.projection.state) if conversation else None
    elif item.mirror_id is not None:
        mirror = await load_mirror(unit.tx, item.mirror_id)
        found = (mirror.ref, mirror.state) if mirror else None
    if found is None:
        return ()
    reference, state = found
    line = followup_contexts.DigestLine(
        at=item.at, event=mails.NoticeEvent(item.event), who=item.who, reference=reference, state=state
    )
    return (line,)
