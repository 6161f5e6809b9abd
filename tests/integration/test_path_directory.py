"""The directory by mail: what is found, how it is shown, how it is paged."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote, unquote

import pytest

from gateway.services import Services
from teleexpertise.people import Account, Expert
from tests.support import region
from tests.support.gateway import Client, TestGateway, html_of, text_of, words_of

NEPHROLOGISTS = tuple(
    Account(
        address=f"nephro{number}@{region.DOMAIN}",
        name=f"Dr Ève NÉPHRON-{number}",
        specialty="Néphrologie",
        department="63",
        postcode="63000",
        town="Clermont-Ferrand",
    )
    for number in range(1, 6)
)


@pytest.fixture(scope="module")
def client(served: TestGateway) -> Client:
    async def declare(services: Services) -> None:
        async with services.store.transaction() as tx:
            for account in NEPHROLOGISTS:
                await tx.accounts.add(account, "", services.clock())
                await tx.experts.put(
                    Expert(account=account, description="Rein.", specialties=("Néphrologie",))
                )

    served.ask(declare)
    return served.client(region.GP)


def names_in(text: str) -> set[str]:
    known = [expert.account.name for expert in region.EXPERTS] + [account.name for account in NEPHROLOGISTS]
    return {name for name in known if re.search(rf"^{re.escape(name)}$", text, re.MULTILINE)}


@pytest.mark.parametrize(
    "subject",
    [
        "Annuaire dermatologie 43",
        "annuaire 43 DERMATOLOGIE",
        "Annuaire Dermatologié",
        "ANNUAIRE perret remy",
        "Re: Annuaire  Rémy Perret",
        "Annuaire dermatologie puy velay",
        "Annuaire 43000 dermato",
    ],
)
def test_an_expert_is_found_whatever_the_accents_case_and_order(client: Client, subject: str) -> None:
    assert names_in(text_of(client.ask_service(subject))) == {"Dr Rémy PERRET"}


def test_avis_alone_lists_the_expert_services(client: Client) -> None:
    assert names_in(text_of(client.ask_service("Avis"))) == {"Avis Cardiologie CH LE PUY"}


def test_nothing_found_says_so_and_how_to_go_on(client: Client) -> None:
    text = words_of(client.ask_service("Annuaire podologie 2A"))
    assert "Aucun expert ne correspond à votre recherche « podologie 2A »" in text
    assert "objet : Avis" in text


def test_a_misspelt_or_too_narrow_search_is_offered_the_nearest_by_links(client: Client) -> None:
    for subject, near in (
        ("Annuaire dermatto 43", "dermato 43"),
        ("Annuaire dermatologie Biarritz", "dermatologie"),
    ):
        answer = client.ask_service(subject)
        assert "Recherche" in words_of(answer)
        for view in (text_of(answer), unescape(html_of(answer))):
            assert f"?subject={quote(f'Annuaire {near}')}" in view
        assert "Dr Rémy PERRET" in words_of(client.ask_service(f"Annuaire {near}"))


def test_all_experts_are_not_called_services(client: Client) -> None:
    assert "services experts" not in str(client.ask_service("Annuaire")["subject"])
    assert "1 service expert répond" in words_of(client.ask_service("Avis"))


def test_both_views_show_the_whole_expert_with_a_link_and_what_to_type(client: Client) -> None:
    answer = client.ask_service("Annuaire dermatologie 43")
    expert = region.DERMATOLOGY
    html = unescape(html_of(answer))
    plain_html = " ".join(re.sub(r"<[^>]*>", " ", html).split())
    plain_text = words_of(answer)
    subject = f"Nouvelle téléexpertise {expert.account.address}"
    for view in (plain_text, plain_html):
        for words in (
            expert.account.name,
            expert.description,
            expert.limits,
            "2 jours",
            expert.prerequisites,
            expert.items[0].name,
            "Demander une téléexpertise",
            client.gateway.service,
            subject,
        ):
            assert words in view
    for view in (text_of(answer), html):
        links = re.findall(r"mailto:[^\s\"'<>]+", view)
        assert any(unquote(link) == f"mailto:{client.gateway.service}?subject={subject}" for link in links)
        assert all(len(link) <= 1800 for link in links)


def test_many_results_are_paged_by_a_link_and_each_expert_is_on_one_page(client: Client) -> None:
    subject, seen, pages = "Annuaire néphrologie", [], 0
    while subject:
        answer = client.ask_service(subject)
        pages += 1
        assert "5 experts correspondent" in words_of(answer)
        assert f"Page {pages} sur 3" in words_of(answer)
        text = text_of(answer).replace("\u00a0", " ")
        found = names_in(text)
        assert len(found) <= 2
        seen += sorted(found)
        following = re.search(r"→ Page suivante\n.*\n\s+objet : (.*)", text)
        subject = following[1] if following else ""
    assert sorted(seen) == [account.name for account in NEPHROLOGISTS]
    assert pages == 3


def test_a_long_search_makes_no_link_that_clients_cut(client: Client) -> None:
    answer = client.ask_service("Annuaire " + "néphrologie " * 60)
    for view in (text_of(answer), unescape(html_of(answer))):
        assert all(len(link) <= 1800 for link in re.findall(r"mailto:[^\s\"'<>]+", view))


def test_anything_else_is_answered_with_the_list_of_commands(client: Client) -> None:
    text = words_of(client.ask_service("Bonjour, comment faire ?"))
    for command in ("Annuaire dermatologie 43", "Avis", "Nouvelle téléexpertise", "Mes téléexpertises"):
        assert command in text
