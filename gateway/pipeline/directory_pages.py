"""The directory as mails show it: pages of experts, each with the link that asks for its form."""

from __future__ import annotations

from gateway.pipeline.unit import Unit
from teleexpertise.commands import Annuaire, NewRequest
from teleexpertise.conversation import Conversation
from teleexpertise.directory import Directory, DirectoryEntry
from teleexpertise.people import Expert
from teleexpertise.plaintext import folded
from teleexpertise.texts import contexts as mails

__all__ = ["colleagues", "directory_page", "experts_named"]


async def _listed(unit: Unit) -> dict[str, Expert]:
    experts = await unit.tx.experts.all()
    return {expert.account.address: expert for expert in experts if expert.listed and expert.account.active}


def _search(unit: Unit, listed: dict[str, Expert], terms: str) -> list[Expert]:
    services = unit.services
    directory = Directory(map(DirectoryEntry.of, listed.values()), services.synonyms, services.departments)
    return [listed[entry.address] for entry in directory.search(terms)]


async def experts_named(unit: Unit, text: str) -> list[Expert]:
    """The experts that an address or a name means: the one with that address or exact name, else all that
    match.
    """
    listed = await _listed(unit)
    wanted = text.strip().lower()
    exact = [e for e in listed.values() if wanted in (e.account.address, e.account.name.lower())]
    return exact or (_search(unit, listed, text) if wanted else [])


async def colleagues(unit: Unit, conversation: Conversation, most: int) -> tuple[mails.ExpertCard, ...]:
    """Other listed experts of a specialty that was asked, those near the one asked and the quick ones
    first.
    """
    asked = await unit.account(conversation.opening.expert.address)
    near = asked.department if asked else ""
    wanted = {folded(name) for name in conversation.opening.specialties}
    found = [
        expert
        for expert in (await _listed(unit)).values()
        if wanted & {folded(name) for name in expert.specialties}
        and not any(member.party.address == expert.account.address for member in conversation.members)
    ]
    found.sort(key=lambda e: (e.account.department != near, e.delay_days, e.account.address))
    links = unit.services.links
    return tuple(
        mails.ExpertCard(expert, links.to(NewRequest(expert.account.address))) for expert in found[:most]
    )


async def directory_page(unit: Unit, terms: str, page: int) -> mails.DirectoryPage:
    """One page of the experts that match; a page beyond the last shows the last."""
    found = _search(unit, await _listed(unit), terms)
    size = unit.services.settings.conversation.page_size
    pages = max(1, -(-len(found) // size))
    page = min(max(page, 1), pages)
    links = unit.services.links
    cards = tuple(
        mails.ExpertCard(expert, links.to(NewRequest(expert.account.address)))
        for expert in found[(page - 1) * size : page * size]
    )
    return mails.DirectoryPage(
        query=terms,
        total=len(found),
        cards=cards,
        page=page,
        pages=pages,
        next_page=links.to(Annuaire(terms, page + 1), "next_page") if page < pages else None,
        services=links.to(Annuaire("avis"), "services"),
    )
