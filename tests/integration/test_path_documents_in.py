"""Documents that come by mail: passed on as they are, and filed where the patient is certain."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from email.message import EmailMessage

import pytest

from gateway.services import Services
from gateway.store.patients import Patients
from teleexpertise.patients import Patient
from tests.support import region
from tests.support.archives import archive, cda
from tests.support.gateway import Client, TestGateway, eventually
from tests.support.threads import attachments, patient_name

READER = region.STRANGER


def known(served: TestGateway, patient: Patient) -> None:
    """Let the deployment know a patient."""

    async def add(services: Services) -> None:
        async with services.store.transaction() as tx:
            assert isinstance(tx.patients, Patients)
            await tx.patients.add(patient, services.clock())

    served.ask(add)


def person(name: str, number: str) -> Patient:
    return Patient(
        birth_name=name,
        first_names="Odette Jeanne",
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


@pytest.fixture
def test_identities(served: TestGateway) -> Callable[[str], bytes]:
    """An archive about a patient whose INS is of the authority that the deployment takes."""
    oid = (
        "1.2.250.1.213.1.4.10" if served.services.settings.service.test_identifiers else "1.2.250.1.213.1.4.8"
    )
    return lambda name: archive(cda(family=name, oid=oid))


def test_a_document_of_a_known_patient_is_filed_and_passed_on(
    served: TestGateway, test_identities: Callable[[str], bytes]
) -> None:
    name = patient_name()
    sender, reader = served.client(region.GP), served.client(READER)
    stranger = sent(sender, test_identities(name))
    left_in_inbox(served, stranger)
    known(served, person(name, "279035121518989"))
    mail = sent(sender, test_identities(name))
    (folder,) = eventually(lambda: filed(reader, mail) or None, "a filed document")
    assert name in folder
    (copy,) = [each for each in reader.mails(folder) if each["message-id"] == mail["message-id"]]
    received = reader.wait(lambda each: each["message-id"] == mail["message-id"])
    assert attachments(copy) == attachments(received) == attachments(mail)
    served.settled()
    assert filed(reader, mail) == [folder]
    # Nothing else is certain: another name under this INS, two archives, a broken one, an unknown INS.
    for octets in (
        (test_identities("AUTRE"),),
        (test_identities(name), test_identities(name)),
        (test_identities(name)[:-30],),
        (archive(cda(family=name, oid="1.2.250.1.213.1.4.11")),),
        (b"PK",),
    ):
        left_in_inbox(served, sent(sender, *octets))
