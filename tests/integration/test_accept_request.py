"""Features A.22 to A.30 of the domain, by mail and IMAP from outside: the request and the conversation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from gateway.services import Services
from teleexpertise.people import Account, Document, Expert, ItemKind, NirPolicy, PrerequisiteItem
from tests.support import region
from tests.support.days import pdf_words
from tests.support.forms import form_of
from tests.support.gateway import Client, TestGateway, gateway, html_of, text_of, words_of
from tests.support.threads import (
    FOLDER,
    Thread,
    answered,
    attach,
    attachments,
    open_thread,
    photo,
    reference_in,
    request_form,
    request_values,
)

#: A number is one patient's: whoever is asked about with it has this name.
NIR, NAMED = "257029999922168", "XNUMERO"
SHEET = b"PK\x03\x04 fiche a remplir"

#: A service that demands the patient's number and a sheet filled in; another that leaves the number open.
STRICT = Expert(
    account=region.SERVICE,
    description="Lecture d'ECG.",
    delay_days=2,
    nir=NirPolicy.MANDATORY,
    prerequisites="Merci de remplir la fiche et de joindre l'ECG.",
    items=(
        PrerequisiteItem(name="Fiche remplie", kind=ItemKind.DOCUMENT, mandatory=True),
        PrerequisiteItem(name="Traitement en cours", kind=ItemKind.FIELD, mandatory=True),
    ),
    documents=(
        Document(filename="fiche.docx", content_type="application/octet-stream", content=SHEET),
        Document(filename="demande urgente.png", content_type="image/png", content=b"\x89PNG urgent"),
    ),
)


@pytest.fixture(scope="module")
def served() -> Iterator[TestGateway]:
    """A gateway of its own: its experts are other ones."""
    with gateway("\n[conversation]\nanswers_per_hour = 100000\n") as made:

        async def declare(services: Services) -> None:
            async with services.store.transaction() as tx:
                await tx.experts.put(STRICT)

        made.ask(declare)
        yield made
        made.settled()


@pytest.fixture(scope="module")
def doctor(served: TestGateway) -> Client:
    return served.client(region.GP)


def asked(client: Client, expert: Account, **values: str) -> EmailMessage:
    """The answer to a request with one photo; lines that the form does not have are left out."""
    form = request_form(client, expert)
    named = {"name": NAMED} if values.get("nir") else {}
    wanted = request_values(**named | values) | {"Traitement en cours": "bêtabloquant"}
    there = {label: value for label, value in wanted.items() if f"\n{label}" in form_of(text_of(form))}
    return client.answer_to(client.send(attach(answered(client, form, there), photo())))


def test_a22_the_form_asks_for_account_expert_patient_number_and_billing_number(
    served: TestGateway, doctor: Client
) -> None:
    form = form_of(text_of(request_form(doctor, region.SERVICE)))
    assert f"Agir en tant que : {region.GP.name}" in form
    assert f"Expert : {region.SERVICE.name}" in form
    for label in ("Nom de naissance :", "Prénoms :", "Date de naissance", "NIR ou INS (15 caractères) :"):
        assert f"\n{label}" in form
    # What the number is and where it comes from stands above its line.
    assert "numéro AM, ou pour un établissement FINESS/code de" in form
    back = words_of(asked(doctor, region.SERVICE, nir="", name="", billing=""))
    for label in ("Nom de naissance", "NIR ou INS", "Votre numéro de facturation"):
        assert f"{label} : cette ligne est à compléter" in back
    assert "Rien n'a encore été envoyé" in back
    # Who may act for others is offered all of them, and is believed for no one else.
    secretary = served.client(region.SECRETARY)
    both = text_of(request_form(secretary, region.SERVICE))
    assert f"Au choix : {region.SECRETARY.name} ; {region.GP.name}" in words_of_form(both)


def words_of_form(text: str) -> str:
    """A form on one line, the signs before its notes left out."""
    return " ".join(text.replace("(?) ", "").split())


def test_a23_the_number_of_who_asks_and_for_whom_reaches_who_bills(
    served: TestGateway, doctor: Client
) -> None:
    secretary = served.client(region.SECRETARY)
    opened = asked(secretary, region.SERVICE, nir=NIR, acting=region.GP.name, billing="431 000 018")
    assert f"{region.SECRETARY.name} pour {region.GP.name}" in words_of(opened)
    assert "RPPS" not in words_of(opened)
    thread = Thread(
        reference_in(opened), doctor, served.client(region.SERVICE), opened, opened, request_values()
    )
    question = words_of(thread.question(thread.expert))
    assert f"RPPS : {region.GP.rpps}" in question
    assert "Numéro de facturation : 431000018" in question
    # A hospital's number, and one that is none.
    back = asked(doctor, region.SERVICE, nir=NIR, billing="12345")
    assert "numéro AM (9 chiffres), ou FINESS/code spécialité" in words_of(back)
    hospital = asked(doctor, region.SERVICE, nir=NIR, billing="430000018/05")
    assert "ouverte" in str(hospital["subject"])
    # Without RPPS number the act is opened, and who asked hears what the expert will miss.
    nurse = served.client(region.NURSE)
    told = words_of(asked(nurse, region.SERVICE, nir=NIR, billing="431000059"))
    assert f"aucun numéro RPPS n'est enregistré pour {region.NURSE.name}" in told


def test_a24_prerequisites_and_documents_come_with_the_form_and_go_back_after_the_start(
    served: TestGateway, doctor: Client
) -> None:
    form = request_form(doctor, region.SERVICE)
    assert STRICT.prerequisites in words_of(form)
    assert attachments(form) == {each.filename: each.content for each in STRICT.documents}
    opened = asked(doctor, region.SERVICE, nir=NIR)
    assert "Fiche remplie" in words_of(opened), "what is still expected is said at the start"
    thread = Thread(reference_in(opened), doctor, served.client(region.SERVICE), opened, opened)
    thread.reaches("on_hold")
    reply = doctor.reply(thread.wait(doctor, "Éléments demandés"), "La fiche remplie.")
    reply.add_attachment(SHEET + b" remplie", maintype="application", subtype="msword", filename="fiche.docx")
    copy = thread.copy_of(thread.expert, doctor.send(reply))
    assert attachments(copy)["fiche.docx"] == SHEET + b" remplie"
    thread.reaches("requested")


def test_a25_a_number_that_is_optional_may_be_left_out(served: TestGateway, doctor: Client) -> None:
    assert "\nNIR ou INS (15 caractères, facultatif) :" in form_of(text_of(request_form(doctor)))
    without = open_thread(served)
    assert "INS ou NIR" not in words_of(without.question(without.expert))
    named = open_thread(served, nir=NIR, name=NAMED)
    assert "2 57 02 99 999 221 68" in words_of(named.question(named.expert))
    wrong = asked(doctor, region.DERMATOLOGIST, nir=NIR[:-1] + "5")
    assert "la clé (les 2 derniers chiffres) ne correspond pas" in words_of(wrong)


def test_a26_urgency_is_a_line_that_the_expert_reads_and_a_document_may_be_added(
    served: TestGateway, doctor: Client
) -> None:
    thread = open_thread(served, urgency="24 h")
    assert "Urgence : 24 heures" in words_of(thread.question(thread.expert))
    # A service that hands out a sign for urgent requests gets it back as any attachment.
    assert "demande urgente.png" in attachments(request_form(doctor, region.SERVICE))
    assert "appelez le 15" in words_of(asked(doctor, region.DERMATOLOGIST, urgency="vitale"))


def test_a27_consent_comes_first_and_stands_in_the_request_and_the_report(
    served: TestGateway, doctor: Client
) -> None:
    back = words_of(asked(doctor, region.DERMATOLOGIST, consent="non"))
    assert "consentement préalable du patient" in back
    assert "Rien n'a encore été envoyé" in back
    thread = open_thread(served)
    assert "Consentement du patient : recueilli par le demandeur" in words_of(thread.question(thread.expert))
    told = words_of(thread.finalise(thread.expert))
    assert "Acte de l'expert : TE2" in told, "the act is declared with the finalisation"
    _, pdf = thread.report(thread.requester)
    assert "onsentement" in pdf_words(pdf)


def test_a28_it_opens_in_the_experts_name_with_what_is_asked_for_and_the_documents(
    served: TestGateway,
) -> None:
    thread = open_thread(served)
    document = region.DERMATOLOGY.documents[0]
    for reader in (thread.requester, thread.expert):
        opening, question = thread.wait(reader, "Éléments demandés"), thread.question(reader)
        assert thread.seen_by(reader).index(opening) < thread.seen_by(reader).index(question)
        (voice,) = opening["from"].addresses
        assert voice.display_name == f"{region.DERMATOLOGIST.name} (téléexpertise)"
        for said in (words_of(opening), html_of(opening)):
            assert region.DERMATOLOGY.prerequisites in said
            assert "Vue rapprochée avec règle" in said
        assert "Documents à remplir et à joindre dans la conversation" in words_of(opening)
        assert attachments(opening) == {document.filename: document.content}


def test_a29_the_request_shows_patient_and_age_account_author_and_time(served: TestGateway) -> None:
    thread = open_thread(served, name="SPECIMEN", first="Jacques", born="15/06/1980", sex="M")
    question = thread.question(thread.expert)
    words = words_of(question)
    assert str(question["subject"]).endswith("Demande de téléexpertise")
    assert f"Demande reçue sur le compte {region.DERMATOLOGIST.name} le " in words
    assert re.search(r"SPECIMEN Jacques Naissance : né le 15/06/1980 \(\d\d ans\)", words)
    assert f"{region.GP.name} demande un avis" in words
    assert question["date"] is not None
    (voice,) = question["from"].addresses
    assert voice.display_name == f"{region.GP.name} (téléexpertise)"


def test_a30_members_exchange_documents_and_photos_people_services_and_delegates(
    served: TestGateway,
) -> None:
    thread = open_thread(served)
    picture = photo("detail.jpg")
    sent = thread.tell(thread.requester, "Une vue de plus.", picture)
    assert attachments(thread.copy_of(thread.expert, sent)) == dict([picture])
    # A person and a service named in copy take part from then on.
    both = f"{region.NURSE.address}, {region.SERVICE.address}"
    reply = thread.expert.reply(thread.seen_by(thread.expert)[-1], "Qu'en pensez-vous ?")
    reply["Cc"] = both
    thread.expert.send(reply)
    nurse, service = served.client(region.NURSE), served.client(region.SERVICE)
    for reader in (nurse, service):
        thread.copy_of(reader, reply)
    # The service's delegate and the requester's speak for whom they act.
    asked_of_service = thread.copy_of(service, reply)
    for delegate, principal, seen in (
        (region.CARDIOLOGIST, region.SERVICE, asked_of_service),
        (region.SECRETARY, region.GP, thread.copy_of(thread.requester, reply)),
    ):
        client = served.client(delegate)
        words = client.send(client.reply(seen, f"Réponse de {delegate.name}."))
        for reader in (thread.requester, thread.expert, nurse, service):
            copy = thread.copy_of(reader, words)
            assert copy["from"].addresses[0].addr_spec == delegate.address
        shown = f"{delegate.name} pour {principal.name}"
        assert shown in words_of(nurse.wait(lambda mail, shown=shown: shown in words_of(mail)))  # type: ignore[misc]
    assert FOLDER in service.folders()
