"""Mirrored conversations in the database: one mail one event, the holder pinned, open ones keep mails."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from gateway.mirror_check import MirrorCheck
from gateway.register import enter_new
from gateway.store import Direction, MessageRow, OutboxRow, Store, Transaction
from gateway.store.mirrors import mirror_projection
from teleexpertise.billing.shown import ExportedLine
from teleexpertise.billing.tariffs import Role
from teleexpertise.claims import Claim, claim_fields
from teleexpertise.events import Author
from teleexpertise.mirrors import Flow, MirrorEvent, fold_mirror
from teleexpertise.patients import Patient
from teleexpertise.people import Party
from teleexpertise.states import CLOSED, State
from teleexpertise.told import Told

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


# -- what the holder tells for exports

BORN = date(1957, 2, 3)


def told(**changes: object) -> Told:
    made = Told(
        requester=Party(DOCTOR, "Dr Claire MARTIN", local=False),
        expert=Party("remy.perret@voisin.mssante.example", "Dr Rémy PERRET"),
        asked_of="remy.perret@voisin.mssante.example",
        requested_at=NOW,
        patient=Patient(birth_name="XTOLD", first_names="Zoé", birth_date=BORN, sex="F"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def test_the_last_facts_told_are_those_of_the_mirror_and_facts_told_are_part_of_the_event(
    store: Store,
) -> None:
    other = replace(told(), level="TE2")
    plain = event(3, State.IN_PROGRESS)
    first, second = event(1, told=told()), event(2, State.IN_PROGRESS, told=other)
    assert (
        len({each.fingerprint for each in (first, replace(first, told=None), replace(first, told=other))})
        == 3
    )
    assert await recorded(store, plain, second, first) == [True, True, True]
    async with store.reading() as tx:
        events = await tx.mirrors.events(ID)
        assert {each.told for each in events} == {None, told(), other}
        mirror = fold_mirror(ID, HOLDER, events)
        assert mirror.told == other
        assert await tx.mirrors.projection(ID) == mirror_projection(mirror)
        (row,) = [row async for row in tx.told.of([DOCTOR])]
    assert (row.ref, row.held_by, row.ours) == (f"TLE-2026-000001@{HOLDER}", HOLDER, frozenset({DOCTOR}))
    assert (row.opening.patient.birth_name, row.completion, row.opened_at) == ("XTOLD", None, NOW)


async def test_who_is_named_a_side_without_being_a_member_is_shown_nothing(store: Store) -> None:
    named = "somebody.else@ici.mssante.example"
    await recorded(store, event(1, told=told(requester=Party(named, "X"))))
    async with store.reading() as tx:
        (row,) = [row async for row in tx.told.of([named])]
        assert named not in row.ours
        assert await tx.told.untold([named, DOCTOR]) == ()


async def test_a_mirror_without_facts_says_when_its_mails_came(store: Store) -> None:
    await recorded(store, event(1), event(2, State.COMPLETED, at=NOW + timedelta(days=1)))
    async with store.reading() as tx:
        (row,) = await tx.told.untold([DOCTOR])
        assert await tx.told.untold(["other@ici.mssante.example"]) == ()
        assert await tx.told.untold(None) == (row,)
        assert [row async for row in tx.told.of(None)] == []
    assert (row.state, row.completed_at, row.members) == ("completed", NOW + timedelta(days=1), (DOCTOR,))


async def test_limits_find_the_registers_patient_and_a_merge_takes_mirrors_along(store: Store) -> None:
    await recorded(store, event(1, told=told()))
    async with store.transaction() as tx:
        known = await tx.patients.add(told().patient or Patient(), NOW)
        twin = await tx.patients.add(
            Patient(birth_name="XTOLDB", first_names="Zoé", birth_date=BORN, sex="F"), NOW
        )
        await tx.mirrors.about(ID, known.id)
        await tx.mirrors.about(ID, twin.id)  # who it is about stays
        assert await tx.mirrors.patient_of(ID) == known.id
        await tx.patients.merge(known, twin)
    since = NOW - timedelta(days=1)
    async with store.reading() as tx:
        assert [row.patient_id async for row in tx.told.of_patient([DOCTOR], twin.id, since)] == [twin.id]
        assert [row async for row in tx.told.of_patient([DOCTOR], None, since)] == []
        assert [row async for row in tx.told.of_patient([DOCTOR], twin.id, NOW + timedelta(days=9))] == []
        assert await tx.told.about(twin.id) == (ID,)
        assert await tx.patients.seen(twin.id, [DOCTOR])
        assert not await tx.patients.seen(twin.id, ["other@ici.mssante.example"])


async def test_a_line_shown_to_who_is_no_side_any_more_is_found_again(store: Store) -> None:
    await recorded(store, event(1, told=told()))
    name = f"TLE-2026-000001@{HOLDER}"
    async with store.transaction() as tx:
        await tx.exported.note([ExportedLine(name, Role.REQUESTER, 1, DOCTOR)], NOW)
        assert await tx.told.moved_away([DOCTOR]) == ()
    await recorded(store, event(2, told=told(requester=Party("other@voisin.mssante.example", "Y"))))
    async with store.reading() as tx:
        assert await tx.told.moved_away([DOCTOR]) == (name,)
        assert [row.ref async for row in tx.told.named([name])] == [name]


async def test_a_mirror_waits_for_the_register_to_know_its_patient(store: Store) -> None:
    await recorded(store, event(1, told=told()))
    async with store.transaction() as tx:
        assert await tx.mirrors.patient_of(ID) is None
        other = Patient(birth_name="XTOLDC", first_names="Zoé", birth_date=BORN, sex="F")
        await enter_new(tx, other, NOW)
        assert await tx.mirrors.patient_of(ID) is None
        known = await enter_new(tx, told().patient or Patient(), NOW)
        assert await tx.mirrors.patient_of(ID) == known.id
