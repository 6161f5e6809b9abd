"""A secretary's day, the first practical case of the expert guide: a doctor in private practice declares
himself an expert and names his secretary, who reads all that he gets, answers, edits preferences, exports.

She works with mbsync, which keeps a copy of both mailboxes on her machine, and with imaplib beside it;
nothing is looked at but mails, folders, exports and what the command line prints.
"""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from teleexpertise.people import Account
from tests.support import region
from tests.support.acting import saved, told
from tests.support.days import entered, exported_rows, filled_form, month, pdf_words
from tests.support.forms import form_of
from tests.support.gateway import Client, TestGateway, eventually, gateway, refusal_text, text_of, words_of
from tests.support.imap import OWN, begin_idle, ended, found, idle_told, listed, opens, session, wire
from tests.support.mbsync import Copy, needs_mbsync
from tests.support.threads import (
    FOLDER,
    answered,
    attach,
    attachments,
    photo,
    reference_in,
    request_form,
    request_values,
)

pytestmark = [pytest.mark.timeout(300), needs_mbsync]

DOCTOR = Account(
    address=f"hugues.vallier@{region.DOMAIN}",
    name="Dr Hugues VALLIER",
    profession="Médecin",
    specialty="Dermatologie",
    rpps="10100000033",
    department="43",
    postcode="43200",
    town="Yssingeaux",
)
SECRETARY = Account(
    address=f"solange.pradier@{region.DOMAIN}", name="Mme Solange PRADIER", profession="Secrétaire"
)
NUMBER = "431000042"
SHEET = b"PK\x03\x04 fiche de liaison"

DECLARATION = {
    "Apparaître dans l'annuaire": "oui",
    "Description de votre": "Lésions suspectes. Réponse sous 3 jours.",
    "Limites et territoire": "Pas d'avis esthétique ; est de la Haute-Loire.",
    "Délai maximum": "3",
    "Vos spécialités": "Dermatologie",
    "Départements couverts": "43",
    "Prérequis en": "Phototype et ancienneté de la lésion.",
    "Liste des éléments": "photo obligatoire : Vue d'ensemble\n2 photos obligatoires : Vues rapprochées",
    "Votre numéro de facturation": NUMBER,
}


@dataclass(slots=True)
class Day:
    """Who takes part and what has come of it so far."""

    gateway: TestGateway
    doctor: Client
    secretary: Client
    copy: Copy
    refs: list[str] = field(default_factory=list)

    @property
    def his(self) -> str:
        """Where the secretary finds the doctor's folders."""
        return f"{OWN}/{self.doctor.address}"


@pytest.fixture(scope="module")
def served() -> Iterator[TestGateway]:
    with gateway() as made:
        yield made
        made.settled()


def the_doctor_declares_himself_and_names_her(served: TestGateway, folder: Path) -> Day:
    doctor, secretary = entered(served, DOCTOR), entered(served, SECRETARY)
    done = filled_form(doctor, doctor.ask_service("Préférences"), DECLARATION, {"fiche.docx": SHEET})
    assert str(done["subject"]) == "Préférences enregistrées : Dr Hugues VALLIER"
    done = saved(doctor, DOCTOR, add=secretary.address)
    assert f"Ajoutés : {secretary.name} ({secretary.address})" in words_of(done)
    welcome = words_of(secretary.wait("Vous pouvez agir"))
    assert doctor.name in welcome
    day = Day(served, doctor, secretary, Copy(secretary, folder))
    day.copy.sync()
    assert {f"{day.his}/INBOX", "INBOX"} <= day.copy.folders()
    assert done["message-id"] in {mail["message-id"] for mail in day.copy.mails(f"{day.his}/INBOX")}
    return day


def a_request_comes_while_she_waits_for_one(day: Day) -> EmailMessage:
    """A general practitioner finds the doctor in the directory and asks; two of three photographs lack.

    The secretary's mail program stands in IDLE on the doctor's inbox, where a short notice announces it.
    """
    asking = day.gateway.client(region.GP)
    page = words_of(asking.ask_service("Annuaire dermato Yssingeaux"))
    assert "Lésions suspectes." in page
    with session(day.secretary) as reader:
        assert opens(reader, f"{day.his}/INBOX")
        begin_idle(reader)
        form = request_form(asking, DOCTOR)
        assert attachments(form)["fiche.docx"] == SHEET
        values = request_values(name="ROURESSOL", first="Élise", nir="2 57 02 99 999 101 91")
        confirmed = asking.answer_to(asking.send(attach(answered(asking, form, values), photo("dos.jpg"))))
        day.refs.append(reference_in(confirmed))
        assert "Vues rapprochées" in words_of(confirmed)
        idle_told(reader)
        eventually(lambda: opens(reader, f"{day.his}/{FOLDER}"), "the doctor's folder of requests")
        eventually(
            lambda: found(reader, "UNSEEN", "SUBJECT", f'"{day.refs[0]}"', "KEYWORD", "tle_on_hold"),
            "the request in the doctor's folder",
        )
        numbers = found(reader, "UNSEEN", "SUBJECT", '"Demande"', "TEXT", '"ROURESSOL"')
        assert len(numbers) == 1
        reader.store(numbers[0], "+FLAGS", r"(\Flagged)")
    day.copy.sync()
    question = mail_of(day, "Demande de téléexpertise")
    assert set(attachments(question)) == {"dos.jpg"}
    assert "F" in day.copy.flags(f"{day.his}/{FOLDER}", str(question["message-id"]))
    notice = next(mail for mail in day.copy.mails(f"{day.his}/INBOX") if day.refs[0] in str(mail["subject"]))
    assert "ROURESSOL" not in text_of(notice)
    return question


def mail_of(day: Day, subject: str, ref: str = "") -> EmailMessage:
    """The newest mail of a conversation in her copy of the doctor's folder."""
    reference = ref or day.refs[-1]
    mails = [mail for mail in day.copy.mails(f"{day.his}/{FOLDER}") if mail["x-tle-ref"] == reference]
    return next(mail for mail in reversed(mails) if subject in str(mail["subject"]))


def she_asks_for_what_is_missing(day: Day) -> None:
    """By form, in her own name for the doctor; then the practitioner sends the photographs."""
    form = day.secretary.ask_service(f"Compléments {day.refs[0]}")
    done = filled_form(day.secretary, form, {"Éléments demandés": "Deux vues rapprochées\navec une règle"})
    assert day.refs[0] in str(done["subject"])
    asking = day.gateway.client(region.GP)
    asked = asking.wait("demande des éléments", FOLDER)
    assert f"{SECRETARY.name} pour {DOCTOR.name}" in words_of(asked)
    assert "avec une règle" in words_of(asked)
    asking.send(attach(asking.reply(asked, "Voici."), photo("a.jpg"), photo("b.jpg")))
    with session(day.secretary) as reader:
        assert opens(reader, f"{day.his}/{FOLDER}")

        def arrived() -> list[str]:
            reader.noop()
            return found(reader, "KEYWORD", "tle_in_progress", "SUBJECT", '"demande des"')

        eventually(arrived, "the photographs")


def she_writes_what_the_doctor_dictates(day: Day, question: EmailMessage) -> EmailMessage:
    """Her program answers from the doctor's folder as the doctor: From is his, the gateway adds Sender."""
    reply = day.secretary.reply(question, "Carcinome basocellulaire probable : exérèse sous un mois.")
    reply.replace_header("From", DOCTOR.address)
    day.secretary.send_bytes(reply.as_bytes(), [question["reply-to"].addresses[0].addr_spec], DOCTOR.address)
    asking = day.gateway.client(region.GP)
    copy = asking.wait(lambda mail: mail["message-id"] == reply["message-id"], FOLDER)
    assert copy["from"].addresses[0].addr_spec == DOCTOR.address
    assert copy["sender"].address.addr_spec == SECRETARY.address
    assert asking.wait(f"[{day.refs[0]} - en cours] Nouvelle réponse")
    day.gateway.settled()
    day.copy.sync()
    folder, mine = f"{day.his}/{FOLDER}", str(reply["message-id"])
    assert day.copy.holds(folder, mine), "what was sent in the doctor's name lies in his folder"
    assert any(mail["message-id"] == mine for mail in day.doctor.mails(FOLDER))
    # What she has read on her machine counts as read by her, and not by the doctor.
    day.copy.mark(folder, str(question["message-id"]), "FS")
    day.copy.sync()
    asked = f'"{question["message-id"]}"'
    with session(day.secretary) as hers, session(day.doctor) as his:
        assert opens(hers, folder)
        assert opens(his, FOLDER)
        assert found(hers, "SEEN", "HEADER", "Message-ID", asked)
        assert found(his, "UNSEEN", "HEADER", "Message-ID", asked)
    return reply


def she_finalises_for_him(day: Day) -> None:
    """The form comes prefilled with his number; the report says who did it for whom and lies by patient."""
    form = day.secretary.ask_service(f"Finaliser {day.refs[0]}")
    assert f": {NUMBER}" in form_of(text_of(form))
    values = {"Conclusion": "Exérèse avec marges.", "Suite proposée": "Consultation rapprochée"}
    done = words_of(filled_form(day.secretary, form, values))
    assert "Acte de l'expert : TE2, 23,00 €" in done
    patient = "Patients/ROURESSOL Élise 1957-02-03"
    eventually(lambda: patient in day.doctor.folders(), "the patient's folder")
    eventually(lambda: f"{day.his}/{patient}" in day.secretary.folders(), "the folder in her mail program")
    day.gateway.settled()
    day.copy.sync()
    (filed,) = day.copy.mails(f"{day.his}/{patient}")
    pdf = attachments(filed)[f"{day.refs[0]}-v1.pdf"]
    assert f"{SECRETARY.name} pour {DOCTOR.name}" in pdf_words(pdf)
    assert (
        pdf
        == attachments(day.gateway.client(region.GP).wait("Compte rendu", FOLDER))[f"{day.refs[0]}-v1.pdf"]
    )
    assert day.gateway.client(region.GP).wait(f"[{day.refs[0]} - terminée] Compte rendu")


def she_notes_his_holiday(day: Day) -> None:
    """His preferences, opened and saved by her; the directory shows it at once."""
    now = day.gateway.services.clock().astimezone(day.gateway.services.zone)
    first, last = (f"{now + timedelta(days=n):%d/%m/%Y}" for n in (2, 9))
    form = day.secretary.ask_service(f"Préférences {DOCTOR.address}")
    assert "[x] 1. fiche.docx" in text_of(form)
    absence = f"du {first} au {last}, remplacé par {region.DERMATOLOGIST.address}"
    done = filled_form(day.secretary, form, {"Dates d'absence": absence, "Délai maximum": "5"})
    assert f"Absence : du {first} au {last} Remplacement : {region.DERMATOLOGIST.name}" in words_of(done)
    his = words_of(day.doctor.wait(f"Préférences modifiées : {DOCTOR.name}"))
    assert f"{SECRETARY.name} a modifié les préférences" in his
    page = words_of(day.gateway.client(region.GP).ask_service("Annuaire dermato Yssingeaux"))
    assert f"Absence du {first} au {last}, remplacement par {region.DERMATOLOGIST.name}" in page
    assert "Délai habituel : 5 jours" in page


def she_exports_for_him(day: Day) -> None:
    mail = day.secretary.ask_service(f"Export expert {month(day.gateway)} csv {DOCTOR.address}")
    (row,) = exported_rows(mail)
    assert (row["Référence"], row["Acte"], row["Montant (€)"]) == (day.refs[0], "TE2", "23,00")
    assert (row["Compte"], row["Numéro de facturation"]) == (DOCTOR.address, NUMBER)
    assert row["Finalisée par"] == f"{SECRETARY.name} pour {DOCTOR.name}"
    assert row["Numéro de facturation du correspondant (prescripteur)"] == region.GP.billing_number
    assert exported_rows(day.secretary.ask_service(f"Export demandeur csv {DOCTOR.address}")) == []
    work = words_of(day.secretary.ask_service("Mes téléexpertises"))
    assert "Aucune téléexpertise n'est en cours" in work
    assert f"Compte : {DOCTOR.name}" in work


def she_is_withdrawn_and_loses_everything_at_once(day: Day) -> None:
    """With the folder selected, in IDLE, with a submission session and a form open."""
    doctor, secretary, asking = day.doctor, day.secretary, day.gateway.client(region.NURSE)
    form = request_form(asking, DOCTOR)
    pictures = [photo(f"{n}.jpg") for n in range(3)]
    values = request_values(nir="", billing="43 1 00005 9")
    opened = asking.answer_to(asking.send(attach(answered(asking, form, values), *pictures)))
    day.refs.append(reference_in(opened))
    day.gateway.settled()
    day.copy.sync()
    question = mail_of(day, "Demande de téléexpertise")
    unsent = secretary.ask_service(f"Finaliser {day.refs[1]}")
    submission = smtplib.SMTP("localhost", day.gateway.submission_port, timeout=30)
    submission.starttls(context=day.gateway.tls)
    submission.login(secretary.address, secretary.password)
    with session(secretary) as selected, session(secretary) as idle:
        assert opens(selected, f"{day.his}/INBOX")
        assert opens(idle, f"{day.his}/{FOLDER}")
        begin_idle(idle)
        done = saved(doctor, DOCTOR, untick=secretary.address)
        assert "ont été fermées" in words_of(done)
        assert submission.mail(DOCTOR.address)[0] == 550
        submission.close()
        for connection in (selected, idle):
            connection.sock.settimeout(5)
            assert ended(connection)
    assert secretary.wait("Délégation retirée")
    for refused in (
        secretary.reply(question, "Encore moi."),
        secretary.reply(unsent, text_of(unsent)),
        secretary.compose(day.gateway.service, f"Préférences {DOCTOR.address}"),
        secretary.compose(day.gateway.service, f"Export expert csv {DOCTOR.address}"),
        secretary.compose(day.gateway.service, f"Finaliser {day.refs[1]}"),
    ):
        with pytest.raises(smtplib.SMTPException) as error:
            secretary.send(refused)
        assert refusal_text(error.value).startswith("550 5.7.1")
    what_is_left_of_her_access(day)


def what_is_left_of_her_access(day: Day) -> None:
    """Her own mailbox; a copy on her machine stays, since no server reaches there, and gets no more."""
    asking = day.gateway.client(region.NURSE)
    later = asking.send(asking.reply(asking.wait("Éléments demandés", FOLDER), "Une précision."))
    day.doctor.wait(lambda mail: mail["message-id"] == later["message-id"], FOLDER)
    with session(day.secretary) as reader:
        assert not opens(reader, f"{day.his}/{FOLDER}")
        assert listed(reader, f"{OWN}/*") == set()
        assert reader.append(wire(f"{day.his}/INBOX"), "", "", b"Subject: x\r\n\r\nx\r\n")[0] == "NO"
        assert opens(reader, "INBOX")
    day.copy.try_sync()
    assert day.copy.holds("INBOX", str(day.secretary.wait("Délégation retirée")["message-id"]))
    assert not day.copy.holds(f"{day.his}/{FOLDER}", str(later["message-id"]))
    assert exported_rows(day.secretary.ask_service("Export csv")) == []
    assert json.loads(told(day.gateway, "delegation", "list", DOCTOR.address, "--json")) == []
    shown = json.loads(told(day.gateway, "conversation", "show", day.refs[0], "--json"))
    assert SECRETARY.address in json.dumps(shown), "the record keeps who acted"


def test_a_secretarys_day(served: TestGateway, tmp_path: Path) -> None:
    day = the_doctor_declares_himself_and_names_her(served, tmp_path)
    question = a_request_comes_while_she_waits_for_one(day)
    she_asks_for_what_is_missing(day)
    she_writes_what_the_doctor_dictates(day, question)
    she_finalises_for_him(day)
    she_notes_his_holiday(day)
    she_exports_for_him(day)
    she_is_withdrawn_and_loses_everything_at_once(day)
