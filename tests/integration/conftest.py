"""What the tests of the whole path share: one served gateway, because starting one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.services import Services
from gateway.store.rows import OutboxState
from tests.support.gateway import TestGateway, gateway


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
