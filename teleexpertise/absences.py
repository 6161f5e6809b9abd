"""When an expert's absence that begins after the opening concerns a conversation, and who stands in then."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from teleexpertise.conversation import Conversation
from teleexpertise.events import Side
from teleexpertise.people import Absence, Account, Party
from teleexpertise.states import State

__all__ = ["Waiting", "absence_due", "asking", "awaits_expert", "concerns", "standing_in"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many conversations an announced absence concerns as they stand now: of so many the deputy becomes a
    member, of so many the requester is told that nobody stands in.
    """

    passed_on: int = 0
    told: int = 0


def asking(conversation: Conversation) -> frozenset[str]:
    """The addresses of who asked: the requester and who wrote the request for them."""
    return frozenset({conversation.opening.requester.address, conversation.exchanges[0].author.address})


def standing_in(named: Account | None, expert: str, askers: Collection[str]) -> Party | None:
    """Who answers for an expert who is away: the account that the absence names, if it is active and did not
    ask itself. Whether it is away as well is not looked at: its owner named nobody, or people in a circle.
    """
    if named is None or not named.active or named.address == expert or named.address in askers:
        return None
    return Party.of(named)


def awaits_expert(conversation: Conversation) -> bool:
    """Whether the expert's side has the next word, or will have it: nobody of it has answered, the last mail
    is not its own, or what it asked for is still to come and wants a reader.
    """
    if conversation.closed:
        return False
    if conversation.state is State.ON_HOLD or not conversation.expert_has_written:
        return True
    return conversation.exchanges[-1].side is not Side.EXPERT


def concerns(conversation: Conversation, absence: Absence, deputy: Party | None) -> bool:
    """Whether an absence of the asked expert, once in force, changes anything here: the ``deputy`` who can
    stand in has not been here yet; or nobody can, and the requester was told of no such absence.

    Who was taken out by hand does not come back by this.
    """
    if not awaits_expert(conversation):
        return False
    if deputy is not None:
        return all(member.party.address != deputy.address for member in conversation.members)
    return not any(absence.overlaps(known) for known in conversation.known_absences)


def absence_due(conversation: Conversation, absence: Absence, deputy: Party | None, today: date) -> bool:
    """Whether the absence is to be noted in the conversation today. Noting it makes this false."""
    return absence.covers(today) and concerns(conversation, absence, deputy)
