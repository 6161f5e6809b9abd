"""Loads a planned year into a store through the domain: each moment is decided by the rules and recorded with
its message, as a mail's is. What is bypassed is SMTP, MIME and what would be written and delivered after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from uuid import UUID

from gateway.pipeline import acts
from gateway.pipeline.consequences import settle
from gateway.pipeline.unit import Unit
from gateway.register import patient_of
from gateway.services import Services
from gateway.store.rows import Direction, MessageRow
from teleexpertise.conversation import Conversation
from teleexpertise.events import (
    AnyEvent,
    Author,
    Cancelled,
    Completed,
    Declined,
    Exchanged,
    Held,
    Opened,
    Reminded,
    Side,
)
from teleexpertise.facts import Facts, Trigger
from teleexpertise.people import Account, Expert, Party
from teleexpertise.reminding import Timetable, reminder_due
from tests.year.entering import account_of, enter_members, enter_patients, expert_of, patient_of_plan
from tests.year.plan import PARIS, Act, Case, Closing, Moment, Year

__all__ = ["Player", "seeded"]

#: Moments of one transaction: a flush to disk for each would be most of the time.
_TOGETHER = 200
_PATIENTS_TOGETHER = 1000


def seeded(services: Services, year: Year) -> Services:
    """The same parts with a clock that stands at the year's end, and identifiers from the year's seed."""
    chance = Random(f"identifiers of {year.year}/{year.seed}")
    return replace(
        services,
        clock=lambda: datetime(year.year + 1, 6, 1, tzinfo=UTC),
        new_id=lambda: UUID(int=chance.getrandbits(128), version=4),
    )


@dataclass(slots=True)
class Player:
    """Plays a year. ``refs`` are the references that were given, by the number of the case; ``moments`` how
    many were played.
    """

    services: Services
    year: Year
    refs: dict[int, str] = field(default_factory=dict)
    moments: int = 0
    _open: dict[int, Conversation] = field(default_factory=dict)
    _accounts: dict[str, Account] = field(default_factory=dict)
    _experts: dict[str, Expert] = field(default_factory=dict)

    async def enter(self) -> None:
        """The people, before anything happens."""
        year = self.year
        self._accounts = {member.address: account_of(member) for member in year.members}
        self._experts = {
            adviser.address: expert_of(adviser, self._accounts[adviser.address]) for adviser in year.advisers
        }
        now = datetime(year.year, 1, 1, tzinfo=PARIS) - timedelta(days=30)
        async with self.services.store.transaction() as tx:
            await enter_members(tx, year, now)
        for start in range(0, len(year.patients), _PATIENTS_TOGETHER):
            async with self.services.store.transaction() as tx:
                await enter_patients(tx, year.patients[start : start + _PATIENTS_TOGETHER], now)

    async def play(self, moments: Sequence[Moment], tell: Callable[[int], None] | None = None) -> None:
        """Let these happen, in their order; ``tell`` hears how many have so far."""
        for start in range(0, len(moments), _TOGETHER):
            some = moments[start : start + _TOGETHER]
            async with self.services.store.transaction() as tx:
                unit = Unit(self.services, tx, some[0].at)
                for moment in some:
                    unit.now = moment.at.astimezone(UTC)
                    await self._happens(unit, self.year.cases[moment.case], moment)
            self.moments += len(some)
            if tell is not None:
                tell(self.moments)

    async def _happens(self, unit: Unit, case: Case, moment: Moment) -> None:
        requester, expert = self._author(case.requester, case.by), self._author(case.expert)
        match moment.act:
            case Act.OPEN:
                await self._opens(unit, case)
            case Act.CLOSE:
                await self._closes(unit, case, case.closings[moment.step - 1 - len(case.acts)])
            case Act.CLOCK:
                await self._reminds(unit, case)
            case Act.DECLINE:
                await self._expert_does(unit, case, Trigger.DECLINE, expert, Declined(reason="Hors champ."))
            case Act.ASK:
                asked = Held(reason="expert", asked=("Le dernier bilan",))
                await self._expert_does(unit, case, Trigger.ASK, expert, asked)
            case Act.CANCEL:
                facts = Facts(
                    trigger=Trigger.CANCEL,
                    author=requester,
                    proposed=Cancelled(reason="Le patient a été vu entre-temps."),
                )
                await self._does(unit, case, facts)
            case Act.ANSWER:
                written = Exchanged(side=Side.EXPERT)
                await self._expert_does(unit, case, Trigger.MESSAGE, expert, written)
            case Act.BRING | Act.RETURN:
                images = 2 if moment.act is Act.BRING else 0
                written = Exchanged(side=Side.REQUESTER, images=images)
                await self._does(
                    unit, case, Facts(trigger=Trigger.MESSAGE, author=requester, proposed=written)
                )

    def _author(self, account: str, by: str = "") -> Author:
        """Who writes, and for whom where that is a delegate."""
        writer = self._accounts[by or account]
        if writer.address == account:
            return Author(account, writer.name)
        return Author(writer.address, writer.name, account, self._accounts[account].name)

    # -- what can happen

    async def _opens(self, unit: Unit, case: Case) -> None:
        expert = self._experts[case.expert]
        person = None if case.patient is None else self.year.patients[case.patient]
        requester = Party.of(self._accounts[case.requester])
        opening = Opened(
            ref="",
            requester=replace(requester, billing_number=case.requester_number),
            expert=Party.of(expert.account),
            patient=patient_of_plan(person),
            question=case.question,
            urgency=case.urgency,
            delay_days=expert.delay_days,
            specialties=expert.specialties,
            items=expert.items,
            images=case.pictures,
            insured_number=case.insured_number,
        )
        author = self._author(case.requester, case.by)
        identifier = unit.services.new_id()
        message = await self._message(unit, author, "Nouvelle demande", case.question, identifier, new=True)
        facts = Facts(
            trigger=Trigger.REQUEST,
            author=author,
            proposed=opening,
            tool_url=expert.tool_url,
            allows_anonymous=opening.patient.anonymous,
        )
        _, conversation = await settle(unit, None, identifier, facts, message)
        if conversation is None:
            return
        await unit.tx.messages.place(message.id, identifier)
        await patient_of(unit.tx, conversation, unit.now)
        await unit.audit(author.address, "accept", str(message.id), f"opened {conversation.ref}")
        self._keep(case, conversation)

    def _keep(self, case: Case, conversation: Conversation) -> None:
        self._open[case.number] = conversation
        self.refs[case.number] = conversation.ref

    async def _reminds(self, unit: Unit, case: Case) -> None:
        settings = unit.services.settings.reminders
        policy = Timetable(
            timedelta(hours=settings.before_promise_hours),
            timedelta(hours=settings.before_convention_hours),
        )
        kind = reminder_due(self._open[case.number], policy, unit.now)
        if kind is not None:
            clock = Author(unit.services.book.service, unit.services.settings.service.display_name)
            facts = Facts(trigger=Trigger.REMINDER, author=clock, proposed=Reminded(reminder=kind))
            await self._does(unit, case, facts)

    async def _closes(self, unit: Unit, case: Case, closing: Closing) -> None:
        requester = Party.of(self._accounts[closing.requester])
        expert = Party.of(self._accounts[closing.expert])
        said = Completed(
            requester=replace(requester, billing_number=closing.requester_number),
            expert=replace(expert, billing_number=closing.expert_number),
            conclusion=closing.conclusion,
            outcome=closing.outcome,
            cumulated=closing.cumulated,
            level=closing.level,
            listed_patient=closing.listed,
            addressees=(requester.address, expert.address),
            requester_place=await acts.place(unit, requester),
            expert_place=await acts.place(unit, expert),
        )
        said = replace(said, billed=acts.billed(await acts.rated(unit, self._open[case.number], said)))
        author = self._author(case.expert, closing.by)
        await self._expert_does(unit, case, Trigger.FINALISE, author, said)

    async def _expert_does(
        self, unit: Unit, case: Case, trigger: Trigger, author: Author, event: AnyEvent
    ) -> None:
        facts = Facts(trigger=trigger, author=author, proposed=event, side=Side.EXPERT)
        await self._does(unit, case, facts)

    async def _does(self, unit: Unit, case: Case, facts: Facts) -> None:
        """Decide on what happens in an open conversation. Raises ``ValueError`` where the table forbids it: a
        plan holds nothing that could not be.
        """
        before = self._open[case.number]
        message = await self._message(unit, facts.author, f"[{before.ref}]", facts.trigger, before.id)
        decision, after = await settle(unit, before, before.id, facts, message)
        if decision.conflict or after is None:
            raise ValueError(f"{before.ref}: {facts.trigger} is refused in {decision.before}")
        await unit.audit(facts.author.address, "accept", str(message.id), str(facts.trigger))
        self._keep(case, after)

    async def _message(
        self, unit: Unit, author: Author, subject: str, text: str, conversation: UUID, *, new: bool = False
    ) -> MessageRow:
        """The mail that holds the event: short, but one that a reader of mails reads."""
        identifier = unit.services.new_id()
        mail_id = f"<{identifier}@{unit.services.settings.service.domain}>"
        body = f"{text}\r\n".encode()
        head = (
            f"From: {author.address}\r\nTo: {unit.services.book.reply(conversation)}\r\n"
            f"Subject: {subject}\r\n"
            f"Date: {unit.now:%a, %d %b %Y %H:%M:%S +0000}\r\nMessage-ID: {mail_id}\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        )
        raw = head.encode() + body
        row = MessageRow(
            id=identifier,
            sha256=sha256(raw).hexdigest(),
            mail_id=mail_id,
            sender=author.address,
            body_sha256=sha256(body).hexdigest(),
            direction=Direction.RECEIVED,
            received_at=unit.now,
            size=len(raw),
            conversation_id=None if new else conversation,
        )
        await unit.tx.messages.add(row, raw)
        return row
