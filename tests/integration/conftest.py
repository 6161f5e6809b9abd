"""What integration tests share: one served gateway, because starting one takes seconds; doors that record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.services import Services
from gateway.smtp.server import SmtpServers
from gateway.store.rows import OutboxState
from tests.support.gateway import TestGateway, gateway
from tests.support.smtp import Credentials, RecordingDoors, make_credentials, running_doors


@pytest.fixture(scope="session")
def served() -> Iterator[TestGateway]:
    """The test region's gateway, which answers as often as asked; tests play their own conversations."""
    with gateway("\n[conversation]\nanswers_per_hour = 100000\npage_size = 2\n") as made:
        yield made
        made.settled()
        left = made.ask(_left)
        assert (left[OutboxState.HELD], left[OutboxState.FAILED]) == (0, 0), (
            "actions that nobody expected to fail"
        )


async def _left(services: Services) -> dict[OutboxState, int]:
    async with services.store.reading() as tx:
        return await tx.outbox.counts()


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """A server's certificate and its authority."""
    return make_credentials(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def doors() -> RecordingDoors:
    """Doors with one account, that keep what they accept."""
    return RecordingDoors()


@pytest.fixture
async def servers(doors: RecordingDoors, credentials: Credentials) -> AsyncIterator[SmtpServers]:
    """All three listeners before those doors."""
    async with running_doors(doors, credentials) as running:
        yield running
