"""Absences that begin while an expert is waited for: the deputy comes, once, or the requester is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import count
from uuid import UUID

import pytest

from config import load
from gateway.pipeline.doors import GatewayDoors
from gateway.pipeline.member_mail import Brought, post_letter
from gateway.pipeline.screening import screen
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.workers.timekeeping import on_the_clock
from teleexpertise.conversation import Conversation
from teleexpertise.events import AnyEvent, Author, Cancelled, ExpertAway, Held, MemberJoined, MemberLeft, Side
from teleexpertise.people import Absence, Account, Expert, NoticeMode, Party
from teleexpertise.placing import Authorship
from teleexpertise.states import State
from tests.support import region
from tests.support.deployment import Deployment, deployed, envelope, mail, mails_to, request
from tests.support.gateway import words_of

DAY = timedelta(days=1)
GP, EXPERT, DEPUTY = region.GP, region.DERMATOLOGIST, region.CARDIOLOGIST
#: Another expert of the specialty, who can be asked instead.
COLLEAGUE = replace(region.CARDIOLOGY, specialties=("Dermatologie",))


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def today(services: Services) -> date:
    return services.clock().astimezone(services.zone).date()


def later(services: Services, days: float) -> Services:
    moment = services.clock() + days * DAY
    return replace(services, clock=lambda: moment)


async def away(services: Services, absence: Absence | None, expert: Expert = region.DERMATOLOGY) -> None:
    """The expert announces an absence, or takes it back."""
    async with services.store.transaction() as tx:
        await tx.experts.put(replace(expert, absence=absence))


async def begins(services: Services, deputy: Account | None = DEPUTY, days: int = 0) -> Absence:
    """An absence of ten days that begins in so many days."""
    first = today(services) + days * DAY
    absence = Absence(starts=first, ends=first + 9 * DAY, deputy=deputy.address if deputy else "")
    await away(services, absence)
    return absence


async def loaded(services: Services, identifier: UUID) -> Conversation:
    async with services.store.reading() as tx:
        found = await Unit(services, tx, services.clock()).load(identifier)
    assert found is not None
    return found


async def happened(services: Services, identifier: UUID, by: Account, *events: AnyEvent) -> None:
    """Something that the record holds, whatever mail it came by."""
    async with services.store.transaction() as tx:
        unit = Unit(services, tx, services.clock())
        message = (await tx.messages.of(identifier))[0]
        conversation = await unit.load(identifier)
        await unit.record(conversation, identifier, events, Author(by.address, by.name), message)


async def writes(services: Services, by: Account, identifier: UUID, subject: str) -> None:
    """A member answers in the conversation."""
    reply = services.book.reply(identifier)
    thread = (await loaded(services, identifier)).thread
    said = mail(by, reply, subject, References=thread[-1])
    await GatewayDoors(services).accept(envelope(by, reply, services.new_id().hex[:16].upper()), said)


async def told_by_document(services: Services, identifier: UUID, words: str) -> None:
    """The requester sends a document whose words are retold to all."""
    reply = services.book.reply(identifier)
    sent = envelope(GP, reply, services.new_id().hex[:16].upper())
    incoming = await screen(services, sent, mail(GP, reply, "Document"))
    async with services.store.transaction() as tx:
        unit = Unit(services, tx, services.clock())
        conversation = await unit.load(identifier)
        assert conversation is not None
        by = Authorship(Author(GP.address, GP.name), Side.REQUESTER)
        message = await unit.store(incoming, identifier)
        await post_letter(unit, incoming, conversation, by, message, brought=Brought(words, ()))


async def subjects(services: Services, address: str) -> list[str]:
    return [str(each["subject"]).partition("] ")[2] for each in await mails_to(services, address)]


REPLACED = "Remplacement de l'expert absent"
ABSENT = "Absence de l'expert sollicité"


def test_the_deputy_joins_on_the_day_with_the_thread_and_all_are_told_once(deployment: Deployment) -> None:
    async def work(services: Services) -> str:
        identifier = await request(services, delay_days=5)
        await writes(services, GP, identifier, "Une precision")
        absence = await begins(services, days=2)
        before = (await subjects(services, EXPERT.address), await subjects(services, GP.address))
        for days in (0, 1):
            await on_the_clock(later(services, days))
        assert (await subjects(services, EXPERT.address), await subjects(services, GP.address)) == before
        for days in (2, 3, 4):
            await on_the_clock(later(services, days))
        conversation = await loaded(services, identifier)
        assert conversation.away == (ExpertAway(absence=absence, deputy=Party.of(DEPUTY)),)
        assert conversation.side(DEPUTY.address) is Side.EXPERT
        assert conversation.state is State.REQUESTED
        copies = await mails_to(services, DEPUTY.address)
        kinds = [str(each["x-tle-event"] or each["subject"]) for each in copies]
        notice = f"[{conversation.ref} - demandée] Remplacement : demande à traiter"
        assert kinds == ["ouverture", "question", "Une precision", "remplacement", notice]
        assert "FAUX" not in words_of(copies[-1])
        told = words_of(copies[3])
        assert f"{EXPERT.name} a annoncé une absence du {absence.starts:%d/%m/%Y}" in told
        assert f"remise à {DEPUTY.name}" in told
        assert "Le délai annoncé par l'expert s'achève le" in told
        assert f"Finaliser {conversation.ref}" in told
        for reader in (GP, EXPERT):
            assert (await subjects(services, reader.address)).count(REPLACED) == 1
        assert (await subjects(services, GP.address))[-1] == "Absence de l'expert"
        # On the expert's side: reminded, and the first answer takes the request up.
        await on_the_clock(later(services, 4.8))
        assert any("en remplacement" in each for each in await subjects(services, DEPUTY.address))
        await writes(services, DEPUTY, identifier, "Mon avis")
        assert (await loaded(services, identifier)).state is State.IN_PROGRESS
        return conversation.ref

    ref = deployment.work(work)
    assert deployment.json("rebuild", "--check")["differences"] == []
    shown = deployment.json("conversation", "show", ref)
    assert [each["kind"] for each in shown["events"]].count("expert_away") == 1
    assert {each["address"]: each["side"] for each in shown["members"]}[DEPUTY.address] == "expert"
    assert [each["deputy"] for each in shown["absences"]] == [DEPUTY.address]
    assert f", deputy {DEPUTY.address}" in deployment.done("conversation", "show", ref)
    explained = deployment.done("explain", ref)
    assert "expert_away" in explained
    assert "remplacement" in explained
    audited = deployment.json("audit", "list", "--limit", "50")
    assert any(line["action"] == "absence" and line["target"] == ref for line in audited)


def test_the_command_line_tells_what_an_absence_finds_waiting(deployment: Deployment) -> None:
    async def asked(services: Services) -> date:
        for answer in (False, False, True):
            await request(services, delay_days=9, answer=answer)
        return today(services)

    first = deployment.work(asked)
    days = (first + DAY, first + 9 * DAY)
    set_ = ("expert", "absence", EXPERT.address, *days)
    passed = f"waiting: 2, which {DEPUTY.address} joins from {days[0]} on, if waiting still"
    assert passed in deployment.done(*set_, "--deputy", DEPUTY.address)
    assert deployment.json(*set_, "--deputy", GP.address)["waiting"] == {"passed_on": 0, "told": 2}
    changed = deployment.done("expert", "set", EXPERT.address, "--deputy", "")
    assert "waiting: 2, whose requesters are told that nobody stands in" in changed
    assert deployment.json("expert", "absence", EXPERT.address)["waiting"] == {"passed_on": 0, "told": 0}


def test_two_timekeepers_and_crashes_let_the_deputy_join_once(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        first, second = [await request(services, delay_days=2) for _ in range(2)]
        await begins(services)

        class Crash(Exception):
            pass

        def crashing(after: int) -> Callable[[], UUID]:
            left = iter(range(after))

            def new_id() -> UUID:
                if next(left, None) is None:
                    raise Crash
                return services.new_id()

            return new_id

        before = await loaded(services, first)
        for after in count():
            try:
                await on_the_clock(replace(services, new_id=crashing(after)))
                break
            except Crash:
                found = await loaded(services, first)
                assert found == before or len(found.away) == 1
        await asyncio.gather(on_the_clock(services), on_the_clock(services))
        for identifier in (first, second):
            assert len((await loaded(services, identifier)).away) == 1
        assert (await subjects(services, DEPUTY.address)).count(REPLACED) == 2
        assert after > 2

    deployment.work(work)
    assert deployment.json("rebuild", "--check")["differences"] == []


def test_an_absence_withdrawn_shortened_or_over_concerns_nobody(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        identifier = await request(services, delay_days=6)
        absence = await begins(services, days=2)
        await away(services, None)
        await on_the_clock(later(services, 3))
        await away(services, replace(absence, starts=absence.starts + 3 * DAY))
        await on_the_clock(later(services, 4))
        await away(services, absence)
        await on_the_clock(later(services, 12))
        assert (await loaded(services, identifier)).away == ()
        assert await subjects(services, DEPUTY.address) == []

    deployment.work(work)


def test_conversations_that_wait_for_nobody_of_the_expert_are_left_alone(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        held, answered, asked_again, cancelled, opened_so, removed = [
            await request(services, delay_days=6, answer=answer)
            for answer in (False, True, True, False, False, False)
        ]
        asks = Held(reason="demande de l'expert", asked=("Photographie nette",))
        await happened(services, held, EXPERT, asks)
        await writes(services, GP, asked_again, "Encore une question")
        await happened(services, cancelled, GP, Cancelled(reason="Vu en consultation."))
        joined = MemberJoined(party=Party.of(DEPUTY))
        await happened(services, opened_so, GP, joined)
        await happened(services, removed, GP, joined, MemberLeft(address=DEPUTY.address))
        await begins(services)
        await on_the_clock(services)
        noted = [
            each
            for each in (held, answered, asked_again, cancelled, opened_so, removed)
            if (await loaded(services, each)).away
        ]
        assert noted == [held, asked_again]
        # The requester writes during the absence: now the answered one waits as well.
        await writes(services, GP, answered, "Une question de plus")
        await on_the_clock(services)
        assert len((await loaded(services, answered)).away) == 1

    deployment.work(work)


def test_a_deputy_who_asked_gets_nothing_and_is_told_who_else_could_be_asked(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.experts.put(COLLEAGUE)
        identifier = await request(services, delay_days=2)
        absence = await begins(services, deputy=GP)
        for days in (0, 1):
            await on_the_clock(later(services, days))
        # The same absence, longer by now: it was told.
        await away(services, replace(absence, ends=absence.ends + 9 * DAY))
        await on_the_clock(later(services, 1.1))
        conversation = await loaded(services, identifier)
        (noted,) = conversation.away
        assert (noted.deputy, noted.others) == (None, (COLLEAGUE.account.address,))
        assert conversation.side(GP.address) is Side.REQUESTER
        assert {party.address for party in conversation.active()} == {GP.address, EXPERT.address}
        (told,) = [
            words_of(each) for each in await mails_to(services, GP.address) if ABSENT in each["subject"]
        ]
        assert f"au {absence.ends:%d/%m/%Y}" in told
        assert "Le remplaçant désigné étant l'auteur de la demande" in told
        assert f"Nouvelle téléexpertise {COLLEAGUE.account.address}" in told
        assert ABSENT not in await subjects(services, EXPERT.address)
        # A deputy named for the rest of it comes.
        await away(services, replace(absence, deputy=DEPUTY.address))
        await on_the_clock(later(services, 2))
        assert (await loaded(services, identifier)).member(DEPUTY.address)

    deployment.work(work)
    assert deployment.json("rebuild", "--check")["differences"] == []


@pytest.mark.parametrize("suspended", [False, True])
def test_without_anybody_to_stand_in_the_requester_is_told(deployment: Deployment, suspended: bool) -> None:
    async def work(services: Services) -> None:
        await request(services, delay_days=2)
        await begins(services, deputy=DEPUTY if suspended else None)
        if suspended:
            async with services.store.transaction() as tx:
                await tx.accounts.save(replace(DEPUTY, active=False))
        await on_the_clock(services)
        (told,) = [
            words_of(each) for each in await mails_to(services, GP.address) if ABSENT in each["subject"]
        ]
        assert "Aucun remplaçant ne pouvant la recevoir" in told
        assert "ne connaît pas d'autre expert" in told

    deployment.work(work)


def test_what_the_deputy_gets_is_the_thread_and_none_of_what_was_the_experts_alone(
    deployment: Deployment,
) -> None:
    async def work(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.accounts.save(replace(EXPERT, notice=NoticeMode.INBOX))
            await tx.accounts.save(replace(DEPUTY, notice=NoticeMode.DIGEST))
        identifier = await request(services, delay_days=2)
        await on_the_clock(later(services, 1.9))
        await writes(services, EXPERT, identifier, "Je regarde")
        await told_by_document(services, identifier, "Compte rendu de biologie.")
        async with services.store.transaction() as tx:
            document = (await loaded(services, identifier)).exchanges[-1].message
            unit = Unit(services, tx, services.clock())
            await unit.job("file", "file:document", recipient=EXPERT.address, message=document)
        await begins(services)
        await on_the_clock(services)
        copies = await mails_to(services, DEPUTY.address)
        assert [str(each["x-tle-event"] or each["subject"])[:12] for each in copies] == [
            "ouverture", "question", "Je regarde", "message", "remplacement", "[TLE-2026-00",
        ]  # fmt: skip
        assert "Compte rendu de biologie." in words_of(copies[3])
        async with services.store.reading() as tx:
            rows = [
                row
                for row in await tx.outbox.list(conversation_id=identifier)
                if row.recipient == DEPUTY.address
            ]
        assert [row.action for row in rows] == ["deliver"] * 4 + ["tag"] + ["deliver"] * 2
        names = [name for row in rows for name, _ in row.payload.get("fields", ())]
        assert "X-TLE-Event" in names
        assert not {"X-TLE-Place", "X-TLE-Copy"} & set(names)

    deployment.work(work)


def test_deputies_in_a_circle_join_and_the_requester_hears_that_they_are_away(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.experts.put(COLLEAGUE)
        identifier = await request(services, delay_days=2)
        absence = await begins(services)
        own = Expert(account=DEPUTY, description="Avis", absence=replace(absence, deputy=EXPERT.address))
        await away(services, own.absence, own)
        for days in (0, 1):
            await on_the_clock(later(services, days))
        (noted,) = (await loaded(services, identifier)).away
        assert (noted.deputy, noted.deputy_until) == (Party.of(DEPUTY), absence.ends)
        (told,) = [
            words_of(each) for each in await mails_to(services, GP.address) if REPLACED in each["subject"]
        ]
        assert f"{DEPUTY.name} a également annoncé une absence, jusqu'au {absence.ends:%d/%m/%Y}" in told
        assert f"Nouvelle téléexpertise {COLLEAGUE.account.address}" in told

    deployment.work(work)


def test_a_second_absence_with_another_deputy_adds_them_to_the_first(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        identifier = await request(services, delay_days=30)
        await begins(services)
        await on_the_clock(services)
        await away(services, replace(await begins(services, days=20), deputy=region.NURSE.address))
        await on_the_clock(later(services, 21))
        conversation = await loaded(services, identifier)
        assert [party.address for party in conversation.deputies] == [DEPUTY.address, region.NURSE.address]
        assert conversation.deputy == Party.of(region.NURSE)
        assert conversation.member(DEPUTY.address), "the end of an absence changes nothing"
        assert {conversation.side(each.address) for each in conversation.deputies} == {Side.EXPERT}

    deployment.work(work)


def test_rules_switched_off_note_nothing(deployment: Deployment) -> None:
    rules = deployment.path.parent / "rules.toml"
    rules.write_text("[rules.remplacement]\nenabled = false\n")
    text = deployment.path.read_text("utf-8").replace("[rules]\n", "")
    deployment.path.write_text(f'{text}\n[rules]\nfile = "{rules}"\n', "utf-8")

    async def work(services: Services) -> None:
        identifier = await request(services, delay_days=2)
        await begins(services)
        await on_the_clock(services)
        assert (await loaded(services, identifier)).away == ()

    replace(deployment, settings=load(deployment.path)).work(work)
