"""The directory as mails show it: experts, each with the link that asks for its form, then contacts."""

from __future__ import annotations

from itertools import islice

from gateway.pipeline.unit import Unit
from teleexpertise.commands import Annuaire, NewRequest
from teleexpertise.conversation import Conversation
from teleexpertise.directory import Hits, query_words
from teleexpertise.people import Absence, Expert
from teleexpertise.plaintext import folded
from teleexpertise.texts.contexts import ExpertCard
from teleexpertise.texts.directory_contexts import DirectoryPage

__all__ = ["absence_on", "colleagues", "directory_page", "experts_named"]

_SERVICES = ("avis",)
_MOST_NEAREST = 3


async def experts_named(unit: Unit, text: str, most: int | None = None) -> list[Expert]:
    """The experts that an address or a name means: the one with that address or exact name, else all that
    match, of which ``most`` are read.
    """
    directory = await unit.services.directories.experts(unit.tx)
    wanted = text.strip().lower()
    if not wanted:
        return []
    exact = directory.exactly(wanted)
    addresses = [entry.address for entry in islice(exact or directory.find(text), most)]
    known = await unit.tx.experts.some(addresses)
    return [known[address] for address in addresses if address in known]


async def colleagues(unit: Unit, conversation: Conversation, most: int) -> tuple[ExpertCard, ...]:
    """Other listed experts of a specialty that was asked who are not away, those near the one asked and the
    quick ones first.
    """
    today = unit.now.astimezone(unit.services.zone).date()
    asked = await unit.account(conversation.opening.expert.address)
    near = asked.department if asked else ""
    wanted = {folded(name) for name in conversation.opening.specialties}
    found = [
        expert
        for expert in await unit.tx.experts.listed()
        if wanted & {folded(name) for name in expert.specialties}
        and not (expert.absence is not None and expert.absence.covers(today))
        and not any(member.party.address == expert.account.address for member in conversation.members)
    ]
    found.sort(key=lambda e: (e.account.department != near, e.delay_days, e.account.address))
    links = unit.services.links
    return tuple(ExpertCard(expert, links.to(NewRequest(expert.account.address))) for expert in found[:most])


async def _contacts_found(unit: Unit, terms: str, experts: Hits) -> Hits | None:
    """The contacts that match, without those shown as experts; none where services are asked for, or all
    experts.
    """
    words = query_words(terms)
    if not words or words == _SERVICES:
        return None
    directory = await unit.services.directories.contacts(unit.tx)
    return directory.find(terms, without=[entry.address for entry in experts])


async def directory_page(unit: Unit, terms: str, page: int) -> DirectoryPage:
    """One page of the experts that match, then of the contacts; a page beyond the last shows the last."""
    directory = await unit.services.directories.experts(unit.tx)
    experts = directory.find(terms)
    contacts = await _contacts_found(unit, terms, experts)
    number, others = len(experts), len(contacts) if contacts else 0
    size = unit.services.settings.conversation.page_size
    pages = max(1, -(-(number + others) // size))
    page = min(max(page, 1), pages)
    first = (page - 1) * size
    on_page = [entry.address for entry in experts.page(first, size)]
    known = await unit.tx.experts.some(on_page)
    # Read from the database once more: an address that was put on the red list is in no index for long.
    rest = contacts.page(max(0, first - number), size - len(on_page)) if contacts else []
    described = await unit.tx.contacts.some([entry.address for entry in rest])
    links = unit.services.links
    nearest = directory.nearest(terms, _MOST_NEAREST) if terms and not number else ()
    return DirectoryPage(
        query="" if query_words(terms) == _SERVICES else terms,
        services_only=query_words(terms) == _SERVICES,
        total=number,
        cards=tuple([await _card(unit, known[address]) for address in on_page if address in known]),
        page=page,
        pages=pages,
        next_page=links.to(Annuaire(terms, page + 1), "next_page") if page < pages else None,
        services=links.to(Annuaire("avis"), "services"),
        nearest=tuple(links.to(Annuaire(near), "nearest") for near in nearest),
        contacts=tuple(described[entry.address] for entry in rest if entry.address in described),
        total_contacts=others,
    )


async def _card(unit: Unit, expert: Expert) -> ExpertCard:
    absence = absence_on(unit, expert)
    deputy = await unit.account(absence.deputy) if absence and absence.deputy else None
    request = unit.services.links.to(NewRequest(expert.account.address))
    return ExpertCard(expert, request, absence, deputy.name if deputy and deputy.active else "")


def absence_on(unit: Unit, expert: Expert) -> Absence | None:
    """The expert's absence that is under way or to come, ``None`` when there is none or it is over."""
    today = unit.now.astimezone(unit.services.zone).date()
    absence = expert.absence
    return absence if absence is not None and absence.ends >= today else None
