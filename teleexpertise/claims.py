"""What the header fields of a conversation say (``X-TLE-…``), written by one gateway and read by another.

Pure reading and writing; whether a claim may be believed is the trust doors' question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from teleexpertise.states import State

__all__ = [
    "CLAIM_FIELDS",
    "HOP_FIELD",
    "NOBODY",
    "PREFIX",
    "STANDING",
    "Claim",
    "ClaimFault",
    "claim_fields",
    "claimed",
    "read_claim",
]

#: Header fields that only a gateway writes begin with this, in any case.
PREFIX = "x-tle-"
#: Our mark of one hop, written by whoever relays: it says nothing of a conversation.
HOP_FIELD = "x-tle-loop"
#: The fields of a claim, in lower case, each exactly once.
CLAIM_FIELDS = ("x-tle-id", "x-tle-ref", "x-tle-event", "x-tle-seq", "x-tle-state", "x-tle-to")
#: What ``X-TLE-To`` says where a peer has no member in the conversation any more.
NOBODY = "-"
#: The event of a mail between gateways that tells where a conversation stands and who of the peer is in it.
STANDING = "etat"

_REFERENCE = re.compile(r"TLE-\d{4}-\d{6,9}")
_EVENT = re.compile(r"[a-z][a-z-]{0,39}")
_SEQ = re.compile(r"[1-9][0-9]{0,8}")
_ADDRESS = re.compile(r"[^\s,;:<>()\"@\\]{1,64}@[^\s,;:<>()\"@\\]{1,255}")
_IDENTIFIER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: More people than any conversation has.
_MOST_NAMED = 100


class ClaimFault(StrEnum):
    """Why fields make no claim."""

    MISSING = "field-missing"
    DUPLICATED = "field-duplicated"
    MALFORMED = "field-malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Conversation, reference, event, number and state as a peer states them, and for whom the mail is.

    ``to`` are the members of other operators that the mail goes to, in lower case: being signed with the
    rest, they keep a genuine mail from being shown to somebody else.
    """

    id: UUID
    ref: str
    event: str
    seq: int
    state: State
    to: tuple[str, ...] = ()


def claim_fields(claim: Claim) -> tuple[tuple[str, str], ...]:
    """The header fields of a claim, in order; ``X-TLE-To`` only where it names somebody.

    An address of odd form (a quoted local part) is left out: it must not make the others' mail unreadable.
    """
    to = tuple(address for address in claim.to if _ADDRESS.fullmatch(address))
    fields = (
        ("X-TLE-Id", str(claim.id)),
        ("X-TLE-Ref", claim.ref),
        ("X-TLE-Event", claim.event),
        ("X-TLE-Seq", str(claim.seq)),
        ("X-TLE-State", str(claim.state)),
    )
    if claim.event == STANDING and not to:
        return (*fields, ("X-TLE-To", NOBODY))
    return (*fields, ("X-TLE-To", ", ".join(to))) if to else fields


def claimed(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The fields of a gateway among header fields as (name in lower case, value with single blanks), in
    order; the marks of hops are left out.
    """
    found = ((name.lower(), " ".join(value.split())) for name, value in headers)
    return tuple(pair for pair in found if pair[0].startswith(PREFIX) and pair[0] != HOP_FIELD)


def read_claim(fields: Iterable[tuple[str, str]]) -> Claim | ClaimFault:
    """The claim that fields of :func:`claimed` make. Fields of a later version are passed over."""
    values: dict[str, str] = {}
    for name, value in fields:
        if name in values:
            return ClaimFault.DUPLICATED
        values[name] = value
    if any(name not in values for name in CLAIM_FIELDS):
        return ClaimFault.MISSING
    return _parsed(values) or ClaimFault.MALFORMED


def _parsed(values: Mapping[str, str]) -> Claim | None:
    identifier, ref, event, seq, state, to = (values[name] for name in CLAIM_FIELDS)
    shapes = ((_IDENTIFIER, identifier), (_REFERENCE, ref), (_EVENT, event), (_SEQ, seq))
    if not all(shape.fullmatch(value) and value.isascii() for shape, value in shapes):
        return None
    if state not in set(State) - {State.NEW}:
        return None
    named = () if to == NOBODY else tuple(dict.fromkeys(name.strip().lower() for name in to.split(",")))
    if len(named) > _MOST_NAMED or not all(_ADDRESS.fullmatch(name) for name in named):
        return None
    return Claim(id=UUID(identifier), ref=ref, event=event, seq=int(seq), state=State(state), to=named)
