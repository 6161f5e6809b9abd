"""The end of a conversation: finalised with its report, declined, cancelled, and what changes nothing."""

from __future__ import annotations

import io
import re
import smtplib

import pytest
from pypdf import PdfReader

from gateway.services import Services
from tests.support import region
from tests.support.forms import quoted, typed_into
from tests.support.gateway import Client, TestGateway, eventually, refusal_text, text_of, words_of
from tests.support.threads import (
    Thread,
    answered,
    attach,
    attachments,
    open_thread,
    photo,
    reference_in,
    request_form,
)


def pages_of(pdf: bytes) -> list[str]:
    """The text of each page, blanks made one."""
    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages]


def filed(client: Client, thread: Thread) -> dict[str, list[str]]:
    """Names of the reports of a conversation in the patient folders of an account."""
    found: dict[str, list[str]] = {}
    for folder in client.folders():
        if folder.startswith("Patients/"):
            names = [
                name for mail in client.mails(folder) for name in attachments(mail) if thread.ref in name
            ]
            if names:
                found[folder] = names
    return found


def reports_filed(client: Client, thread: Thread, count: int) -> tuple[str, list[str]]:
    """The one folder with the reports, as soon as there are so many."""
    found = eventually(
        lambda: filed(client, thread) if sum(map(len, filed(client, thread).values())) >= count else None,
        f"{count} filed reports of {thread.ref} at {client.address}",
    )
    ((folder, names),) = found.items()
    return folder, names


@pytest.fixture(scope="module")
def finished(served: TestGateway) -> Thread:
    """Asked with a photo, answered twice, finalised without the second answer."""
    thread = open_thread(served, name="ÉVRARD-DÉSIRÉ", first="Zoé Anne", question="Que voit-on ?")
    thread.tell(thread.expert, "Une lésion bénigne, gardée au compte rendu.")
    thread.tell(thread.requester, "Un détail de rendez-vous, laissé de côté.")
    form = thread.form(thread.expert, "Finaliser")
    filled = answered(
        thread.expert, form, {"Conclusion": "Surveillance\n> à six mois.", "Suite proposée": "Surveillance"}
    )
    text = text_of(filled)
    line = re.search(r"\[x\] (\d\. .*Un détail de rendez-vous.*)", text)
    assert line is not None
    filled.set_content(text.replace(line[0], f"[ ] {line[1]}"))
    confirmation = thread.expert.answer_to(thread.expert.send(filled))
    assert "finalisée" in words_of(confirmation)
    thread.report(thread.requester)
    return thread


def test_the_finalisation_form_is_prefilled(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.tell(thread.expert, "Bonjour.")
    form = words_of(thread.form(thread.expert, "Finaliser"))
    for words in (
        f"Demandeur : Dr Claire MARTIN ({region.GP.address})",
        "Numéro de facturation du demandeur (AM ou FINESS, facultatif) : 431000018",
        f"Expert : Dr Rémy PERRET ({region.DERMATOLOGIST.address})",
        "Numéro de facturation de l'expert (AM ou FINESS, facultatif) : 431000026",
        "[x] 1.",
        "[x] 2.",
        "Destinataires du compte rendu :",
    ):
        assert words in form


def test_both_sides_get_the_same_report_once(finished: Thread) -> None:
    finished.gateway.settled()
    octets = set()
    for reader in (finished.requester, finished.expert):
        with_report = [
            mail for mail in finished.seen_by(reader) if f"{finished.ref}-v1.pdf" in attachments(mail)
        ]
        assert len(with_report) == 1
        octets.add(attachments(with_report[0])[f"{finished.ref}-v1.pdf"])
        assert "Surveillance" in words_of(with_report[0])
    assert len(octets) == 1


def test_the_report_says_who_what_and_when(finished: Thread) -> None:
    _, pdf = finished.report(finished.requester)
    pages = pages_of(pdf)
    whole = " ".join(pages)
    for words in (
        finished.ref,
        "ÉVRARD-DÉSIRÉ",
        "Zoé Anne",
        "03/02/1957",
        "Dr Claire MARTIN",
        "10100000017",
        "Dr Rémy PERRET",
        "Que voit-on ?",
        "Une lésion bénigne",
        "à six mois.",
        "photo 1.jpg",
    ):
        assert words in whole, f"{words!r} is not in the report"
    assert "Un détail de rendez-vous" not in whole, "this exchange was not chosen"
    for number, page in enumerate(pages, start=1):
        assert finished.ref in page
        assert re.search(rf"\b{number}\s*(?:/|sur)\s*{len(pages)}\b", page), "page number"


def test_the_report_is_filed_once_in_the_patients_folder_of_both(finished: Thread) -> None:
    for reader in (finished.requester, finished.expert):
        folder, names = reports_filed(reader, finished, 1)
        assert folder == "Patients/ÉVRARD-DÉSIRÉ Zoé 1957-02-03"
        assert names == [f"{finished.ref}-v1.pdf"]
        assert folder in reader.folders()
        ((_, flags),) = reader.raw_mails(folder)
        assert "tle_completed" in flags


def test_another_request_for_the_same_patient_is_filed_beside(served: TestGateway, finished: Thread) -> None:
    other = open_thread(served, name="ÉVRARD-DÉSIRÉ", first="Zoé Anne")
    other.finalise(other.expert)
    other.report(other.requester)
    folder, _ = reports_filed(other.requester, other, 1)
    assert folder == "Patients/ÉVRARD-DÉSIRÉ Zoé 1957-02-03"


def test_a_homonym_gets_a_folder_of_their_own(served: TestGateway, finished: Thread) -> None:
    other = open_thread(served, name="ÉVRARD-DÉSIRÉ", first="Zoé Anne", sex="M")
    other.finalise(other.expert)
    other.report(other.requester)
    folder, _ = reports_filed(other.requester, other, 1)
    assert folder == "Patients/ÉVRARD-DÉSIRÉ Zoé 1957-02-03 (2)"


def test_a_second_finalisation_makes_version_two(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.finalise(thread.expert, "Première conclusion.")
    _, first = thread.report(thread.requester, 1)
    form = thread.form(thread.expert, "Finaliser")
    assert "Première conclusion." in words_of(form), "what was concluded is there to be corrected"
    thread.expert.answer_to(thread.expert.send(answered(thread.expert, form, {"Conclusion": "Corrigée."})))
    mail, second = thread.report(thread.requester, 2)
    assert "Corrigée." in " ".join(pages_of(second))
    assert "Première conclusion." not in " ".join(pages_of(second))
    assert "Première conclusion." in " ".join(pages_of(first))
    assert mail["x-tle-state"] == "completed"
    for reader in (thread.requester, thread.expert):
        _, names = reports_filed(reader, thread, 2)
        assert sorted(names) == [f"{thread.ref}-v1.pdf", f"{thread.ref}-v2.pdf"]


def test_only_the_experts_side_finalises_and_declines_only_the_requesters_cancels(
    served: TestGateway,
) -> None:
    thread = open_thread(served)
    for client, command, why in (
        (thread.requester, "Finaliser", "Seul l'expert"),
        (thread.requester, "Décliner", "Seul l'expert"),
        (thread.requester, "Compléments", "Seul l'expert"),
        (thread.expert, "Annuler", "Seul le demandeur"),
        (served.client(region.STRANGER), "Finaliser", "Aucune teleexpertise a laquelle vous participez"),
    ):
        with pytest.raises(smtplib.SMTPDataError) as refusal:
            client.send(client.compose(served.service, f"{command} {thread.ref}"))
        assert refusal_text(refusal.value).startswith(f"550 5.7.1 {why}")


def test_a_delegate_of_the_service_finalises_and_the_report_says_for_whom(served: TestGateway) -> None:
    thread = open_thread(served, expert=region.SERVICE)
    cardiologist = served.client(region.CARDIOLOGIST)
    form = cardiologist.ask_service(f"Finaliser {thread.ref}")
    filled = answered(cardiologist, form, {"Conclusion": "ECG normal.", "Suite proposée": "Surveillance"})
    confirmation = cardiologist.answer_to(cardiologist.send(filled))
    assert "Dr Anne BRUN pour Avis Cardiologie CH LE PUY" in words_of(confirmation)
    _, pdf = thread.report(thread.requester)
    assert "Dr Anne BRUN pour Avis Cardiologie CH LE PUY" in " ".join(pages_of(pdf))
    thread.report(thread.expert)
    reports_filed(thread.expert, thread, 1)
    assert not filed(cardiologist, thread), "the service's account is the member, not the delegate's"


def test_the_expert_declines_with_a_reason_that_the_requester_reads(served: TestGateway) -> None:
    thread = open_thread(served)
    done = thread.close(thread.expert, "Décliner", reason="Ce n'est pas ma spécialité.")
    assert "déclinée" in words_of(done)
    told = thread.wait(thread.requester, lambda mail: mail["x-tle-event"] == "cloture")
    assert "Ce n'est pas ma spécialité." in words_of(told)
    thread.reaches("declined")


def test_the_requester_cancels_with_a_reason_that_the_expert_reads(served: TestGateway) -> None:
    thread = open_thread(served)
    done = thread.close(thread.requester, "Annuler", reason="Le patient a consulté.")
    assert "annulée" in words_of(done)
    told = thread.wait(thread.expert, lambda mail: mail["x-tle-event"] == "cloture")
    assert "Le patient a consulté." in words_of(told)
    thread.reaches("cancelled")


def test_of_two_closings_the_first_holds_and_the_other_is_told(served: TestGateway) -> None:
    thread = open_thread(served)
    finalise = thread.form(thread.expert, "Finaliser")
    thread.close(thread.requester, "Annuler", reason="Trop tard.")
    values = {"Conclusion": "Pourtant prêt.", "Suite proposée": "Suivi"}
    answer = thread.expert.answer_to(thread.expert.send(answered(thread.expert, finalise, values)))
    assert thread.ref in str(answer["subject"])
    assert "Dr Claire MARTIN" in words_of(answer), "who closed it"
    thread.reaches("cancelled")
    served.settled()
    assert not [
        mail for mail in thread.seen_by(thread.requester) if f"{thread.ref}-v1.pdf" in attachments(mail)
    ]


def test_a_closed_conversation_gives_no_more_forms(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.close(thread.requester, "Annuler", reason="Erreur.")
    answer = thread.form(thread.expert, "Décliner")
    assert "est close" in words_of(answer)


def events_of(served: TestGateway, thread: Thread) -> int:
    async def count(services: Services) -> int:
        async with services.store.reading() as tx:
            row = await tx.conversations.by_ref(thread.ref)
            assert row is not None
            return len(await tx.events.of(row.id))

    found = served.ask(count)
    assert isinstance(found, int)
    return found


def test_a_synthesis_comes_at_any_time_and_changes_nothing(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.tell(thread.expert, "Un avis en cours.")
    thread.reaches("in_progress")
    served.settled()
    before = (events_of(served, thread), [len(thread.seen_by(c)) for c in (thread.requester, thread.expert)])
    answer = thread.requester.ask_service(f"Synthèse {thread.ref}")
    ((name, pdf),) = attachments(answer).items()
    assert name.endswith(".pdf")
    text = " ".join(pages_of(pdf))
    assert "Un avis en cours." in text
    assert thread.values["Nom de naissance"] in text
    served.settled()
    assert before == (
        events_of(served, thread),
        [len(thread.seen_by(c)) for c in (thread.requester, thread.expert)],
    )
    assert thread.state(thread.expert) == "in_progress"


def test_the_synthesis_is_no_strangers_business(served: TestGateway) -> None:
    thread = open_thread(served)
    stranger = served.client(region.STRANGER)
    with pytest.raises(smtplib.SMTPDataError):
        stranger.send(stranger.compose(served.service, f"Synthèse {thread.ref}"))


def row_of(client: Client, thread: Thread) -> str:
    """The conversation's entry in the worklist."""
    text = text_of(client.ask_service("Mes téléexpertises")).replace("\u00a0", " ")
    match = re.search(rf"^{thread.ref} - .*?(?=^TLE-|^-- $|\Z)", text, re.DOTALL | re.MULTILINE)
    assert match is not None, f"{thread.ref} is not in the worklist"
    return match[0]


def test_the_worklist_tells_each_side_what_is_next(served: TestGateway) -> None:
    thread = open_thread(served, expert=region.SERVICE)
    assert f"{thread.ref} - demandée" in row_of(thread.requester, thread)
    assert "Réponse de l'expert attendue" in row_of(thread.requester, thread)
    assert "À vous de répondre" in row_of(thread.expert, thread)
    assert "Délai annoncé : 1 jour" in row_of(thread.requester, thread)
    delegate = served.client(region.CARDIOLOGIST)
    assert "À vous de répondre" in row_of(delegate, thread), "a delegate sees the service's worklist"
    thread.tell(thread.expert, "Je regarde.")
    assert "À vous de finaliser" in row_of(thread.expert, thread)
    with pytest.raises(AssertionError, match="not in the worklist"):
        row_of(served.client(region.STRANGER), thread)


def test_asking_for_elements_puts_on_hold_and_the_answer_resumes(served: TestGateway) -> None:
    thread = open_thread(served)
    done = thread.close(thread.expert, "Compléments", items="Une photographie de face")
    assert "en attente" in words_of(done)
    thread.reaches("on_hold")
    asked = thread.wait(thread.requester, lambda mail: mail["x-tle-event"] == "complement")
    assert "Une photographie de face" in words_of(asked)
    thread.tell(thread.requester, "La voici.", photo())
    thread.reaches("in_progress")


def test_an_anonymous_report_is_filed_under_the_reference(served: TestGateway) -> None:
    doctor, expert = served.client(region.GP), served.client(region.DERMATOLOGIST)

    values = {
        "Patient anonyme": "oui",
        "Sexe": "M",
        "Consentement": "oui",
        "Urgence": "7 jours",
        "Question": "?!",
    }
    sent = doctor.send(attach(answered(doctor, request_form(doctor), values), photo()))
    confirmation = doctor.answer_to(sent)
    thread = Thread(reference_in(confirmation), doctor, expert, sent, confirmation)
    thread.finalise(expert)
    thread.report(doctor)
    folder, _ = reports_filed(doctor, thread, 1)
    assert folder == f"Patients/Anonymes/{thread.ref}"


def test_a_finalisation_without_conclusion_comes_back(served: TestGateway) -> None:
    thread = open_thread(served)
    returned = thread.finalise(thread.expert, "")
    assert "Conclusion : cette ligne est à compléter" in words_of(returned)
    assert thread.state(thread.expert) == "requested"
    again = answered(thread.expert, returned, {"Conclusion": "Rien à signaler."})
    thread.expert.answer_to(thread.expert.send(again))
    thread.reaches("completed")


def test_words_above_a_closing_form_come_back_in_their_place_and_are_sent_by_the_expert(
    served: TestGateway,
) -> None:
    thread = open_thread(served)
    form = thread.form(thread.expert, "Finaliser")
    filled = quoted(typed_into(text_of(form), {"Suite proposée": "Surveillance"}))
    above = thread.expert.reply(form, f"Naevus banal.\nPas de contrôle.\n\n{filled}")
    returned = thread.expert.answer_to(thread.expert.send(above))
    words = words_of(returned)
    assert "Conclusion : vos mots, écrits au-dessus du formulaire, ont été placés ici" in words
    assert "Conclusion : Naevus banal. Pas de contrôle." in words
    assert thread.state(thread.expert) == "requested", "nobody's words become a conclusion unseen"
    told = words_of(thread.expert.answer_to(thread.expert.send(answered(thread.expert, returned, {}))))
    assert "Conclusion : Naevus banal. Pas de contrôle." in told
    assert "n'ont pas été transmis" not in told
    thread.reaches("completed")
