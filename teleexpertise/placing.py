"""Where a letter belongs and who wrote it: pure answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from teleexpertise.conversation import Conversation
from teleexpertise.events import Author, Side
from teleexpertise.letters import Letter, Mailbox
from teleexpertise.people import Rights

__all__ = ["Authorship", "Doubt", "authorship", "doubt", "strangers"]


class Doubt(StrEnum):
    """Why a letter is held and its author asked for which conversation it was meant."""

    NOTHING_AGREES = "nothing_agrees"
    CLOSED_WITHOUT_REFERENCES = "closed_without_references"


def doubt(
    letter: Letter, conversation: Conversation, known_ids: Collection[str], subject_ref: str | None
) -> Doubt | None:
    """Whether the reply address may be a slip of autocompletion.

    ``known_ids`` are the Message-IDs of this conversation's mails, ``subject_ref`` the reference that the
    subject shows. Either must agree with the reply address; for a closed conversation the References must.
    """
    cited = any(name in known_ids for name in (*letter.references, *letter.in_reply_to))
    if conversation.closed and not cited:
        return Doubt.CLOSED_WITHOUT_REFERENCES
    if not cited and subject_ref != conversation.ref:
        return Doubt.NOTHING_AGREES
    return None


@dataclass(frozen=True, slots=True)
class Authorship:
    """An accepted author and the side spoken for."""

    author: Author
    side: Side


_RANKS = (Side.EXPERT, Side.REQUESTER, Side.GUEST)


def authorship(
    conversation: Conversation, login: Mailbox, written_as: str, rights: Rights
) -> Authorship | None:
    """Who speaks for whom, or ``None`` for somebody who is neither a member nor may act for one.

    ``login`` is the authenticated person (at the MX: the From that the operator answers for);
    ``written_as`` the From address, which differs from the login where a delegate writes with the
    delegator's From.
    """
    own = conversation.member(written_as)
    if own is not None and written_as == login.address:
        return Authorship(Author(own.address, own.name), conversation.side(own.address))
    wanted = [own] if own is not None else []
    if written_as == login.address:
        wanted = [party for party in conversation.active() if rights.may_act(login.address, party.address)]
    # A delegate of several members does not say for whom: the expert comes first, as in Conversation.side.
    ranked = sorted(wanted, key=lambda party: _RANKS.index(conversation.side(party.address)))
    for party in ranked:
        if rights.may_act(login.address, party.address):
            author = Author(login.address, login.name or login.address, party.address, party.name)
            return Authorship(author, conversation.side(party.address))
    return None


def strangers(
    letter: Letter, conversation: Conversation, ours: Iterable[str], author: Author
) -> tuple[Mailbox, ...]:
    """The people in To and Cc who are no members yet: by being named they are invited.

    ``ours`` are the addresses of the service found among To and Cc (service and reply addresses).
    """
    known = {member.party.address for member in conversation.members} | set(ours)
    known |= {author.address, author.account}
    found: dict[str, Mailbox] = {}
    for mailbox in (*letter.to, *letter.cc):
        if mailbox.address not in known:
            found.setdefault(mailbox.address, mailbox)
    return tuple(found.values())
