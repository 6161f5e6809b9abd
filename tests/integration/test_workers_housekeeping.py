"""Housekeeping: what is forgotten when its time has come, what stays, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store.rows import HeldRow, HeldState, MessageRow, OutboxState
from gateway.workers.housekeeping import tidy_up
from teleexpertise.events import Author, Declined
from tests.support import region
from tests.support.deployment import Deployment, Played, deployed, play
from tests.support.gateway import read, words_of

DAY = timedelta(days=1)


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


@pytest.fixture
def played(deployment: Deployment) -> Played:
    return deployment.work(play)


def after(services: Services, days: float) -> Services:
    """The same services, so many days later."""
    now = services.clock() + DAY * days
    return replace(services, clock=lambda: now)


async def _stored(services: Services, conversation: UUID) -> list[MessageRow]:
    async with services.store.reading() as tx:
        return [row for row in await tx.messages.of(conversation) if not row.purged]


async def _decline(services: Services, played: Played) -> None:
    async with services.store.transaction() as tx:
        unit = Unit(services, tx, services.clock())
        conversation = await unit.load(played.conversation)
        message = await tx.messages.get(played.request)
        assert conversation is not None
        assert message is not None
        author = Author(region.DERMATOLOGIST.address, region.DERMATOLOGIST.name)
        await unit.record(
            conversation, conversation.id, [Declined(reason="Autre spécialité")], author, message
        )
        for row in await tx.outbox.list(limit=1000):
            await tx.outbox.done(row, unit.now)


def test_octets_of_a_closed_conversation_end_with_their_retention(
    deployment: Deployment, played: Played
) -> None:
    days = deployment.settings.retention.messages_days

    async def work(services: Services) -> tuple[list[MessageRow], ...]:
        await tidy_up(after(services, days + 1))
        still_open = await _stored(services, played.conversation)
        await _decline(services, played)
        await tidy_up(after(services, days - 1))
        not_yet = await _stored(services, played.conversation)
        await tidy_up(after(services, days + 1))
        return still_open, not_yet, await _stored(services, played.conversation)

    still_open, not_yet, left = deployment.work(work)
    assert still_open == not_yet != []
    assert left == []
    assert deployment.json("rebuild", "--check")["differences"] == []
    assert deployment.json("audit", "verify")["holds"]


def test_what_is_still_to_be_delivered_is_never_purged(deployment: Deployment, played: Played) -> None:
    async def work(services: Services) -> set[UUID | None]:
        await _decline(services, played)
        async with services.store.transaction() as tx:
            row = (await tx.outbox.list(list(OutboxState), limit=1))[0]
            released = await tx.outbox.release(row.id, services.clock())
            assert not released, "it was done"
            await tx.outbox.put(
                [replace(row, id=uuid4(), key="again", state=OutboxState.PENDING, attempts=0)]
            )
        await tidy_up(after(services, 20_000))
        async with services.store.reading() as tx:
            kept = [m for m in await tx.messages.of(played.conversation) if not m.purged]
        assert {m.id for m in kept} <= {row.message_id}
        async with services.store.reading() as tx:
            assert row.message_id is not None
            assert await tx.messages.get_raw(row.message_id) is not None
        return {row.message_id}

    assert deployment.work(work)


def test_a_letter_that_nobody_confirms_is_dropped_and_its_author_told_once(
    deployment: Deployment, played: Played
) -> None:
    days = deployment.settings.conversation.held_days

    async def told(services: Services) -> list[str]:
        async with services.store.reading() as tx:
            rows = await tx.outbox.list(limit=1000)
            written = [(row, await tx.messages.get(row.message_id)) for row in rows if row.message_id]
            mails = [
                read(await tx.messages.get_raw(message.id) or b"")
                for row, message in written
                if message and message.cause_id == played.request and row.recipient == region.GP.address
            ]
        return [words_of(mail) for mail in mails if "n'a pas été remis" in str(mail["subject"])]

    async def work(services: Services) -> tuple[list[str], HeldState, list[str], HeldState, list[str]]:
        held = HeldRow(
            id=uuid4(),
            conversation_id=played.conversation,
            author=region.GP.address,
            message_id=played.request,
            created_at=services.clock(),
        )
        async with services.store.transaction() as tx:
            await tx.held.add(held)
        found = []
        for later in (days - 1, days + 1, days + 2):
            await tidy_up(after(services, later))
            async with services.store.reading() as tx:
                row = await tx.held.get(held.id)
            assert row is not None
            found.append((await told(services), row.state))
        (early, waiting), (once, dropped), (again, _) = found
        return early, waiting, once, dropped, again

    early, waiting, once, dropped, again = deployment.work(work)
    assert (early, waiting) == ([], HeldState.HELD)
    assert dropped is HeldState.DROPPED
    assert len(once) == 1
    assert played.ref in once[0]
    assert "avis" in once[0], "the author's own subject says which mail it was"
    assert again == once
