"""The directory as mails show it: experts, each with the link that asks for its form, then contacts."""

from __future__ import annotations

from gateway.pipeline.unit import Unit
from teleexpertise.commands import Annuaire, NewRequest
from teleexpertise.conversation import Conversation
from teleexpertise.directory import query_words
from teleexpertise.people import Absence, Expert
from teleexpertise.plaintext import folded
from teleexpertise.texts.contexts import ExpertCard
from teleexpertise.texts.directory_contexts import DirectoryPage

__all__ = ["absence_on", "colleagues", "directory_page", "experts_named"]

_SERVICES = ("avis",)


async def experts_named(unit: Unit, text: str) -> list[Expert]:
    """The experts that an address or a name means: the one with that address or exact name, else all that
    match.
    """
    directory = await unit.services.directories.experts(unit.tx)
    wanted = text.strip().lower()
    if not wanted:
        return []
    exact = directory.exactly(wanted)
    addresses = [entry.address for entry in exact or directory.search(text)]
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


async def _contacts_found(unit: Unit, terms: str, experts: list[str]) -> list[str]:
    """The addresses of contacts that match, without those shown as experts; none where services are asked
    for, or all experts.
    """
    words = query_words(terms)
    if not words or words == _SERVICES:
        return []
    directory = await unit.services.directories.contacts(unit.tx)
    shown = set(experts)
    return [entry.address for entry in directory.search(terms) if entry.address not in shown]


async def directory_page(unit: Unit, terms: str, page: int) -> DirectoryPage:
    """One page of the experts that match, then of the contacts; a page beyond the last shows the last."""
    directory = await unit.services.directories.experts(unit.tx)
    experts = [entry.address for entry in directory.search(terms)]
    contacts = await _contacts_found(unit, terms, experts)
    size = unit.services.settings.conversation.page_size
    pages = max(1, -(-(len(experts) + len(contacts)) // size))
    page = min(max(page, 1), pages)
    first, last = (page - 1) * size, page * size
    links = unit.services.links
    on_page = experts[first:last]
    known = await unit.tx.experts.some(on_page)
    # Read from the database once more: an address that was put on the red list is in no index for long.
    others = contacts[max(0, first - len(experts)) : max(0, last - len(experts))]
    described = await unit.tx.contacts.some(others)
    return DirectoryPage(
        query=terms,
        total=len(experts),
        cards=tuple([await _card(unit, known[address]) for address in on_page if address in known]),
        page=page,
        pages=pages,
        next_page=links.to(Annuaire(terms, page + 1), "next_page") if page < pages else None,
        services=links.to(Annuaire("avis"), "services"),
        contacts=tuple(described[address] for address in others if address in described),
        total_contacts=len(contacts),
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
