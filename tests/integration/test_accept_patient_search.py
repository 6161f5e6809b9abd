"""A.46 by mail: whoever asks finds the patients of their own conversations, and nobody else's."""

from __future__ import annotations

import re

from gateway.services import Services
from gateway.store import AuditRow
from tests.support import region
from tests.support.gateway import Client, TestGateway, text_of, words_of
from tests.support.threads import open_thread, patient_name


def searched(client: Client, subject: str, body: str = "") -> str:
    """The service's answer to a search, on one line."""
    answer = client.answer_to(client.send(client.compose(client.gateway.service, subject, body)))
    assert str(answer["subject"]) == "Recherche de patient", "no name in a subject of ours"
    return words_of(answer)


def test_a46_a_search_by_mail_shows_ones_own_patients_with_conversations_and_reports(
    served: TestGateway,
) -> None:
    name = patient_name()
    first = open_thread(served, name=f"d'{name}-Évrard", first="Zoé", born="04/05/1957")
    second = open_thread(served, name=f"d'{name}-Évrard", first="Zoé", born="04/05/1957")
    doctor = first.requester
    first.finalise(first.expert)

    words = searched(doctor, f"Patient zoe evrard {name.lower()}")
    assert (
        f"Un patient de vos téléexpertises correspond à votre recherche « zoe evrard {name.lower()} »"
        in words
    )
    assert "née le 04/05/1957" in words
    assert f"{first.ref} - terminée" in words
    assert f"{second.ref} - demandée" in words
    assert words.count("Compte rendu : version 1 du") == 1
    assert f"Synthèse {first.ref}" in words
    # The expert and the delegate of who asked see the same patient, the birth date alone finds her too.
    assert first.ref in searched(first.expert, "Patient", f"{name} 04/05/1957\n-- \nDr Rémy PERRET")
    assert first.ref in searched(served.client(region.SECRETARY), f"patient : {name}")

    # The link asks the same expert anew with the identity filled in, and carries no name.
    (subject,) = set(re.findall(r"Nouvelle téléexpertise \S+ pour le patient n° ?\d+", words))
    assert name not in subject
    form = text_of(doctor.ask_service(subject))
    assert f"d'{name}-Évrard" in form
    assert "04/05/1957" in form
    stranger = served.client(region.STRANGER)
    assert name not in text_of(stranger.ask_service(subject)), "a number opens nothing to others"


def test_a46_who_is_no_member_finds_nobody_and_the_trail_names_nobody(served: TestGateway) -> None:
    thread = open_thread(served, name=(name := patient_name()))
    words = searched(served.client(region.STRANGER), f"Patient {name}")
    assert "Aucun patient de vos téléexpertises ne correspond" in words
    assert "n'ouvre aucune téléexpertise" in words
    assert thread.ref not in words
    assert "Écrivez « Patient »" in searched(served.client(region.STRANGER), "Patient")
    assert thread.ref in searched(thread.requester, f"Patient {name}")

    async def trail(services: Services) -> list[AuditRow]:
        async with services.store.reading() as tx:
            lines = await tx.audit.list(limit=100_000)
        return [line for line in lines if line.action in ("show patient", "search patient")]

    lines = served.ask(trail)
    assert {line.result for line in lines if line.actor == region.STRANGER.address} == {"none"}
    assert "shown by mail" in {line.result for line in lines if line.actor == region.GP.address}
    assert name not in str(lines)
    assert "Retrouver un patient" in words_of(thread.requester.ask_service("Aide"))
