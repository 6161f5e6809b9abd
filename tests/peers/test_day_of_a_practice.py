"""The day of a practice of five, the second practical case of the expert guide: opinions are given by several
doctors of one practice, so that a service account is the expert, and each of them has the same rights in it.

Two of them work with mbsync, the others with imaplib; nothing is looked at but mails, folders, exports and
what the command line prints.
"""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path

import pytest

from teleexpertise.people import Account, AccountKind
from tests.support import region
from tests.support.acting import command, filled, saved, told
from tests.support.days import entered, exported_rows, filled_form, month, pdf_words, workbook_rows
from tests.support.forms import form_of
from tests.support.gateway import Client, TestGateway, eventually, gateway, refusal_text, text_of, words_of
from tests.support.imap import COMMON, begin_idle, ended, found, idle_told, listed, opens, session
from tests.support.mbsync import Copy, needs_mbsync
from tests.support.threads import FOLDER, Thread, attachments, open_thread

pytestmark = [pytest.mark.timeout(300), needs_mbsync]

FINESS = "430000422"
PRACTICE = Account(
    address=f"cardio.mezenc@{region.DOMAIN}",
    name="Cabinet de cardiologie du Mézenc",
    kind=AccountKind.SERVICE,
    specialty="Cardiologie",
    finess=FINESS,
    billing_number=f"{FINESS}/03",
    department="43",
    postcode="43150",
    town="Le Monastier-sur-Gazeille",
)


def _doctor(address: str, name: str, number: int) -> Account:
    return Account(
        address=f"{address}@{region.DOMAIN}",
        name=name,
        profession="Médecin",
        specialty="Cardiologie",
        rpps=f"101000001{number:02}",
        billing_number=f"4310001{number:02}",
        department="43",
        postcode=PRACTICE.postcode,
        town=PRACTICE.town,
    )


ALIX = _doctor("alix.bonnet", "Dr Alix BONNET", 11)
BRUNO = _doctor("bruno.chazal", "Dr Bruno CHAZAL", 12)
CECILE = _doctor("cecile.delorme", "Dr Cécile DELORME", 13)
DENIS = _doctor("denis.eyraud", "Dr Denis EYRAUD", 14)
ESTELLE = _doctor("estelle.fayolle", "Dr Estelle FAYOLLE", 15)
FANNY = _doctor("fanny.giraud", "Dr Fanny GIRAUD", 16)
FIVE = (ALIX, BRUNO, CECILE, DENIS, ESTELLE)

#: Test numbers of women born in February 1957, as `request_values` has it.
NUMBERS = ("257029999930185", "257029999930284", "257029999930383", "257029999930482")

DECLARATION = {
    "Apparaître dans l'annuaire": "oui",
    "Description de votre": "Lecture d'ECG, holters, anticoagulation. Réponse sous 2 jours.",
    "Limites et territoire": "Pas d'urgence ; Haute-Loire et Ardèche.",
    "Délai maximum": "2",
    "Départements couverts": "43, 07",
    "NIR du patient": "obligatoire",
    "Prérequis en": "ECG 12 dérivations et traitement en cours.",
}


@dataclass(slots=True)
class Day:
    """The practice at work: its doctors by account, what two of them have on disk, the requests in order."""

    gateway: TestGateway
    copies: dict[str, Copy]
    threads: list[Thread] = field(default_factory=list)

    @property
    def ours(self) -> str:
        """Where members find the folders of the practice."""
        return f"{COMMON}/{PRACTICE.address}"

    def client(self, account: Account) -> Client:
        """The mail program of a doctor."""
        return self.gateway.client(account)

    def synced(self, account: Account) -> Copy:
        """A doctor's copy, synchronised once all is done that was asked for."""
        self.gateway.settled()
        copy = self.copies[account.address]
        copy.sync()
        return copy

    def ask(self, requester: Account, expert: Account = PRACTICE, **changes: str) -> Thread:
        """A request of somebody, the next patient's."""
        number = NUMBERS[len(self.threads)]
        self.threads.append(open_thread(self.gateway, requester, expert, 1, nir=number, **changes))
        return self.threads[-1]

    def question(self, account: Account, thread: Thread) -> EmailMessage:
        """A request as a doctor reads it in the folder of the practice."""
        folder = f"{self.ours}/{FOLDER}"

        def asked(mail: EmailMessage) -> bool:
            return mail["x-tle-ref"] == thread.ref and "Demande de" in str(mail["subject"])

        return self.client(account).wait(asked, folder)


@pytest.fixture(scope="module")
def served() -> Iterator[TestGateway]:
    with gateway() as made:
        yield made
        made.settled()


def the_practice_is_entered_and_declared(served: TestGateway, folder: Path) -> Day:
    """An operator enters it with its five doctors; one of them declares it, read marks in common."""
    for account in (PRACTICE, *FIVE, FANNY):
        entered(served, account)
    for doctor in FIVE:
        told(served, "delegation", "add", PRACTICE.address, doctor.address)
    alix = served.client(ALIX)
    done = filled_form(alix, alix.ask_service(f"Préférences {PRACTICE.address}"), DECLARATION)
    assert str(done["subject"]) == f"Préférences enregistrées : {PRACTICE.name}"
    assert "Comptes communs" in words_of(saved(alix, PRACTICE, common="oui"))
    day = Day(served, {a.address: Copy(served.client(a), folder / a.address) for a in (CECILE, FANNY)})
    assert f"{day.ours}/INBOX" in day.synced(CECILE).folders()
    return day


def one_answers_and_her_colleagues_see_it(day: Day) -> None:
    """Bruno waits for news, reads and answers; Cécile's copy shows what, by whom, and as read."""
    bruno = day.client(BRUNO)
    with session(bruno) as reader:
        assert opens(reader, f"{day.ours}/INBOX")
        begin_idle(reader)
        thread = day.ask(region.GP, name="COMBRIOL")
        idle_told(reader)
        assert found(reader, "UNSEEN", "SUBJECT", f'"{thread.ref}"')
    question = day.question(BRUNO, thread)
    sent = bruno.send(bruno.reply(question, "Fibrillation auriculaire : anticoagulation après bilan."))
    with session(bruno) as reader:
        assert opens(reader, f"{day.ours}/{FOLDER}")
        (number,) = found(reader, "HEADER", "Message-ID", f'"{question["message-id"]}"')
        reader.store(number, "+FLAGS", r"(\Seen \Answered)")
    answer = thread.copy_of(thread.requester, sent)
    assert answer["from"].addresses[0].addr_spec == BRUNO.address
    copy, folder = day.synced(CECILE), f"{day.ours}/{FOLDER}"
    assert copy.flags(folder, str(question["message-id"])) >= {"S", "R"}
    (theirs,) = [mail for mail in copy.mails(folder) if mail["message-id"] == sent["message-id"]]
    assert theirs["from"].addresses[0].addr_spec == BRUNO.address
    assert "S" in copy.flags(folder, str(sent["message-id"])), "nobody has to read what a colleague wrote"
    with session(day.client(ESTELLE)) as reader:
        assert opens(reader, folder)
        assert found(reader, "FROM", f'"{BRUNO.address}"', "SUBJECT", f'"{thread.ref}"')
        assert not found(reader, "UNSEEN", "HEADER", "Message-ID", f'"{sent["message-id"]}"')
    work = words_of(day.client(DENIS).ask_service("Mes téléexpertises"))
    assert f"{thread.ref} - en cours" in work


def another_finalises_with_the_number_of_the_practice(day: Day) -> None:
    """Both numbers are offered, the practice's by default; the report names who did it for whom."""
    thread, cecile = day.threads[0], day.client(CECILE)
    form = cecile.ask_service(f"Finaliser {thread.ref}")
    shown = form_of(text_of(form))
    for account in (PRACTICE, CECILE):
        known = f"{account.billing_number} ({account.name})"
        assert known in " ".join(shown.replace("(?) ", "").split())
    assert f"l'expert (AM ou FINESS, facultatif) : {PRACTICE.billing_number}" in shown
    assert f"{BRUNO.name} pour {PRACTICE.name}" in shown
    finalised(day, CECILE, thread, form)
    _, pdf = thread.report(thread.requester)
    words = pdf_words(pdf)
    assert f"{CECILE.name} pour {PRACTICE.name}" in words
    assert f"{BRUNO.name} pour {PRACTICE.name}" in words
    patient = "Patients/COMBRIOL Jeanne 1957-02-03"
    eventually(lambda: patient in day.client(PRACTICE).folders(), "the patient's folder of the practice")
    assert day.synced(CECILE).mails(f"{day.ours}/{patient}")


def finalised(
    day: Day, doctor: Account, thread: Thread, form: EmailMessage | None = None, **lines: str
) -> None:
    """A doctor finalises for the practice."""
    client = day.client(doctor)
    values = {"Conclusion": "Échographie sous un mois.", "Suite proposée": "Consultation programmée", **lines}
    done = filled_form(client, form or client.ask_service(f"Finaliser {thread.ref}"), values)
    assert "L'expertise est finalisée" in str(done["subject"]), text_of(done)
    assert "Acte de l'expert : TE2, 23,00 €" in words_of(done)


def the_practice_stands_in_for_an_absent_doctor(day: Day) -> None:
    """Denis is an expert in his own name, too; while he is away Estelle answers for the practice."""
    denis = day.client(DENIS)
    now = day.gateway.services.clock().astimezone(day.gateway.services.zone)
    first, last = (f"{now + timedelta(days=n):%d/%m/%Y}" for n in (-1, 6))
    absence = f"du {first} au {last}, remplacé par {PRACTICE.address}"
    done = filled_form(denis, denis.ask_service("Préférences"), {**DECLARATION, "Dates d'absence": absence})
    assert f"Remplacement : {PRACTICE.name}" in words_of(done)
    asking = day.client(region.GP)
    page = words_of(asking.ask_service("Annuaire eyraud"))
    assert f"Absence du {first} au {last}, remplacement par {PRACTICE.name}" in page
    thread = day.ask(region.GP, DENIS, name="SABADEL")
    opening = thread.wait(asking, "Éléments demandés")
    assert f"est aussi remise à {PRACTICE.name}" in words_of(opening)
    estelle = day.client(ESTELLE)
    sent = estelle.send(
        estelle.reply(day.question(ESTELLE, thread), "Je réponds pour le Dr Eyraud : holter.")
    )
    thread.copy_of(asking, sent)
    finalised(
        day,
        ESTELLE,
        thread,
        None,
        Expert=PRACTICE.address,
        **{"Numéro de facturation de l'expert": PRACTICE.billing_number},
    )


def at_midday_one_leaves_and_one_joins(day: Day) -> None:
    """One answer to one form: Bruno, with sessions open and an answer half written, is out before it is
    confirmed; Fanny finds all that was answered before.
    """
    day.ask(region.NURSE, billing="43 1 00005 9", name="TRESCLAUX")
    thread, bruno, fanny = day.threads[-1], day.client(BRUNO), day.client(FANNY)
    # The nurse hears that her RPPS number is missing and has it entered before anything is billed.
    assert "aucun numéro RPPS n'est enregistré" in words_of(thread.confirmation)
    told(day.gateway, "account", "rpps", region.NURSE.address, "10100000058")
    half_written = bruno.reply(day.question(BRUNO, thread), "Je pense que")
    form = bruno.ask_service(f"Finaliser {thread.ref}")
    with session(bruno) as selected, session(bruno) as idle:
        assert opens(selected, f"{day.ours}/{FOLDER}")
        assert opens(idle, f"{day.ours}/INBOX")
        begin_idle(idle)
        alix = day.client(ALIX)
        members = alix.ask_service(f"Délégués {PRACTICE.address}")
        text = filled(members, untick=BRUNO.address, add=FANNY.address)
        done = words_of(alix.answer_to(alix.send(alix.reply(members, text))))
        assert f"Ajoutés : {FANNY.name}" in done
        assert f"Retirés : {BRUNO.name}" in done
        # The practice itself reads what changed, whoever did it.
        changed = words_of(day.client(PRACTICE).wait("Vos délégués ont changé"))
        assert f"{ALIX.name} a changé qui peut lire les dossiers du compte {PRACTICE.name}" in changed
        for connection in (selected, idle):
            connection.sock.settimeout(5)
            assert ended(connection)
    for refused in (
        half_written,
        bruno.reply(form, text_of(form)),
        bruno.compose(day.gateway.service, f"Finaliser {thread.ref}"),
        bruno.compose(day.gateway.service, f"Export expert csv {PRACTICE.address}"),
        bruno.compose(day.gateway.service, f"Préférences {PRACTICE.address}"),
        bruno.compose(day.gateway.service, f"Délégués {PRACTICE.address}"),
    ):
        with pytest.raises(smtplib.SMTPException) as error:
            bruno.send(refused)
        assert refusal_text(error.value).startswith("550 5.7.1")
    with session(bruno) as reader:
        assert listed(reader, f"{COMMON}/*") == set()
        assert not opens(reader, f"{day.ours}/{FOLDER}")
    assert day.threads[0].ref not in words_of(bruno.ask_service("Mes téléexpertises"))
    copy = day.synced(FANNY)
    before = {mail["x-tle-ref"] for mail in copy.mails(f"{day.ours}/{FOLDER}")}
    assert before >= {each.ref for each in day.threads}
    sent = fanny.send(fanny.reply(day.question(FANNY, thread), "Extrasystoles bénignes."))
    assert thread.copy_of(thread.requester, sent)["from"].addresses[0].addr_spec == FANNY.address
    finalised(day, FANNY, thread)


def the_month_adds_up(day: Day) -> None:
    """One is left open in the evening. The exports of the practice and of those who asked agree."""
    last = day.ask(region.GP, name="VERNASSAL")
    cecile, done = day.client(CECILE), day.threads[:3]
    order = f"{month(day.gateway)} {{}} {PRACTICE.address}"
    rows = exported_rows(cecile.ask_service(f"Export expert {order.format('csv')}"))
    assert {row["Référence"]: row["Finalisée par"].partition(" pour ")[0] for row in rows} == {
        done[0].ref: CECILE.name,
        done[1].ref: ESTELLE.name,
        done[2].ref: FANNY.name,
    }
    assert {(row["Nom"], row["Numéro de facturation"]) for row in rows} == {
        (PRACTICE.name, PRACTICE.billing_number)
    }
    assert [row["À régulariser"] for row in rows] == ["", "", ""]
    assert amount(rows) == Decimal("69.00")
    xlsx = cecile.ask_service(f"Export expert {order.format('xlsx')}")
    ((_, content),) = attachments(xlsx).items()
    *_, sums = workbook_rows(content)
    assert Decimal(sums["Montant (€)"]) == Decimal(69)
    asked: list[dict[str, str]] = []
    for requester in (region.GP, region.NURSE):
        asked += exported_rows(
            day.client(requester).ask_service(f"Export demandeur {month(day.gateway)} csv")
        )
    assert amount(asked) == Decimal("30.00")
    prescriber = "Numéro de facturation du correspondant (prescripteur)"
    assert {row[prescriber] for row in asked} == {PRACTICE.billing_number}
    assert sorted(row[prescriber] for row in rows) == sorted(row["Numéro de facturation"] for row in asked)
    (pending,) = exported_rows(cecile.ask_service(f"Export expert en cours csv {PRACTICE.address}"))
    assert (pending["Référence"], pending["État"]) == (last.ref, "demandée")
    # Denis' own account has nothing to bill: the practice stood in for him.
    assert exported_rows(day.client(DENIS).ask_service(f"Export expert csv {DENIS.address}")) == []


def the_house_has_the_same(day: Day, folder: Path) -> None:
    """An operator's export of the establishment holds the same acts, the record who did what as whom."""
    out = folder / "house.csv"
    result = command(
        day.gateway, "export", "--establishment", FINESS, "--role", "expert", "--out", str(out), "--json"
    )
    assert result.exit_code == 0, result.output
    lines = out.read_text("utf-8-sig").splitlines()
    assert sum(any(thread.ref in line for thread in day.threads) for line in lines) == 3
    shown = json.loads(told(day.gateway, "conversation", "show", day.threads[0].ref, "--json"))
    who = json.dumps(shown, ensure_ascii=False)
    assert BRUNO.address in who
    assert CECILE.address in who
    assert PRACTICE.address in who


def amount(rows: list[dict[str, str]]) -> Decimal:
    """The sum of the lines of an export."""
    return sum((Decimal(row["Montant (€)"].replace(",", ".")) for row in rows), Decimal())


def test_the_day_of_a_practice_of_five(served: TestGateway, tmp_path: Path) -> None:
    day = the_practice_is_entered_and_declared(served, tmp_path)
    one_answers_and_her_colleagues_see_it(day)
    another_finalises_with_the_number_of_the_practice(day)
    the_practice_stands_in_for_an_absent_doctor(day)
    at_midday_one_leaves_and_one_joins(day)
    the_month_adds_up(day)
    the_house_has_the_same(day, tmp_path)
