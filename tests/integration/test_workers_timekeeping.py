"""What the clock causes: reminders and the alert, each once; daily digests, of which nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from config import load
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.workers.timekeeping import last_digest_hour, on_the_clock
from teleexpertise.conversation import Conversation
from teleexpertise.events import Author, Declined, MemberLeft, Reminded, ReminderKind
from teleexpertise.people import Absence, NoticeMode
from tests.support import region
from tests.support.deployment import Deployment, deployed, mails_to, request
from tests.support.gateway import html_of, words_of

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def later(services: Services, wait: timedelta) -> Services:
    """The same services, so much later."""
    return at(services, services.clock() + wait)


def at(services: Services, moment: datetime) -> Services:
    """The same services at a moment."""
    return replace(services, clock=lambda: moment)


async def loaded(services: Services, identifier: UUID) -> Conversation:
    async with services.store.transaction() as tx:
        found = await Unit(services, tx, services.clock()).load(identifier)
    assert found is not None
    return found


async def subjects(services: Services, address: str, *words: str) -> list[str]:
    found = [str(mail["subject"]) for mail in await mails_to(services, address)]
    return [subject for subject in found if any(word in subject for word in words)]


def test_expert_then_requester_are_told_each_once(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        gp, expert = region.GP.address, region.DERMATOLOGIST.address
        other = replace(region.CARDIOLOGY, specialties=("dermatologie",), delay_days=3)
        async with services.store.transaction() as tx:
            await tx.experts.put(other)
        identifier = await request(services, delay_days=2)
        reminded = []
        for wait in (
            HOUR,
            35 * HOUR,
            37 * HOUR,
            38 * HOUR,
            5 * DAY,
            6.1 * DAY,
            6.5 * DAY,
            7.1 * DAY,
            30 * DAY,
        ):
            await on_the_clock(later(services, wait))
            reminded.append(len((await loaded(services, identifier)).reminded))
        assert reminded == [0, 0, 1, 1, 1, 2, 2, 3, 3]
        conversation = await loaded(services, identifier)
        assert conversation.reminded == tuple(ReminderKind)
        assert len(await subjects(services, expert, "Rappel : réponse attendue")) == 2
        assert await subjects(services, gp, "Rappel : réponse attendue") == []
        (alert,) = await subjects(services, gp, "restée sans réponse")
        assert region.SERVICE.name not in alert
        assert await subjects(services, expert, "restée sans réponse") == []
        (mail,) = [m for m in await mails_to(services, gp) if "restée sans réponse" in str(m["subject"])]
        assert region.SERVICE.name in words_of(mail)
        assert "3 jours" in words_of(mail)
        assert f"Nouvelle téléexpertise {region.SERVICE.address}" in words_of(mail)
        assert "mailto:" in html_of(mail)
        async with services.store.reading() as tx:
            events = [
                record for record in await tx.events.of(identifier) if isinstance(record.event, Reminded)
            ]
            for record in events:
                message = await tx.messages.get_raw(record.message)
                assert message is not None
                assert b"application/pkcs7-signature" in message, "the record is a signed message"
        last = events[-1].event
        assert isinstance(last, Reminded)
        assert last.others == (region.SERVICE.address,)

    deployment.work(work)
    assert deployment.json("rebuild", "--check")["differences"] == []


def test_a_conversation_that_cannot_be_read_holds_up_no_other(
    deployment: Deployment, capfd: pytest.CaptureFixture[str]
) -> None:
    async def work(services: Services) -> None:
        broken, whole = await request(services, delay_days=2), await request(services, delay_days=2)
        deployment.damage("UPDATE event SET payload = '{}' WHERE conversation_id = ?", broken.hex)
        await on_the_clock(later(services, 37 * HOUR))
        assert len((await loaded(services, whole)).reminded) == 1
        assert str(broken) in capfd.readouterr().err, "the operator is told which"

    deployment.work(work)


def test_an_absent_experts_deputy_is_reminded_beside_the_expert(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        expert, deputy, gp = (each.address for each in (region.DERMATOLOGIST, region.CARDIOLOGIST, region.GP))
        today = services.clock().astimezone(services.zone).date()
        away = Absence(starts=today, ends=today + 9 * DAY, deputy=deputy)
        identifier = await request(services, delay_days=2, absence=away, deputy=region.CARDIOLOGIST)
        for days in (1.9, 6.5, 7.1):
            await on_the_clock(later(services, days * DAY))
        assert len(await subjects(services, deputy, "Rappel : réponse attendue en remplacement")) == 2
        assert await subjects(services, expert, "en remplacement") == []
        assert len(await subjects(services, expert, "Rappel : réponse attendue")) == 2
        notices = [m for m in await mails_to(services, deputy) if str(m["subject"]).endswith("] Rappel")]
        assert len(notices) == 2
        told = words_of(
            next(m for m in await mails_to(services, deputy) if "en remplacement" in str(m["subject"]))
        )
        assert f"Vous remplacez {region.DERMATOLOGIST.name}" in told
        assert f"{away.ends:%d/%m/%Y}" in told
        assert await subjects(services, deputy, "restée sans réponse") == []
        assert len(await subjects(services, gp, "restée sans réponse")) == 1
        conversation = await loaded(services, identifier)
        assert conversation.reminded == tuple(ReminderKind)
        async with services.store.reading() as tx:
            rows = [row for row in await tx.decisions.of(identifier) if row.trigger == "reminder"]
        fired = [{line[0] for line in row.trace if line[1]} for row in rows]
        assert fired == [{"rappel", "rappel-remplacant"}] * 2 + [{"sans-reponse"}]

    deployment.work(work)
    assert deployment.json("rebuild", "--check")["differences"] == []


def test_a_deputy_who_left_is_reminded_of_nothing(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        deputy, today = region.CARDIOLOGIST, services.clock().date()
        away = Absence(starts=today, ends=today + 9 * DAY, deputy=deputy.address)
        identifier = await request(services, delay_days=2, absence=away, deputy=deputy)
        async with services.store.transaction() as tx:
            unit = Unit(services, tx, services.clock())
            conversation = await unit.load(identifier)
            message = (await tx.messages.of(identifier))[0]
            author = Author(region.GP.address, region.GP.name)
            await unit.record(conversation, identifier, [MemberLeft(address=deputy.address)], author, message)
        await on_the_clock(later(services, 1.9 * DAY))
        assert await subjects(services, deputy.address, "Rappel") == []
        assert len(await subjects(services, region.DERMATOLOGIST.address, "Rappel : réponse attendue")) == 1

    deployment.work(work)


def test_an_expert_who_is_away_is_not_proposed_in_place_of_another(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        today = services.clock().astimezone(services.zone).date()
        away = Absence(starts=today, ends=today + 30 * DAY)
        other = replace(region.CARDIOLOGY, specialties=("dermatologie",), absence=away)
        async with services.store.transaction() as tx:
            await tx.experts.put(other)
        await request(services, delay_days=2)
        await on_the_clock(later(services, 8 * DAY))
        (alert,) = [m for m in await mails_to(services, region.GP.address) if "restée" in str(m["subject"])]
        assert "ne connaît pas d'autre expert" in words_of(alert)

    deployment.work(work)


def test_what_was_missed_is_not_told_late_and_an_alert_needs_no_reminder(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        identifier = await request(services, delay_days=2)
        await on_the_clock(later(services, 8 * DAY))
        conversation = await loaded(services, identifier)
        assert conversation.reminded == (ReminderKind.ALERT,)
        (alert,) = [
            mail
            for mail in await mails_to(services, region.GP.address)
            if "restée sans réponse" in str(mail["subject"])
        ]
        assert "ne connaît pas d'autre expert" in words_of(alert)

    deployment.work(work)


def test_an_answer_or_a_closing_stops_the_clock(deployment: Deployment) -> None:
    async def work(services: Services) -> None:
        answered = await request(services, delay_days=2, answer=True)
        declined = await request(services, delay_days=2)
        async with services.store.transaction() as tx:
            unit = Unit(services, tx, services.clock())
            conversation = await unit.load(declined)
            assert conversation is not None
            message = (await tx.messages.of(declined))[0]
            author = Author(region.DERMATOLOGIST.address, region.DERMATOLOGIST.name)
            await unit.record(conversation, declined, [Declined(reason="Autre")], author, message)
        for days in (2, 6.5, 9):
            await on_the_clock(later(services, days * DAY))
        for identifier in (answered, declined):
            assert (await loaded(services, identifier)).reminded == ()

    deployment.work(work)


def test_rules_switched_off_write_nothing(deployment: Deployment) -> None:
    rules = deployment.path.parent / "rules.toml"
    rules.write_text("[rules.rappel]\nenabled = false\n[rules.sans-reponse]\nenabled = false\n")
    deployment.path.write_text(
        deployment.path.read_text("utf-8").replace("[rules]\n", "") + f'\n[rules]\nfile = "{rules}"\n',
        "utf-8",
    )

    async def work(services: Services) -> tuple[int, int]:
        identifier = await request(services, delay_days=2)

        async def count() -> int:
            async with services.store.reading() as tx:
                return len(await tx.messages.of(identifier))

        before = await count()
        await on_the_clock(later(services, 8 * DAY))
        return before, await count()

    before, after = replace(deployment, settings=load(deployment.path)).work(work)
    assert before == after


async def _prefers(services: Services, address: str, mode: NoticeMode) -> None:
    async with services.store.transaction() as tx:
        account = await tx.accounts.get(address)
        assert account is not None
        await tx.accounts.save(replace(account, notice=mode))


def test_a_digest_tells_once_a_day_what_single_notices_would(deployment: Deployment) -> None:
    expert, gp = region.DERMATOLOGIST.address, region.GP.address
    notices = ("Nouvelle demande", "Nouvelle réponse")

    async def before(services: Services) -> str:
        for address in (expert, gp):
            await _prefers(services, address, NoticeMode.DIGEST)
        first = await loaded(services, await request(services, delay_days=2))
        second = await loaded(services, await request(services, delay_days=2, answer=True))
        assert await subjects(services, expert, *notices) == []
        assert len(await subjects(services, gp, "Nouvelle réponse")) == 1, "who asked is told at once"
        return f"{first.ref} {second.ref}"

    refs = deployment.work(before).split()

    async def after(services: Services) -> None:  # another process: nothing was kept in memory
        zone, hour = services.zone, services.settings.reminders.digest_hour
        now = services.clock()
        boundary = last_digest_hour(now.astimezone(zone), hour)
        await on_the_clock(at(services, now))
        assert await subjects(services, expert, "résumé du jour") == [], "nothing is older than the hour"
        for wait in (DAY, DAY + HOUR, 2 * DAY):
            await on_the_clock(at(services, boundary + wait))
            (subject,) = await subjects(services, expert, "résumé du jour")
        assert "(2 nouvelles)" in subject
        (mail,) = [m for m in await mails_to(services, expert) if "résumé du jour" in str(m["subject"])]
        for ref in refs:
            assert ref in words_of(mail)
            assert ref not in subject
        assert "FAUX" not in words_of(mail)
        assert mail["auto-submitted"] == "auto-generated"

    deployment.work(after)
