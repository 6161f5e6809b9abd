"""Exports read the whole record by a cursor of the database: each conversation once, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from uuid import uuid4

import pytest

from gateway.store import Store
from gateway.store.conversations import _columns_of
from gateway.store.repository import column_values
from gateway.store.schema import conversation, event
from teleexpertise.events import Author, Record
from tests.support.cases import opened
from tests.support.store import NOW, REQUESTER, message, open_conversation, projection

CONVERSATIONS = 1234


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """A store of many conversations, each opened; put there at once, in no order."""
    row = message()
    author = Author(REQUESTER, "Dr Anne VIDAL")
    told = Record(
        seq=1,
        at=NOW,
        author=author,
        message=row.id,
        message_sha256=row.sha256,
        mail_id=row.mail_id,
        event=replace(opened(), question="\x00 \ud800"),  # as a hostile peer might write
    )
    numbers = sorted(range(CONVERSATIONS), key=lambda number: number * 7919 % CONVERSATIONS)
    kept = column_values(projection(), "members")
    rows = [
        {"id": uuid4(), "ref": f"TLE-2025-{number:06d}", "opened_at": NOW, "next_seq": 2, **kept}
        for number in numbers
    ]
    async with Store.open(database) as opened_store:
        async with opened_store.transaction() as tx:
            await tx.messages.add(row, b"raw")
            await tx.events._add_all(conversation, rows)
            await tx.events._add_all(event, [_columns_of(each["id"], told) for each in rows])
        yield opened_store


@pytest.mark.parametrize("addresses", [None, [REQUESTER]])
async def test_each_conversation_is_read_once_in_order(store: Store, addresses: list[str] | None) -> None:
    async with store.reading() as tx:
        refs = [activity.ref async for activity in tx.activities.of(addresses)]
    assert refs == [f"TLE-2025-{number:06d}" for number in range(CONVERSATIONS)]


async def test_what_is_opened_meanwhile_is_not_in_the_picture(store: Store) -> None:
    count = 0
    async with store.reading() as tx:
        async for _ in tx.activities.of(None):
            if count == 0:
                async with store.transaction() as writing:
                    await open_conversation(writing)
            count += 1
    assert count == CONVERSATIONS


async def test_conversations_about_a_patient_are_found_by_what_the_opening_said(store: Store) -> None:
    asked = opened().patient
    born = replace(asked, ins="", birth_date=date(1901, 1, 1))
    async with store.reading() as tx:
        for patient, count in ((asked, CONVERSATIONS), (replace(asked, ins=""), CONVERSATIONS), (born, 0)):
            found = [one async for one in tx.activities.of_patient([REQUESTER], None, patient, NOW)]
            assert len(found) == count


async def test_reading_may_end_early(store: Store) -> None:
    async with store.reading() as tx:
        first = await anext(tx.activities.of(None))
        assert first.ref == "TLE-2025-000000"
        assert (await tx.conversations.list(limit=1))[0].ref.startswith("TLE-")
