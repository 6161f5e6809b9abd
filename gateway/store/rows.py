"""What the store takes and gives: frozen rows. People, patients and records are the domain's own
dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from teleexpertise.patients import Patient

__all__ = [
    "AuditCheck",
    "AuditRow",
    "BounceRow",
    "ConversationRow",
    "DecisionRow",
    "Direction",
    "FormRow",
    "HeldRow",
    "HeldState",
    "Json",
    "KnownCertificateRow",
    "MessageRow",
    "OutboxRow",
    "OutboxState",
    "PatientRow",
    "Projection",
]

Json = Mapping[str, Any]
"""A JSON object; lists come back as lists, whatever sequence was given."""


class Direction(StrEnum):
    """Whether a message came to us or was written by the gateway."""

    RECEIVED = "received"
    WRITTEN = "written"


class OutboxState(StrEnum):
    """Where an action stands: to be done, done, waiting for an operator, or given up."""

    PENDING = "pending"
    DONE = "done"
    HELD = "held"
    FAILED = "failed"


class HeldState(StrEnum):
    """Where a letter in doubt stands: its author is asked, it was placed, or it was dropped."""

    HELD = "held"
    RELEASED = "released"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRow:
    """A patient of the deployment: ``id`` is the identity that folders go by."""

    id: int
    patient: Patient
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What the events of a conversation say now, kept for lists and rights; ``folded`` is opaque to the
    store.

    ``members`` maps each member's address to whether it is still in the conversation.
    """

    state: str
    requester_address: str
    expert_address: str
    updated_at: datetime
    members: Mapping[str, bool]
    folded: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRow:
    """A conversation with its projection; ``next_seq`` is the number that its next event will have (first:
    1).
    """

    id: UUID
    ref: str
    opened_at: datetime
    next_seq: int
    projection: Projection


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """A stored message without its octets. ``purged`` is True when only this tombstone is left of it.

    ``sha256`` is of the raw bytes, ``body_sha256`` of the body as received, ``size`` in octets,
    ``envelope`` holds ``mail_from``, ``recipients`` and what is known of the peer.

    A received one has the ``queue_id`` that the SMTP dialogue told; a written one has '' and in ``cause_id``
    the message that it was written for: the command that it answers, the letter that it announces.
    """

    id: UUID
    sha256: str
    mail_id: str
    sender: str
    body_sha256: str
    direction: Direction
    received_at: datetime
    size: int
    queue_id: str = ""
    cause_id: UUID | None = None
    conversation_id: UUID | None = None
    envelope: Json = field(default_factory=dict)
    purged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A decision with its why: the facts it was made on and the rules that fired. ``id`` is given by the
    store.
    """

    at: datetime
    trigger: str
    facts: Json
    trace: Any
    rules_version: str
    conversation_id: UUID | None = None
    message_id: UUID | None = None
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One action to be done after the commit. The same ``key`` put twice is one row.

    It belongs to a conversation of ours, to one that another gateway holds (``mirror_id``), or to none.

    ``attempts`` counts the claims, so that it also names the claim that a worker holds; ``claimed_until``
    ends its lease; ``next_at`` is when the action is due, ``first_at`` when it was put.
    """

    id: UUID
    key: str
    action: str
    recipient: str
    first_at: datetime
    next_at: datetime
    mail_from: str = ""
    conversation_id: UUID | None = None
    message_id: UUID | None = None
    payload: Json = field(default_factory=dict)
    state: OutboxState = OutboxState.PENDING
    attempts: int = 0
    claimed_until: datetime | None = None
    last_error: str = ""
    finished_at: datetime | None = None
    mirror_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRow:
    """A copy of a form that went out: ``filled`` are the values shown, ``options`` what its choices offered.

    ``message_id`` is the mail whose attachments are kept for the corrected answer.
    """

    id: UUID
    kind: str
    owner: str
    created_at: datetime
    expires_at: datetime
    filled: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)
    conversation_id: UUID | None = None
    message_id: UUID | None = None
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A letter of which we doubt that it belongs where its address says; ``id`` is what its author
    confirms.
    """

    id: UUID
    conversation_id: UUID
    author: str
    message_id: UUID
    created_at: datetime
    state: HeldState = HeldState.HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceRow:
    """What a bounce address stands for: the action and message that went to ``recipient``."""

    id: UUID
    recipient: str
    created_at: datetime
    outbox_id: UUID | None = None
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCertificateRow:
    """A certificate (DER) to which mail for ``address`` can be encrypted; ``fingerprint`` is its SHA-256 in
    hex, ``issuers`` are the authorities that came with it (PEM), which are not believed for that.
    ``announces_gcm``: its holder's program says that it reads AES-GCM (RFC 8551 §2.5.2).
    """

    address: str
    fingerprint: str
    certificate: bytes
    issuers: bytes
    announces_gcm: bool
    signed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One line of the audit trail: identifiers only. ``hash`` covers the line and ``previous_hash``."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    result: str
    detail: Json
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """Whether the chain of the audit trail holds: ``broken_at`` is the first line that does not fit, else
    ``None``.

    ``count`` and ``head`` (hash of the last line) are to be noted elsewhere: lines cut off at the end leave
    a chain that holds, and only a count or head from before tells.
    """

    count: int
    head: str
    broken_at: int | None = None

    @property
    def holds(self) -> bool:
        """No line was changed, removed from the middle or slipped in."""
        return self.broken_at is None
