"""Acting for others, played by mail and IMAP from outside (A.42-A.45)."""

from __future__ import annotations

import csv
import io
import json
import smtplib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.services import Services
from teleexpertise.people import Account, AccountKind
from tests.support import region
from tests.support.acting import command, exported, filled, journal, saved, shown, tidied, told
from tests.support.forms import form_of, quoted
from tests.support.gateway import Client, TestGateway, eventually, gateway, refusal_text, text_of, words_of
from tests.support.imap import (
    COMMON,
    OWN,
    begin_idle,
    ended,
    headers,
    listed,
    opens,
    session,
    subscribed,
    unseen,
    wire,
)
from tests.support.mbsync import Copy, needs_mbsync
from tests.support.threads import FOLDER, attachments, open_thread

pytestmark = pytest.mark.timeout(120)

#: A second service of the establishment, and one of another.
NURSING = Account(
    address=f"avis.plaies@{region.DOMAIN}",
    name="Avis Plaies CH LE PUY",
    kind=AccountKind.SERVICE,
    finess=region.SERVICE.finess,
)
ELSEWHERE = Account(
    address=f"avis.ailleurs@{region.DOMAIN}",
    name="Avis d'ailleurs",
    kind=AccountKind.SERVICE,
    finess="430000117",
)


@pytest.fixture(scope="module")
def served() -> Iterator[TestGateway]:
    with gateway("\n[conversation]\nanswers_per_hour = 100000\n") as made:
        made.ask(_more_services)
        yield made


async def _more_services(services: Services) -> None:
    async with services.store.transaction() as tx:
        for account in (NURSING, ELSEWHERE):
            await tx.accounts.add(account, "", services.clock())
        await tx.experts.put(replace(region.CARDIOLOGY, account=region.CARDIOLOGIST))


# -- A.42: what a delegate does ------------------------------------------------------------------------


def test_a42_a_delegate_reads_every_folder_of_the_delegator_by_imap(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.question(thread.requester)
    owner, delegate = thread.requester, served.client(region.SECRETARY)
    mine = f"{OWN}/{owner.address}"
    with session(owner) as own:
        assert own.create(wire("Patients/XFUTUR é"))[0] == "OK"
        assert own.setacl(wire("INBOX"), region.NURSE.address, "lr")[0] == "NO"
    with session(delegate) as reader:
        names = {f"{mine}/INBOX", f"{mine}/{FOLDER}", f"{mine}/Patients/XFUTUR é"}
        assert names <= listed(reader)
        assert names <= listed(reader, f"{OWN}/*")
        assert listed(reader, f"{COMMON}/*") == set()
        assert all(opens(reader, name) for name in names)
        rights = reader.myrights(wire(f"{mine}/{FOLDER}"))[1][0]
        assert b"lrwstipekx" in rights
        assert b"a" not in rights.rpartition(b" ")[2]
        assert reader.subscribe(wire(f"{mine}/{FOLDER}"))[0] == "OK"
        assert f"{mine}/{FOLDER}" in delegate.folders()
        assert opens(reader, f"{mine}/{FOLDER}")
        assert thread.ref.encode() in headers(reader)
        for stranger in (region.DERMATOLOGIST, region.SERVICE):
            assert not opens(reader, f"{OWN}/{stranger.address}/INBOX")
    with session(owner) as own:
        assert listed(own, f"{OWN}/*") == set(), "one way only"
        assert not opens(own, f"{OWN}/{delegate.address}/INBOX")


def test_a42_each_reader_has_marks_of_their_own_or_all_the_same_by_preference(served: TestGateway) -> None:
    owner, delegate = served.client(region.GP), served.client(region.SECRETARY)
    inbox = f"{{}}/{owner.address}/INBOX"
    with session(owner) as own, session(delegate) as reader:
        for number in range(2):
            own.append("INBOX", "", "", f"Subject: essai {number}\r\n\r\nBonjour\r\n".encode())
        before = unseen(own, "INBOX")
        assert unseen(reader, inbox.format(OWN)) == before
        reader.store("1:*", "+FLAGS", r"(\Seen)")
        marked = len(reader.search(None, "SEEN")[1][0].split())
        assert unseen(reader, inbox.format(OWN)) == 0
        assert unseen(own, "INBOX") == before
    answer = saved(owner, region.GP, common="oui")
    assert "Comptes communs" in words_of(answer)
    with session(owner) as own, session(delegate) as reader:
        assert listed(reader, f"{OWN}/*") == set()
        assert not opens(reader, inbox.format(OWN))
        assert unseen(reader, inbox.format(COMMON)) == unseen(own, "INBOX") >= before
        reader.store("1:*", "+FLAGS", r"(\Seen)")
        assert unseen(own, "INBOX") == 0
    assert "own" in told(served, "delegation", "reading", region.GP.address, "own")
    with session(delegate) as reader:
        assert unseen(reader, inbox.format(OWN)) > 0
        assert len(reader.search(None, "SEEN")[1][0].split()) == marked, "marks of one's own are kept"


def test_a42_a_delegate_writes_in_the_delegators_name_and_is_named_as_the_sender(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.question(thread.requester)
    delegate = served.client(region.SECRETARY)
    answer = thread.requester.reply(thread.seen_by(thread.requester)[-1], "La photo suit demain.")
    delegate.send_bytes(answer.as_bytes(), [str(answer["to"].addresses[0].addr_spec)], region.GP.address)
    copy = thread.copy_of(thread.expert, answer)
    assert copy["from"].addresses[0].addr_spec == region.GP.address
    assert copy["sender"].address.addr_spec == delegate.address
    for name, false in (("Sender", region.NURSE.address), ("From", region.DERMATOLOGIST.address)):
        wrong = thread.requester.reply(thread.seen_by(thread.requester)[-1], "Non.")
        del wrong[name]
        wrong[name] = false
        with pytest.raises(smtplib.SMTPException):
            delegate.send_bytes(wrong.as_bytes(), [str(wrong["to"].addresses[0].addr_spec)], delegate.address)


@needs_mbsync
def test_a42_mbsync_copies_the_delegators_folders(served: TestGateway, tmp_path: Path) -> None:
    thread = open_thread(served)
    thread.question(thread.requester)
    delegate = served.client(region.SECRETARY)
    copy = Copy(delegate, tmp_path, f'"{OWN}/{region.GP.address}/%"')
    for _ in range(2):
        copy.sync()
    folder = f"{OWN}/{region.GP.address}/{FOLDER}"
    assert thread.ref in {mail["x-tle-ref"] for mail in copy.mails(folder)}


@needs_mbsync
def test_a42_programs_that_show_subscribed_folders_alone_show_the_delegators(
    served: TestGateway, tmp_path: Path
) -> None:
    owner, nurse = served.client(region.STRANGER), served.client(region.NURSE)
    mine = f"{OWN}/{owner.address}"
    every = {mine, f"{mine}/{FOLDER}", f"{mine}/Patients/XÉTÉ", f"{mine}/Patients"}
    with session(owner) as own, session(nurse) as reader:
        assert all(own.create(wire(name))[0] == "OK" for name in ("Patients", "Patients/XÉTÉ"))
        saved(owner, region.STRANGER, add=nurse.address)
        assert subscribed(reader, owner.address) == every
        copy = Copy(nurse, tmp_path, f'"{OWN}/*"', subscribed=True)
        copy.sync()
        assert every <= copy.folders()
        # What somebody does not want does not come back, nor what appears below it; all else does.
        for folder in (FOLDER, "Patients"):
            assert reader.unsubscribe(wire(f"{mine}/{folder}"))[0] == "OK"
        assert all(own.create(wire(name))[0] == "OK" for name in ("Patients/XHIVER", "Autre"))
        own.delete(wire("Patients/XÉTÉ"))
        saved(owner, region.STRANGER, add=region.SERVICE.address)
        assert subscribed(reader, owner.address) == {mine, f"{mine}/Autre"}
    with session(served.client(region.CARDIOLOGIST)) as member:
        everything = {mine, *(f"{mine}/{name}" for name in (FOLDER, "Patients", "Patients/XHIVER", "Autre"))}
        assert subscribed(member, owner.address) == everything, "named by way of the service"
        saved(owner, region.STRANGER, untick=region.SERVICE.address)
    with session(served.client(region.CARDIOLOGIST)) as member:
        assert subscribed(member, owner.address) == set()
    # Under the other prefix, and by who comes back, all are found again.
    saved(owner, region.STRANGER, common="oui")
    with session(nurse) as reader:
        assert subscribed(reader, owner.address) == {
            f"{COMMON}{name.removeprefix(OWN)}" for name in everything
        }
    saved(owner, region.STRANGER, common="non", untick=nurse.address)
    with session(nurse) as reader:
        assert subscribed(reader, owner.address) == set()


# -- A.43: naming and withdrawing ----------------------------------------------------------------------


def test_a43_delegates_are_listed_added_and_withdrawn_by_form(served: TestGateway) -> None:
    owner, nurse = served.client(region.DERMATOLOGIST), served.client(region.NURSE)
    assert "delegation" in told(served, "delegation", "list", owner.address)
    form = owner.ask_service("Délégués")
    assert shown(form) == set()
    answer = owner.answer_to(
        owner.send(owner.reply(form, filled(form, add=f"{region.NURSE.name} <{nurse.address.upper()}>")))
    )
    assert region.NURSE.name in words_of(answer)
    assert nurse.wait("Vous pouvez agir")
    with session(nurse) as reader:
        assert opens(reader, f"{OWN}/{owner.address}/INBOX")
    assert shown(owner.ask_service("Mes délégués")) == {nurse.address}
    rows = json.loads(told(served, "delegation", "list", owner.address, "--json"))
    assert rows == [{"principal": owner.address, "delegate": nurse.address, "how": "named"}]
    again = owner.answer_to(owner.send(owner.reply(form, filled(form, add=region.SECRETARY.address))))
    assert "déjà" in words_of(again)
    answer = saved(owner, region.DERMATOLOGIST, untick=nurse.address)
    assert "fermées" in words_of(answer)
    assert nurse.wait("Délégation retirée")
    assert shown(owner.ask_service("Délégués")) == set()
    with session(nurse) as reader:
        assert not opens(reader, f"{OWN}/{owner.address}/INBOX")
        assert listed(reader, f"{OWN}/*") == set()
    lines = [
        line for line in journal(served, owner.address) if line[1] in ("delegation add", "delegation remove")
    ]
    assert sorted(lines, key=lambda line: line[1]) == [
        (owner.address, action, {"delegate": nurse.address})
        for action in ("delegation add", "delegation remove")
    ]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (f"{region.NURSE.address}\nquelqu'un", "une adresse par ligne"),
        (f"{region.NURSE.address}, inconnu@{region.DOMAIN}", "compte actif"),
        (f"{region.NURSE.address}\nami@ailleurs.example", "compte actif"),
        (f"{region.NURSE.address}\n{region.GP.address}", "compte lui-même"),
        ("\n".join([region.NURSE.address] * 400), "trop longue"),
    ],
)
def test_a43_one_wrong_line_changes_nothing_and_comes_back(
    served: TestGateway, typed: str, said: str
) -> None:
    owner = served.client(region.GP)
    form = owner.ask_service("Délégués")
    text = filled(form, untick=region.SECRETARY.address, common="oui")
    lines = [
        line if not line.startswith("> Ajouter") else f"> Ajouter : {typed}" for line in text.splitlines()
    ]
    back = owner.answer_to(owner.send(owner.reply(form, "\n".join(lines))))
    assert "à corriger" in str(back["subject"])
    assert said in words_of(back)
    assert "[ ] 1." in form_of(text_of(back))
    assert shown(owner.ask_service("Délégués")) == {region.SECRETARY.address}
    assert served.client(region.SECRETARY).address in told(served, "delegation", "list", owner.address)


def test_a43_two_forms_answered_at_once_are_both_saved(served: TestGateway) -> None:
    owner, added = served.client(region.STRANGER), (region.NURSE, region.SECRETARY)
    forms = [owner.ask_service("Délégués") for _ in added]
    sent = [
        owner.send(owner.reply(form, filled(form, add=account.address)))
        for form, account in zip(forms, added, strict=True)
    ]
    for answer in map(owner.answer_to, sent):
        assert "enregistrés" in words_of(answer)
    assert shown(owner.ask_service("Délégués")) == {account.address for account in added}
    for account in added:
        with session(served.client(account)) as reader:
            assert opens(reader, f"{OWN}/{owner.address}/INBOX")
        tidied(served, owner.address, account.address)


@pytest.mark.parametrize("lost", ["[x] 2.", "Ajouter", "both"])
def test_a43_a_line_that_a_client_dropped_withdraws_nobody(served: TestGateway, lost: str) -> None:
    owner = served.client(region.GP)
    told(served, "delegation", "add", owner.address, region.SERVICE.address)
    both = {region.SECRETARY.address, region.SERVICE.address}
    form = owner.ask_service("Délégués")
    assert shown(form) == both
    cut = "[x]" if lost == "both" else lost
    text = "\n".join(line for line in quoted(text_of(form)).splitlines() if cut not in line)
    back = owner.answer_to(owner.send(owner.reply(form, text)))
    assert ("à corriger" in str(back["subject"])) == (lost != "Ajouter")
    assert shown(owner.ask_service("Délégués")) == both
    tidied(served, owner.address, region.SERVICE.address)


def test_a43_nobody_changes_the_delegates_of_an_account_they_do_not_act_for(served: TestGateway) -> None:
    nurse = served.client(region.NURSE)
    for account in (region.GP.address, f"personne@{region.DOMAIN}"):
        with pytest.raises(smtplib.SMTPException) as error:
            nurse.send(nurse.compose(served.service, f"Délégués {account}"))
        assert "550 5.7.1" in refusal_text(error.value)
    secretary = served.client(region.SECRETARY)
    form = secretary.ask_service(f"Délégués {region.GP.address}")
    with pytest.raises(smtplib.SMTPException):
        nurse.send(nurse.reply(form, filled(form, add=nurse.address)))
    assert shown(form) == {region.SECRETARY.address}
    answer = saved(secretary, region.GP, add=region.STRANGER.address)
    assert region.STRANGER.name in words_of(answer)
    line = (secretary.address, "delegation add", {"delegate": region.STRANGER.address})
    assert line in journal(served, region.GP.address)
    news = words_of(served.client(region.GP).wait("Vos délégués ont changé"))
    assert f"{region.SECRETARY.name} a changé qui peut lire les dossiers du compte {region.GP.name}" in news
    assert f"Ajoutés : {region.STRANGER.name}" in news
    tidied(served, region.GP.address, region.STRANGER.address)


@pytest.mark.parametrize("by", ["form", "command"])
def test_a43_a_withdrawal_ends_what_is_open_before_it_is_confirmed(served: TestGateway, by: str) -> None:
    owner, leaver = served.client(region.GP), served.client(region.STRANGER)
    inbox = f"{OWN}/{owner.address}/INBOX"
    told(served, "delegation", "add", owner.address, leaver.address)
    submission = smtplib.SMTP("localhost", served.submission_port, timeout=30)
    submission.starttls(context=served.tls)
    submission.login(leaver.address, leaver.password)
    assert submission.mail(owner.address)[0] == 250
    submission.rset()
    with session(leaver) as selected, session(leaver) as idle, session(owner) as stays:
        assert opens(selected, inbox)
        assert opens(idle, inbox)
        begin_idle(idle)
        assert opens(stays, "INBOX")
        if by == "form":
            saved(owner, region.GP, untick=leaver.address)
        else:
            told(served, "delegation", "remove", owner.address, leaver.address)
        assert submission.mail(owner.address)[0] == 550
        submission.close()
        for connection in (selected, idle):
            connection.sock.settimeout(5)
            assert ended(connection)
        assert stays.noop()[0] == "OK"
    with session(leaver) as again:
        assert not opens(again, inbox)
        assert not opens(again, f"{COMMON}/{owner.address}/INBOX")
        assert again.append(wire(inbox), "", "", b"Subject: x\r\n\r\nx\r\n")[0] == "NO"
        assert again.create(wire(f"{OWN}/{owner.address}/X"))[0] == "NO"


def test_a43_the_command_line_refuses_what_cannot_be(served: TestGateway) -> None:
    for arguments, why in (
        (("add", region.GP.address, "personne@x.example"), "no account"),
        (("add", "personne@x.example", region.GP.address), "no account"),
        (("add", region.GP.address, region.GP.address), "own delegate"),
    ):
        refused = command(served, "delegation", *arguments)
        assert refused.exit_code == 1
        assert why in refused.stderr
    assert "was no delegate" in told(served, "delegation", "remove", region.GP.address, region.NURSE.address)
    assert "already" in told(served, "delegation", "add", region.GP.address, region.SECRETARY.address)


# -- A.44: rebound -------------------------------------------------------------------------------------


def test_a44_who_names_a_service_names_its_members_as_they_are_now(served: TestGateway) -> None:
    owner, member, nurse = (
        served.client(account) for account in (region.DERMATOLOGIST, region.CARDIOLOGIST, region.NURSE)
    )
    inbox = f"{OWN}/{owner.address}/INBOX"

    def may_write(client: Client) -> bool:
        with smtplib.SMTP("localhost", served.submission_port, timeout=30) as submission:
            submission.starttls(context=served.tls)
            submission.login(client.address, client.password)
            return submission.mail(owner.address)[0] == 250

    assert not may_write(member)
    saved(owner, region.DERMATOLOGIST, add=region.SERVICE.address)
    assert may_write(member)
    assert not may_write(nurse)
    told(served, "delegation", "add", region.SERVICE.address, nurse.address)
    assert may_write(nurse)
    with session(nurse) as reader:
        assert opens(reader, inbox)
        told(served, "delegation", "remove", region.SERVICE.address, nurse.address)
        assert ended(reader)
    assert not may_write(nurse)
    with session(nurse) as reader:
        assert not opens(reader, inbox)
    with session(member) as reader:
        assert opens(reader, inbox)
    everybody = json.loads(told(served, "delegation", "list", owner.address, "--all", "--json"))
    assert {row["delegate"]: row["how"] for row in everybody} == {
        region.SERVICE.address: "named",
        member.address: "by a service",
    }
    # A circle: the service names one of its own principals.
    told(served, "delegation", "add", region.SERVICE.address, owner.address)
    assert may_write(member)
    assert shown(owner.ask_service(f"Délégués {region.SERVICE.address}")) == {member.address, owner.address}
    told(served, "delegation", "remove", region.SERVICE.address, owner.address)
    answer = saved(owner, region.DERMATOLOGIST, untick=region.SERVICE.address)
    assert "Délégués : aucun" in words_of(answer)
    assert not may_write(member)


def test_a44_who_is_withdrawn_and_named_by_a_service_all_the_same_is_told_so(served: TestGateway) -> None:
    owner, member = served.client(region.NURSE), served.client(region.CARDIOLOGIST)
    saved(owner, region.NURSE, add=f"{member.address}\n{region.SERVICE.address}")
    with session(member) as reader:
        assert opens(reader, f"{OWN}/{owner.address}/INBOX")
        answer = saved(owner, region.NURSE, untick=member.address)
        assert "Restent habilités" in words_of(answer)
        assert reader.noop()[0] == "OK"
    saved(owner, region.NURSE, untick=region.SERVICE.address)


# -- A.45: service accounts ----------------------------------------------------------------------------


def test_a45_members_of_a_service_see_in_its_folder_what_was_answered_and_by_whom(
    served: TestGateway,
) -> None:
    member, colleague = served.client(region.CARDIOLOGIST), served.client(region.STRANGER)
    told(served, "delegation", "add", region.SERVICE.address, colleague.address)
    thread = open_thread(served, expert=region.SERVICE)
    folder = f"{OWN}/{region.SERVICE.address}/{FOLDER}"
    question = thread.question(served.client(region.SERVICE))
    answer = member.send(member.reply(question, "ECG sans particularité."))
    thread.copy_of(thread.requester, answer)
    with session(colleague) as reader:

        def answered() -> bytes | None:
            assert opens(reader, folder)
            found = reader.search(None, "HEADER", "Message-ID", f'"{answer["message-id"]}"')[1][0].split()
            return found[0] if found else None

        number = eventually(answered, "the answer in the service's folder")
        header = headers(reader, number.decode())
        assert member.address.encode() in header
        assert thread.ref.encode() in header
    with session(served.client(region.SERVICE)) as own:
        assert opens(own, FOLDER)
        seen = own.search(None, "SEEN", "HEADER", "Message-ID", f'"{answer["message-id"]}"')[1][0]
        assert seen, "what a member answered is read in the service's own folder"

    async def authors(services: Services) -> set[tuple[str, str]]:
        async with services.store.reading() as tx:
            row = await tx.conversations.by_ref(thread.ref)
            assert row is not None
            records = await tx.events.of(row.id)
        return {(record.author.address, record.author.account) for record in records}

    assert (member.address, region.SERVICE.address) in served.ask(authors)
    tidied(served, region.SERVICE.address, colleague.address)


def test_a41_a45_an_administrator_sees_the_exports_of_all_services_of_the_establishment(
    served: TestGateway, tmp_path: Path
) -> None:
    administrator = served.client(region.NURSE)
    services = {region.SERVICE.address, NURSING.address}
    thread = open_thread(served, expert=region.SERVICE)
    with pytest.raises(smtplib.SMTPException):
        administrator.send(administrator.compose(served.service, f"Export csv {region.SERVICE.address}"))
    finess = region.SERVICE.finess
    told(served, "account", "administrator", "add", administrator.address, finess)
    rows = json.loads(told(served, "account", "administrator", "list", "--json"))
    assert rows == [{"address": administrator.address, "finess": finess}]
    mail = administrator.ask_service("Export en cours csv")
    assert services | {administrator.address} == exported(mail)
    ((_, content),) = attachments(mail).items()
    table = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))
    assert thread.ref in {row["Référence"] for row in table}
    assert {row["Compte"] for row in table} <= services | {administrator.address}
    only = administrator.ask_service(f"Export en cours csv {region.SERVICE.address}")
    assert exported(only) == {region.SERVICE.address}
    with pytest.raises(smtplib.SMTPException):
        administrator.send(administrator.compose(served.service, f"Export csv {ELSEWHERE.address}"))
    with session(administrator) as reader:
        assert not opens(reader, f"{OWN}/{region.SERVICE.address}/INBOX"), "exports only"
    member = served.client(region.CARDIOLOGIST)
    private = open_thread(served, expert=region.CARDIOLOGIST)
    private.finalise(member)
    thread.finalise(member, Expert=region.CARDIOLOGIST.address)

    def finalised(order: str) -> dict[str, tuple[str, str]]:
        ((_, content),) = attachments(administrator.ask_service(order)).items()
        lines = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";")
        return {line["Référence"]: (line["Compte"], line["Compte sollicité"]) for line in lines}

    passed_on = {thread.ref: (member.address, region.SERVICE.address)}
    assert finalised("Export csv") == passed_on, "what was asked of a service stays the establishment's"
    out = tmp_path / "establishment.csv"
    told(served, "export", "--establishment", finess, "--out", str(out))
    assert thread.ref in out.read_text("utf-8-sig")
    assert private.ref not in out.read_text("utf-8-sig")
    assert "removed" in told(served, "account", "administrator", "remove", administrator.address, finess)
    assert "was none" in told(served, "account", "administrator", "remove", administrator.address, finess)
    assert exported(administrator.ask_service("Export en cours csv")) == {administrator.address}
    for arguments, why in (
        (("add", administrator.address, "12"), "FINESS"),
        (("add", "personne@x.example", finess), "no account"),
    ):
        refused = command(served, "account", "administrator", *arguments)
        assert refused.exit_code == 1
        assert why in refused.stderr
