"""``Patient NOM Prénom``: the register searched by mail (A.46), for whom and for what one may see.

Seen are the patients of conversations in which the person, or an account they act for, is a member now; of
a patient found, those conversations alone. Who else is in the register is not even counted.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from gateway.mirrored import load_mirror
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.links import Links
from gateway.pipeline.unit import Unit
from gateway.store.rows import PatientRow
from teleexpertise.commands import NewRequest, PatientSearch, Synthesis, Worklist
from teleexpertise.conversation import Conversation
from teleexpertise.events import Side
from teleexpertise.forms import Value
from teleexpertise.mirrors import Mirror
from teleexpertise.plaintext import readable_text
from teleexpertise.quotation import own_words
from teleexpertise.searching import read_query
from teleexpertise.texts.contexts import Role
from teleexpertise.texts.search_contexts import PastCase, PatientFound, PatientsFound

__all__ = ["prefilled", "search"]

_MOST_PATIENTS = 20
_MOST_CASES = 10
_MOST_EXPERTS = 3


async def search(unit: Unit, incoming: Incoming, command: PatientSearch) -> str:
    """Answer with the patients found, each with conversations and reports; the audit trail notes whom."""
    terms = command.terms or _first_line(own_words(readable_text(incoming.letter)))
    query = read_query(terms)
    mine = await _accounts(unit, incoming.login.address)
    rows, more = await unit.tx.patients.search(query, _MOST_PATIENTS, seen_by=mine)
    found, about = [], set[UUID]()
    for row in rows:
        shown, conversations = await _found(unit, row, mine)
        found.append(shown)
        about |= conversations
        await unit.audit(incoming.login.address, "show patient", f"patient {row.id}", "shown by mail")
    if not found:
        await unit.audit(incoming.login.address, "search patient", "patients", "none")
    mail = PatientsFound(
        query=terms,
        understood=not query.empty,
        patients=tuple(found),
        more=more,
        links=unit.services.links.everyday(),
    )
    await unit.reply(incoming, mail, about=sorted(about))
    return "patients found" if found else "no patient found"


async def prefilled(unit: Unit, login: str, patient: int) -> dict[str, Value]:
    """The identity of a patient for the request form, by the number that our links carry; nothing for one
    whom this person does not see.
    """
    mine = await _accounts(unit, login)
    row = await unit.tx.patients.get(patient)
    if row is None or not await unit.tx.patients.seen(row.id, mine):
        return {}
    known = row.patient
    await unit.audit(login, "show patient", f"patient {row.id}", "form prefilled")
    values: dict[str, Value] = {
        "birth_name": known.birth_name,
        "first_names": known.first_names,
        "birth_date": known.birth_date.isoformat() if known.birth_date else "",
        "sex": known.sex,
        "birth_order": str(known.birth_order or ""),
    }
    return {name: value for name, value in values.items() if value}


def _first_line(text: str) -> str:
    """A search may stand in the body too: a name does not belong into a subject for everybody."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


async def _accounts(unit: Unit, login: str) -> frozenset[str]:
    rights = await unit.tx.delegations.rights()
    return frozenset({login, *rights.principals(login)})


async def _found(unit: Unit, row: PatientRow, mine: frozenset[str]) -> tuple[PatientFound, set[UUID]]:
    """One patient as the reader may see them, and the conversations shown."""
    loaded = [await unit.load(each) for each in await unit.tx.patients.history(row.id)]
    own = [each for each in loaded if each is not None and any(map(each.member, mine))]
    mirrors = [await load_mirror(unit.tx, each) for each in await unit.tx.told.about(row.id)]
    elsewhere = [each for each in mirrors if each is not None and not mine.isdisjoint(each.active())]
    found = [_case(unit, each, mine) for each in own] + [
        _case_elsewhere(unit, each, mine) for each in elsewhere
    ]
    cases = sorted(found, key=lambda case: case.opened_on, reverse=True)
    experts = dict.fromkeys(
        each.opening.expert
        for each in sorted(own, key=lambda each: each.opened_at, reverse=True)
        if each.opening.expert.address not in mine
    )
    requests = [NewRequest(expert.address, row.id) for expert in experts][:_MOST_EXPERTS]
    names = [expert.name for expert in experts]
    links = unit.services.links
    shown = PatientFound(
        patient=row.patient,
        cases=tuple(cases[:_MOST_CASES]),
        total=len(cases),
        again=tuple(zip(names, (links.to(each, "request_again") for each in requests), strict=False)),
    )
    return shown, {each.id for each in own}


def _day(unit: Unit, moment: datetime) -> date:
    return moment.astimezone(unit.services.zone).date()


def _case(unit: Unit, conversation: Conversation, mine: frozenset[str]) -> PastCase:
    sides = {conversation.side(address) for address in mine if conversation.member(address)}
    role = Role.EXPERT if Side.EXPERT in sides else Role.REQUESTER
    done = conversation.completion
    guest = sides == {Side.GUEST}
    return PastCase(
        reference=conversation.ref,
        state=conversation.state,
        role=role,
        other=(conversation.requester if role is Role.EXPERT else conversation.expert).name,
        opened_on=_day(unit, conversation.opened_at),
        finalised_on=_day(unit, done.at) if done else None,
        version=conversation.version,
        links=() if guest else (unit.services.links.to(Synthesis(conversation.ref)),),
    )


def _case_elsewhere(unit: Unit, mirror: Mirror, mine: frozenset[str]) -> PastCase:
    """What we know of a conversation that a peer holds; its service tells the rest."""
    service = f"{unit.services.book.local_part}@{mirror.holder}"
    theirs = Links(service, unit.services.texts.words)
    told = mirror.told
    assert told is not None, "the register knows of it by what was told"
    role = Role.EXPERT if told.expert.address in mine else Role.REQUESTER
    return PastCase(
        reference=mirror.ref,
        state=mirror.state,
        role=role,
        other=(told.requester if role is Role.EXPERT else told.expert).name,
        opened_on=_day(unit, told.requested_at),
        finalised_on=_day(unit, told.finalised_at) if told.finalised_at else None,
        version=told.version,
        held_by=mirror.holder,
        links=(theirs.to(Worklist(), "worklist_there"),),
    )
