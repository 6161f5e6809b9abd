"""DKIM on a delivery to another operator: the same octets at each attempt, and no reason to lose a mail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from gateway.bootstrap import open_services
from gateway.pipeline.screening import LOOP_FIELD
from gateway.pipeline.unit import Unit
from gateway.relay.outbound import Relay
from gateway.relay.routes import TableRoutes, Target
from gateway.services import Services
from gateway.smtp.dialogue import ListenerKind
from gateway.smtp.envelope import Envelope
from gateway.smtp.refusals import TemporaryFailure
from gateway.store.rows import OutboxRow, OutboxState
from gateway.workers.deliveries import Deliveries
from gateway.workers.failure import ActionFailed
from mailboxes.lmtp import LmtpDelivery
from tests.support import region
from tests.support.deployment import Deployment, deployed
from tests.support.dkim import opendkim_verifies, published
from tests.support.smtp import RecordingDoors, make_credentials, running_doors

FAR = "medecin@ailleurs.mssante.example"
BODY = b"\r\nBonjour,\r\n\r\n"
MAIL = b"From: Claire <claire@%s>\r\nTo: %s\r\n" % (region.DOMAIN.encode(), FAR.encode())
FIELDS = (("X-TLE-Id", "6f1c"), ("X-TLE-State", "requested"))


@dataclass(slots=True)
class Host(RecordingDoors):
    """Another operator that refuses the first attempts for now, and keeps what it was sent all the same."""

    busy: int = 0
    tried: list[bytes] = field(default_factory=list)

    async def accept(self, envelope: Envelope, raw: bytes) -> str:
        """Keep, and take or not yet."""
        self.tried.append(raw)
        if len(self.tried) <= self.busy:
            raise TemporaryFailure("Later")
        return await RecordingDoors.accept(self, envelope, raw)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


async def believed(certificate: bytes, chain: tuple[bytes, ...], domain: str) -> None:
    """No host is doubted here."""


@asynccontextmanager
async def relaying(
    deployment: Deployment, host: Host, folder: Path
) -> AsyncIterator[tuple[Services, Deliveries]]:
    """The deployment's deliveries with a relay to that host, which shows a certificate of its own."""
    credentials = make_credentials(folder)
    async with running_doors(host, credentials) as servers, open_services(deployment.settings) as services:
        target = Target("localhost", servers.ports[ListenerKind.MX])
        routes = TableRoutes({FAR.partition("@")[2]: target}, None)
        relay = Relay(routes, partial(credentials.client, show_certificate=True), believed, region.DOMAIN)
        lmtp = LmtpDelivery(folder / "nobody", 1)
        yield services, Deliveries(services, lmtp, relay)
        await lmtp.close()


async def queued(services: Services, raw: bytes, fields: Sequence[tuple[str, str]] = FIELDS) -> OutboxRow:
    """A mail of ours put into the queue an hour ago."""
    identifier: UUID = services.new_id()
    async with services.store.transaction() as tx:
        unit = Unit(services, tx, services.clock() - timedelta(hours=1))
        message = await unit.keep(identifier, f"<{identifier}@{region.DOMAIN}>", raw)
        await unit.send(message, FAR, fields=fields)
    async with services.store.reading() as tx:
        rows = await tx.outbox.list([OutboxState.PENDING], limit=100)
    return next(row for row in rows if row.message_id == identifier)


async def test_each_attempt_sends_the_same_octets_with_everything_signed(
    deployment: Deployment, tmp_path: Path
) -> None:
    host = Host(busy=1)
    async with relaying(deployment, host, tmp_path) as (services, deliveries):
        row = await queued(services, MAIL + BODY)
        with pytest.raises(ActionFailed) as told:
            await deliveries.relay(row)
        assert not told.value.permanent
        await deliveries.relay(row)
    first, second = host.tried
    assert first == second
    assert first.startswith(b"DKIM-Signature: ")
    assert f"\r\n t={int(row.first_at.timestamp())};".encode() in first
    assert first.endswith(MAIL + BODY)
    assert f"\r\n{LOOP_FIELD}: {region.DOMAIN}\r\n".encode() in first
    records = published(deployment.settings)
    assert opendkim_verifies(first, records)
    for added in (b"X-TLE-State: completed", b"X-TLE-Event: closed", LOOP_FIELD.encode() + b": x"):
        assert not opendkim_verifies(added + b"\r\n" + first, records)


async def test_a_mail_that_cannot_be_signed_leaves_without(deployment: Deployment, tmp_path: Path) -> None:
    host = Host()
    async with relaying(deployment, host, tmp_path) as (services, deliveries):
        await deliveries.relay(await queued(services, b"From: x@y.example\r\n" + MAIL + BODY))
    (raw,) = host.tried
    assert b"dkim-signature" not in raw.lower()
    assert raw.endswith(MAIL + BODY)


async def test_where_signing_is_off_nothing_is_signed(deployment: Deployment, tmp_path: Path) -> None:
    off = deployment.settings.dkim.model_copy(update={"enabled": False})
    settings = deployment.settings.model_copy(update={"dkim": off})
    host = Host()
    async with relaying(Deployment(settings, deployment.path), host, tmp_path) as (services, deliveries):
        await deliveries.relay(await queued(services, MAIL + BODY))
    assert b"dkim-signature" not in host.tried[0].lower()
