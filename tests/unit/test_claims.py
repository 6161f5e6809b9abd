"""X-TLE fields as a claim: written, read, and what is none."""

from __future__ import annotations

from uuid import UUID

import pytest

from teleexpertise.claims import STANDING, Claim, ClaimFault, claim_fields, claimed, read_claim
from teleexpertise.events import Author
from teleexpertise.letters import Mailbox
from teleexpertise.mirrors import Flow, MirrorEvent, NothingBelieved, fold_mirror, mirror_author
from teleexpertise.people import Rights
from teleexpertise.states import State
from tests.support.cases import START

ID = UUID("6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11")
DOCTOR, SECRETARY = "claire.martin@ici.mssante.example", "nadia.roux@ici.mssante.example"
CLAIM = Claim(
    id=ID, ref="TLE-2026-000123", event="message", seq=7, state=State.IN_PROGRESS, to=(DOCTOR, SECRETARY)
)


def test_what_is_written_is_read_again() -> None:
    assert read_claim(claimed(claim_fields(CLAIM))) == CLAIM


def test_news_for_a_peer_without_members_says_so() -> None:
    claim = Claim(id=ID, ref=CLAIM.ref, event=STANDING, seq=9, state=State.COMPLETED)
    assert ("X-TLE-To", "-") in claim_fields(claim)
    assert read_claim(claimed(claim_fields(claim))) == claim


def test_an_odd_address_does_not_make_the_others_mail_unreadable() -> None:
    odd = Claim(
        id=ID, ref=CLAIM.ref, event="x", seq=1, state=State.REQUESTED, to=('"a, b"@c.example', DOCTOR)
    )
    found = read_claim(claimed(claim_fields(odd)))
    assert isinstance(found, Claim)
    assert found.to == (DOCTOR,)


def test_a_mail_for_our_own_readers_names_nobody() -> None:
    claim = Claim(id=ID, ref=CLAIM.ref, event="message", seq=9, state=State.COMPLETED)
    assert "X-TLE-To" not in dict(claim_fields(claim))
    assert read_claim(claimed(claim_fields(claim))) is ClaimFault.MISSING


def test_folding_and_case_do_not_matter_and_hops_say_nothing() -> None:
    fields = [(name.upper(), value.replace(", ", ",\r\n\t")) for name, value in claim_fields(CLAIM)]
    assert (
        read_claim(claimed([("X-TLE-Loop", "a"), *fields, ("X-TLE-Loop", "b"), ("X-TLE-New", "?")])) == CLAIM
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-TLE-Id", "6F1C2A52-6AB1-4EF0-9C0A-5A3F1F0C7D11"),
        ("X-TLE-Id", "6f1c2a526ab14ef09c0a5a3f1f0c7d11"),
        ("X-TLE-Ref", "TLE-2026-1"),
        ("X-TLE-Ref", "TLE-2026-00012\u0663"),
        ("X-TLE-Event", "Message"),
        ("X-TLE-Event", "m" * 41),
        ("X-TLE-Seq", "0"),
        ("X-TLE-Seq", "-1"),
        ("X-TLE-Seq", "07"),
        ("X-TLE-Seq", "9999999999"),
        ("X-TLE-Seq", "\u0667"),
        ("X-TLE-State", "new"),
        ("X-TLE-State", "finished"),
        ("X-TLE-State", ""),
        ("X-TLE-To", ""),
        ("X-TLE-To", "quelqu'un"),
        ("X-TLE-To", "Dr <a@b.example>"),
        ("X-TLE-To", ", ".join(f"a{n}@b.example" for n in range(101))),
    ],
)
def test_a_field_of_another_shape_makes_no_claim(name: str, value: str) -> None:
    fields = [(key, value if key == name else text) for key, text in claim_fields(CLAIM)]
    assert read_claim(claimed(fields)) is ClaimFault.MALFORMED


def test_a_field_twice_makes_no_claim_even_where_both_say_the_same() -> None:
    fields = claim_fields(CLAIM)
    assert read_claim(claimed([*fields, fields[0]])) is ClaimFault.DUPLICATED


def event(seq: int, name: str, state: State, *members: str, cites: tuple[str, ...] = ()) -> MirrorEvent:
    return MirrorEvent(
        flow=Flow.RECEIVED,
        event=name,
        at=START,
        author=Author("s@t.example", "S"),
        message=ID,
        message_sha256="0" * 64,
        mail_id=f"<{seq}{name}@t.example>",
        seq=seq,
        state=state,
        ref=CLAIM.ref,
        members=members,
        cites=cites,
        reply_to="teleexpertise+x@t.example",
    )


def test_who_the_holder_no_longer_names_has_left() -> None:
    opening = event(3, "ouverture", State.REQUESTED, DOCTOR)
    joined = event(5, "invitation", State.REQUESTED, DOCTOR, SECRETARY)
    removed = event(8, "retrait", State.REQUESTED, DOCTOR, SECRETARY)
    standing = event(8, STANDING, State.REQUESTED, DOCTOR)
    found = fold_mirror(ID, "t.example", [standing, removed, joined, opening])
    assert dict(found.members) == {DOCTOR: True, SECRETARY: False}
    again = fold_mirror(ID, "t.example", [standing, event(9, "invitation", State.REQUESTED, SECRETARY)])
    assert again.active() == (DOCTOR, SECRETARY)


def test_what_was_before_our_time_is_not_missing() -> None:
    invited = event(9, "invitation", State.IN_PROGRESS, DOCTOR, cites=("<1@t.example>", "<2@t.example>"))
    later = event(12, "rapport", State.COMPLETED, DOCTOR, cites=("<1@t.example>", "<lost@t.example>"))
    assert fold_mirror(ID, "t.example", [later, invited]).missing == ("<lost@t.example>",)


def test_two_states_of_one_number_are_disputed_and_the_same_in_any_order() -> None:
    two = [event(4, "message", State.ON_HOLD, DOCTOR), event(4, "question", State.DECLINED, DOCTOR)]
    found = fold_mirror(ID, "t.example", two)
    assert found.disputed == (4,)
    assert found == fold_mirror(ID, "t.example", reversed(two))


def test_nothing_of_the_holder_is_no_conversation() -> None:
    with pytest.raises(NothingBelieved):
        fold_mirror(ID, "t.example", [])


@pytest.mark.parametrize(
    ("login", "written_as", "shown"),
    [
        (DOCTOR, DOCTOR, "Dr Claire MARTIN"),
        (SECRETARY, DOCTOR, "Mme Nadia ROUX pour Dr Claire MARTIN"),
        (SECRETARY, SECRETARY, None),
        ("other@ici.mssante.example", DOCTOR, None),
    ],
)
def test_the_holder_takes_the_from_for_the_author(login: str, written_as: str, shown: str | None) -> None:
    names = {DOCTOR: "Dr Claire MARTIN", SECRETARY: "Mme Nadia ROUX"}
    rights = Rights({DOCTOR: frozenset({SECRETARY})})
    mailbox = Mailbox(login, names.get(login, ""))
    author = mirror_author((DOCTOR,), mailbox, "Dr Claire MARTIN", written_as, rights)
    assert (author.shown if author else None) == shown
