"""What the news to another gateway says of a patient: to whose side it is, and never what came encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.pipeline.peer_news import tell_peers
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store import Transaction
from teleexpertise.conversation import Conversation
from teleexpertise.people import Party
from teleexpertise.told import TOLD_FILENAME, Told, read_told
from tests.support.deployment import Deployment, deployed, request
from tests.support.gateway import read
from tests.support.threads import attachments

PEER = "voisin.mssante.example"
GUEST = Party(f"l.chany@{PEER}", "Dr Louise CHANY", local=False)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


async def told(services: Services, tx: Transaction, conversation: Conversation) -> Told:
    """What the news about a conversation tells the peer now; nothing of it is kept."""
    unit = Unit(services, tx, services.clock())
    await tx.peers.learn(PEER, f"teleexpertise@{PEER}", unit.now)
    before = {row.id for row in await tx.outbox.list(limit=1000)}
    await tell_peers(unit, conversation, also=[GUEST])
    (row,) = [row for row in await tx.outbox.list(limit=1000) if row.id not in before]
    assert row.recipient == f"teleexpertise@{PEER}"
    assert row.message_id is not None
    raw = await tx.messages.get_raw(row.message_id)
    found = read_told(attachments(read(raw or b""))[TOLD_FILENAME])
    assert found is not None
    return found


def test_the_patient_is_told_to_a_sides_operator_alone_and_not_once_anything_came_encrypted(
    deployment: Deployment,
) -> None:
    async def play(services: Services) -> tuple[Told, Told, Told]:
        identifier = await request(services, delay_days=7)
        async with services.store.transaction() as tx:
            conversation = await Unit(services, tx, services.clock()).load(identifier)
            assert conversation is not None
            as_guest = await told(services, tx, conversation)
            theirs = replace(conversation, opening=replace(conversation.opening, requester=GUEST))
            as_side = await told(services, tx, theirs)
            await tx.messages.add_clear(conversation.exchanges[0].message, b"Subject: x\r\n\r\nx\r\n")
            return as_guest, as_side, await told(services, tx, theirs)

    as_guest, as_side, encrypted = deployment.work(play)
    assert (as_guest.patient, as_guest.requester.rpps, as_guest.expert.billing_number) == (None, "", "")
    assert as_side.patient is not None
    assert as_side.expert.billing_number
    assert (encrypted.patient, encrypted.insured_number) == (None, "")
    assert encrypted == replace(as_side, patient=None, insured_number="")
