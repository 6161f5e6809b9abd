"""One mirrored conversation held against its stored mails: ``gateway rebuild`` asks."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from gateway.intake.faults import IntakeFault
from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from gateway.pipeline.peer_belief import outer_claim
from gateway.store import Transaction
from gateway.store.mirrors import mirror_projection
from teleexpertise.claims import Claim, read_claim
from teleexpertise.mirrors import Flow, MirrorEvent, NothingBelieved, fold_mirror
from teleexpertise.told import TOLD_FILENAME, Told, read_told

__all__ = ["MirrorCheck", "MirrorDifference"]


@dataclass(frozen=True, slots=True)
class MirrorDifference:
    """Something that is not as the record says; ``projection`` where writing the fold down mends it."""

    where: str
    what: str
    projection: bool = False


@dataclass(frozen=True, slots=True)
class MirrorCheck:
    """The check of one mirror within a transaction that reads."""

    tx: Transaction
    identifier: UUID

    async def differences(self) -> list[MirrorDifference]:
        """What differs, the damaged mails before the projection."""
        stored = await self.tx.mirrors.projection(self.identifier)
        if stored is None:
            return []
        where = f"{stored['ref']} of {stored['holder']}"
        try:
            events = await self.tx.mirrors.events(self.identifier)
        except (ValueError, KeyError, TypeError):
            return [MirrorDifference(where, "an event cannot be read")]
        found = [MirrorDifference(where, what) for event in events for what in await self._of_event(event)]
        try:
            folded = mirror_projection(fold_mirror(self.identifier, str(stored["holder"]), events))
        except NothingBelieved:
            return [*found, MirrorDifference(where, "no mail of the holder is recorded")]
        names = sorted(name for name in folded if folded[name] != stored[name])
        if names:
            found.append(MirrorDifference(where, f"projection differs in {', '.join(names)}", True))
        return found

    async def _of_event(self, event: MirrorEvent) -> list[str]:
        message = await self.tx.messages.get(event.message)
        if message is None:
            return [f"message {event.message} is not stored"]
        if message.sha256 != event.message_sha256:
            return [f"message {event.message} is stored with another hash than the event names"]
        if message.purged:
            return []
        raw = await self.tx.messages.get_raw(event.message)
        if raw is None or sha256(raw).hexdigest() != event.message_sha256:
            return [f"the octets of message {event.message} are not those of its hash"]
        if event.flow is Flow.RECEIVED and not self._says_so(event, raw):
            return [f"message {event.message} does not say what the event says"]
        return []

    def _says_so(self, event: MirrorEvent, raw: bytes) -> bool:
        """Whether the stored mail claims what was recorded; that it was believed is in the audit trail."""
        claim = read_claim(outer_claim(raw))
        if event.told is not None and event.told not in _told_in(raw):
            return False
        return isinstance(claim, Claim) and (claim.id, claim.ref, claim.event, claim.seq, claim.state) == (
            self.identifier,
            event.ref,
            event.event,
            event.seq,
            event.state,
        )


def _told_in(raw: bytes) -> list[Told]:
    """What a stored mail tells for exports, and what an earlier version of ours recorded of that."""
    try:
        letter = read_letter(raw, IntakeLimits())
    except IntakeFault:
        return []
    found = [read_told(each.content) for each in letter.attachments if each.filename == TOLD_FILENAME]
    return [form for told in found if told is not None for form in (told, told.as_read_earlier())]
