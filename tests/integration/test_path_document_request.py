"""A TLM-DA in an archive opens a conversation as the form does, or comes back as that form."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from email.message import EmailMessage
from zlib import crc32

import pytest

from gateway.services import Services
from teleexpertise.archives import ArchiveDocument, build_archive
from teleexpertise.documents.tlmda import make_request
from teleexpertise.searching import read_query
from tests.support import region
from tests.support.archives import NOW, SENDER, VALIDATOR, archive, cda
from tests.support.documents import ins, request_facts
from tests.support.gateway import Client, TestGateway, text_of, words_of
from tests.support.threads import answered, attachments, patient_name, reference_in

EXPERT = region.DERMATOLOGIST


def tlm_da(name: str, *, consent: bool = True, expert: str = EXPERT.address, urgency: str = "72h") -> bytes:
    """A request as our own software writes it."""
    facts = request_facts(5)
    born = date(1957, 2, 3)
    patient = replace(
        facts.patient,
        birth_name=name,
        birth_date=born,
        sex="F",
        ins=ins("F", born, "43192", 1 + crc32(name.encode()) % 900),  # the register knows each as one person
        birth_place="43192",
        first_names="Jeanne",
    )
    made = make_request(
        replace(
            facts,
            patient=patient,
            consent=consent,
            question="Faut-il une exérèse ?",
            urgency=urgency,
            urgency_label="48-72 heures",
            answers=(),
            recipient=replace(facts.recipient, mail=expert),
        )
    )
    assert isinstance(made, bytes), made
    return made


def sent(client: Client, *archives: bytes) -> EmailMessage:
    mail = client.compose(client.gateway.service, "XDM/1.0/DDM+Demande")
    for octets in archives:
        mail.add_attachment(octets, maintype="application", subtype="zip", filename="IHE_XDM.zip")
    mail.add_attachment(b"\xff\xd8photo", maintype="image", subtype="jpeg", filename="vue.jpg")
    return client.send(mail)


def zipped(*documents: bytes) -> bytes:
    return build_archive([ArchiveDocument(d) for d in documents], SENDER, "1.2.3", NOW)


def opened_as(served: TestGateway, reference: str) -> tuple[str, str, str]:
    """Patient, expert and the request's document of a conversation, from its record."""

    async def look(services: Services) -> tuple[str, str, str]:
        async with services.store.reading() as tx:
            row = await tx.conversations.by_ref(reference)
            assert row is not None
            opening = row.projection.folded["opening"]
            return opening["patient"]["birth_name"], opening["expert"]["address"], opening["order_id"]

    name, expert, order = served.ask(look)
    return str(name), str(expert), str(order)


def test_a_request_in_an_archive_opens_a_conversation(served: TestGateway) -> None:
    client, name = served.client(region.GP), patient_name()
    answer = client.answer_to(sent(client, zipped(tlm_da(name))))
    assert "ouverte" in str(answer["subject"]), text_of(answer)
    found, expert, order = opened_as(served, reference_in(answer))
    assert (found.upper(), expert) == (name, EXPERT.address)
    assert order
    question = served.client(EXPERT).wait(
        lambda mail: reference_in(mail) == reference_in(answer) and "Demande" in str(mail["subject"]),
        "Téléexpertises",
    )
    assert "Faut-il une exérèse ?" in words_of(question)
    assert "vue.jpg" in attachments(question)
    assert "IHE_XDM.zip" not in attachments(question)


def test_a_known_patient_is_recognised_and_a_contradiction_comes_back_as_the_form(
    served: TestGateway,
) -> None:
    client, name, other = served.client(region.GP), patient_name(), patient_name()
    for _ in range(2):  # the second request names somebody whom the register has
        answer = client.answer_to(sent(client, zipped(tlm_da(name))))
        assert "ouverte" in str(answer["subject"]), text_of(answer)
    number = ins("F", date(1957, 2, 3), "43192", 1 + crc32(name.encode()) % 900).encode()
    another = ins("F", date(1957, 2, 3), "43192", 1 + crc32(other.encode()) % 900).encode()
    contradicting = tlm_da(other).replace(another, number)
    form = client.answer_to(sent(client, zipped(contradicting)))
    assert "déjà connu avec un autre nom de naissance" in words_of(form)
    assert name not in words_of(form)
    corrected = client.answer_to(client.send(answered(client, form, {"NIR ou INS": ""})))
    assert "ouverte" in str(corrected["subject"]), text_of(corrected)

    async def look(services: Services) -> list[int]:
        async with services.store.reading() as tx:
            rows, _ = await tx.patients.search(read_query(name))
            return [len(await tx.patients.history(row.id)) for row in rows]

    assert served.ask(look) == [2]


def test_what_the_document_leaves_out_is_asked_by_the_form(served: TestGateway) -> None:
    client, name = served.client(region.GP), patient_name()
    form = client.answer_to(sent(client, zipped(tlm_da(name, consent=False, urgency=""))))
    assert name in text_of(form)
    assert "Faut-il une exérèse ?" in text_of(form)
    values = {"Consentement": "oui", "Urgence": "7 jours"}
    answer = client.answer_to(client.send(answered(client, form, values)))
    assert "ouverte" in str(answer["subject"]), text_of(answer)
    assert opened_as(served, reference_in(answer))[2], "the request's document is remembered"


@pytest.mark.parametrize("case", ["no request", "broken", "two archives", "two requests", "unknown expert"])
def test_what_cannot_be_opened_is_answered_with_its_reason(served: TestGateway, case: str) -> None:
    client = served.client(region.GP)
    good = tlm_da(patient_name())
    cases: dict[str, tuple[tuple[bytes, ...], str]] = {
        "no request": ((archive(cda()),), "ne contient pas de demande"),
        "broken": ((zipped(good)[:-40],), "n'est pas une archive ZIP lisible"),
        "two archives": ((zipped(good), zipped(good)), "2 archives"),
        "two requests": ((zipped(good, good.replace(b'<id root="', b'<id root="9.', 1)),), "plusieurs"),
        "unknown expert": ((zipped(tlm_da(patient_name(), expert="x@y.example")),), "pas dans l'annuaire"),
    }
    archives, words = cases[case]
    answer = client.answer_to(sent(client, *archives))
    assert words in words_of(answer)
    assert "TLE-" not in str(answer["subject"])


def test_the_agencys_own_example_comes_back_as_a_form_or_a_reason(served: TestGateway) -> None:
    if not VALIDATOR.is_dir():
        pytest.skip("the validator is not beside the repository")
    (example,) = (VALIDATOR / "data" / "ExemplesCDA").glob("TLM-DA*.xml")
    client = served.client(region.GP)
    answer = client.answer_to(sent(client, zipped(example.read_bytes())))
    assert "pas dans l'annuaire" in words_of(answer)
