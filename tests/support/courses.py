"""Random courses of a tele-expertise for property tests: what happens, in which order, under which rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from teleexpertise.events import AnyEvent, Exchanged, Held, MemberJoined, Opened, Side
from teleexpertise.facts import Facts, Trigger
from teleexpertise.people import Party
from teleexpertise.rules import RuleBook
from tests.support.cases import CLOSE_UP, OVERVIEW, SHEET, Play, author, opened, proposals, rules

#: Rules as careless as operators may write them.
CARELESS = (
    "[rules.tenir]\non = ['request', 'message']\ndo = [{ ask = 'Encore une photo.' }]",
    "[rules.reprendre]\non = 'message'\ndo = [{ move = 'resumed' }]\nbefore = 'message'",
    "[rules.part]\non = ['message', 'request']\nwhen = 'images / documents > 1'\ndo = [{ move = 'held' }]",
    "[rules.premier]\non = ['request', 'message']\nwhen = 'missing[0] == \"x\"'\nbefore = 'urgence-vitale'",
    "[rules.encore]\non = 'message'\ndo = [{ accept = true }, { deliver = true }]",
    "[rules.deux]\non = 'cancel'\ndo = [{ accept = true }, { notify = 'cancelled' }]",
    "[rules.avant]\non='request'\nbefore = 'ouverture'\ndo = [{ move = 'held' }]",
    "[rules.ailleurs]\non='request'\ndo = [{ accept = true }, { move = 'redirected' }]",
    "[rules.fin]\non = 'message'\nstop = true\ndo = [{ accept = true }, { deliver = true }]",
    "[rules.ouverture]\non = 'request'\ndo = [{ accept = true }]",
)


@dataclass(frozen=True)
class Course:
    """A request, what happened after it, and an operator's rules."""

    opening: Opened
    happenings: tuple[tuple[Trigger, AnyEvent, Side], ...] = ()
    tool_url: str = ""
    operator: tuple[str, ...] = field(default=())

    @property
    def book(self) -> RuleBook:
        """The rules of this course."""
        return rules(*self.operator)


def facts(happening: tuple[Trigger, AnyEvent, Side]) -> Facts:
    """A happening as a decision takes it."""
    trigger, event, side = happening
    return Facts(trigger=trigger, author=author(side), proposed=event, side=side)


def play(course: Course) -> Play:
    """Play a course to its end; nothing happens to a request that opened nothing."""
    played = Play(course.book)
    played.request(course.opening, course.tool_url)
    for happening in course.happenings if played.records else ():
        played.happens(facts(happening))
    return played


def mails() -> st.SearchStrategy[tuple[Trigger, AnyEvent, Side]]:
    """Mails of all sides, with and without photos and documents."""
    return st.builds(
        lambda side, images, documents: (
            Trigger.MESSAGE,
            Exchanged(side=side, images=images, documents=documents),
            side,
        ),
        st.sampled_from(list(Side)),
        st.integers(0, 2),
        st.integers(0, 1),
    )


def invitations() -> st.SearchStrategy[tuple[Trigger, AnyEvent, Side]]:
    """Invitations of different people."""
    people = st.sampled_from(
        [Party(f"invite{number}@autre.mssante.example", "Invité") for number in range(4)]
    )
    return people.map(lambda party: (Trigger.INVITE, MemberJoined(party=party), Side.EXPERT))


def others(*triggers: Trigger) -> st.SearchStrategy[tuple[Trigger, AnyEvent, Side]]:
    """Anything else that can happen, of these triggers or of all."""
    known = [pair for pair in proposals() if not triggers or pair[0] in triggers]
    return st.tuples(st.sampled_from(known), st.sampled_from(list(Side))).map(
        lambda both: (*both[0], both[1])
    )


def openings() -> st.SearchStrategy[Opened]:
    """Requests with and without mandatory elements, complete or not."""
    items = st.lists(
        st.sampled_from([OVERVIEW, CLOSE_UP, SHEET]), unique_by=lambda item: item.name, max_size=3
    )
    return st.builds(
        lambda wanted, images, documents, urgency: replace(
            opened(tuple(wanted), images, documents, urgency), answers=(("Poids", ""),)
        ),
        items,
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from(["24h", "72h", "7j", "aucune"]),
    )


def courses(careless: bool = False) -> st.SearchStrategy[Course]:
    """Whole courses under the default rules, or with an operator's careless ones after them."""
    operator = st.lists(st.sampled_from(CARELESS), unique=True, max_size=4) if careless else st.just([])
    return st.builds(
        Course,
        opening=openings(),
        happenings=st.lists(st.one_of(mails(), invitations(), others()), max_size=8).map(tuple),
        tool_url=st.sampled_from(["", "", "", "https://outil.example/"]),
        operator=operator.map(tuple),
    )


def asks() -> st.SearchStrategy[tuple[Trigger, AnyEvent, Side]]:
    """The expert asks for something."""
    return st.just((Trigger.ASK, Held(reason="demande", asked=("Antécédents",)), Side.EXPERT))
