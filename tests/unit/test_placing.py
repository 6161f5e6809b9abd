"""Where a letter belongs and who wrote it."""

import pytest

from teleexpertise.conversation import Conversation
from teleexpertise.events import MemberJoined, MemberLeft, Side
from teleexpertise.letters import Mailbox
from teleexpertise.people import Party, Rights
from teleexpertise.placing import Doubt, authorship, doubt, strangers
from tests.support.cases import (
    EXPERT,
    GUEST,
    REF,
    REQUESTER,
    STRANGER,
    author,
    completed,
    conversation,
    letter,
)

KNOWN = frozenset({"<1@client.example>", "<2@client.example>"})
OPEN, CLOSED = conversation(), conversation(completed())
SECRETARY = Mailbox("secretariat@demo.mssante.example", "Secrétariat")
GUESTS_AIDE = Mailbox("aide@autre.mssante.example", "Aide")
RIGHTS = Rights(
    {
        EXPERT.address: frozenset({SECRETARY.address}),
        GUEST.address: frozenset({GUESTS_AIDE.address, SECRETARY.address}),
        STRANGER.address: frozenset({SECRETARY.address}),
    }
)
BOTH = Rights({party.address: frozenset({SECRETARY.address}) for party in (REQUESTER, EXPERT, GUEST)})


@pytest.mark.parametrize(
    ("found", "cited", "subject_ref", "expected"),
    [
        (OPEN, ("<1@client.example>",), REF, None),
        (OPEN, ("<1@client.example>",), None, None),
        (OPEN, ("<1@client.example>",), "TLE-2026-000999", None),
        (OPEN, (), REF, None),
        (OPEN, ("<other@client.example>",), REF, None),
        (OPEN, (), None, Doubt.NOTHING_AGREES),
        (OPEN, (), "TLE-2026-000999", Doubt.NOTHING_AGREES),
        (OPEN, ("<other@client.example>",), "TLE-2026-000999", Doubt.NOTHING_AGREES),
        (CLOSED, ("<1@client.example>",), None, None),
        (CLOSED, ("<other@client.example>", "<2@client.example>"), None, None),
        (CLOSED, (), REF, Doubt.CLOSED_WITHOUT_REFERENCES),
        (CLOSED, (), None, Doubt.CLOSED_WITHOUT_REFERENCES),
        (CLOSED, ("<other@client.example>",), REF, Doubt.CLOSED_WITHOUT_REFERENCES),
    ],
)
@pytest.mark.parametrize("place", ["references", "in_reply_to"])
def test_doubt(
    found: Conversation,
    cited: tuple[str, ...],
    subject_ref: str | None,
    expected: Doubt | None,
    place: str,
) -> None:
    assert (
        doubt(
            letter(references=cited) if place == "references" else letter(in_reply_to=cited),
            found,
            KNOWN,
            subject_ref,
        )
        is expected
    )


def who(
    login: Mailbox, written_as: str = "", rights: Rights = RIGHTS, found: Conversation | None = None
) -> tuple[str, str, Side] | None:
    known = found or conversation(MemberJoined(party=GUEST))
    accepted = authorship(known, login, written_as or login.address, rights)
    if accepted is None:
        return None
    return accepted.author.address, accepted.author.acting_for, accepted.side


def mailbox(party: Party) -> Mailbox:
    return Mailbox(party.address, party.name)


@pytest.mark.parametrize(
    ("party", "side"), [(REQUESTER, Side.REQUESTER), (EXPERT, Side.EXPERT), (GUEST, Side.GUEST)]
)
def test_a_member_speaks_for_itself(party: Party, side: Side) -> None:
    assert who(mailbox(party)) == (party.address, "", side)


def test_a_delegate_with_its_own_from_acts_for_the_member() -> None:
    assert who(SECRETARY) == (SECRETARY.address, EXPERT.address, Side.EXPERT)
    assert who(GUESTS_AIDE) == (GUESTS_AIDE.address, GUEST.address, Side.GUEST)


def test_a_delegate_with_the_delegators_from_acts_for_that_one() -> None:
    assert who(SECRETARY, GUEST.address) == (SECRETARY.address, GUEST.address, Side.GUEST)
    assert who(SECRETARY, REQUESTER.address, BOTH) == (SECRETARY.address, REQUESTER.address, Side.REQUESTER)


def test_a_delegate_of_both_sides_who_does_not_say_for_whom_speaks_for_the_expert() -> None:
    assert who(SECRETARY, rights=BOTH) == (SECRETARY.address, EXPERT.address, Side.EXPERT)


def test_a_false_from_is_refused() -> None:
    assert who(SECRETARY, REQUESTER.address) is None
    assert who(mailbox(EXPERT), REQUESTER.address) is None
    assert who(STRANGER, EXPERT.address) is None
    # A member's login does not help where the From is somebody else's who is no member.
    assert who(mailbox(EXPERT), STRANGER.address) is None
    assert who(SECRETARY, STRANGER.address) is None


def test_a_stranger_is_refused_and_so_is_a_delegate_of_strangers() -> None:
    assert who(STRANGER) is None
    assert who(SECRETARY, rights=Rights({STRANGER.address: frozenset({SECRETARY.address})})) is None


def test_a_removed_member_is_a_stranger_and_so_is_its_delegate() -> None:
    left = conversation(MemberJoined(party=GUEST), MemberLeft(address=GUEST.address))
    assert who(mailbox(GUEST), found=left) is None
    assert who(GUESTS_AIDE, found=left) is None
    assert who(SECRETARY, GUEST.address, found=left) is None


def test_somebody_on_both_sides_speaks_as_the_expert() -> None:
    assert OPEN.opening.expert == EXPERT
    alone = conversation(MemberJoined(party=EXPERT))
    assert who(mailbox(EXPERT), found=alone) == (EXPERT.address, "", Side.EXPERT)


def test_a_member_who_is_a_delegate_too_speaks_for_itself() -> None:
    rights = Rights({EXPERT.address: frozenset({REQUESTER.address})})
    assert who(mailbox(REQUESTER), rights=rights) == (REQUESTER.address, "", Side.REQUESTER)


def test_the_finalised_expert_speaks_for_the_experts_side() -> None:
    other = Party("equipe@demo.mssante.example", "Équipe de dermatologie")
    event = completed()
    done = conversation(
        MemberJoined(party=other), type(event)(requester=REQUESTER, expert=other, conclusion="")
    )
    assert who(mailbox(other), found=done) == (other.address, "", Side.EXPERT)
    assert who(mailbox(EXPERT), found=done) == (EXPERT.address, "", Side.EXPERT)


def test_people_named_who_are_no_members_are_strangers_once() -> None:
    service, reply = (
        Mailbox("teleexpertise@demo.mssante.example"),
        Mailbox("teleexpertise+x@demo.mssante.example"),
    )
    found = letter(
        to=(reply, mailbox(EXPERT), STRANGER), cc=(service, mailbox(REQUESTER), STRANGER, mailbox(GUEST))
    )
    named = strangers(found, OPEN, [service.address, reply.address], author(Side.REQUESTER))
    assert named == (STRANGER, mailbox(GUEST))


def test_author_and_account_are_no_strangers() -> None:
    acting = author(Side.GUEST, acting_for=EXPERT)
    assert strangers(letter(cc=(mailbox(GUEST), mailbox(EXPERT))), OPEN, [], acting) == ()


def test_who_has_left_is_no_stranger_that_an_old_copy_line_would_invite_again() -> None:
    left = conversation(MemberJoined(party=GUEST), MemberLeft(address=GUEST.address))
    named = letter(to=(mailbox(GUEST),), cc=(mailbox(GUEST), STRANGER))
    assert strangers(named, left, [], author(Side.EXPERT)) == (STRANGER,)
