"""Absences that begin while a conversation goes on: whatever happens in between, each is noted once."""

from dataclasses import dataclass, replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from teleexpertise.absences import absence_due, asking, awaits_expert, standing_in
from teleexpertise.conversation import Conversation
from teleexpertise.events import ExpertAway, MemberJoined, MemberLeft, Side
from teleexpertise.facts import Facts, Trigger
from teleexpertise.people import Absence, Account, Party
from tests.support.cases import DEPUTY, EXPERT, REQUESTER, Play, author, opened
from tests.support.courses import facts, mails, others

DAY = timedelta(days=1)
FIRST = date(2026, 3, 2)
PEOPLE = (DEPUTY, REQUESTER, EXPERT, Party("lea.roche@demo.mssante.example", "Mme Léa ROCHE"))
ACCOUNTS = {party.address: Account(address=party.address, name=party.name) for party in PEOPLE}


@dataclass(frozen=True)
class Announced:
    """The expert says from now on (``None``: no more) to be away; the named deputy has an active account."""

    absence: Absence | None
    active: bool = True


@dataclass(frozen=True)
class Looked:
    """The clock looks, so many days after the opening, as often as it may."""

    days: int
    times: int


absences = st.builds(
    lambda first, length, deputy: Absence(
        starts=FIRST + first * DAY, ends=FIRST + (first + length) * DAY, deputy=deputy
    ),
    st.integers(0, 4),
    st.integers(2, 6),
    st.sampled_from(["", *ACCOUNTS]),
)
hands = st.sampled_from(PEOPLE[::3]).flatmap(
    lambda party: st.sampled_from(
        [
            (Trigger.INVITE, MemberJoined(party=party), Side.REQUESTER),
            (Trigger.REMOVE, MemberLeft(address=party.address), Side.REQUESTER),
        ]
    )
)
closings = others(Trigger.FINALISE, Trigger.DECLINE, Trigger.CANCEL)
looks = st.builds(Looked, st.integers(0, 8), st.integers(1, 3))
announcements = st.builds(
    Announced, st.one_of(absences, absences, st.none()), st.sampled_from([True, True, False])
)
announced_and_seen = st.tuples(announcements, looks)
steps = st.one_of(
    announced_and_seen, announced_and_seen, *(st.tuples(one) for one in (mails(), others(Trigger.ASK), hands))
)
#: What goes on, and maybe an end with what the clock sees after it.
happenings = st.builds(
    lambda course, end: [each for step in (*course, *end) for each in step],
    st.lists(steps, min_size=3, max_size=12),
    st.one_of(st.just([]), st.tuples(st.tuples(closings), announced_and_seen)),
)


def stand_in(found: Conversation, announced: Announced) -> Party | None:
    absence = announced.absence
    named = ACCOUNTS.get(absence.deputy) if absence is not None else None
    account = replace(named, active=announced.active) if named is not None else None
    return standing_in(account, EXPERT.address, asking(found))


def look(play: Play, announced: Announced, today: date) -> ExpertAway | None:
    """What the clock notes, as the gateway does it."""
    found = play.now
    assert found is not None
    if announced.absence is None:
        return None
    deputy = stand_in(found, announced)
    if not absence_due(found, announced.absence, deputy, today):
        return None
    event = ExpertAway(absence=announced.absence, deputy=deputy)
    play.happens(Facts(trigger=Trigger.AWAY, author=author(Side.EXPERT), proposed=event))
    return event


@given(happenings)
def test_each_absence_is_noted_once_and_only_where_the_expert_is_waited_for(course: list[object]) -> None:
    play, announced = Play(), Announced(None)
    play.request(opened())
    for happening in course:
        match happening:
            case Announced():
                announced = happening
            case Looked(days, times):
                looked(play, announced, FIRST + days * DAY, times)
            case tuple():
                play.happens(facts(happening))
    found = play.now
    assert found is not None
    addresses = [party.address for party in found.deputies]
    assert len(set(addresses)) == len(addresses), "nobody comes twice"
    alone = [noted.absence for noted in found.away if noted.deputy is None]
    assert not any(one.overlaps(other) for n, one in enumerate(alone) for other in alone[:n])
    assert {found.side(address) for address in addresses} <= {Side.EXPERT}
    assert found.side(REQUESTER.address) is Side.REQUESTER


def looked(play: Play, announced: Announced, today: date, times: int) -> None:
    before = play.now
    assert before is not None
    noted = [event for _ in range(times) if (event := look(play, announced, today)) is not None]
    after = play.now
    assert after is not None
    assert len(noted) <= 1, "looking again changes nothing"
    assert after.state is before.state
    for event in noted:
        assert event.absence.covers(today)
        assert awaits_expert(before)
        assert not before.closed
        known = {member.party.address for member in before.members}
        assert event.deputy is None or event.deputy.address not in known, "who was there, or left, stays so"
        assert event.deputy is None or after.deputy == event.deputy


@given(st.lists(st.one_of(mails(), closings), max_size=8))
def test_a_request_that_nobody_answered_is_never_left_alone(course: list[object]) -> None:
    play = Play()
    play.request(opened())
    for happening in course:
        assert isinstance(happening, tuple)
        play.happens(facts(happening))
    found = play.now
    assert found is not None
    absence = Absence(starts=FIRST, ends=FIRST + 9 * DAY, deputy=DEPUTY.address)
    due = absence_due(found, absence, DEPUTY, FIRST)
    assert due or found.closed or found.exchanges[-1].side is Side.EXPERT
    assert not (due and found.closed)


@given(absences, st.integers(0, 12))
def test_a_deputy_who_was_taken_out_does_not_come_back(absence: Absence, day: int) -> None:
    play = Play()
    play.request(opened())
    assert look(play, Announced(replace(absence, deputy=DEPUTY.address)), absence.starts) is not None
    play.act(Trigger.REMOVE, MemberLeft(address=DEPUTY.address), Side.REQUESTER)
    again = Absence(starts=FIRST, ends=FIRST + 30 * DAY, deputy=DEPUTY.address)
    assert look(play, Announced(again), FIRST + day * DAY) is None
    assert play.now is not None
    assert play.now.deputy is None
