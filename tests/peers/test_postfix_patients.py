"""Patients at a real foreign mail server: what they are sent and answer, what is refused and returned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import region
from tests.support.gateway import Client, words_of
from tests.support.patients import PATIENTS
from tests.support.postfix import PATIENT_INS, ForeignClient, Operators, operators

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def both() -> Iterator[Operators]:
    with operators({PATIENTS: "own"}, documents=f'patient_domain = "{PATIENTS}"') as made:
        yield made


@pytest.fixture
def doctor(both: Operators) -> Client:
    return both.gateway.client(region.GP)


@pytest.fixture
def patient(both: Operators) -> ForeignClient:
    address = f"{PATIENT_INS}@{PATIENTS}"
    return ForeignClient(address, "Odette QUARANTE", both.gateway, operator=both.postfix)


def test_a_patient_answers_until_the_professional_ends_the_exchange(
    both: Operators, doctor: Client, patient: ForeignClient
) -> None:
    patient.send(patient.compose(doctor.address, "Je voudrais un avis", "Bonjour"))
    refusal = patient.wait(lambda mail: mail.get_content_type() == "multipart/report")
    assert "Seul un professionnel peut ouvrir un echange" in " ".join(refusal.as_string().split())
    assert "5.7.1" in refusal.as_string()

    doctor.send(doctor.compose(patient.address, "Vos résultats", "Tout va bien."))
    got = patient.wait(lambda mail: str(mail["from"]).endswith(f"{doctor.address}>"))
    answer = patient.send(patient.reply(got, "Merci docteur."))
    mine = doctor.wait(lambda mail: mail["message-id"] == answer["message-id"])
    assert str(got["message-id"]) in str(mine["references"])

    ending = doctor.reply(mine, "Au revoir.")
    ending["X-MSS-MES"] = "FIN"
    doctor.send(ending)
    last = patient.wait(lambda mail: mail["message-id"] == ending["message-id"])
    assert last["x-mss-mes"] == "FIN"
    late = patient.send(patient.reply(last, "Encore une question."))
    returned = patient.wait(
        lambda mail: (
            mail.get_content_type() == "multipart/report" and str(late["message-id"]) in mail.as_string()
        )
    )
    assert "Le professionnel a mis fin a cet echange" in " ".join(returned.as_string().split())
    assert not [mail for mail in doctor.mails() if mail["message-id"] == late["message-id"]]


def test_a_patient_whom_their_server_does_not_know_is_told_in_french_in_the_thread(
    both: Operators, doctor: Client
) -> None:
    unknown = f"257024319299983@{PATIENTS}"
    sent = doctor.send(doctor.compose(unknown, "Vos résultats", "Tout va bien."))
    told = doctor.wait(
        lambda mail: (
            mail["in-reply-to"] == sent["message-id"] and "non remis au patient" in str(mail["subject"])
        )
    )
    assert "Aucune messagerie de patient ne correspond" in words_of(told)
    report = doctor.wait(lambda mail: mail.get_content_type() == "multipart/report")
    assert "<MAILER-DAEMON@mx." in str(report["from"]), "the report itself comes as well"
