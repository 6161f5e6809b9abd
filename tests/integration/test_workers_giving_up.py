"""What is told of an action that is given up, to whom, and that it ends there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from gateway.services import Services
from gateway.store.rows import OutboxRow, OutboxState
from gateway.workers.failure import ActionFailed
from gateway.workers.giving_up import GivingUp
from tests.support import region
from tests.support.deployment import Deployment, Played, deployed, play
from tests.support.gateway import read, words_of

FAILURE = ActionFailed("4.3.0", "the process that made the report died", permanent=False)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


@pytest.fixture(scope="module")
def played(deployment: Deployment) -> Played:
    return deployment.work(play)


async def told_of(services: Services, given_up: OutboxRow) -> list[tuple[OutboxRow, str]]:
    """Deliveries that come of giving up one action, with the words of their mails."""
    async with services.store.transaction() as tx:
        before = {row.id for row in await tx.outbox.list(list(OutboxState))}
        await GivingUp(services).tell(tx, given_up, FAILURE)
    found = []
    async with services.store.reading() as tx:
        for row in await tx.outbox.list(list(OutboxState)):
            if row.id not in before:
                assert row.message_id is not None
                raw = await tx.messages.get_raw(row.message_id)
                assert raw is not None
                mail = read(raw)
                found.append((row, f"{mail['subject']} {words_of(mail)}"))
    return found


def given_up(played: Played, action: str, recipient: str, now: Any, **payload: Any) -> OutboxRow:
    return OutboxRow(
        id=uuid4(),
        key=str(uuid4()),
        action=action,
        recipient=recipient,
        first_at=now,
        next_at=now,
        conversation_id=played.conversation,
        message_id=played.request,
        payload=payload,
    )


@pytest.mark.parametrize(
    ("action", "recipient", "reader", "words"),
    [
        ("synthesis", region.GP, region.GP, "La synthèse de la téléexpertise"),
        ("make_report", None, region.DERMATOLOGIST, "n'a pas pu être établi"),
        ("file", region.GP, region.DERMATOLOGIST, f"dans le dossier du patient de {region.GP.name}"),
    ],
)
def test_who_waits_for_it_is_told_once(
    deployment: Deployment, played: Played, action: str, recipient: Any, reader: Any, words: str
) -> None:
    async def give_up(services: Services) -> list[tuple[OutboxRow, str]]:
        address = recipient.address if recipient else ""
        row = given_up(played, action, address, services.clock(), name="", in_reply_to="<a@b.example>")
        found = await told_of(services, row)
        ((delivery, _),) = found
        assert await told_of(services, delivery) == [], "of its own failure nobody is told"
        return found

    ((delivery, said),) = deployment.work(give_up)
    assert (delivery.action, delivery.recipient, delivery.mail_from) == ("deliver", reader.address, "")
    assert words in said
    assert played.ref in said


def test_who_said_whose_a_document_is_hears_that_it_is_in_no_folder(
    deployment: Deployment, played: Played
) -> None:
    async def give_up(services: Services) -> list[tuple[OutboxRow, str]]:
        about = {"login": region.SECRETARY.address, "name": "", "in_reply_to": "<a@b.example>"}
        now = services.clock()
        row = given_up(played, "file_document", region.GP.address, now, subject="Bilan", **about)
        return await told_of(services, row)

    ((delivery, said),) = deployment.work(give_up)
    assert (delivery.action, delivery.recipient) == ("deliver", region.SECRETARY.address)
    assert "Document non classé" in said
    assert "« Bilan »" in said


def test_of_a_keyword_nobody_is_told(deployment: Deployment, played: Played) -> None:
    async def give_up(services: Services) -> list[tuple[OutboxRow, str]]:
        return await told_of(services, given_up(played, "tag", region.GP.address, services.clock()))

    assert deployment.work(give_up) == []
