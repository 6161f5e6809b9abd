"""A conversation that another gateway holds, as our own record of it says: a fold over believed mails.

The holder decides; we keep what its mails say. Mails come late, twice and in any order: the fold is a
function of the set of events and of nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from teleexpertise.claims import STANDING
from teleexpertise.events import Author
from teleexpertise.letters import Mailbox
from teleexpertise.people import Rights
from teleexpertise.states import CLOSED, State
from teleexpertise.told import Told, dump_told

__all__ = [
    "INVITATION",
    "Flow",
    "Mirror",
    "MirrorEvent",
    "NothingBelieved",
    "fold_mirror",
    "invited",
    "mirror_author",
]

#: The mail by which somebody joins.
INVITATION = "invitation"


class NothingBelieved(Exception):
    """A record without any mail of the holder is no conversation."""


class Flow(StrEnum):
    """Which way a mail of a mirrored conversation went."""

    RECEIVED = "received"
    """From the holder to members of ours: it says where the conversation stands."""
    SENT = "sent"
    """From a member of ours to the holder, who decides what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorEvent:
    """One mail of the record. ``seq`` is the holder's number and ``state`` the one after it; a sent mail has
    0 and ``new``.

    ``members`` are the members of our domains that a received mail names (for ``etat``: all who are in it),
    ``cites`` the mails of the thread that it says came before, ``reply_to`` the conversation's address at the
    holder, '' where the mail proves none. ``message`` and its hash are of the stored mail, ``at`` is when it
    came. ``told`` is what the holder tells of the conversation in it for exports, ``None`` in most mails.
    """

    flow: Flow
    event: str
    at: datetime
    author: Author
    message: UUID
    message_sha256: str
    mail_id: str
    seq: int = 0
    state: State = State.NEW
    ref: str = ""
    members: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()
    reply_to: str = ""
    told: Told | None = None

    @property
    def fingerprint(self) -> str:
        """What makes two mails the same event: all that they say, and not when or in which octets they came.

        SHA-256 in hexadecimal. One mail that goes to two members comes twice, with other hop fields.
        """
        facts = [
            self.flow,
            self.event,
            self.seq,
            self.state,
            self.ref,
            self.mail_id,
            self.author.address,
            self.author.acting_for,
            sorted(self.members),
            sorted(self.cites),
            self.reply_to,
            *([dump_told(self.told)] if self.told else []),
        ]
        return hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Where a mirrored conversation stands. ``holder`` is the domain of the gateway that decides.

    ``members`` maps each member of ours to whether the holder still counts them in. ``missing`` are mails
    that the holder's cite and this record does not have: late, lost, or not meant for us; ``disputed`` are
    numbers of which two mails say different states, which no honest holder does. ``told`` is the last that
    the holder told for exports, ``None`` where it never did.
    """

    id: UUID
    holder: str
    ref: str
    state: State
    seq: int
    reply_to: str
    members: tuple[tuple[str, bool], ...]
    opened_at: datetime
    updated_at: datetime
    missing: tuple[str, ...] = ()
    disputed: tuple[int, ...] = ()
    told: Told | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing but a new version of the report follows."""
        return self.state in CLOSED

    def active(self) -> tuple[str, ...]:
        """The addresses of our members who are in it now."""
        return tuple(address for address, active in self.members if active)


def _rank(event: MirrorEvent) -> tuple[int, bool, str]:
    """The order of the holder's mails: by number; what tells the standing after the mail of that number."""
    return event.seq, event.event == STANDING, event.fingerprint


def fold_mirror(identifier: UUID, holder: str, events: Iterable[MirrorEvent]) -> Mirror:
    """The state that the record gives: the highest number wins, whatever order the mails came in.

    Raises :class:`NothingBelieved` where the holder said nothing yet.
    """
    record = tuple({event.fingerprint: event for event in events}.values())
    told = sorted((event for event in record if event.flow is Flow.RECEIVED), key=_rank)
    if not told:
        raise NothingBelieved(str(identifier))
    last = told[-1]
    moments = [event.at for event in record]
    return Mirror(
        id=identifier,
        holder=holder,
        ref=last.ref,
        state=last.state,
        seq=last.seq,
        reply_to=next((event.reply_to for event in reversed(told) if event.reply_to), ""),
        members=_members(told),
        opened_at=min(moments),
        updated_at=max(moments),
        missing=_missing(record, told),
        disputed=_disputed(told),
        told=next((event.told for event in reversed(told) if event.told), None),
    )


def _members(told: Sequence[MirrorEvent]) -> tuple[tuple[str, bool], ...]:
    present: dict[str, bool] = {}
    for event in told:
        if event.event == STANDING:
            present = dict.fromkeys(present, False)
        present |= dict.fromkeys(event.members, True)
    return tuple(sorted(present.items()))


def _missing(record: Sequence[MirrorEvent], told: Sequence[MirrorEvent]) -> tuple[str, ...]:
    """Mails cited that are not here. What the first mail of the holder's own cites was before our time."""
    before = next((event.cites for event in told if event.reply_to), ())
    here = {event.mail_id for event in record} | set(before)
    cited = dict.fromkeys(name for event in told for name in event.cites)
    return tuple(name for name in cited if name not in here)


def _disputed(told: Sequence[MirrorEvent]) -> tuple[int, ...]:
    states: dict[int, set[State]] = {}
    for event in told:
        states.setdefault(event.seq, set()).add(event.state)
    return tuple(seq for seq, found in sorted(states.items()) if len(found) > 1)


def invited(events: Iterable[MirrorEvent]) -> frozenset[str]:
    """Our members who came by an invitation. All others may be who asked: they wait for the answer."""
    told = sorted((event for event in events if event.flow is Flow.RECEIVED), key=_rank)
    came: dict[str, str] = {}
    for event in told:
        for address in event.members:
            came.setdefault(address, event.event)
    return frozenset(address for address, event in came.items() if event == INVITATION)


def mirror_author(
    members: Collection[str], login: Mailbox, name: str, written_as: str, rights: Rights
) -> Author | None:
    """Who speaks for which member of ours in a mail to the holder, ``None`` where no member speaks.

    The holder knows no delegation of ours: it takes the From for the author. So a delegate's mail counts here
    where its From is the member's, and is ordinary mail where it is the delegate's own. ``name`` is the
    member's.
    """
    if written_as not in members:
        return None
    if written_as == login.address:
        return Author(login.address, login.name or login.address)
    if not rights.may_act(login.address, written_as):
        return None
    return Author(login.address, login.name or login.address, written_as, name or written_as)
