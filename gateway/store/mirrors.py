"""Conversations that other gateways hold: our record of their mails, its projection; who runs a gateway."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import delete, or_, select, update

from gateway.store.dialect import insert
from gateway.store.repository import Repository
from gateway.store.schema import message, mirror_activity, mirror_event, mirror_member, peer_gateway
from gateway.store.schema import mirror as mirrors
from gateway.store.schema import patient as patients
from teleexpertise.events import Author
from teleexpertise.matching import traits_key
from teleexpertise.mirrors import Flow, Mirror, MirrorEvent
from teleexpertise.patients import Patient
from teleexpertise.states import State
from teleexpertise.told import dump_told, load_told

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

__all__ = ["Mirrors", "Peers", "mirror_projection"]

_PAYLOAD = ("ref", "members", "cites", "reply_to")


def mirror_projection(mirror: Mirror) -> dict[str, Any]:
    """What the database keeps of a mirror beside its events, for lists and for placing answers."""
    return {
        "holder": mirror.holder,
        "ref": mirror.ref,
        "state": str(mirror.state),
        "seq": mirror.seq,
        "reply_to": mirror.reply_to,
        "opened_at": mirror.opened_at,
        "updated_at": mirror.updated_at,
        "members": dict(mirror.members),
        "told": dump_told(mirror.told) if mirror.told else None,
    }


class Mirrors(Repository):
    """Mirrors by identifier, reference, member or the conversation's address at its holder."""

    __slots__ = ()

    async def holder(self, mirror_id: UUID) -> str | None:
        """The domain that holds the conversation, pinned by its first believed mail; ``None`` if unknown."""
        row = await self._first(select(mirrors.c.holder).where(mirrors.c.id == mirror_id))
        return row["holder"] if row else None

    async def pin(self, mirror: Mirror) -> str:
        """Begin a record, unless there is one; the holder that it is pinned to."""
        values = {"id": mirror.id} | mirror_projection(mirror)
        del values["members"], values["told"]
        await self._add_new(mirrors, values)
        return await self.holder(mirror.id) or ""

    async def append(self, mirror_id: UUID, event: MirrorEvent) -> bool:
        """Add an event; ``False`` for one that is there already. Its message is stored before."""
        row = {
            "mirror_id": mirror_id,
            "fingerprint": event.fingerprint,
            "flow": event.flow,
            "event": event.event,
            "seq": event.seq,
            "state": str(event.state),
            "at": event.at,
            "author": asdict(event.author),
            "message_id": event.message,
            "message_sha256": event.message_sha256,
            "payload": {name: getattr(event, name) for name in _PAYLOAD}
            | ({"told": dump_told(event.told)} if event.told else {}),
        }
        return await self._add_new(mirror_event, row)

    async def events(self, mirror_id: UUID) -> tuple[MirrorEvent, ...]:
        """The whole record in the order it was written."""
        statement = select(mirror_event, message.c.mail_id).join_from(mirror_event, message)
        mine = statement.where(mirror_event.c.mirror_id == mirror_id)
        return tuple(map(_event_of, await self._all(mine.order_by(mirror_event.c.id))))

    async def save(self, mirror: Mirror) -> None:
        """Replace the projection."""
        values = mirror_projection(mirror)
        members, told = values.pop("members"), values.pop("told")
        await self._changed(update(mirrors).where(mirrors.c.id == mirror.id).values(values))
        await self._changed(delete(mirror_member).where(mirror_member.c.mirror_id == mirror.id))
        await self._add_all(
            mirror_member,
            [
                {"mirror_id": mirror.id, "address": address, "active": active}
                for address, active in members.items()
            ],
        )
        if mirror.told is None:
            await self._changed(delete(mirror_activity).where(mirror_activity.c.mirror_id == mirror.id))
            return
        patient = mirror.told.patient
        row = {
            "requester_address": mirror.told.requester.address,
            "expert_address": mirror.told.expert.address,
            "ins": patient.ins if patient else "",
            "traits": traits_key(patient) if patient else "",
            "told": told,
        }
        statement = insert(self._connection, mirror_activity).values(row | {"mirror_id": mirror.id})
        await self._changed(statement.on_conflict_do_update(index_elements=["mirror_id"], set_=row))

    async def about(self, mirror_id: UUID, patient_id: int) -> None:
        """Say which patient of the register a mirror is about; one that is about somebody stays so."""
        mine = mirror_activity.c.mirror_id == mirror_id
        unsaid = mirror_activity.c.patient_id.is_(None)
        await self._changed(update(mirror_activity).where(mine, unsaid).values(patient_id=patient_id))

    async def may_concern(self, patient_id: int) -> tuple[tuple[UUID, Patient], ...]:
        """The mirrors of which the register does not know whom they are about, that state the INS or traits
        of a patient or of one who turned out to be this one, and whom they state.
        """
        mine = or_(patients.c.id == patient_id, patients.c.merged_into == patient_id)
        known = await self._all(select(patients.c.ins, patients.c.traits).where(mine))
        numbers = sorted({row["ins"] for row in known if row["ins"]})
        keys = sorted({row["traits"] for row in known if row["traits"]})
        alike = or_(mirror_activity.c.ins.in_(numbers), mirror_activity.c.traits.in_(keys))
        wanted = select(mirror_activity.c.mirror_id, mirror_activity.c.told)
        rows = await self._all(
            wanted.where(mirror_activity.c.patient_id.is_(None), alike).order_by(mirror_activity.c.mirror_id)
        )
        stated = ((row["mirror_id"], load_told(row["told"]).patient) for row in rows)
        return tuple((mirror_id, patient) for mirror_id, patient in stated if patient is not None)

    async def patient_of(self, mirror_id: UUID) -> int | None:
        """The number in the register of the patient whom a mirror is about, ``None`` where nothing says."""
        row = await self._first(
            select(mirror_activity.c.patient_id).where(mirror_activity.c.mirror_id == mirror_id)
        )
        return row["patient_id"] if row else None

    async def projection(self, mirror_id: UUID) -> dict[str, Any] | None:
        """What is kept beside the events, as :func:`mirror_projection` gives it."""
        row = await self._first(select(mirrors).where(mirrors.c.id == mirror_id))
        if row is None:
            return None
        members = await self._all(select(mirror_member).where(mirror_member.c.mirror_id == mirror_id))
        told = await self._first(
            select(mirror_activity.c.told).where(mirror_activity.c.mirror_id == mirror_id)
        )
        kept = {name: value for name, value in row.items() if name != "id"}
        return {
            **kept,
            "members": {each["address"]: each["active"] for each in members},
            "told": told["told"] if told else None,
        }

    async def at(self, reply_to: str) -> UUID | None:
        """The mirror whose conversation has this address at its holder."""
        if not reply_to:
            return None
        found = await self._ids(mirrors.c.reply_to == reply_to.lower())
        return found[0] if found else None

    async def by_ref(self, ref: str, holder: str = "") -> tuple[UUID, ...]:
        """The mirrors of a reference, of one holder or all: each gateway counts its own references."""
        conditions = [mirrors.c.ref == ref, *([mirrors.c.holder == holder] if holder else [])]
        return await self._ids(*conditions)

    async def of_message(self, message_id: UUID) -> UUID | None:
        """The mirror that a message is an event of, or ``None``."""
        statement = select(mirror_event.c.mirror_id).where(mirror_event.c.message_id == message_id)
        row = await self._first(statement)
        return row["mirror_id"] if row else None

    async def of_member(self, *addresses: str) -> tuple[UUID, ...]:
        """The mirrors that one of these addresses takes part in now, the last touched first."""
        mine = select(mirror_member.c.mirror_id).where(
            mirror_member.c.address.in_(addresses), mirror_member.c.active
        )
        return await self._ids(mirrors.c.id.in_(mine))

    async def list(self, limit: int = 1000, states: Collection[str] = ()) -> tuple[UUID, ...]:
        """The last touched mirrors, of all states or some."""
        return await self._ids(*([mirrors.c.state.in_(states)] if states else []), limit=limit)

    async def _ids(self, *conditions: ColumnElement[bool], limit: int | None = None) -> tuple[UUID, ...]:
        statement = select(mirrors.c.id).where(*conditions).limit(limit)
        rows = await self._all(statement.order_by(mirrors.c.updated_at.desc(), mirrors.c.id))
        return tuple(row["id"] for row in rows)


def _event_of(row: RowMapping) -> MirrorEvent:
    payload = row["payload"]
    return MirrorEvent(
        flow=Flow(row["flow"]),
        event=row["event"],
        at=row["at"],
        author=Author(**row["author"]),
        message=row["message_id"],
        message_sha256=row["message_sha256"],
        mail_id=row["mail_id"],
        seq=row["seq"],
        state=State(row["state"]),
        ref=payload["ref"],
        members=tuple(payload["members"]),
        cites=tuple(payload["cites"]),
        reply_to=payload["reply_to"],
        told=load_told(payload["told"]) if "told" in payload else None,
    )


class Peers(Repository):
    """Operators that run a gateway too, by their domains: who can be told where a conversation stands."""

    __slots__ = ()

    async def service(self, domain: str) -> str | None:
        """The service address of the gateway of a domain, ``None`` where none is known."""
        row = await self._first(select(peer_gateway.c.service).where(peer_gateway.c.domain == domain))
        return row["service"] if row else None

    async def learn(self, domain: str, service: str, at: datetime) -> None:
        """Remember the gateway of a domain; nothing is written where it is known."""
        if await self.service(domain) == service:
            return
        row = {"domain": domain, "service": service, "seen_at": at}
        statement = insert(self._connection, peer_gateway).values(row)
        await self._changed(
            statement.on_conflict_do_update(
                index_elements=["domain"], set_={"service": service, "seen_at": at}
            )
        )
