"""What time alone causes: absences that begin, reminders of requests without answer, alerts, digests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from gateway.compose.composer import Draft
from gateway.mirrored import load_mirror
from gateway.pipeline.absences import away
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.directory_pages import colleagues
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store.errors import StoreError
from gateway.store.exported import DigestRow
from gateway.store.rows import MessageRow
from teleexpertise.absences import absence_due, asking
from teleexpertise.commands import Worklist
from teleexpertise.conversation import Conversation
from teleexpertise.decision import decide
from teleexpertise.events import Author, ExpertAway, Reminded, ReminderKind
from teleexpertise.facts import Facts, Trigger
from teleexpertise.letters import Mailbox
from teleexpertise.reminding import Timetable, reminder_due
from teleexpertise.states import OPEN, State
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
    """Do once what is due now. Raises :class:`StoreError`; what was done until then stays done.

    Absences come first: who stands in from today is reminded today.
    """
    await _note_absences(services)
    await _remind(services)
    await _digest(services)


async def _each(
    services: Services,
    found: Iterable[UUID],
    work: Callable[[Services, UUID, datetime], Awaitable[None]],
    now: datetime,
) -> None:
    """Each conversation in a transaction of its own: one that fails holds up no other."""
    for identifier in found:
        try:
            await work(services, identifier, now)
        except StoreError as error:
            structlog.get_logger("timekeeping").warning(
                "conversation put off", conversation=str(identifier), error=type(error).__name__
            )


def _clock_of(services: Services) -> Author:
    """Whose acts are those of time."""
    return Author(services.book.service, services.settings.service.display_name)


async def _noted(unit: Unit, conversation: Conversation, mail: mails.Mail) -> MessageRow:
    """The signed system message that holds the event: mail is the record."""
    name = unit.services.settings.service.display_name
    draft = Draft(
        body=unit.services.texts.render(mail),
        from_name=name,
        to=(Mailbox(unit.services.book.service, name),),
        automatic="auto-generated",
    )
    return await unit.write(draft, conversation.id)


# -- absences that begin after the opening ------------------------------------------------------------------


async def _note_absences(services: Services) -> None:
    """Each conversation that waits for an expert who is away today: the deputy comes, or the requester is
    told. What was noted is in the record, so it happens once, whatever stops in between.
    """
    now = services.clock()
    async with services.store.reading() as tx:
        unit = Unit(services, tx, now)
        found = await tx.conversations.of_the_absent(unit.today, OPEN)
    await _each(services, found, _note_absence, now)


async def _note_absence(services: Services, identifier: UUID, now: datetime) -> None:
    async with services.store.reading() as tx:
        if await _absence_to_note(Unit(services, tx, now), identifier) is None:
            return
    async with services.store.transaction() as tx:
        unit = Unit(services, tx, now)
        # Again inside of the transaction: an answer, or the end of the absence, may have come meanwhile.
        found = await _absence_to_note(unit, identifier)
        if found is not None:
            await _absence_noted(unit, *found)


async def _absence_to_note(unit: Unit, identifier: UUID) -> tuple[Conversation, ExpertAway] | None:
    """The conversation and the absence to be noted in it now, ``None`` for nothing."""
    conversation = await unit.load(identifier)
    expert = conversation.opening.expert.address if conversation is not None else ""
    absence = await unit.tx.experts.absence(expert)
    if conversation is None or absence is None:
        return None
    met = await away(unit, absence, expert, asking(conversation))
    return (conversation, met) if absence_due(conversation, absence, met.deputy, unit.today) else None


async def _absence_noted(unit: Unit, conversation: Conversation, met: ExpertAway) -> None:
    """Let the rules say what follows; where they say nothing, nothing is written."""
    services, deputy = unit.services, met.deputy
    others: tuple[mails.ExpertCard, ...] = ()
    if deputy is None or met.deputy_until is not None:
        found = await colleagues(unit, conversation, services.settings.reminders.other_experts)
        others = tuple(
            each for each in found if deputy is None or each.expert.account.address != deputy.address
        )
    met = replace(met, others=tuple(card.expert.account.address for card in others))
    facts = Facts(trigger=Trigger.AWAY, author=_clock_of(services), proposed=met)
    if not decide(conversation, facts, services.rules, unit.now.astimezone(services.zone)).events:
        return
    mail = followup_contexts.AbsenceInForce(
        reference=conversation.ref,
        state=conversation.state,
        expert=conversation.expert.name,
        absence=met.absence,
        asked_at=conversation.opened_at,
        at=unit.now,
        deputy=deputy.name if deputy is not None else "",
    )
    message = await _noted(unit, conversation, mail)
    unit.cause = message.id
    await carry_out(unit, conversation, conversation.id, Act(facts=facts, message=message, others=others))
    if deputy is not None:
        await unit.audit("clock", "absence", conversation.ref, "deputy joined", deputy=deputy.address)
    else:
        await unit.audit("clock", "absence", conversation.ref, "requester told")


# -- reminders ----------------------------------------------------------------------------------------------


def _policy(services: Services) -> Timetable:
    settings = services.settings.reminders
    return Timetable(
        timedelta(hours=settings.before_promise_hours), timedelta(hours=settings.before_convention_hours)
    )


async def _remind(services: Services) -> None:
    """Each request that waits for its expert."""
    now = services.clock()
    async with services.store.reading() as tx:
        waiting = await tx.conversations.waiting(State.REQUESTED, now)
    await _each(services, waiting, _remind_of, now)


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
        author=_clock_of(services),
        proposed=Reminded(reminder=kind, others=tuple(card.expert.account.address for card in others)),
    )
    if not decide(conversation, facts, services.rules, unit.now.astimezone(services.zone)).events:
        return
    mail = followup_contexts.Deadline(
        reference=conversation.ref,
        state=conversation.state,
        reminder=kind,
        asked_at=conversation.opened_at,
        at=unit.now,
    )
    message = await _noted(unit, conversation, mail)
    unit.cause = message.id
    act = Act(facts=facts, message=message, only=frozenset({reader}), others=others)
    await carry_out(unit, conversation, conversation.id, act)
    await unit.audit("clock", "remind", conversation.ref, str(kind))


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
