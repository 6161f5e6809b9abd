"""What exports read of conversations that other gateways hold: as their holders told it, or that they told
nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import and_, func, or_, select, true, tuple_

from gateway.store.activities import ActivityRow, Asking, Finalisation
from gateway.store.repository import ID_CHUNK, Repository
from gateway.store.schema import exported_line, mirror_activity, mirror_event, mirror_member
from gateway.store.schema import mirror as mirrors
from teleexpertise.mirrors import Flow
from teleexpertise.patients import Patient
from teleexpertise.states import State
from teleexpertise.told import Told, load_told

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

__all__ = ["ToldActivities", "UntoldRow", "told_of"]

_TOLD = mirrors.join(mirror_activity, mirror_activity.c.mirror_id == mirrors.c.id)
_ALL = mirrors.outerjoin(mirror_activity, mirror_activity.c.mirror_id == mirrors.c.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class UntoldRow:
    """A mirror of which the holder told no facts. ``completed_at`` is when the first mail came that says
    completed, ``members`` are the accounts of ours in it.
    """

    ref: str
    holder: str
    state: str
    opened_at: datetime
    completed_at: datetime | None
    members: tuple[str, ...]


class ToldActivities(Repository):
    """Mirrored conversations as exports see them, some hundreds at a time. The reference names the holder
    too, since every gateway counts its own.
    """

    __slots__ = ()

    async def of(self, addresses: Collection[str] | None) -> AsyncIterator[ActivityRow]:
        """Those whose requester or expert is one of the addresses (None: all), by reference."""
        async for row in self._matching(_of_parties(addresses)):
            yield row

    async def of_patient(
        self, addresses: Collection[str], patient_id: int | None, since: datetime
    ) -> AsyncIterator[ActivityRow]:
        """Those of the addresses to which anything happened since a moment, about a patient of the register;
        ``None``: all of whom the register says nothing.
        """
        about = mirror_activity.c.patient_id
        who = about.is_(None) if patient_id is None else about == patient_id
        async for row in self._matching(and_(_of_parties(addresses), mirrors.c.updated_at >= since, who)):
            yield row

    async def named(self, refs: Collection[str]) -> AsyncIterator[ActivityRow]:
        """Those of these names, ``TLE-2026-000123@holder.example``."""
        for ref in sorted(refs):
            name, _, holder = ref.partition("@")
            async for row in self._matching(and_(mirrors.c.ref == name, mirrors.c.holder == holder)):
                yield row

    async def moved_away(self, accounts: Collection[str]) -> tuple[str, ...]:
        """Names of mirrors of which one of these accounts was shown a side that is another's now."""
        named = mirrors.c.ref + "@" + mirrors.c.holder
        gone = or_(
            and_(
                exported_line.c.role == "expert",
                mirror_activity.c.expert_address != exported_line.c.account,
            ),
            and_(
                exported_line.c.role == "requester",
                mirror_activity.c.requester_address != exported_line.c.account,
            ),
        )
        statement = select(exported_line.c.ref).select_from(
            _TOLD.join(exported_line, exported_line.c.ref == named)
        )
        mine = exported_line.c.account.in_(sorted(accounts))
        rows = await self._all(statement.where(mine, gone).distinct().order_by(exported_line.c.ref))
        return tuple(row["ref"] for row in rows)

    async def about(self, patient_id: int) -> tuple[UUID, ...]:
        """The mirrors about a patient of the register."""
        mine = mirror_activity.c.patient_id == patient_id
        rows = await self._all(select(mirror_activity.c.mirror_id).where(mine))
        return tuple(row["mirror_id"] for row in rows)

    async def untold(self, addresses: Collection[str] | None) -> tuple[UntoldRow, ...]:
        """Those with one of the addresses among the members now (None: all) whose holder told nothing."""
        wanted = select(mirrors).select_from(_ALL).where(mirror_activity.c.mirror_id.is_(None))
        if addresses is not None:
            mine = select(mirror_member.c.mirror_id).where(
                mirror_member.c.address.in_(sorted(addresses)), mirror_member.c.active
            )
            wanted = wanted.where(mirrors.c.id.in_(mine))
        rows = await self._all(wanted.order_by(mirrors.c.ref, mirrors.c.holder))
        found: list[UntoldRow] = []
        for start in range(0, len(rows), ID_CHUNK):
            some = rows[start : start + ID_CHUNK]
            members = await self._members([row["id"] for row in some])
            completed = await self._completed([row["id"] for row in some])
            found += [
                UntoldRow(
                    ref=f"{row['ref']}@{row['holder']}",
                    holder=row["holder"],
                    state=row["state"],
                    opened_at=row["opened_at"],
                    completed_at=completed.get(row["id"]),
                    members=tuple(
                        sorted(name for name, active in members.get(row["id"], {}).items() if active)
                    ),
                )
                for row in some
            ]
        return tuple(found)

    async def _matching(self, mine: ColumnElement[bool]) -> AsyncIterator[ActivityRow]:
        page = select(mirrors, mirror_activity.c.told, mirror_activity.c.patient_id).select_from(_TOLD)
        place = (mirrors.c.ref, mirrors.c.holder, mirrors.c.id)
        ordered = page.where(mine).order_by(*place).limit(ID_CHUNK)
        last = ("", "", UUID(int=0))
        while found := await self._all(ordered.where(tuple_(*place) > last)):
            members = await self._members([row["id"] for row in found])
            for row in found:
                yield _activity(row, members.get(row["id"], {}))
            last = (found[-1]["ref"], found[-1]["holder"], found[-1]["id"])

    async def _members(self, ids: Collection[UUID]) -> dict[UUID, dict[str, bool]]:
        rows = await self._all(select(mirror_member).where(mirror_member.c.mirror_id.in_(ids)))
        found: dict[UUID, dict[str, bool]] = {}
        for row in rows:
            found.setdefault(row["mirror_id"], {})[row["address"]] = row["active"]
        return found

    async def _completed(self, ids: Collection[UUID]) -> dict[UUID, datetime]:
        said = select(mirror_event.c.mirror_id, func.min(mirror_event.c.at).label("first")).where(
            mirror_event.c.mirror_id.in_(ids),
            mirror_event.c.flow == Flow.RECEIVED,
            mirror_event.c.state == str(State.COMPLETED),
        )
        rows = await self._all(said.group_by(mirror_event.c.mirror_id))
        return {row["mirror_id"]: row["first"] for row in rows}


def _of_parties(addresses: Collection[str] | None) -> ColumnElement[bool]:
    if addresses is None:
        return true()
    named = sorted(addresses)
    return or_(mirror_activity.c.requester_address.in_(named), mirror_activity.c.expert_address.in_(named))


def _activity(row: RowMapping, members: dict[str, bool]) -> ActivityRow:
    """The row of an own conversation, made of what the holder told. The sides of ours are those that are or
    were members: no holder opens an account's export by naming it.
    """
    told = load_told(row["told"])
    ours = frozenset(members)
    opening = Asking(
        requester=told.requester,
        expert=told.expert,
        patient=told.patient or Patient(),
        urgency=told.urgency,
        delay_days=told.delay_days,
        specialties=(told.specialty,) if told.specialty else (),
        insured_number=told.insured_number,
    )
    completion = None
    if told.finalised_at is not None:
        # Of our own side we know better where it works: the holder has no account for it.
        completion = Finalisation(
            requester=told.requester,
            expert=told.expert,
            outcome=told.outcome,
            level=told.level,
            cumulated=told.cumulated,
            listed_patient=told.listed_patient,
            requester_place=None if told.requester.address in ours else told.requester_place,
            expert_place=None if told.expert.address in ours else told.expert_place,
        )
    return ActivityRow(
        ref=f"{row['ref']}@{row['holder']}",
        state=row["state"],
        opened_at=told.requested_at,
        opening=opening,
        answered_at=told.answered_at,
        completion=completion,
        finalised_at=told.finalised_at,
        finaliser=told.finaliser,
        version=told.version,
        finalised_first_at=told.acted_at,
        declined_at=told.declined_at,
        patient_id=row["patient_id"],
        asked_of=told.asked_of,
        held_by=row["holder"],
        ours=ours,
        patient_told=told.patient is not None,
        specialty_told=told.specialty is not None,
    )


def told_of(row: ActivityRow) -> Told:
    """What a conversation of ours is told as to another gateway."""
    said, done = row.completion or row.opening, row.completion
    return Told(
        requester=said.requester,
        expert=said.expert,
        asked_of=row.opening.expert.address,
        requested_at=row.opened_at,
        urgency=row.opening.urgency,
        delay_days=row.opening.delay_days,
        patient=row.opening.patient,
        insured_number=(done.insured_number if done else "") or row.opening.insured_number,
        answered_at=row.answered_at,
        acted_at=row.finalised_first_at,
        finalised_at=row.finalised_at,
        finaliser=row.finaliser,
        version=row.version,
        outcome=done.outcome if done else "",
        level=done.level if done else "",
        cumulated=done.cumulated if done else False,
        listed_patient=done.listed_patient if done else None,
        requester_place=done.requester_place if done else None,
        expert_place=done.expert_place if done else None,
        specialty=next(iter(row.opening.specialties), ""),
        declined_at=row.declined_at,
    )
