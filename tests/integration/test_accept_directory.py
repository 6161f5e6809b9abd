"""Features A.10 to A.21 of the domain, by mail from outside: directory and declarations."""

from __future__ import annotations

import json
import re
import smtplib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from gateway.services import Services
from gateway.workers.timekeeping import on_the_clock
from teleexpertise.forms.marks import NOTE_SIGN
from teleexpertise.people import Account, Expert, IdentityPolicy, ItemKind, NirPolicy
from tests.support import region
from tests.support.acting import command, told
from tests.support.declaring import CLEAR, DECLARED, REQUEST, answer, declare, form_for, request
from tests.support.forms import form_of, quoted, typed_into
from tests.support.gateway import Client, TestGateway, gateway, html_of, refusal_text, text_of, words_of
from tests.support.threads import attach, attachments, patient_name, photo, reference_in

PDF = b"%PDF-1.4\n% fiche a remplir\n%%EOF\n"


@pytest.fixture(scope="module")
def served() -> Iterator[TestGateway]:
    """A gateway of its own: other tests count what the directory holds."""
    with gateway("\n[conversation]\nanswers_per_hour = 100000\n") as made:
        yield made
        made.settled()


@pytest.fixture(scope="module")
def nurse(served: TestGateway) -> Client:
    return served.client(region.NURSE)


@pytest.fixture(scope="module")
def doctor(served: TestGateway) -> Client:
    return served.client(region.GP)


def expert_of(served: TestGateway, account: Account) -> dict[str, Any] | None:
    """What the command line shows of a declaration, ``None`` for nobody's."""
    called = command(served, "expert", "show", account.address)
    if called.exit_code == 1:
        return None
    found: dict[str, Any] = json.loads(told(served, "expert", "show", account.address, "--json"))
    return found


def declared(served: TestGateway, account: Account) -> dict[str, Any]:
    """The declaration of somebody who has one."""
    found = expert_of(served, account)
    assert found is not None
    return found


def account_of(served: TestGateway, address: str) -> dict[str, Any]:
    """What the command line shows of an account."""
    rows: list[dict[str, Any]] = json.loads(told(served, "account", "list", "--json"))
    return next(row for row in rows if row["address"] == address)


def today(served: TestGateway) -> date:
    now: datetime = served.services.clock()
    return now.astimezone(served.services.zone).date()


def test_a10_anybody_declares_herself_and_is_found_with_a_request_button(
    served: TestGateway, nurse: Client, doctor: Client
) -> None:
    done = declare(nurse, DECLARED)
    assert "Le compte apparaît dans l'annuaire" in words_of(done)
    page = words_of(doctor.ask_service("Annuaire plaies 07"))
    assert region.NURSE.name in page
    assert "Demander une téléexpertise" in page
    # Services are experts beside people.
    assert region.SERVICE.name in words_of(doctor.ask_service("Annuaire cardiologie"))


def test_a11_search_by_specialty_department_name_town_abbreviation_and_avis(
    served: TestGateway, nurse: Client, doctor: Client
) -> None:
    declare(nurse, DECLARED)
    for terms in ("cicatrisation 43", "PLAIES ardeche", "faure lucie", "escarre haute-loire", "dermato 07"):
        assert region.NURSE.name in words_of(doctor.ask_service(f"Annuaire {terms}")), terms
    assert region.NURSE.name not in words_of(doctor.ask_service("Annuaire plaies 63"))
    services = words_of(doctor.ask_service("Avis"))
    assert region.SERVICE.name in services
    assert region.NURSE.name not in services
    for terms in ("perret", "remy perret dermatologie", "43000", "dermato le puy en velay", "dermato 43"):
        assert region.DERMATOLOGIST.name in words_of(doctor.ask_service(f"Annuaire {terms}")), terms
    assert region.DERMATOLOGIST.name not in words_of(doctor.ask_service("Annuaire 43100"))
    # Another process changes the directory (here by the store alone): the next query sees it.

    async def rename(services: Services) -> None:
        async with services.store.transaction() as tx:
            found = await tx.experts.get(region.NURSE.address)
            assert found is not None
            await tx.experts.put(Expert(account=found.account, description="x", specialties=("Gériatrie",)))

    served.ask(rename)
    assert region.NURSE.name in words_of(doctor.ask_service("Annuaire géria"))
    assert region.NURSE.name not in words_of(doctor.ask_service("Annuaire escarre"))


def test_a12_the_directory_shows_the_description_and_leads_to_the_form(nurse: Client, doctor: Client) -> None:
    declare(nurse, DECLARED)
    answered = doctor.ask_service("Annuaire faure")
    page = words_of(answered)
    for words in (DECLARED["Description de votre"], DECLARED["Limites et territoire"], "3 jours"):
        assert words in page
    # The button holds a whole command: what a mail program makes of it brings the form.
    button = re.search(r'href="mailto:([^?"]+)\?subject=([^"]+)"[^>]*>Demander une', html_of(answered))
    assert button is not None
    assert button[1] == doctor.gateway.service
    form = doctor.ask_service(unquote(button[2]))
    assert f"Expert : {region.NURSE.name}" in form_of(text_of(form))


def test_a13_preferences_of_a_service_by_its_delegate_and_of_nobody_elses(
    served: TestGateway, nurse: Client
) -> None:
    delegate = served.client(region.CARDIOLOGIST)
    form = form_for(delegate, region.SERVICE.address)
    done = answer(delegate, form, {"Délai maximum": "4 jours"})
    assert region.SERVICE.name in str(done["subject"])
    found = declared(served, region.SERVICE)
    assert found["delay_days"] == 4
    assert found["description"] == region.CARDIOLOGY.description
    lines = json.loads(told(served, "audit", "list", "--action", "preferences", "--json"))
    assert (region.CARDIOLOGIST.address, region.SERVICE.address) in {(e["actor"], e["target"]) for e in lines}
    # The account itself is told what was changed in its name, and by whom.
    owner = served.client(region.SERVICE).wait(f"Préférences modifiées : {region.SERVICE.name}")
    assert f"{region.CARDIOLOGIST.name} a modifié les préférences" in words_of(owner)
    # Neither the form of an account that one may not act for, nor an answer to a form of somebody else.
    with pytest.raises(smtplib.SMTPException) as refused:
        nurse.send(nurse.compose(served.service, f"Préférences {region.SERVICE.address}"))
    assert "550 5.7.1" in refusal_text(refused.value)
    form = form_for(delegate, region.SERVICE.address)
    with pytest.raises(smtplib.SMTPException) as refused:
        nurse.send(nurse.compose(served.service, "Re: Préférences", quoted(text_of(form))))
    assert "550 5.7.1" in refusal_text(refused.value)


def test_a14_who_withdraws_is_shown_no_more_and_finds_her_declaration_again(
    served: TestGateway, nurse: Client, doctor: Client
) -> None:
    declare(nurse, DECLARED)
    done = declare(nurse, {"Apparaître dans l'annuaire": "non"})
    assert "Le compte n'apparaît pas dans l'annuaire" in words_of(done)
    assert region.NURSE.name not in words_of(doctor.ask_service("Annuaire faure"))
    assert DECLARED["Limites et territoire"] in words_of(form_for(nurse))
    # Who declares nothing is no expert afterwards either.
    stranger = served.client(region.STRANGER)
    declare(stranger, {"Signalement": "échanges"})
    assert expert_of(served, region.STRANGER) is None
    assert account_of(served, region.STRANGER.address)["notice"] == "inbox"


def test_a15_the_description_is_mandatory_for_whoever_appears(served: TestGateway, nurse: Client) -> None:
    declare(nurse, DECLARED)
    before = expert_of(served, region.NURSE)
    back = answer(nurse, form_for(nurse), {"Description de votre": "", "Délai maximum": "9"})
    assert "à corriger" in str(back["subject"])
    assert "décrivez votre activité" in words_of(back)
    assert expert_of(served, region.NURSE) == before
    done = answer(nurse, back, {"Description de votre": "Plaies."})
    assert "Plaies." in words_of(done)
    found = declared(served, region.NURSE)
    assert (found["description"], found["delay_days"]) == ("Plaies.", 9)


def test_a16_requests_go_to_another_tool_where_the_expert_has_one(
    served: TestGateway, nurse: Client, doctor: Client
) -> None:
    back = answer(nurse, form_for(nurse), {**DECLARED, "Adresse d'un autre outil": "http://outil.example"})
    assert "https://" in words_of(back)
    assert "à corriger" in str(back["subject"])
    url = "https://outil.example/demande?de=43"
    answer(nurse, back, {"Adresse d'un autre outil": url, "NIR du patient": "non demandé"})
    page = words_of(doctor.ask_service("Annuaire faure"))
    assert f"reçoit les demandes avec un autre outil : {url}" in page
    assert "Demander une téléexpertise" not in page
    assert url in words_of(request(doctor, region.NURSE, REQUEST))
    rows = json.loads(told(served, "conversation", "list", "--member", region.NURSE.address, "--json"))
    assert [row["state"] for row in rows] == ["redirected"]
    declare(nurse, CLEAR)


def test_a17_anonymity_is_offered_where_the_expert_allows_it(nurse: Client, doctor: Client) -> None:
    declare(nurse, {**DECLARED, **CLEAR, "NIR du patient": "facultatif"})
    form = doctor.ask_service(f"Nouvelle téléexpertise {region.NURSE.address}")
    assert "Patient anonyme" not in form_of(text_of(form))
    declare(nurse, {"Identité du patient": "anonymat possible"})
    form = doctor.ask_service(f"Nouvelle téléexpertise {region.NURSE.address}")
    assert "Patient anonyme" in form_of(text_of(form))
    unnamed = {"Nom de naissance": "", "Prénoms": "", "Date de naissance": "", "Patient anonyme": "oui"}
    opened = request(doctor, region.NURSE, {**REQUEST, **unnamed})
    assert "Patient : anonyme, son identité n'est pas communiquée" in words_of(opened)
    assert "Patient : anonyme" in words_of(nurse.wait("Demande de téléexpertise", "Téléexpertises"))


def test_a18_prerequisites_as_text_as_files_and_as_a_checklist(
    served: TestGateway, nurse: Client, doctor: Client
) -> None:
    items = "photo obligatoire : Vue rapprochée\n2 documents facultatifs : Bilan\nréponse obligatoire : Durée"
    wrong = answer(
        nurse,
        form_for(nurse),
        {**DECLARED, **CLEAR, "Délai maximum": "bientôt", "Prérequis en": "Photographies nettes."}
        | {"Liste des éléments": items},
        {"fiche.pdf": PDF, "virus.exe": b"MZ"},
    )
    shown = text_of(wrong)
    assert "[x] 1. fiche.pdf" in shown
    assert "] 2." not in shown
    assert "« bientôt »" in words_of(wrong)
    assert "virus.exe" in words_of(wrong)
    done = answer(nurse, wrong, {"Délai maximum": "3"}, {"consentement.docx": b"PK docx"})
    assert "fiche.pdf" in words_of(done)
    assert "consentement.docx" in words_of(done)
    found = declared(served, region.NURSE)
    assert found["prerequisites"] == "Photographies nettes."
    assert [(i["name"], i["kind"], i["mandatory"], i["count"]) for i in found["items"]] == [
        ("Vue rapprochée", ItemKind.IMAGE, True, 1),
        ("Bilan", ItemKind.DOCUMENT, False, 2),
        ("Durée", ItemKind.FIELD, True, 1),
    ]
    # The requester gets them with the form; a written element is a line of it.
    form = doctor.ask_service(f"Nouvelle téléexpertise {region.NURSE.address}")
    assert attachments(form) == {"fiche.pdf": PDF, "consentement.docx": b"PK docx"}
    assert "Durée" in form_of(text_of(form))
    # Unticking removes; nothing else changes.
    answer(nurse, form_for(nurse), {}, edit=("[x] 1. fiche.pdf", "[ ] 1. fiche.pdf"))
    after = declared(served, region.NURSE)
    assert [each["filename"] for each in after["documents"]] == ["consentement.docx"]
    assert after["items"] == found["items"]


def test_a18_two_words_take_over_the_usual_checklist_of_the_specialty(served: TestGateway) -> None:
    secretary = served.client(region.SECRETARY)
    usual = {"Apparaître dans l'annuaire": "non", "Liste des éléments": "liste usuelle"}
    done = answer(secretary, form_for(secretary), {**DECLARED, **CLEAR, **usual})
    assert "Plaie avec règle (photographie, obligatoire)" in words_of(done)
    names = {item["name"] for item in declared(served, region.SECRETARY)["items"]}
    assert {"Plaie avec règle", "Dimensions", "Dermoscopie"} <= names


def test_a18_who_has_no_checklist_is_shown_the_usual_one_of_the_specialty(served: TestGateway) -> None:
    form = text_of(form_for(served.client(region.CARDIOLOGIST)))
    lines = (line.strip().removeprefix(NOTE_SIGN) for line in form.splitlines())
    shown = " ".join(" ".join(lines).split())
    assert "Pour Cardiologie, on demande souvent : « document obligatoire : ECG 12 dérivations »" in shown
    assert "souvent" not in text_of(form_for(served.client(region.DERMATOLOGIST)))


def test_a19_the_nir_is_mandatory_only_where_identity_is(
    served: TestGateway, nurse: Client, doctor: Client
) -> None:
    back = answer(nurse, form_for(nurse), {**DECLARED, **CLEAR, "Identité du patient": "anonymat possible"})
    assert "le NIR ne peut être exigé que si" in words_of(back)
    answer(nurse, back, {"Identité du patient": "exigée"})
    found = declared(served, region.NURSE)
    assert (found["identity"], found["nir"]) == (IdentityPolicy.REQUIRED, NirPolicy.MANDATORY)
    refused = request(doctor, region.NURSE, REQUEST)
    assert "NIR ou INS : cette ligne est à compléter" in words_of(refused)
    for choice, there in (("obligatoire", "NIR ou INS (15 caractères) :"), ("non demandé", "")):
        declare(nurse, {"NIR du patient": choice})
        form = form_of(text_of(doctor.ask_service(f"Nouvelle téléexpertise {region.NURSE.address}")))
        assert there in form
        assert ("NIR ou INS" in form) is bool(there)


def test_a20_the_billing_number_is_kept_and_prefilled(served: TestGateway, nurse: Client) -> None:
    back = answer(nurse, form_for(nurse), {"Votre numéro de facturation": "12"})
    assert "numéro AM" in words_of(back)
    saved = answer(
        nurse, back, {"Votre numéro de facturation": "43 6 00001 2", "Unité fonctionnelle": "3412"}
    )
    assert account_of(served, region.NURSE.address)["billing_number"] == "436000012"
    assert account_of(served, region.NURSE.address)["unit"] == "3412"
    assert "Unité fonctionnelle : 3412" in words_of(saved)
    form = nurse.ask_service(f"Nouvelle téléexpertise {region.DERMATOLOGIST.address}")
    assert "436000012" in form_of(text_of(form))


def test_a21_nothing_is_saved_by_half_nor_over_somebody_elses_change(
    served: TestGateway, nurse: Client
) -> None:
    declare(nurse, {**DECLARED, **CLEAR})
    before, account = expert_of(served, region.NURSE), account_of(served, region.NURSE.address)
    early = form_for(nurse)
    back = answer(
        nurse,
        form_for(nurse),
        {
            "Vos spécialités": "cardiologe",
            "Départements couverts": "43, Haute-Loir",
            "Dates d'absence": "en août",
            "Votre numéro de facturation": "431000018",
        },
    )
    said = words_of(back)
    assert "4 lignes" not in said
    assert "3 lignes du formulaire sont à corriger" in said
    assert "Cardiologie" in said
    assert "Haute-Loire (43)" in said
    assert "du 01/08/2026 au 15/08/2026" in said
    assert expert_of(served, region.NURSE) == before
    assert account_of(served, region.NURSE.address) == account
    # A form that was sent before another one was saved does not undo that one unseen.
    declare(nurse, {"Délai maximum": "6"})
    again = answer(nurse, early, {"Limites et territoire": "Nouveau."})
    assert "modifiées depuis" in words_of(again)
    found = declared(served, region.NURSE)
    assert (found["delay_days"], found["limits"]) == (6, DECLARED["Limites et territoire"])
    answer(nurse, again, {"Délai maximum": "6"})
    found = declared(served, region.NURSE)
    assert (found["delay_days"], found["limits"]) == (6, "Nouveau.")


def test_an_absent_experts_deputy_takes_part_from_the_opening(
    served: TestGateway, nurse: Client, doctor: Client
) -> None:
    first, last = today(served) - timedelta(days=1), today(served) + timedelta(days=5)
    shown = f"du {first:%d/%m/%Y} au {last:%d/%m/%Y}"
    back = answer(
        nurse,
        form_for(nurse),
        {**DECLARED, **CLEAR, "NIR du patient": "non demandé"}
        | {"Dates d'absence": f"{shown}, remplacée par personne@{region.DOMAIN}"},
    )
    assert "n'a pas de compte actif" in words_of(back)
    deputy = served.client(region.CARDIOLOGIST)
    done = answer(
        nurse, back, {"Dates d'absence": f"Absente {shown}, remplacée par {region.CARDIOLOGIST.address}"}
    )
    assert region.CARDIOLOGIST.name in words_of(done)
    absence = declared(served, region.NURSE)["absence"]
    assert absence == {"starts": str(first), "ends": str(last), "deputy": region.CARDIOLOGIST.address}
    page = words_of(doctor.ask_service("Annuaire faure"))
    assert f"Absence du {first:%d/%m/%Y}" in page
    assert region.CARDIOLOGIST.name in page
    opened = request(doctor, region.NURSE, REQUEST)
    reference = str(opened["subject"]).partition("[")[2].split()[0]
    opening = deputy.wait("Éléments demandés", "Téléexpertises")
    assert f"est aussi remise à {region.CARDIOLOGIST.name}" in words_of(opening)
    assert reference in words_of(deputy.wait(reference))
    # On the expert's side: the deputy's first answer takes the request up.
    deputy.send(deputy.reply(opening, "Je regarde."))
    shown = json.loads(told(served, "conversation", "show", reference, "--json"))
    assert shown["state"] == "in_progress"
    declare(nurse, CLEAR)


def test_files_wait_through_corrections_and_too_many_come_back(served: TestGateway, nurse: Client) -> None:
    declare(nurse, {**DECLARED, **CLEAR})
    answer(nurse, form_for(nurse), {}, {"consentement.docx": b"PK docx"})  # taken out by name further below
    before = declared(served, region.NURSE)
    kept = len(before["documents"])
    room = 10 - kept
    files = {f"fiche{n:02}.pdf": PDF + bytes([n]) for n in range(room + 1)}
    back = answer(nurse, form_for(nurse), {}, files)
    assert "11 fichiers au lieu de 10" in words_of(back)
    assert expert_of(served, region.NURSE) == before
    # A second wrong answer brings the same file again and one that differs: each content is listed once.
    back = answer(
        nurse,
        back,
        {"Délai maximum": "x"},
        {"fiche00.pdf": files["fiche00.pdf"], "fiche00-bis.pdf": b"%PDF other"},
        (f"[x] {kept + 1}. fiche00.pdf", f"[ ] {kept + 1}. fiche00.pdf"),
    )
    listed = [line for line in text_of(back).splitlines() if line.startswith("[")]
    assert len(listed) == 12
    assert sum("[ ]" in line for line in listed) == 1
    text = text_of(back)
    for line in listed[kept:-1]:
        text = text.replace(line, line.replace("[x]", "[ ]"))
    mail = nurse.reply(back, quoted(typed_into(text, {"Délai maximum": "2"})))
    nurse.answer_to(nurse.send(mail))
    names = [each["filename"] for each in declared(served, region.NURSE)["documents"]]
    assert names == [*(each["filename"] for each in before["documents"]), "fiche00-bis.pdf"]
    # All of them away again.
    form = form_for(nurse)
    nurse.answer_to(nurse.send(nurse.reply(form, quoted(text_of(form).replace("[x] ", "[ ] ")))))
    assert declared(served, region.NURSE)["documents"] == []


def test_of_ten_answers_to_one_form_one_counts(served: TestGateway, nurse: Client) -> None:
    declare(nurse, {**DECLARED, **CLEAR})
    form = form_for(nurse)
    sent = [
        nurse.send(nurse.reply(form, quoted(typed_into(text_of(form), {"Délai maximum": str(n)}))))
        for n in range(10, 20)
    ]
    subjects = [str(nurse.answer_to(each)["subject"]) for each in sent]
    assert sum(subject.startswith("Préférences enregistrées") for subject in subjects) == 1
    assert declared(served, region.NURSE)["delay_days"] == 10


def test_an_html_answer_with_a_logo_in_its_signature(served: TestGateway, nurse: Client) -> None:
    declare(nurse, {**DECLARED, **CLEAR})
    form = form_for(nurse)
    mail = nurse.reply(form, "")
    html = html_of(form).replace("Délai maximum de réponse (en jours) : 3", "Délai maximum de réponse : 8")
    assert "réponse : 8" in html.replace("\u00a0", " ")
    mail.clear_content()
    mail.set_content(f"<blockquote>{html}</blockquote><img src='cid:logo'>", subtype="html")
    mail.add_related(b"\x89PNG logo", "image", "png", cid="<logo>", filename="logo.png", disposition="inline")
    nurse.answer_to(nurse.send(mail))
    found = declared(served, region.NURSE)
    assert (found["delay_days"], found["documents"]) == (8, [])


def test_an_absence_brings_the_deputy_into_what_waits_already(
    served: TestGateway, nurse: Client, doctor: Client
) -> None:
    declare(nurse, {**DECLARED, **CLEAR, "NIR du patient": "non demandé"})
    picture = photo("talon.jpg")
    reference = reference_in(request(doctor, region.NURSE, {**REQUEST, "Nom de naissance": patient_name()}))
    question = doctor.wait(lambda mail: mail["x-tle-ref"] == reference, "Téléexpertises")
    sent = doctor.send(attach(doctor.reply(question, "Voici le talon."), picture))
    first, last = today(served), today(served) + timedelta(days=5)
    shown = f"du {first:%d/%m/%Y} au {last:%d/%m/%Y}, remplacée par {region.CARDIOLOGIST.address}"
    done = words_of(declare(nurse, {"Dates d'absence": shown}))
    assert "dans les minutes qui suivent, avec les échanges antérieurs" in done
    assert "La fin de l'absence ne retire personne" in done
    for _ in range(2):
        served.ask(on_the_clock)
    deputy = served.client(region.CARDIOLOGIST)
    told = deputy.wait(
        lambda mail: (mail["x-tle-ref"], mail["x-tle-event"]) == (reference, "remplacement"), "Téléexpertises"
    )
    thread = [mail for mail in deputy.mails("Téléexpertises") if mail["x-tle-ref"] == reference]
    assert [mail["x-tle-event"] for mail in thread] == ["ouverture", "question", "message", "remplacement"]
    assert thread[2]["message-id"] == sent["message-id"]
    assert attachments(thread[2]) == dict([picture])
    assert f"remise à {region.CARDIOLOGIST.name}" in words_of(told)
    assert "Remplacement" in str(deputy.wait(f"{reference} - demandée] Remplacement : demande")["subject"])
    assert "DUPONT" not in words_of(doctor.wait(f"{reference} - demandée] Absence de l'expert"))
    doctor.wait(f"{reference} - demandée] Remplacement de l'expert absent", "Téléexpertises")
    # The deputy's answer reaches the requester and takes the request up.
    answered = deputy.send(deputy.reply(told, "Je regarde."))
    doctor.wait(lambda mail: mail["message-id"] == answered["message-id"], "Téléexpertises")
    found = json.loads(command(served, "conversation", "show", reference, "--json").stdout)
    assert found["state"] == "in_progress"
    declare(nurse, CLEAR)


def test_the_opening_says_when_the_deputy_is_away_as_well(
    served: TestGateway, nurse: Client, doctor: Client
) -> None:
    day = today(served)
    told(served, "expert", "absence", region.CARDIOLOGIST.address, str(day), str(day + timedelta(days=2)))
    absence = f"du {day:%d/%m/%Y} au {day:%d/%m/%Y}, remplacée par {region.CARDIOLOGIST.address}"
    done = declare(nurse, {**DECLARED, **CLEAR, "NIR du patient": "non demandé", "Dates d'absence": absence})
    away = f"a également annoncé une absence, du {day:%d/%m/%Y}"
    assert f"{region.CARDIOLOGIST.name} {away}" in words_of(done)
    reference = reference_in(request(doctor, region.NURSE, {**REQUEST, "Nom de naissance": patient_name()}))
    opening = doctor.wait(
        lambda mail: (mail["x-tle-ref"], mail["x-tle-event"]) == (reference, "ouverture"), "Téléexpertises"
    )
    until = f"jusqu'au {day + timedelta(days=2):%d/%m/%Y}"
    assert f"{region.CARDIOLOGIST.name} a également annoncé une absence, {until}" in words_of(opening)
    told(served, "expert", "absence", region.CARDIOLOGIST.address)
    declare(nurse, CLEAR)


def test_a_deputy_who_asks_is_no_deputy(served: TestGateway, nurse: Client, doctor: Client) -> None:
    day = today(served)
    absence = f"du {day:%d/%m/%Y} au {day + timedelta(days=1):%d/%m/%Y}, remplacée par {region.GP.address}"
    declare(nurse, {**DECLARED, **CLEAR, "NIR du patient": "non demandé", "Dates d'absence": absence})
    opened = request(doctor, region.NURSE, REQUEST)
    reference = str(opened["subject"]).partition("[")[2].split()[0]
    mine = json.loads(told(served, "conversation", "list", "--member", region.NURSE.address, "--json"))
    (members,) = [set(row["members"]) for row in mine if row["ref"] == reference]
    assert members == {region.GP.address, region.NURSE.address}
    declare(nurse, CLEAR)
