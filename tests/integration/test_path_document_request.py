"""A TLM-DA in an archive opens a conversation as the form does, or comes back as that form."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from email.message import EmailMessage
from uuid import uuid5
from zlib import crc32

import pytest
from lxml import etree

from gateway.services import Services
from teleexpertise.archives import ArchiveDocument, build_archive
from teleexpertise.documents.oids import INS_TEST
from teleexpertise.documents.tlmda import make_request
from teleexpertise.searching import read_query
from tests.support import region
from tests.support.archives import NOW, SENDER, VALIDATOR, archive, cda
from tests.support.documents import ins, request_facts
from tests.support.gateway import Client, TestGateway, text_of, words_of
from tests.support.threads import answered, attachments, patient_name, reference_in

EXPERT = region.DERMATOLOGIST
HL7 = "{urn:hl7-org:v3}"
#: The register knows each name as one person, whom no other module knows.
_ORDERS: dict[str, int] = {}


def number_of(name: str) -> str:
    """The INS of a patient by the name."""
    order = _ORDERS.setdefault(name, len(_ORDERS) + 1)
    return ins("F", date(1957, 2, 3), "43258", order)


def tlm_da(
    name: str,
    *,
    consent: bool = True,
    expert: str = EXPERT.address,
    urgency: str = "72h",
    question: str = "Faut-il une exérèse ?",
    order: str = "",
    rpps: str = "",
) -> bytes:
    """A request as our own software writes it; ``order`` tells several for one patient apart, ``rpps`` is the
    expert's number.
    """
    facts = request_facts(5)
    born = date(1957, 2, 3)
    patient = replace(
        facts.patient,
        birth_name=name,
        birth_date=born,
        sex="F",
        ins=number_of(name),
        birth_place="43192",
        first_names="Jeanne",
    )
    made = make_request(
        replace(
            facts,
            # Software gives each request numbers of its own.
            conversation=uuid5(facts.conversation, name + order),
            ins_oid=INS_TEST,
            patient=patient,
            consent=consent,
            question=question,
            urgency=urgency,
            urgency_label="48-72 heures",
            answers=(),
            recipient=replace(facts.recipient, mail=expert, rpps=rpps or facts.recipient.rpps),
        )
    )
    assert isinstance(made, bytes), made
    return made


def sent(client: Client, *archives: bytes, subject: str = "XDM/1.0/DDM+Demande") -> EmailMessage:
    mail = client.compose(client.gateway.service, subject)
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


def test_an_expert_is_known_by_the_number_where_the_mailbox_leads_nowhere(served: TestGateway) -> None:
    client = served.client(region.GP)
    for mailbox in ("", "dermato@ailleurs.mssante.example"):
        asked = tlm_da(patient_name(), expert=mailbox, rpps=EXPERT.rpps)
        answer = client.answer_to(sent(client, zipped(asked)))
        assert "ouverte" in str(answer["subject"]), words_of(answer)
        assert opened_as(served, reference_in(answer))[1] == EXPERT.address


def test_the_mail_may_name_the_expert_whom_the_document_does_not(served: TestGateway) -> None:
    client, name = served.client(region.GP), patient_name()
    asked = zipped(tlm_da(name, expert="", rpps="10999900009"))
    refused = client.answer_to(sent(client, asked))
    assert "l'objet « Nouvelle téléexpertise » suivi de l'adresse" in words_of(refused)
    assert opened_for(served, name) == []
    answer = client.answer_to(sent(client, asked, subject=f"Nouvelle téléexpertise {EXPERT.address}"))
    assert "ouverte" in str(answer["subject"]), words_of(answer)
    assert opened_as(served, reference_in(answer))[:2] == (name, EXPERT.address)


def test_a_known_patient_is_recognised_and_a_contradiction_comes_back_as_the_form(
    served: TestGateway,
) -> None:
    client, name, other = served.client(region.GP), patient_name(), patient_name()
    for order in ("", "2"):  # the second request names somebody whom the register has
        answer = client.answer_to(sent(client, zipped(tlm_da(name, order=order))))
        assert "ouverte" in str(answer["subject"]), text_of(answer)
    number, another = number_of(name).encode(), number_of(other).encode()
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


def renumbered(octets: bytes, **changes: str) -> bytes:
    """The same request as other software numbers it: ``document``, ``set``, ``version``, ``order``,
    ``replaces``.
    """
    root = etree.fromstring(octets)
    for name, tag, attribute in (
        ("document", "id", "root"),
        ("set", "setId", "root"),
        ("version", "versionNumber", "value"),
    ):
        if name in changes:
            found = root.find(f"{HL7}{tag}")
            assert found is not None
            found.set(attribute, changes[name])
    before = root.find(f"{HL7}documentationOf")
    assert before is not None
    if "order" in changes:
        answers = etree.Element(f"{HL7}inFulfillmentOf")
        order = etree.SubElement(answers, f"{HL7}order")
        etree.SubElement(order, f"{HL7}id", root="1.2.250.1.99.1", extension=changes["order"])
        before.addprevious(answers)
    if "replaces" in changes:
        parent = etree.Element(f"{HL7}relatedDocument", typeCode="RPLC")
        etree.SubElement(
            etree.SubElement(parent, f"{HL7}parentDocument"), f"{HL7}id", root=changes["replaces"]
        )
        encounter = root.find(f"{HL7}componentOf")
        assert encounter is not None
        encounter.addprevious(parent)
    made: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return made


def opened_for(served: TestGateway, name: str) -> list[str]:
    """The references of all conversations about a patient."""

    async def look(services: Services) -> list[str]:
        async with services.store.reading() as tx:
            pages = [page async for page in tx.patients.all()]
            mine = [k.id for page in pages for k in page if k.patient.birth_name.upper() == name]
            found = [
                await tx.conversations.get(c) for number in mine for c in await tx.patients.history(number)
            ]
        return [row.ref for row in found if row is not None]

    found = served.ask(look)
    assert isinstance(found, list)
    return found


def test_the_same_request_under_another_message_id_opens_one_conversation(served: TestGateway) -> None:
    client, name = served.client(region.GP), patient_name()
    asked = tlm_da(name)
    reference = reference_in(client.answer_to(sent(client, zipped(asked))))
    again = renumbered(asked, document="2.25.1", order="A-1")
    for copy in (asked, again):
        answer = client.answer_to(sent(client, zipped(copy)))
        assert "déjà ouverte" in str(answer["subject"])
        assert reference_in(answer) == reference
    served.settled()
    assert opened_for(served, name) == [reference]
    # The duplicate told nobody else.
    mails = served.client(EXPERT).mails("Téléexpertises")
    assert sum(reference in str(mail["subject"]) and "Demande" in str(mail["subject"]) for mail in mails) == 1


@pytest.mark.parametrize("case", ["version", "replaces", "order"])
def test_a_newer_version_is_an_addition_in_the_thread(served: TestGateway, case: str) -> None:
    client, expert, name = served.client(region.GP), served.client(EXPERT), patient_name()
    first = renumbered(tlm_da(name), order=name, document=f"2.25.{crc32(name.encode())}")
    reference = reference_in(client.answer_to(sent(client, zipped(first))))
    news = renumbered(
        tlm_da(name, question="Et le ganglion apparu depuis ?"),
        document=f"2.25.9{len(name)}{crc32(name.encode())}",
    )
    own = etree.fromstring(first).find(f"{HL7}id")
    assert own is not None
    changes = {
        "version": {"version": "2"},
        "replaces": {"replaces": str(own.get("root")), "set": "2.25.77"},
        "order": {"version": "3", "order": name, "set": "2.25.78"},
    }
    newer = zipped(renumbered(news, **changes[case]))
    answer = client.answer_to(sent(client, newer))
    assert "mise à jour" in str(answer["subject"]), words_of(answer)
    assert reference_in(answer) == reference
    addition = expert.wait(
        lambda mail: mail["x-tle-ref"] == reference and "Et le ganglion" in words_of(mail), "Téléexpertises"
    )
    assert "vue.jpg" in attachments(addition)
    assert opened_for(served, name) == [reference]
    # The newer version itself comes once.
    assert "déjà ouverte" in str(client.answer_to(sent(client, newer))["subject"])
    served.settled()
    assert not [
        mail
        for mail in expert.mails("Téléexpertises")
        if mail["x-tle-ref"] == reference and "Et le ganglion" in words_of(mail) and mail is not addition
    ]


def test_the_same_number_of_somebody_else_touches_nothing(served: TestGateway) -> None:
    client, other, name = served.client(region.GP), served.client(region.STRANGER), patient_name()
    asked = tlm_da(name)
    reference = reference_in(client.answer_to(sent(client, zipped(asked))))
    hostile = renumbered(tlm_da(patient_name(), question="Intrus"), version="9")
    hostile = renumbered(hostile, **{k: v for k, v in numbers(asked).items() if k != "version"})
    form = other.answer_to(sent(other, zipped(hostile)))
    values = {"Votre numéro de facturation": region.GP.billing_number}
    answer = other.answer_to(other.send(answered(other, form, values)))
    assert "ouverte" in str(answer["subject"]), words_of(answer)
    assert reference_in(answer) != reference
    served.settled()
    assert not [
        m
        for m in served.client(EXPERT).mails("Téléexpertises")
        if m["x-tle-ref"] == reference and "Intrus" in words_of(m)
    ]


def test_a_number_that_comes_back_for_another_patient_is_refused(served: TestGateway) -> None:
    client, name, stranger = served.client(region.GP), patient_name(), patient_name()
    asked = tlm_da(name)
    reference = reference_in(client.answer_to(sent(client, zipped(asked))))
    wrong = renumbered(tlm_da(stranger), **{**numbers(asked), "version": "2", "document": "2.25.5"})
    answer = client.answer_to(sent(client, zipped(wrong)))
    assert "pour un autre patient" in words_of(answer)
    assert opened_for(served, stranger) == []
    assert opened_for(served, name) == [reference]


def test_of_two_forms_about_one_document_one_opens(served: TestGateway) -> None:
    client, name = served.client(region.GP), patient_name()
    asked = zipped(tlm_da(name, consent=False))
    forms = [client.answer_to(sent(client, asked)) for _ in range(2)]
    answers = [
        client.answer_to(client.send(answered(client, form, {"Consentement": "oui"}))) for form in forms
    ]
    assert ["déjà ouverte" in str(answer["subject"]) for answer in answers] == [False, True]
    assert len({reference_in(answer) for answer in answers}) == 1
    assert len(opened_for(served, name)) == 1


def numbers(document: bytes) -> dict[str, str]:
    """Document, set and version of a request."""
    root = etree.fromstring(document)
    found = {"document": root.find(f"{HL7}id"), "set": root.find(f"{HL7}setId")}
    return {name: str(each.get("root")) for name, each in found.items() if each is not None}
