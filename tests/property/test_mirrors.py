"""The record of a conversation that a peer holds: whatever order its mails come in, it says the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.peer_belief import outer_claim
from teleexpertise.claims import STANDING, Claim, claim_fields, claimed, read_claim
from teleexpertise.conversation import Conversation, apply, fold
from teleexpertise.events import Author, Posted
from teleexpertise.mirrors import Flow, MirrorEvent, fold_mirror
from teleexpertise.states import State
from tests.support.cases import CONVERSATION, START, record
from tests.support.courses import courses, play

HEADER_PIECES = [
    b"X-TLE-Id: ",
    b"x-tle-seq :",
    b"\r\n",
    b"\r\n ",
    b"\n\t",
    b"X-TLE-To:\r\n",
    b"\xff\x00",
    b":",
    b"\r\n\r\n",
]
HOLDER = "tenant.mssante.example"
MEMBER = "claire.martin@ici.mssante.example"


def mail(conversation: Conversation, seq: int, event: str, cites: tuple[str, ...]) -> MirrorEvent:
    """What a mail of the holder says about the conversation as it is after ``seq``."""
    written = claim_fields(
        Claim(
            id=conversation.id,
            ref=conversation.ref,
            event=event,
            seq=seq,
            state=conversation.state,
            to=(MEMBER,),
        )
    )
    claim = read_claim(claimed([(name.upper(), value) for name, value in written]))
    assert isinstance(claim, Claim)
    return MirrorEvent(
        flow=Flow.RECEIVED,
        event=claim.event,
        at=START + timedelta(minutes=seq),
        author=Author("service@tenant.mssante.example", "Service"),
        message=uuid5(conversation.id, f"{seq} {event}"),
        message_sha256="0" * 64,
        mail_id=f"<{seq}.{event}@{HOLDER}>",
        seq=claim.seq,
        state=claim.state,
        ref=claim.ref,
        members=claim.to,
        cites=cites,
        reply_to=f"teleexpertise+jeton@{HOLDER}",
    )


def mails_of(course: Any) -> tuple[Conversation, list[MirrorEvent]]:
    """A conversation played at its holder, and a mail about each state on the way: posts and news."""
    records = play(course).records
    if not records:
        return fold(CONVERSATION, [record(1, course.opening)]), []
    state = fold(CONVERSATION, records[:1])
    told: list[MirrorEvent] = []
    for each in records[1:]:
        state = apply(state, each)
        told.append(mail(state, state.seq, STANDING, tuple(m.mail_id for m in told[-3:])))
    state = apply(state, record(state.seq + 1, Posted(template="ouverture")))
    told.append(mail(state, state.seq, "ouverture", tuple(m.mail_id for m in told[-3:])))
    return state, told


@given(courses(careless=True), st.data())
def test_any_order_and_repetition_of_mails_folds_to_the_holders_state(course: Any, data: Any) -> None:
    state, told = mails_of(course)
    if not told:
        return
    again = data.draw(st.lists(st.sampled_from(told), max_size=8))
    shuffled = data.draw(st.permutations([*told, *again]))
    found = fold_mirror(CONVERSATION, HOLDER, shuffled)
    assert (found.id, found.ref, found.state, found.seq) == (state.id, state.ref, state.state, state.seq)
    assert found == fold_mirror(CONVERSATION, HOLDER, told)
    assert found.active() == (MEMBER,)
    assert not found.missing
    assert not found.disputed


@given(courses(), st.data())
def test_a_lost_mail_is_missed_once_another_cites_it_and_the_highest_number_still_wins(
    course: Any, data: Any
) -> None:
    state, told = mails_of(course)
    if len(told) < 3:
        return
    lost = data.draw(st.sampled_from(told[1:-1]))
    rest = [each for each in told if each is not lost]
    found = fold_mirror(CONVERSATION, HOLDER, data.draw(st.permutations(rest)))
    assert found.missing == (lost.mail_id,)
    assert (found.state, found.seq) == (state.state, state.seq)
    late = fold_mirror(CONVERSATION, HOLDER, [*rest, lost])
    assert late == fold_mirror(CONVERSATION, HOLDER, told)
    assert not late.missing


@given(courses(), st.data())
def test_what_was_sent_to_the_holder_moves_nothing(course: Any, data: Any) -> None:
    state, told = mails_of(course)
    if not told:
        return
    sent = MirrorEvent(
        flow=Flow.SENT,
        event="message",
        at=START,
        author=Author(MEMBER, "Dr Claire MARTIN"),
        message=uuid5(CONVERSATION, "sent"),
        message_sha256="1" * 64,
        mail_id="<1@client.example>",
    )
    found = fold_mirror(CONVERSATION, HOLDER, data.draw(st.permutations([*told, sent, sent])))
    assert (found.state, found.seq) == (state.state, state.seq)
    assert found.state is not State.NEW


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=60)), max_size=9))
def test_reading_a_claim_is_total(pairs: list[tuple[str, str]]) -> None:
    names = ["X-TLE-Id", "X-TLE-Ref", "X-TLE-Event", "X-TLE-Seq", "X-TLE-State", "X-TLE-To"]
    headers = [(name, value) for name, (_, value) in zip(names, pairs, strict=False)]
    assert not isinstance(read_claim(claimed([*headers, *pairs])), Claim)


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(HEADER_PIECES)), max_size=12).map(b"".join))
def test_the_fields_of_any_octets_are_read_without_fault(raw: bytes) -> None:
    for name, value in outer_claim(raw):
        assert name.startswith("x-tle-")
        assert value == " ".join(value.split())
