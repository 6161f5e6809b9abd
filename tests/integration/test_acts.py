"""What a finalisation bills, where mail cannot easily show it: a broken table, acts of another year."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from gateway.pipeline import acts
from gateway.pipeline.unit import Unit
from gateway.services import Services
from teleexpertise.billing.rating import Anomaly
from teleexpertise.events import Author, Completed, Place
from teleexpertise.people import Party
from tests.support import region
from tests.support.deployment import Deployment, deployed, request

EXPERT = Party.of(region.DERMATOLOGIST)
SAID = Completed(
    requester=Party.of(region.GP),
    expert=EXPERT,
    conclusion="Surveillance.",
    level="TE2",
    requester_place=Place("", "43"),
    expert_place=Place("", "43"),
)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def billing(services: Services, **changes: object) -> Services:
    """The same services with other settings of billing."""
    section = services.settings.billing.model_copy(update=changes)
    return replace(services, settings=services.settings.model_copy(update={"billing": section}))


@pytest.mark.parametrize("text", [None, "", "[[act]]\ncode = 1", "\x00"])
def test_a_table_that_cannot_be_used_loses_no_finalisation(
    deployment: Deployment, tmp_path: Path, text: str | None
) -> None:
    table = tmp_path / "tariffs.toml"
    if text is not None:
        table.write_text(text)

    async def work(services: Services) -> None:
        broken = billing(services, tariffs_file=table)
        identifier = await request(broken, delay_days=2)
        async with broken.store.transaction() as tx:
            unit = Unit(broken, tx, broken.clock())
            conversation = await unit.load(identifier)
            assert conversation is not None
            assert acts.expert_acts(unit, EXPERT) == ()
            assert await acts.rated(unit, conversation, SAID) == ()

    deployment.work(work)


async def finalised(services: Services, then: datetime) -> UUID:
    """A conversation asked and finalised at a moment."""
    identifier = await request(replace(services, clock=lambda: then), delay_days=2)
    async with services.store.transaction() as tx:
        unit = Unit(services, tx, then)
        conversation = await unit.load(identifier)
        message = (await tx.messages.of(identifier))[0]
        author = Author(EXPERT.address, EXPERT.name)
        assert conversation is not None
        await unit.record(conversation, identifier, [SAID], author, message)
    return identifier


def test_a_second_finalisation_corrects_the_act_of_the_first_by_the_rule_of_its_day(
    deployment: Deployment,
) -> None:
    async def work(services: Services) -> None:
        identifier = await finalised(services, datetime(2025, 12, 31, 22, 30, tzinfo=UTC))
        async with services.store.transaction() as tx:
            unit = Unit(services, tx, services.clock())
            conversation = await unit.load(identifier)
            assert conversation is not None
            expert, requester = await acts.rated(unit, conversation, SAID)
        assert (str(expert.day), expert.amount, requester.amount) == ("2025-12-31", 2000, 1000)
        assert Anomaly.ANSWER_LATE not in expert.anomalies

    deployment.work(work)


def test_only_acts_of_the_year_and_the_patient_count(deployment: Deployment) -> None:
    async def work(services: Services) -> list[int]:
        services = billing(services, year="rolling")
        for days in (700, 40, 30, 20, 10):
            await finalised(services, services.clock() - timedelta(days=days))
        identifier = await request(services, delay_days=2)
        async with services.store.transaction() as tx:
            unit = Unit(services, tx, services.clock())
            conversation = await unit.load(identifier)
            assert conversation is not None
            lines = await acts.rated(unit, conversation, SAID)
            other = replace(
                conversation.opening, patient=replace(conversation.patient, ins="257039999900113")
            )
            others = await acts.rated(unit, replace(conversation, opening=other), SAID)
        return [line.count for line in (*lines, *others)]

    counts = deployment.work(work)
    assert counts == [5, 5, 1, 1]


def test_where_a_side_works_is_recorded_and_a_stranger_is_nowhere(deployment: Deployment) -> None:
    async def work(services: Services) -> tuple[Place, Place]:
        async with services.store.transaction() as tx:
            unit = Unit(services, tx, services.clock())
            foreign = Party("x@autre.mssante.example", "X", local=False)
            return await acts.place(unit, EXPERT), await acts.place(unit, foreign)

    assert deployment.work(work) == (Place("", "43"), Place())
