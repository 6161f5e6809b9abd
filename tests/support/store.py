"""What the tests of the store share: rows to write, a typical transaction, and a writer process that can be
killed.

    python -m tests.support.store URL CONVERSATION COUNT

writes COUNT typical transactions into a conversation (0: until killed) and prints each message's id once
committed.
"""

import asyncio
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from gateway.store import Direction, MessageRow, OutboxRow, OutboxState, Projection, Store, Transaction
from teleexpertise.events import Author, Posted, Record, TakenUp

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
REQUESTER = "cabinet.vidal@demo.mssante.example"
EXPERT = "avis.dermatologie@demo.mssante.example"
RECIPIENTS = ("a@demo.mssante.example", "b@demo.mssante.example", "c@other.example", "d@other.example")


def database_url(folder: Path) -> str:
    """The URL of the test's database."""
    return f"sqlite:///{folder / 'gateway.db'}"


def projection(state: str = "requested", **changes: Any) -> Projection:
    """A projection between requester and expert."""
    values: dict[str, Any] = {
        "state": state,
        "requester_address": REQUESTER,
        "expert_address": EXPERT,
        "updated_at": NOW,
        "members": {REQUESTER: True, EXPERT: True},
    }
    return Projection(**(values | changes))


def message(raw: bytes = b"Subject: x\r\n\r\nbody\r\n", **changes: Any) -> MessageRow:
    """A received message of the requester."""
    identifier = uuid4()
    values: dict[str, Any] = {
        "id": identifier,
        "sha256": hashlib.sha256(raw).hexdigest(),
        "mail_id": f"<{identifier}@client.example>",
        "sender": REQUESTER,
        "body_sha256": hashlib.sha256(raw.partition(b"\r\n\r\n")[2]).hexdigest(),
        "direction": Direction.RECEIVED,
        "received_at": NOW,
        "size": len(raw),
    }
    return MessageRow(**(values | changes))


def records(first: int, row: MessageRow) -> tuple[Record, ...]:
    """Two records that one message brings."""
    author = Author(EXPERT, "Avis Dermatologie")
    common: dict[str, Any] = {
        "at": NOW,
        "author": author,
        "message": row.id,
        "message_sha256": row.sha256,
        "mail_id": row.mail_id,
    }
    return (
        Record(seq=first, event=TakenUp(), **common),
        Record(seq=first + 1, event=Posted(template="avis"), **common),
    )


def action(key: str = "", **changes: Any) -> OutboxRow:
    """A delivery that is due now."""
    identifier = uuid4()
    values: dict[str, Any] = {
        "id": identifier,
        "key": key or str(identifier),
        "action": "deliver",
        "recipient": EXPERT,
        "first_at": NOW,
        "next_at": NOW,
    }
    return OutboxRow(**(values | changes))


async def open_conversation(tx: Transaction) -> UUID:
    """A conversation without events."""
    identifier = uuid4()
    ref = await tx.conversations.next_reference(NOW.year)
    await tx.conversations.add(identifier, ref, NOW, projection())
    return identifier


async def write_typical(store: Store, conversation_id: UUID, size: int = 8000) -> UUID:
    """The transaction of one mail: message, two events, an audit line, four actions. The message's id."""
    raw = b"Subject: x\r\n\r\n" + os.urandom(size)
    row = message(raw, conversation_id=conversation_id)
    async with store.transaction() as tx:
        conversation = await tx.conversations.get(conversation_id)
        assert conversation is not None
        await tx.messages.add(row, raw)
        await tx.events.append(conversation_id, records(conversation.next_seq, row))
        await tx.audit.write(NOW, REQUESTER, "received", str(row.id), "accepted", {"size": row.size})
        await tx.outbox.put(
            [
                action(f"{row.id} {name}", recipient=name, conversation_id=conversation_id, message_id=row.id)
                for name in RECIPIENTS
            ]
        )
    return row.id


async def assert_whole(store: Store, acknowledged: Collection[UUID], conversations: Sequence[UUID]) -> int:
    """Assert that all that was acknowledged is there, and nothing by half; the number of messages."""
    async with store.reading() as tx:
        rows = [row for one in conversations for row in await tx.messages.of(one)]
        stored = {row.id: row for row in rows}
        assert set(acknowledged) <= set(stored)
        for identifier, row in stored.items():
            raw = await tx.messages.get_raw(identifier)
            assert raw is not None
            assert hashlib.sha256(raw).hexdigest() == row.sha256
        told = [record for one in conversations for record in await tx.events.of(one)]
        assert Counter(record.message for record in told) == dict.fromkeys(stored, 2)
        for one in conversations:
            found = await tx.conversations.get(one)
            assert found is not None
            assert [record.seq for record in await tx.events.of(one)] == list(range(1, found.next_seq))
        lines = await tx.audit.list(limit=100_000)
        assert Counter(line.target for line in lines) == Counter(map(str, stored))
        actions = await tx.outbox.list(list(OutboxState), limit=100_000)
        assert Counter(row.message_id for row in actions) == dict.fromkeys(stored, len(RECIPIENTS))
        check = await tx.audit.verify()
        assert check.holds
        assert check.count == len(lines)
    return len(stored)


async def _write(url: str, conversation_id: UUID, count: int) -> None:
    async with Store.open(url) as store:
        written = 0
        while written < count or not count:
            print(await write_typical(store, conversation_id), flush=True)
            written += 1


if __name__ == "__main__":
    asyncio.run(_write(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3])))
