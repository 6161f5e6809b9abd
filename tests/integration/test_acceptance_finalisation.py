"""Acceptance of A.31-A.40, played by mail from outside: finalisation, billing, exports, being told."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest
from pypdf import PdfReader

from gateway.services import Services
from teleexpertise.forms.marks import NOTE_SIGN
from teleexpertise.people import Account, NoticeMode
from tests.support import region
from tests.support.forms import quoted
from tests.support.gateway import Client, TestGateway, eventually, text_of, words_of
from tests.support.threads import Thread, answered, attachments, open_thread

NUMBER = "431000034"


def change(served: TestGateway, account: Account) -> None:
    """Save an account as an operator would."""

    async def work(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.accounts.save(account)

    served.ask(work)


@pytest.fixture(scope="module")
def cardiologist(served: TestGateway) -> Iterator[Client]:
    """The delegate of the service, who has a billing number of her own."""
    change(served, replace(region.CARDIOLOGIST, profession="Médecin", billing_number=NUMBER))
    yield served.client(region.CARDIOLOGIST)
    change(served, region.CARDIOLOGIST)


@pytest.fixture(scope="module")
def by_service(served: TestGateway, cardiologist: Client) -> Thread:
    """A conversation with the service, answered by nobody yet."""
    return open_thread(served, expert=region.SERVICE)


def rows(client: Client, ref: str, order: str = "Export csv") -> list[dict[str, str]]:
    """The lines of a conversation in the export that a client orders."""
    mail = client.ask_service(order)
    ((_, content),) = attachments(mail).items()
    found = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";")
    return [row for row in found if row["Référence"] == ref]


def form_words(thread: Thread, client: Client) -> str:
    """The finalisation form on one line, the signs before its notes left out."""
    text = text_of(thread.form(client, "Finaliser"))
    lines = (line.strip().removeprefix(NOTE_SIGN) for line in text.splitlines())
    return " ".join(" ".join(lines).split())


def report_text(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages)


def test_a31_finalising_proposes_the_act_and_tells_it_back(served: TestGateway) -> None:
    thread = open_thread(served)
    form = form_words(thread, thread.expert)
    assert "Acte : TE2" in form
    assert "Acte cumulé (oui ou non, facultatif) : non" in form
    assert "expert TE2, 23,00 € ; demandeur RQD, 10,00 €" in form
    told = words_of(thread.finalise(thread.expert))
    for words in (
        thread.values["Nom de naissance"],
        "Acte de l'expert : TE2, 23,00 €",
        "Acte du demandeur : RQD, 10,00 €",
        "À régulariser : NIR de l'assuré manquant",
    ):
        assert words in told


def test_a31_a_cumulated_act_is_refused_and_said(served: TestGateway) -> None:
    thread = open_thread(served)
    told = words_of(thread.finalise(thread.expert, **{"Acte cumulé": "oui"}))
    assert told.count("acte cumulé avec un autre") == 2
    (row,) = rows(thread.expert, thread.ref)
    assert (row["Acte"], row["Non facturable"]) == ("", "acte cumulé avec un autre")


def test_a31_the_fifth_act_of_a_year_for_one_patient_is_said(served: TestGateway) -> None:
    told = ""
    for _ in range(5):
        thread = open_thread(served, name="XRÉPÉTÉ")
        assert "nombre maximal" not in told
        told = words_of(thread.finalise(thread.expert))
    assert "Acte de l'expert : TE2, 0,00 €" in told
    assert "nombre maximal d'actes de l'année dépassé pour ce patient" in told


def test_a31_acts_of_one_patient_are_counted_however_the_identity_was_written(served: TestGateway) -> None:
    told = ""
    ways: tuple[dict[str, Any], ...] = (
        {"nir": "257029999900194"},
        {},
        {"name": "XÉCRITAUTREMENT"},
        {"first": "JEANNE-MARIE"},
        {},
    )
    for way in ways:
        thread = open_thread(served, **{"name": "XECRITAUTREMENT", **way})
        assert "nombre maximal" not in told
        told = words_of(thread.finalise(thread.expert))
    assert "nombre maximal d'actes de l'année dépassé pour ce patient" in told
    (row,) = rows(thread.expert, thread.ref)
    assert (row["Rang dans l'année"], row["Maximum dans l'année"], row["Montant (€)"]) == ("5", "4", "0,00")


def test_a31_nobody_is_paid_for_an_answer_to_their_own_request(served: TestGateway) -> None:
    thread = open_thread(served)
    told = words_of(thread.finalise(thread.expert, Demandeur=region.DERMATOLOGIST.address))
    assert told.count("demandeur et expert sont la même personne") == 2
    for row in rows(thread.expert, thread.ref):
        assert (row["Acte"], row["Montant (€)"]) == ("", "0,00")


def test_a31_it_is_asked_whether_a_dentists_patient_is_one_of_those_whom_the_act_is_for(
    served: TestGateway,
) -> None:
    label = "Situation du patient prise en charge"
    asked = open_thread(served)
    assert label not in form_words(asked, asked.expert)
    change(served, replace(region.GP, profession="Chirurgien-dentiste"))
    try:
        thread = open_thread(served)
        form = form_words(thread, thread.expert)
        assert label in form
        assert "suspicion de cancer oral" in form or "NGAP 14.9.4" in form
        to_settle = "situation du patient à vérifier"
        assert to_settle in words_of(thread.finalise(thread.expert))
        told = words_of(thread.finalise(thread.expert, **{label: "oui"}))
        assert to_settle not in told
        assert "Acte du demandeur : RQD, 10,00 €" in told
        told = words_of(thread.finalise(thread.expert, **{label: "non"}))
        assert told.count("patient hors des situations prises en charge") == 1
        (row,) = rows(thread.requester, thread.ref)
        assert row["Non facturable"] == "patient hors des situations prises en charge"
    finally:
        change(served, region.GP)


def test_a31_what_an_account_lacked_is_settled_by_finalising_again(served: TestGateway) -> None:
    change(served, replace(region.GP, rpps="", profession=""))
    try:
        thread = open_thread(served)
        told = words_of(thread.finalise(thread.expert))
        assert "numéro RPPS du correspondant manquant" in told
        assert "profession à préciser" in told
    finally:
        change(served, region.GP)
    told = words_of(thread.finalise(thread.expert))
    assert "RPPS" not in told
    assert "profession à préciser" not in told
    (row,) = rows(thread.requester, thread.ref)
    assert (row["Acte"], row["RPPS"]) == ("RQD", region.GP.rpps)


def test_a31_the_number_of_the_claim_that_the_request_lacked_is_settled_at_the_end(
    served: TestGateway,
) -> None:
    thread = open_thread(served)
    assert "NIR de l'assuré (15 caractères, facultatif) :" in form_words(thread, thread.expert)
    wrong = words_of(thread.finalise(thread.expert, **{"NIR de l'assuré": "2 57 02 99 999 001 95"}))
    assert "NIR de l'assuré" in wrong
    assert rows(thread.expert, thread.ref) == []
    assert "NIR de l'assuré manquant" in words_of(thread.finalise(thread.expert))
    told = words_of(thread.finalise(thread.expert, **{"NIR de l'assuré": "2 57 02 99 999 001 94"}))
    assert "NIR de l'assuré" not in told
    for client in (thread.expert, thread.requester):
        (row,) = rows(client, thread.ref)
        assert (row["NIR de l'assuré"], row["À régulariser"]) == ("257029999900194", "")
    assert "NIR de l'assuré (15 caractères, facultatif) : 257029999900194" in form_words(
        thread, thread.expert
    )
    given = open_thread(served, nir="257029999977794", name="XAVECNUMÉRO")
    assert "NIR de l'assuré" not in form_words(given, given.expert), "the request gave it"


def test_a31_an_act_that_the_rules_do_not_know_comes_back(served: TestGateway) -> None:
    thread = open_thread(served)
    told = words_of(thread.finalise(thread.expert, Acte="TE9"))
    assert "« TE9 » n'est pas proposé" in told.replace("\N{NO-BREAK SPACE}", " ")
    assert rows(thread.expert, thread.ref) == []


def test_a32_defaults_are_who_asked_and_the_service_first_chosen(
    by_service: Thread, cardiologist: Client
) -> None:
    form = form_words(by_service, cardiologist)
    assert f"Demandeur : Dr Claire MARTIN ({region.GP.address})" in form
    assert f"Expert : {region.SERVICE.name} ({region.SERVICE.address})" in form
    for party in (region.CARDIOLOGIST, region.SECRETARY):
        assert party.name in form, "delegates of both sides can be named"


def test_a32_the_requester_may_be_another_member_whose_line_it_becomes(served: TestGateway) -> None:
    thread = open_thread(served)
    reply = thread.expert.reply(thread.question(thread.expert), "Je propose à Mme Faure de suivre.")
    reply["Cc"] = region.NURSE.address
    thread.expert.send(reply)
    nurse = served.client(region.NURSE)
    thread.copy_of(nurse, reply)
    told = words_of(
        thread.finalise(
            thread.expert,
            Demandeur=region.NURSE.name,
            **{"Numéro de facturation du demandeur": "431000059"},
        )
    )
    assert f"Demandeur : {region.NURSE.name}" in told
    (mine,) = rows(nurse, thread.ref, "Export demandeur csv")
    assert (mine["Acte"], mine["Numéro de facturation"]) == ("RQD", "431000059")
    assert rows(thread.requester, thread.ref, "Export demandeur csv") == []
    # The report still goes to both.
    for reader in (thread.requester, nurse):
        thread.report(reader)


def test_a33_a_delegate_is_offered_both_numbers_the_services_first(
    by_service: Thread, cardiologist: Client
) -> None:
    form = form_words(by_service, cardiologist)
    own = f"{NUMBER} ({region.CARDIOLOGIST.name})"
    services = f"{region.SERVICE.billing_number} ({region.SERVICE.name})"
    assert f"Numéros connus : {services} ; {own}." in form
    assert (
        f"Numéro de facturation de l'expert (AM ou FINESS, facultatif) : {region.SERVICE.billing_number}"
        in form
    )


def test_a34_exchanges_are_ticked_or_not_and_a_form_left_unsent_changes_nothing(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.tell(thread.expert, "Une réponse gardée.")
    thread.tell(thread.requester, "Un rendez-vous laissé de côté.")
    form = thread.form(thread.expert, "Finaliser")
    assert "in_progress" in thread.state(thread.requester)
    filled = answered(thread.expert, form, {"Conclusion": "Surveillance.", "Suite proposée": "Suivi"})
    text = text_of(filled)
    line = re.search(r"\[x\] (\d\. .*laissé de côté.*)", text)
    assert line is not None
    filled.set_content(text.replace(line[0], f"[ ] {line[1]}"))
    thread.expert.answer_to(thread.expert.send(filled))
    _, pdf = thread.report(thread.requester)
    assert "Une réponse gardée." in report_text(pdf)
    assert "laissé de côté" not in report_text(pdf)


def test_a35_a_synthesis_at_any_time_changes_nothing(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.tell(thread.expert, "Première impression.")
    thread.tell(thread.requester, "Un mot à part.", ("vue de profil.jpg", b"no picture"))
    mail = thread.requester.ask_service(f"Synthèse {thread.ref}")
    (pdf,) = [content for name, content in attachments(mail).items() if name.endswith(".pdf")]
    whole = report_text(pdf)
    for words in (thread.values["Question"], "Première impression.", "Un mot à part.", "vue de profil.jpg"):
        assert words in whole
    # Its elements are chosen by ticks in the same mail, and what comes then may be sent on to anybody.
    text = quoted(text_of(mail).replace("[x] 2.", "[ ] 2."))
    chosen = thread.requester.answer_to(thread.requester.send(thread.requester.reply(mail, text)))
    ((name, part),) = [(name, pdf) for name, pdf in attachments(chosen).items() if name.endswith(".pdf")]
    assert "Première impression." in report_text(part)
    assert "Un mot à part." not in report_text(part)
    colleague = served.client(region.STRANGER)
    passed_on = thread.requester.compose(colleague.address, "Pour avis", "Voir la synthèse.")
    passed_on.add_attachment(part, maintype="application", subtype="pdf", filename=name)
    thread.requester.send(passed_on)
    got = colleague.wait(lambda mail: mail["message-id"] == passed_on["message-id"])
    assert attachments(got) == {name: part}
    assert thread.ref not in words_of(colleague.ask_service("Mes téléexpertises"))
    thread.reaches("in_progress")


def test_a36_the_report_is_posted_filed_and_sent_to_the_requester(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.finalise(thread.expert, "Exérèse avec marges.")
    name = thread.values["Nom de naissance"]

    def filed(reader: Client) -> list[str]:
        mine = [folder for folder in reader.folders() if folder.startswith(f"Patients/{name}")]
        found = [
            attached for folder in mine for mail in reader.mails(folder) for attached in attachments(mail)
        ]
        return [attached for attached in found if attached == f"{thread.ref}-v1.pdf"]

    for reader in (thread.requester, thread.expert):
        _, pdf = thread.report(reader)
        assert "Exérèse avec marges." in report_text(pdf)
        eventually(
            lambda reader=reader: filed(reader),  # type: ignore[misc]
            f"the report of {thread.ref} in the patient's folder of {reader.address}",
        )


def test_a36_the_report_is_filed_by_patient_only_where_the_account_wants_it(served: TestGateway) -> None:
    change(served, replace(region.DERMATOLOGIST, files_reports=False))
    try:
        thread = open_thread(served)
        thread.finalise(thread.expert)
        name = thread.values["Nom de naissance"]

        def filed(reader: Client) -> bool:
            return any(name in folder for folder in reader.folders())

        thread.report(thread.expert)
        eventually(lambda: filed(thread.requester), "the requester's folder")
        served.settled()
        assert not filed(thread.expert)
    finally:
        change(served, region.DERMATOLOGIST)


def test_a37_a38_finalised_activity_by_dates_role_and_format(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.finalise(thread.expert)
    (row,) = rows(thread.expert, thread.ref, "Export expert csv")
    day = row["Date de l'acte"]
    assert (row["Rôle"], row["Acte"], row["Montant (€)"], row["Correction"]) == ("expert", "TE2", "23,00", "")
    assert rows(thread.expert, thread.ref, "Export demandeur csv") == []
    (mine,) = rows(thread.requester, thread.ref, f"Export demandeur {day} {day} csv")
    assert (mine["Acte"], mine["Numéro de facturation"]) == ("RQD", region.GP.billing_number)
    assert rows(thread.requester, thread.ref, "Export demandeur 01/01/2020 31/12/2020 csv") == []
    ((name, content),) = attachments(thread.expert.ask_service(f"Export expert {day} {day} xlsx")).items()
    assert name.endswith(".xlsx")
    assert content.startswith(b"PK")


def test_a39_what_is_open_stands_apart(served: TestGateway) -> None:
    thread = open_thread(served)
    assert rows(thread.expert, thread.ref) == []
    (row,) = rows(thread.expert, thread.ref, "Export en cours csv")
    assert row["Délai annoncé (jours)"] == str(region.DERMATOLOGY.delay_days)


def test_a40_lines_name_the_service_and_who_finalised(by_service: Thread, cardiologist: Client) -> None:
    told = by_service.finalise(cardiologist, "ECG normal.")
    assert "finalisée" in words_of(told)
    (row,) = [row for row in rows(cardiologist, by_service.ref) if row["Rôle"] == "expert"]
    assert row["Compte"] == row["Compte sollicité"] == region.SERVICE.address
    assert row["FINESS"] == region.SERVICE.finess
    assert row["Finalisée par"] == f"{region.CARDIOLOGIST.name} pour {region.SERVICE.name}"
    assert (row["Numéro de facturation"], row["Suite proposée"]) == (
        region.SERVICE.billing_number,
        "Surveillance",
    )


def test_a36_a_second_finalisation_replaces_the_lines_and_is_a_correction(
    served: TestGateway, cardiologist: Client
) -> None:
    thread = open_thread(served, expert=region.SERVICE)
    thread.finalise(cardiologist, "ECG normal.")
    (first,) = [row for row in rows(cardiologist, thread.ref) if row["Rôle"] == "expert"]
    assert (first["Version du compte rendu"], first["Correction"]) == ("1", "")
    thread.report(thread.requester, 1)
    told = words_of(thread.finalise(cardiologist, "ECG anormal."))
    assert "version 2" in told
    (second,) = [row for row in rows(cardiologist, thread.ref) if row["Rôle"] == "expert"]
    assert second["Version du compte rendu"] == "2"
    assert second["Correction"].startswith("remplace la version 1, exportée le ")
    _, pdf = thread.report(thread.requester, 2)
    assert "ECG anormal." in report_text(pdf)
    # The requester never exported the first version: to them it is no correction.
    (theirs,) = rows(thread.requester, thread.ref)
    assert (theirs["Rôle"], theirs["Correction"]) == ("demandeur", "")


def test_a32_an_act_that_passes_to_another_is_taken_back_where_it_was_exported(
    served: TestGateway, cardiologist: Client
) -> None:
    thread = open_thread(served, expert=region.SERVICE)
    thread.finalise(cardiologist, "ECG normal.")
    order = f"Export expert {region.SERVICE.address} csv"
    (first,) = rows(cardiologist, thread.ref, order)
    assert first["Acte"] == "TE2"
    told = words_of(
        thread.finalise(
            cardiologist,
            "ECG normal.",
            **{"Expert": region.CARDIOLOGIST.name, "Numéro de facturation de l'expert": NUMBER},
        )
    )
    assert f"Expert : {region.CARDIOLOGIST.name}" in told
    (gone,) = rows(cardiologist, thread.ref, order)
    assert (gone["Acte"], gone["Montant (€)"]) == ("", "0,00")
    assert gone["Correction"].startswith("ligne annulée : la version 1")
    (hers,) = rows(cardiologist, thread.ref, f"Export expert {region.CARDIOLOGIST.address} csv")
    assert (hers["Acte"], hers["Numéro de facturation"]) == ("TE2", NUMBER)
    assert hers["Compte sollicité"] == region.SERVICE.address, "her line still names the service"


def test_a32_a_number_that_is_another_persons_is_said(served: TestGateway, cardiologist: Client) -> None:
    thread = open_thread(served, expert=region.SERVICE)
    told = words_of(thread.finalise(cardiologist, "ECG normal.", Expert=region.CARDIOLOGIST.name))
    assert f"le numéro de facturation {region.SERVICE.billing_number} n'est pas celui" in told
    change(served, replace(region.CARDIOLOGIST, billing_number=""))
    try:
        thread = open_thread(served, expert=region.SERVICE)
        told = words_of(thread.finalise(cardiologist, "ECG normal.", Demandeur=region.CARDIOLOGIST.name))
        assert f"le numéro de facturation {region.GP.billing_number} est celui de {region.GP.name}" in told
    finally:
        change(served, replace(region.CARDIOLOGIST, profession="Médecin", billing_number=NUMBER))


@pytest.mark.parametrize("mode", list(NoticeMode))
def test_who_asked_is_told_of_an_answer_at_once(served: TestGateway, mode: NoticeMode) -> None:
    change(served, replace(region.GP, notice=mode))
    try:
        thread = open_thread(served)
        sent = thread.say(thread.expert, "Voici ma réponse.")

        def news(mail: EmailMessage) -> bool:
            if mode is NoticeMode.INBOX:
                return str(mail["message-id"]) == str(sent["message-id"])
            return "Nouvelle réponse" in str(mail["subject"]) and thread.ref in str(mail["subject"])

        assert thread.requester.wait(news)
    finally:
        change(served, region.GP)
