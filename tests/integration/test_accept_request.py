"""Acceptance of A.22-A.30 by mail from outside, the request and its conversation; and of A.42, its forms."""

from __future__ import annotations

import csv
import io
from email.message import EmailMessage

import pytest

from tests.support import region
from tests.support.forms import form_of
from tests.support.gateway import Client, TestGateway, text_of, words_of
from tests.support.threads import (
    Thread,
    answered,
    attach,
    attachments,
    open_thread,
    photo,
    request_form,
    request_values,
)


@pytest.fixture(scope="module")
def thread(served: TestGateway) -> Thread:
    """A request with a photo, as both sides got it."""
    return open_thread(served)


def asked(client: Client, **changes: str) -> EmailMessage:
    """The answer to a request form filled so."""
    form = request_form(client)
    return client.answer_to(client.send(attach(answered(client, form, request_values(**changes)), photo())))


def test_a22_the_form_asks_who_for_whom_to_whom_and_bills_and_knows_what_it_can(served: TestGateway) -> None:
    client = served.client(region.GP)
    lines = form_of(text_of(request_form(client))).splitlines()
    for line in (
        f"Agir en tant que : {region.GP.name} ({region.GP.address})",
        f"Expert : {region.DERMATOLOGIST.name} ({region.DERMATOLOGIST.address})",
        f"Votre numéro de facturation (AM ou FINESS/spécialité) : {region.GP.billing_number}",
    ):
        assert line in lines
    for begins in ("Nom de naissance", "Prénoms", "Date de naissance", "Sexe", "NIR ou INS"):
        assert any(line.startswith(begins) for line in lines)
    back = asked(client, name="", billing="12")
    assert "à corriger" in str(back["subject"])
    assert "Nom de naissance : cette ligne est à compléter" in words_of(back)
    assert "Votre numéro de facturation : attendu votre numéro AM" in words_of(back)


def test_a23_the_experts_line_carries_the_number_and_the_rpps_of_who_asked(served: TestGateway) -> None:
    thread = open_thread(served, billing=" 43 1000 018 ")
    thread.finalise(thread.expert)
    ((_, content),) = attachments(thread.expert.ask_service("Export expert csv")).items()
    found = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";")
    (row,) = [row for row in found if row["Référence"] == thread.ref]
    assert row["RPPS du correspondant"] == region.GP.rpps
    assert row["Numéro de facturation du correspondant (prescripteur)"] == "431000018"


def test_a23_who_asks_without_rpps_number_hears_that_the_expert_will_miss_it(served: TestGateway) -> None:
    thread = open_thread(served, requester=region.NURSE, billing="431000059")
    # Without its first letter, a capital behind other remarks: another patient's name may be like this one.
    told = f"ucun numéro RPPS n'est enregistré pour {region.NURSE.name}"
    assert told in words_of(thread.confirmation)
    assert told not in words_of(thread.question(thread.expert))


def test_a24_prerequisites_and_documents_come_with_the_form_and_the_filled_one_afterwards(
    served: TestGateway,
) -> None:
    client = served.client(region.GP)
    form = request_form(client)
    assert region.DERMATOLOGY.prerequisites in words_of(form)
    assert "Vue rapprochée avec règle (photographie, obligatoire)" in words_of(form)
    assert attachments(form) == {"fiche-dermatologie.txt": region.DERMATOLOGY.documents[0].content}
    thread = open_thread(served)
    filled = thread.requester.reply(thread.question(thread.requester), "La fiche remplie.")
    filled.add_attachment(
        b"Fiche remplie\r\n", maintype="text", subtype="plain", filename="fiche remplie.txt"
    )
    thread.requester.send(filled)
    assert "fiche remplie.txt" in attachments(thread.copy_of(thread.expert, filled))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", ""),
        ("2 57 02 99 999 002 93", ""),
        ("2 57 02 99 999 002 90", "la clé"),
        ("9 57 02 99 999 002 93", "sexe"),
        ("3 57 02 99 999 002 43", "provisoire"),
    ],
)
def test_a25_a_number_that_is_not_demanded_may_be_left_out_and_a_wrong_one_says_what_is_wrong(
    served: TestGateway, typed: str, said: str
) -> None:
    answer = asked(served.client(region.GP), nir=typed, name="XFACULTATIF")
    assert ("à corriger" in str(answer["subject"])) is bool(said)
    assert said in words_of(answer)


def test_a26_the_urgency_reaches_the_expert_and_a_vital_one_is_for_the_15(served: TestGateway) -> None:
    thread = open_thread(served, urgency="24 heures")
    assert "Urgence : 24 heures" in words_of(thread.question(thread.expert))
    answer = asked(served.client(region.GP), urgency="vitale")
    assert "appelez le 15" in words_of(answer)
    assert "TLE-" not in str(answer["subject"])


def test_a27_nothing_opens_without_consent_and_a_given_one_is_told(
    served: TestGateway, thread: Thread
) -> None:
    for refused in ("non", ""):
        back = asked(served.client(region.GP), consent=refused)
        assert "à corriger" in str(back["subject"])
        assert "Consentement du patient :" in words_of(back)
    assert "Consentement du patient : recueilli" in words_of(thread.question(thread.expert))


def test_a28_it_opens_in_the_experts_name_with_what_is_to_be_brought(thread: Thread) -> None:
    for client in (thread.requester, thread.expert):
        opening = thread.wait(client, "Éléments demandés par l'expert")
        (sender,) = opening["from"].addresses
        assert sender.display_name == f"{region.DERMATOLOGIST.name} (téléexpertise)"
        assert sender.addr_spec == thread.gateway.service
        assert "[reçu] Vue rapprochée avec règle" in words_of(opening)
        assert "fiche-dermatologie.txt" in attachments(opening)


def test_a29_the_request_says_who_it_is_about_who_asks_when_and_on_which_account(thread: Thread) -> None:
    question = thread.question(thread.expert)
    assert "Demande de téléexpertise" in str(question["subject"])
    told = words_of(question)
    assert f"Patient : {thread.values['Nom de naissance']} Jeanne Marie" in told
    assert " ans)" in told
    assert f"Demande reçue sur le compte {region.DERMATOLOGIST.name} le " in told
    assert f"{region.GP.name} demande un avis" in told


def test_a30_members_people_legal_entities_and_delegates_exchange_words_and_pictures(
    served: TestGateway,
) -> None:
    thread = open_thread(served)
    service, secretary = served.client(region.SERVICE), served.client(region.SECRETARY)
    picture = photo("dermoscopie.jpg")
    mail = attach(thread.requester.reply(thread.question(thread.requester), "Avec le service."), picture)
    mail["Cc"] = region.SERVICE.address
    thread.requester.send(mail)
    for reader in (thread.expert, service):
        assert attachments(thread.copy_of(reader, mail)) == dict([picture])
    answer = secretary.reply(thread.copy_of(thread.requester, mail), "Envoyé par le secrétariat.")
    secretary.send(answer)
    for reader in (thread.requester, thread.expert, service):
        assert "Envoyé par le secrétariat." in text_of(thread.copy_of(reader, answer))
    member = served.client(region.CARDIOLOGIST)
    words = member.reply(thread.copy_of(service, answer), "Le service répond.")
    member.send(words)
    assert "Le service répond." in text_of(thread.copy_of(thread.expert, words))


def test_a42_forms_asked_for_in_the_delegators_name_are_the_delegators(served: TestGateway) -> None:
    owner, delegate = served.client(region.GP), served.client(region.SECRETARY)

    def asked(subject: str) -> EmailMessage:
        mail = owner.compose(served.service, subject)
        delegate.send_bytes(mail.as_bytes(), [served.service])
        return delegate.answer_to(mail)

    for subject, label in (("Préférences", "Compte concerné"), ("Délégués", "Compte")):
        assert f"{label} : {region.GP.name} ({region.GP.address})" in words_of(asked(subject))
        own = words_of(delegate.ask_service(subject))
        assert f"{label} : {region.SECRETARY.name} ({region.SECRETARY.address})" in own
    form = asked(f"Nouvelle téléexpertise {region.DERMATOLOGIST.address}")
    assert f"Agir en tant que : {region.GP.name} ({region.GP.address})" in words_of(form)
    assert region.GP.billing_number in text_of(form)
    filled_in = attach(answered(owner, form, request_values()), photo())
    delegate.send_bytes(filled_in.as_bytes(), [served.service])
    told_back = delegate.answer_to(filled_in)
    assert f"Demandeur : {region.SECRETARY.name} pour {region.GP.name}" in words_of(told_back)
