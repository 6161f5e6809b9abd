"""Whom the doors let a mail go to, and by which spelling it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from gateway.pipeline.doors import GatewayDoors
from gateway.services import Services
from gateway.smtp.envelope import Peer, PeerKind
from gateway.smtp.refusals import Refusal
from teleexpertise.people import Account
from tests.support import region
from tests.support.deployment import Deployment, deployed, envelope, mail

OPERATOR = Peer(kind=PeerKind.OPERATOR, ip="192.0.2.9")
POSTMASTERS = ["postmaster", "Postmaster", f"postmaster@{region.DOMAIN}", f"PostMaster@{region.DOMAIN}"]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


async def sent_on(services: Services, *recipients: str) -> list[tuple[str, str]]:
    """What becomes of one mail of the GP to these recipients: actions and whom they are for."""
    sent = envelope(region.GP, recipients[0], services.new_id().hex[:16])
    raw = mail(region.GP, recipients[0], f"essai {sent.queue_id}")
    await GatewayDoors(services).accept(replace(sent, recipients=recipients), raw)
    async with services.store.reading() as tx:
        (kept,) = await tx.messages.by_queue_id(sent.queue_id)
        return [(row.action, row.recipient) for row in await tx.outbox.of_messages([kept.id])]


def with_postmaster(address: str) -> Callable[[Services], Services]:
    def changed(services: Services) -> Services:
        service = services.settings.service.model_copy(update={"postmaster": address or None})
        return replace(services, settings=services.settings.model_copy(update={"service": service}))

    return changed


@pytest.mark.parametrize("recipient", POSTMASTERS)
@pytest.mark.parametrize(
    ("named", "reader"),
    [
        (region.SERVICE.address, region.SERVICE),
        (f"nobody@{region.DOMAIN}", min(region.ACCOUNTS, key=lambda account: account.address)),
        ("", min(region.ACCOUNTS, key=lambda account: account.address)),
    ],
)
def test_mail_to_the_postmaster_reaches_somebody(
    deployment: Deployment, recipient: str, named: str, reader: Account
) -> None:
    async def work(services: Services) -> list[tuple[str, str]]:
        services = with_postmaster(named)(services)
        for peer in (OPERATOR, Peer(kind=PeerKind.USER, ip="192.0.2.7", login=region.GP.address)):
            await GatewayDoors(services).check_recipient(peer, region.GP.address, recipient)
        return await sent_on(services, recipient)

    assert deployment.work(work) == [("deliver", reader.address)]


def refused(deployment: Deployment, recipient: str) -> Refusal:
    async def work(services: Services) -> None:
        await GatewayDoors(services).check_recipient(OPERATOR, "", recipient)

    ask: Callable[[Services], Awaitable[None]] = work
    with pytest.raises(Refusal) as caught:
        deployment.work(ask)
    return caught.value


def test_the_postmaster_of_others_is_no_recipient_of_ours(deployment: Deployment) -> None:
    assert refused(deployment, "postmaster@autre.mssante.example").code == 550


def test_local_parts_are_ours_in_lower_case_and_of_others_as_sent(deployment: Deployment) -> None:
    ours = region.DERMATOLOGIST.address

    async def work(services: Services) -> list[tuple[str, str]]:
        return await sent_on(services, "Anne.Brun@autre.mssante.example", ours.replace("remy", "Remy"), ours)

    assert deployment.work(work) == [("relay", "Anne.Brun@autre.mssante.example"), ("deliver", ours)]
