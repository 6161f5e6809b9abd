"""Rebuilding: all that the store keeps of conversations beside their events is computed anew and compared.

For each conversation the record must be whole (numbered without gaps), each event's message stored with the
hash that the event names (a purged one leaves a tombstone with the same hash), the fold lawful, and the
folded state equal to the projection that lists and rights read. What the rules in use have decided must come
out the same again, and the chain of the audit trail must hold. Memory does not grow with the number of
conversations or the size of their mails: one record and one mail are held at a time.

Of conversations that other gateways hold, each event must say what the X-TLE fields of its stored mail say,
and the fold of all must be the projection.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from uuid import UUID

from gateway.mirror_check import MirrorCheck
from gateway.pipeline.unit import projection
from gateway.redeciding import Redeciding
from gateway.store import ConversationRow, DecisionRow, Projection, Store, Transaction
from teleexpertise.conversation import NotOpened, fold
from teleexpertise.events import Record
from teleexpertise.mirrors import fold_mirror
from teleexpertise.rules import RuleBook
from teleexpertise.states import IllegalStep

__all__ = ["Difference", "Rebuild"]

#: Lists have a limit; a rebuild wants all.
_ALL = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as the events say: ``where`` is a reference or "audit", ``mended`` what was
    rewritten.
    """

    where: str
    what: str
    mended: bool = False


@dataclass(slots=True)
class Rebuild:
    """One pass over the store. With ``check`` nothing is changed; otherwise projections that differ are
    rewritten.

    The counts are of what was gone through so far.
    """

    store: Store
    rules: RuleBook
    check: bool
    now: datetime
    actor: str
    zone: tzinfo = UTC
    conversations: int = field(default=0, init=False)
    events: int = field(default=0, init=False)
    messages: int = field(default=0, init=False)
    decisions: int = field(default=0, init=False)
    audit_lines: int = field(default=0, init=False)
    mirrors: int = field(default=0, init=False)

    async def differences(self) -> AsyncIterator[Difference]:
        """Go through everything; each difference as it is found."""
        async with self.store.reading() as tx:
            identifiers = await tx.conversations.ids()
        for identifier in identifiers:
            for difference in await self._conversation(identifier):
                yield difference
        async for difference in self._mirrored():
            yield difference
        async with self.store.reading() as tx:
            trail = await tx.audit.verify()
        self.audit_lines = trail.count
        if not trail.holds:
            yield Difference("audit", f"the chain is broken at line {trail.broken_at}")

    async def _mirrored(self) -> AsyncIterator[Difference]:
        """The conversations that other gateways hold."""
        async with self.store.reading() as tx:
            identifiers = await tx.mirrors.list(_ALL)
        for identifier in identifiers:
            self.mirrors += 1
            async with self.store.reading() as tx:
                found = await MirrorCheck(tx, identifier).differences()
            for each in found:
                mended = each.projection and not self.check
                if mended:
                    await self._rewrite_mirror(identifier)
                yield Difference(each.where, each.what, mended)

    async def _rewrite_mirror(self, identifier: UUID) -> None:
        async with self.store.transaction() as tx:
            holder = await tx.mirrors.holder(identifier) or ""
            await tx.mirrors.save(fold_mirror(identifier, holder, await tx.mirrors.events(identifier)))
            await tx.audit.write(self.now, self.actor, "rebuild", str(identifier), "projection rewritten")

    async def _conversation(self, identifier: UUID) -> list[Difference]:
        async with self.store.reading() as tx:
            row = await tx.conversations.get(identifier)
            if row is None:
                return []
            try:
                records = await tx.events.of(identifier)
            except ValueError:
                return [Difference(row.ref, "an event cannot be read")]
            found = [Difference(row.ref, what) for what in _gaps(row, records)]
            found += [Difference(row.ref, what) async for what in self._damaged(tx, records)]
            decisions = await tx.decisions.of(identifier)
        self.conversations += 1
        self.events += len(records)
        try:
            folded = projection(fold(identifier, records))
            found += [Difference(row.ref, what) for what in self._redecided(identifier, records, decisions)]
        except (NotOpened, IllegalStep) as error:
            return [*found, Difference(row.ref, f"the events give no state: {error or type(error).__name__}")]
        return found + await self._projection(row, folded)

    def _redecided(
        self, identifier: UUID, records: Sequence[Record], decisions: Sequence[DecisionRow]
    ) -> list[str]:
        again = Redeciding(self.rules, identifier, records, self.zone)
        found = list(again.differences(decisions))
        self.decisions += again.count
        return found

    async def _damaged(self, tx: Transaction, records: Sequence[Record]) -> AsyncIterator[str]:
        """What is wrong with the messages that the events name, each message read once."""
        named = {(record.message, record.message_sha256): record.seq for record in reversed(records)}
        for (identifier, digest), seq in sorted(named.items(), key=lambda item: item[1]):
            self.messages += 1
            message = await tx.messages.get(identifier)
            if message is None:
                yield f"event {seq}: message {identifier} is not stored"
            elif message.sha256 != digest:
                yield f"event {seq}: message {identifier} is stored with another hash than the event names"
            elif not message.purged:
                raw = await tx.messages.get_raw(identifier)
                if raw is None or sha256(raw).hexdigest() != digest:
                    yield f"event {seq}: the octets of message {identifier} are not those of its hash"
                clear = await tx.messages.get_clear(identifier)
                if clear is not None and sha256(clear).hexdigest() != await tx.messages.clear_sha256(
                    identifier
                ):
                    yield f"event {seq}: what was decrypted of message {identifier} is not that of its hash"

    async def _projection(self, row: ConversationRow, folded: Projection) -> list[Difference]:
        names = _differing(row.projection, folded)
        if not names:
            return []
        if not self.check:
            await self._rewrite(row.id)
        what = f"projection differs in {', '.join(names)}"
        return [Difference(row.ref, what, mended=not self.check)]

    async def _rewrite(self, identifier: UUID) -> None:
        """Fold again inside the transaction that writes: the conversation may have gone on meanwhile."""
        async with self.store.transaction() as tx:
            after = projection(fold(identifier, await tx.events.of(identifier)))
            await tx.conversations.save(identifier, after)
            await tx.audit.write(self.now, self.actor, "rebuild", str(identifier), "projection rewritten")


def _gaps(row: ConversationRow, records: Sequence[Record]) -> list[str]:
    """Whether the record is numbered 1, 2, 3 ... up to what the conversation counts."""
    numbers = [record.seq for record in records]
    if numbers == list(range(1, row.next_seq)):
        return []
    return [f"{len(numbers)} events with gaps or repetitions, {row.next_seq - 1} expected"]


def _differing(stored: Projection, folded: Projection) -> list[str]:
    """The names of what differs; the state as JSON, for that is how it was stored."""
    names = []
    for each in fields(Projection):
        there, here = getattr(stored, each.name), getattr(folded, each.name)
        if each.name == "folded":
            there, here = (json.dumps(value, sort_keys=True) for value in (there, here))
        if there != here:
            names.append(each.name)
    return names
