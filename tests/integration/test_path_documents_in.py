"""Documents that come by mail: passed on as they are, and filed where the patient is certain."""

from __future__ import annotations

import itertools
import smtplib
from collections.abc import Mapping
from datetime import date
from email.message import EmailMessage

import pytest

from gateway.services import Services
from gateway.store.patients import Patients
from teleexpertise.forms.marks import NOTE_SIGN
from teleexpertise.patients import Patient
from tests.support import region
from tests.support.archives import archive, cda
from tests.support.documents import ins
from tests.support.gateway import Client, TestGateway, eventually, words_of
from tests.support.threads import answered, attachments, patient_name

READER = region.STRANGER


def known(served: TestGateway, patient: Patient) -> None:
    """Let the deployment know a patient."""

    async def add(services: Services) -> None:
        async with services.store.transaction() as tx:
            assert isinstance(tx.patients, Patients)
            await tx.patients.add(patient, services.clock())

    served.ask(add)


def person(name: str, number: str, given: str = "Odette Jeanne") -> Patient:
    return Patient(
        birth_name=name,
        first_names=given,
        birth_date=date(1979, 3, 28),
        sex="F",
        ins=number,
    )


def sent(client: Client, *archives: bytes, subject: str = "XDM/1.0/DDM+CR") -> EmailMessage:
    mail = client.compose(READER.address, subject)
    for octets in archives:
        mail.add_attachment(octets, maintype="application", subtype="zip", filename="IHE_XDM.zip")
    return client.send(mail)


def filed(client: Client, mail: EmailMessage) -> list[str]:
    """The patient folders that hold a mail."""
    return [
        folder
        for folder in client.folders()
        if folder.startswith("Patients/")
        and any(each["message-id"] == mail["message-id"] for each in client.mails(folder))
    ]


def left_in_inbox(served: TestGateway, mail: EmailMessage) -> None:
    reader = served.client(READER)
    reader.wait(lambda each: each["message-id"] == mail["message-id"])
    served.settled()
    assert filed(reader, mail) == []


def question(served: TestGateway, mail: EmailMessage) -> EmailMessage:
    """What the reader is asked about a mail."""
    return served.client(READER).wait(
        lambda each: "à classer" in str(each["subject"]) and each["in-reply-to"] == mail["message-id"]
    )


def reply(served: TestGateway, form: EmailMessage, choice: str) -> EmailMessage:
    """The service's answer to an answer of the reader."""
    reader = served.client(READER)
    return reader.answer_to(reader.send(answered(reader, form, {"Dossier du patient": choice})))


def number_of(served: TestGateway, name: str) -> list[Patient]:
    """The patients of the register with a birth name."""

    async def look(services: Services) -> list[Patient]:
        async with services.store.reading() as tx:
            pages = [page async for page in tx.patients.all()]
        return [known.patient for page in pages for known in page if known.patient.birth_name == name]

    found = served.ask(look)
    assert isinstance(found, list)
    return found


@pytest.fixture
def oid(served: TestGateway) -> str:
    """The authority whose INS the deployment takes."""
    test = served.services.settings.service.test_identifiers
    return "1.2.250.1.213.1.4.10" if test else "1.2.250.1.213.1.4.8"


_ORDERS = itertools.count(1)


def number() -> str:
    """A matricule that no other test has, of the person that :func:`cda` names."""
    return ins("F", date(1979, 3, 28), "51215", 100 + next(_ORDERS))


def test_a_document_of_a_known_patient_is_filed_and_passed_on(served: TestGateway, oid: str) -> None:
    name, mine = patient_name(), number()
    sender, reader = served.client(region.GP), served.client(READER)
    known(served, person(name, mine))
    octets = archive(cda(family=name, ins=mine, oid=oid))
    mail = sent(sender, octets)
    (folder,) = eventually(lambda: filed(reader, mail) or None, "a filed document")
    assert name in folder
    (copy,) = [each for each in reader.mails(folder) if each["message-id"] == mail["message-id"]]
    received = reader.wait(lambda each: each["message-id"] == mail["message-id"])
    assert attachments(copy) == attachments(received) == attachments(mail)
    served.settled()
    assert filed(reader, mail) == [folder]
    # What cannot be trusted is nobody's question either: two archives, a broken one, a lie about the patient.
    for wrong in ((octets, octets), (octets[:-30],), (b"PK",)):
        left_in_inbox(served, sent(sender, *wrong))


def test_a_bare_cda_is_filed_as_one_in_an_archive(served: TestGateway, oid: str) -> None:
    name, mine = patient_name(), number()
    known(served, person(name, mine))
    sender, reader = served.client(region.GP), served.client(READER)
    mail = sender.compose(READER.address, "Compte rendu")
    content = cda(family=name, ins=mine, oid=oid)
    mail.add_attachment(content, maintype="text", subtype="xml", filename="cr.xml")
    sender.send(mail)
    (folder,) = eventually(lambda: filed(reader, mail) or None, "a filed document")
    assert name in folder


def test_a_document_without_set_is_taken_and_that_is_told(served: TestGateway, oid: str) -> None:
    name, mine = patient_name(), number()
    known(served, person(name, mine))
    sender, reader = served.client(region.GP), served.client(READER)
    mail = sent(sender, archive(cda(family=name, ins=mine, oid=oid, set_id=False)))
    eventually(lambda: filed(reader, mail) or None, "a filed document")
    lines = audited(served, "file document")
    assert any(detail == {"mailbox": READER.address, "doubts": "no_set_id"} for _, _, detail in lines)
    # Where a person is asked whose it is, the question says it, too.
    asked = sent(sender, archive(cda(family=patient_name(), ins=number(), oid=oid, set_id=False)))
    form = " ".join(words_of(question(served, asked)).replace(NOTE_SIGN, " ").split())
    assert "À noter : Document DOC0001.XML : il manque l'identifiant commun à ses versions (setId)." in form


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("unknown", "n'est pas encore connu"),
        ("other name", "mais l'identité diffère (un autre nom de naissance)"),
        ("other ins", "la même identité et une autre INS"),
        ("no ins", "ne porte pas d'identité qualifiée"),
        ("foreign authority", "ne porte pas d'identité qualifiée"),
        ("ins not noted", "son INS n'est pas enregistrée"),
        ("wrong key", "ne porte pas d'identité qualifiée"),
        ("a parent's", "ne porte pas d'identité qualifiée"),
    ],
)
def test_whose_it_is_is_asked_where_it_is_not_certain(
    served: TestGateway, oid: str, case: str, why: str
) -> None:
    name, mine = patient_name(), number()
    if case == "a parent's":
        mine = ins("F", date(1950, 5, 9), "51215", next(_ORDERS))
    numbers = {"no ins": "", "ins not noted": "", "other ins": number()}
    if case != "unknown":
        known(served, person(name, numbers.get(case, mine), "Odette"))
    family = patient_name() if case == "other name" else name
    authority = "1.2.250.1.213.1.4.11" if case == "foreign authority" else oid
    typed = f"{mine[:-2]}{(int(mine[-2:]) + 1) % 100:02d}" if case == "wrong key" else mine
    document = cda(family=family, ins=typed, oid=authority)
    if case == "no ins":
        document = document.replace(oid.encode(), b"1.2.250.1.999.1")
    mail = sent(served.client(region.GP), archive(document))
    form = question(served, mail)
    # Notes are wrapped, each line behind its sign.
    assert why in " ".join(words_of(form).replace(NOTE_SIGN, " ").split())
    assert family in words_of(form)
    assert mine not in words_of(form)
    left_in_inbox(served, mail)


def test_the_answer_files_it_and_is_journaled(served: TestGateway, oid: str) -> None:
    name, mine = patient_name(), number()
    known(served, person(name, "", "Odette"))
    reader, octets = served.client(READER), archive(cda(family=name, ins=mine, oid=oid))
    mail = sent(served.client(region.GP), octets)
    form = question(served, mail)
    # A bad answer comes back, and nothing is filed meanwhile; half a word names nobody.
    for wrong in ("7", name[:4], ""):
        form = reply(served, form, wrong)
        assert "à corriger" in str(form["subject"])
    left_in_inbox(served, mail)
    told = reply(served, form, "1")
    (folder,) = filed(reader, mail)
    assert folder.partition("/")[2] in words_of(told)
    # The patient is the one who was there, with the INS from now on: the next document is certain.
    (patient,) = number_of(served, name)
    assert patient.ins == mine
    again = sent(served.client(region.GP), octets)
    assert eventually(lambda: filed(reader, again) or None, "a filed document") == [folder]
    # One answer counts.
    assert "à classer" not in str(reply(served, form, "nouveau")["subject"])
    assert len(number_of(served, name)) == 1
    lines = audited(served, "file document")
    assert any(who == READER.address and result.startswith("patient ") for who, result, _ in lines)


def test_a_new_patient_and_none_are_answers_too(served: TestGateway, oid: str) -> None:
    reader, sender = served.client(READER), served.client(region.GP)
    name, mine = patient_name(), number()
    mail = sent(sender, archive(cda(family=name, ins=mine, oid=oid)))
    reply(served, question(served, mail), "nouveau")
    (folder,) = filed(reader, mail)
    assert name in folder
    (entered,) = number_of(served, name)
    assert (entered.ins, entered.ins_oid) == (mine, oid)
    other = sent(sender, archive(cda(family=patient_name(), ins=mine, oid=oid)))
    told = reply(served, question(served, other), "aucun")
    assert "laissé dans la boîte" in str(told["subject"])
    left_in_inbox(served, other)
    # A new patient never takes the INS of another.
    family = patient_name()
    third = sent(sender, archive(cda(family=family, ins=mine, oid=oid)))
    reply(served, question(served, third), "nouveau")
    assert len(filed(reader, third)) == 1
    assert [each.ins for each in number_of(served, family)] == [""]


def test_only_who_may_act_for_the_account_answers(served: TestGateway, oid: str) -> None:
    mail = sent(served.client(region.GP), archive(cda(family=patient_name(), ins=number(), oid=oid)))
    form = question(served, mail)
    stranger = served.client(region.DERMATOLOGIST)
    with pytest.raises(smtplib.SMTPDataError):
        stranger.send(answered(stranger, form, {"Dossier du patient": "nouveau"}))
    left_in_inbox(served, mail)


def audited(served: TestGateway, action: str) -> list[tuple[str, str, Mapping[str, object]]]:
    """Who did it, what came of it, and what else is told, from the audit trail."""

    async def look(services: Services) -> list[tuple[str, str, Mapping[str, object]]]:
        async with services.store.reading() as tx:
            return [(line.actor, line.result, line.detail) for line in await tx.audit.latest(action)]

    found = served.ask(look)
    assert isinstance(found, list)
    return found
