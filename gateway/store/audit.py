"""The audit trail: a chain of hashes, in which a line that was changed, removed or slipped in shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Executable, func, select

from gateway.store.repository import ID_CHUNK, Repository
from gateway.store.rows import AuditCheck, AuditRow, Json
from gateway.store.schema import audit

__all__ = ["Audit", "line_hash"]

_PAGE = 1000
_COVERED = ("actor", "action", "target", "result", "detail", "previous_hash")


def line_hash(at: datetime, covered: Json) -> str:
    """SHA-256 over one line and the hash before it, in one canonical JSON form."""
    line = {"at": at.astimezone(UTC).isoformat(timespec="microseconds"), **covered}
    canonical = json.dumps(line, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


@cache
def _last() -> Executable:
    return select(audit.c.hash).order_by(audit.c.id.desc()).limit(1)


class Audit(Repository):
    """The lines of the trail, in order."""

    __slots__ = ()

    async def write(
        self, at: datetime, actor: str, action: str, target: str, result: str, detail: Json | None = None
    ) -> None:
        """Add a line: who did what to what, and how it ended. Identifiers only, never content."""
        last = await self._first(_last())
        # Through JSON and back, so that what is hashed is what will be read.
        row: dict[str, Any] = {
            "actor": actor,
            "action": action,
            "target": target,
            "result": result,
            "detail": json.loads(json.dumps(dict(detail or {}), allow_nan=False)),
            "previous_hash": last["hash"] if last else "",
        }
        await self._add(audit, {"at": at, "hash": line_hash(at, row), **row})

    async def list(self, after: int = 0, limit: int = _PAGE) -> tuple[AuditRow, ...]:
        """The lines with a number above ``after``, in order."""
        statement = select(audit).where(audit.c.id > after).order_by(audit.c.id).limit(limit)
        return tuple(AuditRow(**row) for row in await self._all(statement))

    async def about(self, targets: Iterable[str]) -> tuple[AuditRow, ...]:
        """The lines about these targets, in order."""
        wanted = list(dict.fromkeys(targets))
        found: list[AuditRow] = []
        for start in range(0, len(wanted), ID_CHUNK):
            statement = select(audit).where(audit.c.target.in_(wanted[start : start + ID_CHUNK]))
            found += (AuditRow(**row) for row in await self._all(statement))
        return tuple(sorted(found, key=lambda line: line.id))

    async def latest(self, action: str = "", limit: int = _PAGE) -> tuple[AuditRow, ...]:
        """The last lines, of one action or of all, in order."""
        statement = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if action:
            statement = statement.where(audit.c.action == action)
        rows = await self._all(statement)
        return tuple(AuditRow(**row) for row in reversed(rows))

    async def counts(self, action: str = "") -> tuple[tuple[str, str, int], ...]:
        """How often each action ended how, of one action or of all: (action, result, lines), sorted."""
        statement = select(audit.c.action, audit.c.result, func.count().label("lines"))
        if action:
            statement = statement.where(audit.c.action == action)
        rows = await self._all(statement.group_by(audit.c.action, audit.c.result))
        return tuple(sorted((row["action"], row["result"], row["lines"]) for row in rows))

    async def verify(self) -> AuditCheck:
        """Go through the whole chain."""
        count, head, last = 0, "", 0
        while lines := await self.list(after=last):
            for line in lines:
                covered = {name: getattr(line, name) for name in _COVERED}
                if line.previous_hash != head or line.hash != line_hash(line.at, covered):
                    return AuditCheck(count=count, head=head, broken_at=line.id)
                count, head, last = count + 1, line.hash, line.id
        return AuditCheck(count=count, head=head)
