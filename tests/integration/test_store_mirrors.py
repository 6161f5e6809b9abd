"""Mirrored conversations in the database: one mail one event, the holder pinned, open ones keep mails."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from gateway.mirror_check import MirrorCheck
from gateway.store import Direction, MessageRow, OutboxRow, Store, Transaction
from gateway.store.mirrors import mirror_projection
from teleexpertise.claims import Claim, claim_fields
from teleexpertise.events import Author
from teleexpertise.mirrors import Flow, MirrorEvent, fold_mirror
from teleexpertise.states import CLOSED, State

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ID, HOLDER, OTHER = uuid4(), "voisin.mssante.example", "tiers.mssante.example"
DOCTOR = "claire.martin@ici.mssante.example"


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with Store.open(database) as opened:
        yield opened


def event(seq: int, state: State = State.REQUESTED, **changes: object) -> MirrorEvent:
    made = MirrorEvent(
        flow=Flow.RECEIVED,
        event="message",
        at=NOW,
        author=Author("service@voisin.mssante.example", "Service"),
        message=uuid4(),
        message_sha256="0" * 64,
        mail_id=f"<{seq}@voisin.mssante.example>",
        seq=seq,
        state=state,
        ref="TLE-2026-000001",
        members=(DOCTOR,),
        cites=(f"<{seq - 1}@voisin.mssante.example>",),
        reply_to="teleexpertise+jeton@voisin.mssante.example",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def keep(tx: Transaction, each: MirrorEvent, raw: bytes = b"abc") -> None:
    row = MessageRow(
        id=each.message,
        sha256=each.message_sha256,
        mail_id=each.mail_id,
        sender=each.author.address,
        body_sha256="0" * 64,
        direction=Direction.RECEIVED,
        received_at=each.at,
        size=3,
    )
    await tx.messages.add(row, raw)


async def recorded(store: Store, *events: MirrorEvent, holder: str = HOLDER, place: UUID = ID) -> list[bool]:
    """Record events and their projection; whether each was new."""
    async with store.transaction() as tx:
        await tx.mirrors.pin(fold_mirror(place, holder, events))
        new = []
        for each in events:
            await keep(tx, each)
            new.append(await tx.mirrors.append(place, each))
        await tx.mirrors.save(fold_mirror(place, holder, await tx.mirrors.events(place)))
    return new


async def test_the_record_comes_back_and_folds_to_the_projection(store: Store) -> None:
    first, second = event(1), event(2, State.IN_PROGRESS)
    assert await recorded(store, second, first) == [True, True]
    async with store.reading() as tx:
        events = await tx.mirrors.events(ID)
        assert events == (second, first)
        assert await tx.mirrors.projection(ID) == mirror_projection(fold_mirror(ID, HOLDER, events))
        assert await tx.mirrors.at("TeleExpertise+jeton@voisin.mssante.example") == ID
        assert await tx.mirrors.at("teleexpertise+autre@voisin.mssante.example") is None
        assert await tx.mirrors.of_member(DOCTOR) == (ID,)
        assert await tx.mirrors.of_member("other@ici.mssante.example") == ()
        assert await tx.mirrors.of_message(first.message) == ID
        assert await tx.mirrors.list(states=["completed"]) == ()


async def test_the_same_mail_in_other_octets_is_one_event(store: Store) -> None:
    again = event(1, message=uuid4(), message_sha256="1" * 64, at=NOW + timedelta(hours=1))
    assert await recorded(store, event(1), again) == [True, False]


async def test_the_first_holder_stays_and_a_reference_may_be_several(store: Store) -> None:
    await recorded(store, event(1))
    async with store.transaction() as tx:
        assert await tx.mirrors.pin(fold_mirror(ID, OTHER, [event(1)])) == HOLDER
    elsewhere = uuid4()
    await recorded(store, event(1), holder=OTHER, place=elsewhere)
    async with store.reading() as tx:
        assert set(await tx.mirrors.by_ref("TLE-2026-000001")) == {ID, elsewhere}
        assert await tx.mirrors.by_ref("TLE-2026-000001", OTHER) == (elsewhere,)


async def test_its_mails_are_kept_while_it_goes_on(store: Store) -> None:
    opened = event(1)
    await recorded(store, opened)
    async with store.reading() as tx:
        assert await tx.messages.outlived(NOW + timedelta(days=400), CLOSED, 10) == ()
    closed = event(2, State.COMPLETED, at=NOW + timedelta(days=1))
    await recorded(store, closed)
    async with store.reading() as tx:
        assert await tx.messages.outlived(NOW + timedelta(hours=1), CLOSED, 10) == ()
        old = await tx.messages.outlived(NOW + timedelta(days=400), CLOSED, 10)
    assert [row.id for row in old] == [opened.message, closed.message]


async def checked(store: Store, said: MirrorEvent, raw: bytes, sha256: str = "") -> list[str]:
    """What a rebuild finds about one event and the mail that is stored for it."""
    each = replace(said, message_sha256=sha256 or hashlib.sha256(raw).hexdigest())
    async with store.transaction() as tx:
        await keep(tx, each, raw)
        mirror = fold_mirror(ID, HOLDER, [each])
        await tx.mirrors.pin(mirror)
        await tx.mirrors.append(ID, each)
        await tx.mirrors.save(mirror)
    async with store.reading() as tx:
        return [found.what for found in await MirrorCheck(tx, ID).differences()]


def mail_of(said: MirrorEvent, **changes: object) -> bytes:
    claim = Claim(id=ID, ref=said.ref, event=said.event, seq=said.seq, state=said.state, to=(DOCTOR,))
    fields = claim_fields(replace(claim, **changes))  # type: ignore[arg-type]
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode() + b"\r\nBonjour\r\n"


async def test_a_rebuild_holds_the_record_against_the_mails(store: Store) -> None:
    said = event(3, State.ON_HOLD)
    assert await checked(store, said, mail_of(said)) == []


@pytest.mark.parametrize("changes", [{"seq": 4}, {"state": State.COMPLETED}, {"id": uuid4()}, {"event": "x"}])
async def test_a_mail_that_says_something_else_is_found(store: Store, changes: dict[str, object]) -> None:
    said = event(3, State.ON_HOLD)
    (what,) = await checked(store, said, mail_of(said, **changes))
    assert "does not say what the event says" in what


async def test_octets_of_another_hash_are_found(store: Store) -> None:
    said = event(3, State.ON_HOLD)
    (what,) = await checked(store, said, mail_of(said), "0" * 64)
    assert "are not those of its hash" in what


async def test_a_tombstone_is_accepted(store: Store) -> None:
    said = event(3, State.ON_HOLD)
    await checked(store, said, mail_of(said))
    async with store.transaction() as tx:
        assert await tx.messages.purge(said.message)
    async with store.reading() as tx:
        assert await MirrorCheck(tx, ID).differences() == []


async def test_keywords_follow_the_mails_of_a_mirror_and_mails_one_another(store: Store) -> None:
    def row(action: str, **changes: object) -> OutboxRow:
        made = OutboxRow(
            id=uuid4(),
            key=str(uuid4()),
            action=action,
            recipient=DOCTOR,
            first_at=NOW,
            next_at=NOW,
            mirror_id=ID,
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    first, second, tag = row("deliver"), row("deliver"), row("tag")
    elsewhere = row("deliver", mirror_id=uuid4())
    async with store.transaction() as tx:
        await tx.outbox.put([first, second, tag, elsewhere])
        taken = await tx.outbox.claim(NOW, 60, 10)
        assert {each.id for each in taken} == {first.id, elsewhere.id}
        await tx.outbox.done(taken[0], NOW)
        (then,) = await tx.outbox.claim(NOW, 60, 10)
        assert then.id == second.id
        await tx.outbox.done(then, NOW)
        (last,) = await tx.outbox.claim(NOW, 60, 10)
        assert last.id == tag.id
        assert last.mirror_id == ID
        assert [each.id for each in await tx.outbox.list(conversation_id=ID)] == [tag.id]


async def test_a_peer_is_known_by_its_domain_and_the_last_word_holds(store: Store) -> None:
    async with store.transaction() as tx:
        assert await tx.peers.service(HOLDER) is None
        await tx.peers.learn(HOLDER, f"teleexpertise@{HOLDER}", NOW)
        await tx.peers.learn(HOLDER, f"teleexpertise@{HOLDER}", NOW)
        assert await tx.peers.service(HOLDER) == f"teleexpertise@{HOLDER}"
        await tx.peers.learn(HOLDER, f"teleexpertise@{OTHER}", NOW)
        assert await tx.peers.service(HOLDER) == f"teleexpertise@{OTHER}"
