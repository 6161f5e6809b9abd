"""What is written is read back the same, and found by what it is looked for."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.store import (
    AlreadyExists,
    BounceRow,
    ConstraintBroken,
    DecisionRow,
    Direction,
    FormRow,
    HeldRow,
    HeldState,
    NotFound,
    Store,
)
from gateway.store.repository import ID_CHUNK
from teleexpertise.people import Absence, Account, Expert
from tests.support.store import (
    EXPERT,
    NOW,
    REQUESTER,
    action,
    message,
    open_conversation,
    projection,
    records,
)

HOUR = timedelta(hours=1)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with Store.open(database) as opened:
        yield opened


async def test_account_is_added_once_changed_and_suspended(store: Store) -> None:
    account = Account(address=REQUESTER, name="Dr Anne VIDAL", town="Le Puy-en-Velay")
    async with store.transaction() as tx:
        await tx.accounts.add(account, "hash 1", NOW)
        assert await tx.accounts.get(REQUESTER) == account
        assert await tx.accounts.password_hash(REQUESTER) == "hash 1"
        await tx.accounts.set_password(REQUESTER, "hash 2")
        await tx.accounts.save(replace(account, town="Yssingeaux"))
        await tx.accounts.suspend(REQUESTER)
        assert await tx.accounts.password_hash(REQUESTER) is None
        assert await tx.accounts.logins() == ((REQUESTER, "hash 2", False),)
        assert await tx.accounts.list() == (replace(account, town="Yssingeaux", active=False),)
        await tx.accounts.resume(REQUESTER)
        assert await tx.accounts.password_hash(REQUESTER) == "hash 2"
    with pytest.raises(AlreadyExists):
        async with store.transaction() as tx:
            await tx.accounts.add(account, "hash 3", NOW)


async def test_account_that_is_not_there(store: Store) -> None:
    async with store.reading() as tx:
        assert await tx.accounts.get(REQUESTER) is None
        assert await tx.accounts.password_hash(REQUESTER) is None
    for change in ("suspend", "resume"):
        with pytest.raises(NotFound):
            async with store.transaction() as tx:
                await getattr(tx.accounts, change)(REQUESTER)


async def test_address_in_capitals_is_refused(store: Store) -> None:
    with pytest.raises(ValueError):
        async with store.transaction() as tx:
            await tx.accounts.add(Account(address="Dr@demo.mssante.example", name="Dr"), "", NOW)


async def test_delegations_are_rights(store: Store) -> None:
    async with store.transaction() as tx:
        for address in (REQUESTER, EXPERT):
            await tx.accounts.add(Account(address=address, name=address), "", NOW)
        await tx.delegations.grant(EXPERT, REQUESTER, NOW)
        await tx.delegations.grant(EXPERT, REQUESTER, NOW + HOUR)
        assert (await tx.delegations.rights()).principals(REQUESTER) == (EXPERT,)
        assert await tx.delegations.revoke(EXPERT, REQUESTER)
        assert not await tx.delegations.revoke(EXPERT, REQUESTER)
        assert (await tx.delegations.rights()).delegates == {}
    with pytest.raises(ConstraintBroken):
        async with store.transaction() as tx:
            await tx.delegations.grant(EXPERT, "nobody@demo.mssante.example", NOW)


async def test_conversation_is_found_by_identifier_reference_and_member(store: Store) -> None:
    guest = "invite@other.example"
    async with store.transaction() as tx:
        identifier = await open_conversation(tx)
        found = await tx.conversations.get(identifier)
        assert found is not None
        assert (found.ref, found.next_seq, found.projection) == ("TLE-2026-000001", 1, projection())
        assert await tx.conversations.by_ref(found.ref) == found
        assert await tx.conversations.of_member(guest) == ()
        later = projection(
            "in_progress",
            updated_at=NOW + HOUR,
            members={REQUESTER: True, EXPERT: False, guest: True},
            folded={"state": "in_progress", "exchanges": [{"seq": 1}]},
        )
        await tx.conversations.save(identifier, later)
        second = await open_conversation(tx)
        moved = replace(found, projection=later)
        assert await tx.conversations.get(identifier) == moved
        assert await tx.conversations.of_member(guest) == (moved,)
        assert [row.id for row in await tx.conversations.of_member(EXPERT)] == [second]
        assert [row.id for row in await tx.conversations.of_member(EXPERT, guest)] == [identifier, second]
        assert await tx.conversations.list(states=["in_progress"]) == (moved,)
        assert [row.id for row in await tx.conversations.list()] == [identifier, second]
        assert await tx.conversations.ids() == (identifier, second)


async def test_conversation_that_is_not_there(store: Store) -> None:
    async with store.transaction() as tx:
        assert await tx.conversations.get(uuid4()) is None
        assert await tx.conversations.by_ref("TLE-2026-000001") is None
        await open_conversation(tx)
    with pytest.raises(NotFound):
        async with store.transaction() as tx:
            await tx.conversations.save(uuid4(), projection())
    with pytest.raises(AlreadyExists):
        async with store.transaction() as tx:
            await tx.conversations.add(uuid4(), "TLE-2026-000001", NOW, projection())


async def test_message_is_kept_byte_for_byte(store: Store) -> None:
    raw = bytes(range(256)) * 4000
    row = message(raw, envelope={"mail_from": REQUESTER, "recipients": [EXPERT]})
    async with store.transaction() as tx:
        await tx.messages.add(row, raw)
    async with store.reading() as tx:
        assert await tx.messages.get(row.id) == row
        assert await tx.messages.get_raw(row.id) == raw
        assert await tx.messages.get_raw(uuid4()) is None


async def test_purge_leaves_a_tombstone(store: Store) -> None:
    row = message(envelope={"mail_from": REQUESTER})
    async with store.transaction() as tx:
        await tx.messages.add(row, b"raw")
        await tx.messages.add(message(received_at=NOW + HOUR), b"raw")
        assert await tx.messages.outlived(NOW + HOUR, ["completed"], 10) == (row,)
        assert await tx.messages.purge(row.id)
        assert not await tx.messages.purge(row.id)
        assert await tx.messages.get_raw(row.id) is None
        assert await tx.messages.get(row.id) == replace(row, purged=True, envelope={})
        assert await tx.messages.outlived(NOW + HOUR, ["completed"], 10) == ()


async def test_message_outlives_neither_its_conversation_nor_what_waits_for_it(store: Store) -> None:
    closed = ["completed"]
    async with store.transaction() as tx:
        going_on, over = await open_conversation(tx), await open_conversation(tx)
        await tx.conversations.save(over, projection("completed"))
        rows = [message(conversation_id=place) for place in (going_on, over, over, over, None, None)]
        for row in rows:
            await tx.messages.add(row, b"raw")
        _, past, queued, doubted, asked, told = rows
        await tx.outbox.put([action(message_id=queued.id)])
        held = HeldRow(id=uuid4(), conversation_id=over, author=EXPERT, message_id=doubted.id, created_at=NOW)
        await tx.held.add(held)
        form = FormRow(
            id=uuid4(), kind="ask", owner=EXPERT, created_at=NOW, expires_at=NOW, message_id=asked.id
        )
        await tx.forms.add(form)
        await tx.events.append(going_on, records(1, told))
        assert await tx.messages.outlived(NOW + HOUR, closed, 10) == (past,)
        assert await tx.messages.outlived(NOW, closed, 10) == ()
        await tx.forms.forget_expired(NOW)
        await tx.held.settle(held.id, HeldState.DROPPED)
        assert {row.id for row in await tx.messages.outlived(NOW + HOUR, closed, 10)} == {
            past.id,
            doubted.id,
            asked.id,
        }


async def test_message_is_found_by_its_queue_id_and_by_what_caused_it(store: Store) -> None:
    command = message(queue_id="00000000000000A1")
    answer = message(direction=Direction.WRITTEN, cause_id=command.id, received_at=NOW + HOUR)
    first = message(direction=Direction.WRITTEN, cause_id=command.id)
    notice = message(direction=Direction.WRITTEN, cause_id=answer.id)
    async with store.transaction() as tx:
        for row in (command, answer, first, notice):
            await tx.messages.add(row, b"raw")
        assert await tx.messages.by_queue_id(command.queue_id) == (command,)
        assert await tx.messages.by_queue_id("") == ()
        assert await tx.messages.caused_by([command.id]) == (first, answer)
        assert await tx.messages.caused_by([answer.id]) == (notice,)
        written = await tx.messages.caused_by([command.id, answer.id, command.id])
        assert sorted(row.id for row in written) == sorted((first.id, answer.id, notice.id))
        assert await tx.messages.caused_by([]) == ()
        assert await tx.messages.purge(command.id)
        assert [row.id for row in await tx.messages.by_queue_id(command.queue_id)] == [command.id]


async def test_many_messages_are_looked_up_at_once(store: Store) -> None:
    """More than one statement takes."""
    letters = [message() for _ in range(ID_CHUNK + 1)]
    answers = [message(direction=Direction.WRITTEN, cause_id=row.id) for row in letters]
    actions = [action(message_id=row.id) for row in answers]
    async with store.transaction() as tx:
        for row in (*letters, *answers):
            await tx.messages.add(row, b"raw")
        await tx.outbox.put([*actions, action()])
        for row in letters:
            await tx.audit.write(NOW, REQUESTER, "accept", str(row.id), "done")
        written = await tx.messages.caused_by(row.id for row in letters)
        assert {row.id for row in written} == {row.id for row in answers}
        assert list(await tx.outbox.of_messages(row.id for row in answers)) == actions
        lines = await tx.audit.about(str(row.id) for row in letters)
        assert [line.target for line in lines] == [str(row.id) for row in letters]


async def test_cause_is_a_message_that_is_there(store: Store) -> None:
    with pytest.raises(ConstraintBroken):
        async with store.transaction() as tx:
            await tx.messages.add(message(cause_id=uuid4()), b"raw")


async def test_conversations_are_found_by_the_message_ids_that_a_mail_cites(store: Store) -> None:
    async with store.transaction() as tx:
        first, second = await open_conversation(tx), await open_conversation(tx)
        one, same = message(conversation_id=first), message(conversation_id=first)
        other, loose = message(conversation_id=second), message()
        for row in (one, same, other, loose):
            await tx.messages.add(row, b"raw")
        cited = [one.mail_id, same.mail_id, loose.mail_id, "<unknown@x.example>"]
        assert await tx.messages.by_mail_ids(cited) == (first,)
        flood = [f"<{number}@x.example>" for number in range(40_000)]
        assert set(await tx.messages.by_mail_ids([*flood, one.mail_id, other.mail_id])) == {first, second}
        assert await tx.messages.by_mail_ids([]) == ()
        assert await tx.messages.by_mail_id(loose.mail_id) == (loose,)
        assert await tx.messages.place(loose.id, second)
        assert set(await tx.messages.by_mail_ids([loose.mail_id])) == {second}


async def test_decisions_are_told_by_conversation_and_message(store: Store) -> None:
    async with store.transaction() as tx:
        conversation = await open_conversation(tx)
        row = message(conversation_id=conversation)
        await tx.messages.add(row, b"raw")
        decision = DecisionRow(
            at=NOW,
            trigger="letter",
            facts={"images": 2},
            trace=[{"rule": "r1", "fired": True}],
            rules_version="1",
            conversation_id=conversation,
            message_id=row.id,
        )
        number = await tx.decisions.add(decision)
        assert await tx.decisions.of(conversation) == (replace(decision, id=number),)
        assert await tx.decisions.of_message(row.id) == (replace(decision, id=number),)
        assert await tx.decisions.of_message(uuid4()) == ()


async def test_form_counts_once_and_is_forgotten_when_expired(store: Store) -> None:
    row = FormRow(
        id=uuid4(),
        kind="request",
        owner=REQUESTER,
        created_at=NOW,
        expires_at=NOW + HOUR,
        filled={"question": "Mélanome ?", "exchanges": [1, 2]},
    )
    async with store.transaction() as tx:
        await tx.forms.add(row)
        assert await tx.forms.get(row.id) == row
        assert await tx.forms.use(row.id, NOW)
        assert not await tx.forms.use(row.id, NOW)
        assert not await tx.forms.use(uuid4(), NOW)
        assert await tx.forms.forget_expired(NOW) == 0
        assert await tx.forms.forget_expired(NOW + HOUR) == 1
        assert await tx.forms.get(row.id) is None


async def test_held_letter_is_settled_once(store: Store) -> None:
    async with store.transaction() as tx:
        conversation = await open_conversation(tx)
        letter = message()
        await tx.messages.add(letter, b"raw")
        row = HeldRow(
            id=uuid4(), conversation_id=conversation, author=REQUESTER, message_id=letter.id, created_at=NOW
        )
        await tx.held.add(row)
        assert await tx.held.get(row.id) == row
        assert await tx.held.settle(row.id, HeldState.RELEASED)
        assert not await tx.held.settle(row.id, HeldState.DROPPED)
        assert await tx.held.get(row.id) == replace(row, state=HeldState.RELEASED)


async def test_answers_are_counted_by_sender_and_hour(store: Store) -> None:
    async with store.transaction() as tx:
        assert [await tx.answers.count(REQUESTER, NOW) for _ in range(3)] == [1, 2, 3]
        assert await tx.answers.count(EXPERT, NOW) == 1
        assert await tx.answers.count(REQUESTER, NOW + HOUR) == 1
        assert await tx.answers.forget_before(NOW + HOUR / 2) == 2
        assert await tx.answers.count(REQUESTER, NOW + HOUR) == 2


async def test_bounce_address_leads_to_what_was_sent(store: Store) -> None:
    sent = action()
    row = BounceRow(id=uuid4(), recipient="x@other.example", created_at=NOW, outbox_id=sent.id)
    async with store.transaction() as tx:
        await tx.outbox.put([sent])
        await tx.bounces.add(row)
        await tx.bounces.add(row)
        assert await tx.bounces.get(row.id) == row
        assert await tx.bounces.get(uuid4()) is None


async def test_times_of_any_zone_are_the_same_instant_and_naive_ones_are_refused(store: Store) -> None:
    paris = datetime(2026, 7, 1, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    row = message(received_at=paris)
    async with store.transaction() as tx:
        await tx.messages.add(row, b"raw")
        found = await tx.messages.get(row.id)
        assert found is not None
        assert found.received_at == paris
        assert found.received_at.tzinfo is UTC
    with pytest.raises(Exception, match="without zone"):
        async with store.transaction() as tx:
            await tx.messages.add(message(received_at=NOW.replace(tzinfo=None)), b"raw")


async def test_audit_trail_shows_what_was_tampered_with(store: Store) -> None:
    async with store.transaction() as tx:
        for number in range(5):
            await tx.audit.write(
                NOW, "cli", "account add", f"a{number}", "done", {"n": number, "list": (1, 2)}
            )
        whole = await tx.audit.verify()
        assert (whole.holds, whole.count) == (True, 5)
        assert (await tx.audit.list(after=4))[0].hash == whole.head
        assert [line.id for line in await tx.audit.about(["a3", "a1", "a9", "a3"])] == [2, 4]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit SET result = 'refused' WHERE id = 3",
        "UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE id = 3",
        "UPDATE audit SET detail = '{}' WHERE id = 3",
        "DELETE FROM audit WHERE id = 2",
        "UPDATE audit SET hash = 'f00' WHERE id = 3",
    ],
)
async def test_audit_trail_that_was_tampered_with_does_not_hold(store: Store, tampering: str) -> None:
    async with store.transaction() as tx:
        for number in range(5):
            await tx.audit.write(NOW, "cli", "account add", f"a{number}", "done", {"n": number})
    async with store.engines.writers.begin() as connection:
        await connection.exec_driver_sql(tampering)
    async with store.reading() as tx:
        check = await tx.audit.verify()
    assert check.broken_at == 3
    assert not check.holds


async def test_conversations_of_the_absent_are_found_by_the_day_without_those_of_their_deputy(
    store: Store,
) -> None:
    deputy, first = "lea.roche@demo.mssante.example", NOW.date()
    away = Absence(starts=first, ends=first + timedelta(days=3), deputy=deputy)
    states = ("requested", "on_hold")

    async def found(day: date, **changes: Any) -> tuple[UUID, ...]:
        async with store.transaction() as tx:
            await tx.experts.put(
                Expert(account=account, description="Avis", absence=replace(away, **changes))
            )
            assert await tx.experts.absence(EXPERT) == replace(away, **changes)
            return await tx.conversations.of_the_absent(day, states)

    async with store.transaction() as tx:
        account = Account(address=EXPERT, name="Avis Dermatologie")
        await tx.accounts.add(account, "hash", NOW)
        assert await tx.experts.absence(EXPERT) is None
        waiting, held, closed, joined, left = [await open_conversation(tx) for _ in range(5)]
        await tx.conversations.save(held, projection("on_hold"))
        await tx.conversations.save(closed, projection("completed"))
        for identifier, active in ((joined, True), (left, False)):
            members = {REQUESTER: True, EXPERT: True, deputy: active}
            await tx.conversations.save(identifier, projection(members=members))
    for day in (first, away.ends):
        assert set(await found(day)) == {waiting, held}
    for day in (first - timedelta(days=1), away.ends + timedelta(days=1)):
        assert await found(day) == ()
    # Who asks is a member, and no deputy: the requester is to be told.
    for other in ("", REQUESTER):
        assert set(await found(first, deputy=other)) == {waiting, held, joined, left}
    async with store.reading() as tx:
        assert set(await tx.conversations.asked_of(EXPERT, states)) == {waiting, held, joined, left}
        assert await tx.conversations.asked_of(REQUESTER, states) == ()
