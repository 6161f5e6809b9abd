"""``Mes téléexpertises``: where somebody stands, as requester and as expert, for oneself and those acted
for; conversations that another operator holds among them.
"""

from __future__ import annotations

from uuid import UUID

from gateway.mirrored import load_mirror
from gateway.pipeline.links import Links
from gateway.pipeline.unit import Unit
from teleexpertise.commands import Worklist as WorklistCommand
from teleexpertise.conversation import Conversation
from teleexpertise.events import Side
from teleexpertise.letters import Mailbox
from teleexpertise.mirrors import Mirror
from teleexpertise.states import State
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import NextStep, Role

__all__ = ["next_step", "of"]

_MOST_ROWS = 100
#: What is over is told for a while, not for ever: exports have all of it.
_MOST_CLOSED = 10


def next_step(conversation: Conversation, side: Side) -> NextStep:
    """What is to be done next, as seen from one side."""
    expert = side is Side.EXPERT
    match conversation.state:
        case State.REQUESTED:
            return NextStep.ANSWER if expert else NextStep.WAIT_ANSWER
        case State.ON_HOLD:
            return NextStep.WAIT_ITEMS if expert else NextStep.SEND_ITEMS
        case State.IN_PROGRESS:
            return NextStep.FINALISE if expert else NextStep.WAIT_REPORT
        case _:
            return NextStep.NONE


async def of(unit: Unit, login: Mailbox) -> tuple[mails.Worklist, tuple[UUID, ...]]:
    """The worklist and the conversations that it shows: open ones first, the oldest first; closed ones after
    them, the last closed first.
    """
    rights = await unit.tx.delegations.rights()
    mine = {login.address, *rights.principals(login.address)}
    rows = await unit.tx.conversations.of_member(*mine)
    found = [conversation for row in rows if (conversation := await unit.load(row.id)) is not None]
    identifiers = await unit.tx.mirrors.of_member(*mine)
    mirrored = [mirror for each in identifiers if (mirror := await load_mirror(unit.tx, each)) is not None]
    everything: list[Conversation | Mirror] = [*found, *mirrored]
    opened = sorted((c for c in everything if not c.closed), key=lambda c: c.opened_at)
    closed = sorted((c for c in everything if c.closed), key=lambda c: c.updated_at, reverse=True)
    shown = [*opened, *closed[:_MOST_CLOSED]][:_MOST_ROWS]
    listed = mails.Worklist(
        owner=login.name or login.address,
        rows=tuple(
            _mirror_row(unit, each, mine)
            if isinstance(each, Mirror)
            else _row(unit, each, login.address, mine)
            for each in shown
        ),
        total=len(opened),
    )
    return listed, tuple(each.id for each in shown if isinstance(each, Conversation))


def _mirror_row(unit: Unit, mirror: Mirror, mine: set[str]) -> mails.WorklistRow:
    """What we know of a conversation that a peer holds; its service tells the rest."""
    service = f"{unit.services.book.local_part}@{mirror.holder}"
    theirs = Links(service, unit.services.texts.words)
    told = mirror.told
    expert = told is not None and told.expert.address in mine.intersection(mirror.active())
    return mails.WorklistRow(
        reference=mirror.ref,
        state=mirror.state,
        role=Role.EXPERT if expert else Role.REQUESTER,
        other="" if told is None else (told.requester if expert else told.expert).name,
        patient=told.patient.label if told is not None and told.patient is not None else "",
        age_days=(unit.now - (told.requested_at if told else mirror.opened_at)).days,
        delay_days=told.delay_days if told else 0,
        next_step=NextStep.NONE,
        links=(theirs.to(WorklistCommand(), "worklist_there"),),
        held_by=mirror.holder,
        asked_for=tuple(address for address in mirror.active() if address in mine),
    )


def _row(unit: Unit, conversation: Conversation, own: str, mine: set[str]) -> mails.WorklistRow:
    sides = {conversation.side(address) for address in mine if conversation.member(address)}
    side = next(candidate for candidate in (Side.EXPERT, Side.REQUESTER, Side.GUEST) if candidate in sides)
    role = Role.EXPERT if side is Side.EXPERT else Role.REQUESTER
    other = conversation.requester if role is Role.EXPERT else conversation.expert
    here = [party for party in conversation.active() if party.address in mine]
    acting = [party for party in here if conversation.side(party.address) is side and party.address != own]
    return mails.WorklistRow(
        reference=conversation.ref,
        state=conversation.state,
        role=role,
        other=other.name,
        patient=conversation.patient.label,
        account=", ".join(party.name for party in acting) if own not in {p.address for p in here} else "",
        age_days=(unit.now - conversation.opened_at).days,
        delay_days=conversation.opening.delay_days,
        next_step=next_step(conversation, side),
        overdue=not conversation.closed and unit.now > conversation.promised_at,
        links=unit.services.links.of(conversation, side),
        encrypted=sum(exchange.encrypted for exchange in conversation.exchanges),
    )
