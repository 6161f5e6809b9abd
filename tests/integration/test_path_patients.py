"""Reports of one patient lie in one folder, whether a request names the patient's number or not."""

from __future__ import annotations

import asyncio
import csv
import json
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from gateway.cli.root import cli
from gateway.register import Desk
from gateway.services import Services
from gateway.store import PatientRow
from teleexpertise.events import Opened
from teleexpertise.identifiers import nir_key
from teleexpertise.searching import read_query
from tests.support import region
from tests.support.gateway import Client, TestGateway, eventually, text_of, words_of
from tests.support.threads import (
    FOLDER,
    Thread,
    answered,
    attach,
    attachments,
    open_thread,
    patient_name,
    photo,
    reference_in,
    request_form,
    request_values,
)


def folder_of(client: Client, thread: Thread) -> str:
    """The patient folder of an account that holds the report of a conversation, as soon as it is there."""

    def look() -> str | None:
        name = thread.values["Nom de naissance"]
        for folder in client.folders():
            if name in folder and any(thread.ref in n for m in client.mails(folder) for n in attachments(m)):
                return folder
        return None

    return eventually(look, f"the filed report of {thread.ref}")


def test_a_patient_with_and_without_number_has_one_folder(served: TestGateway) -> None:
    name, folders = patient_name(), []
    numbers: tuple[dict[str, Any], ...] = (
        {},
        {"nir": "2 57 02 43 001 001 21"},
        {},
        {"nir": "2 57 02 43 001 002 20"},
    )
    for nir in numbers:
        thread = open_thread(served, name=name, first="Zoé", born="03/02/1957", sex="F", **nir)
        thread.finalise(thread.expert)
        folders.append(folder_of(thread.requester, thread))
    own = f"Patients/{name} Zoé 1957-02-03"
    assert folders == [own, own, own, f"{own} (2)"]


# -- A.46: the register behind the requests


def asked(served: TestGateway, **changes: str) -> tuple[Client, EmailMessage]:
    """A request by form, and the service's answer to it."""
    client = served.client(region.GP)
    form = request_form(client)
    sent = client.send(attach(answered(client, form, request_values(**changes)), photo()))
    return client, client.answer_to(sent)


def patients_of(served: TestGateway, name: str) -> list[PatientRow]:
    async def look(services: Services) -> list[PatientRow]:
        async with services.store.reading() as tx:
            rows, _ = await tx.patients.search(read_query(name))
        return sorted(rows, key=lambda row: row.id)

    found: list[PatientRow] = served.ask(look)
    return found


def command(served: TestGateway, *arguments: object) -> Any:
    """An operator's command beside the running gateway, whose workers look at once."""
    path = served.settings.files.mac_key_file.parent / "gateway.toml"
    called = CliRunner().invoke(cli, ["--config", str(path), *map(str, arguments), "--json"])
    assert called.exit_code == 0, called.output

    async def wake(services: Services) -> None:
        services.store.outbox_changed.set()

    served.ask(wake)
    return json.loads(called.stdout)


def numbered(name: str, number: int) -> str:
    """A test INS of a woman born in February 1957."""
    body = f"2570299999{number:03d}"
    return body + nir_key(body)


def test_a46_who_is_not_known_is_entered_with_all_traits_and_found_again(served: TestGateway) -> None:
    name = patient_name()
    open_thread(served, name=f"d'{name}-Évrard", nir=numbered(name, 461), birth_place="2A004")
    (row,) = patients_of(served, f"evrard {name} jeanne")
    assert row.patient.birth_name == f"d'{name}-Évrard"
    assert (row.patient.ins, row.patient.birth_place) == (numbered(name, 461), "2A004")
    open_thread(served, name=f"D {name} EVRARD")
    assert len(patients_of(served, name)) == 1
    found = command(served, "patient", "show", row.id)
    assert len(found["conversations"]) == 2
    assert name not in json.dumps(found)


def test_a46_the_form_takes_all_traits_and_the_patient_is_found_by_each_name(served: TestGateway) -> None:
    name, used = patient_name(), patient_name()
    _, answer = asked(served, name=name, first="Anne Marie, Jeanne", first_first="Marie")
    assert "« Marie » n'est pas le début de la ligne « Prénoms »" in words_of(answer)
    more: dict[str, Any] = {
        "first_first": "Anne Marie",
        "used": used,
        "used_first": "Annie",
        "birth_place": "43157",
    }
    open_thread(
        served, name=name, first="Anne Marie, Jeanne", nir=numbered(name, 470), qualified="oui", **more
    )
    (row,) = patients_of(served, f"annie {used}")
    patient = row.patient
    assert (patient.first_first_name, patient.used_name, patient.used_first_names) == (
        "Anne Marie",
        used,
        "Annie",
    )
    assert patient.qualified


def test_a46_twins_of_one_name_are_told_apart_by_their_rank(served: TestGateway) -> None:
    name = patient_name()
    open_thread(served, name=name, nir=numbered(name, 471), ins_kind="NIA", rank="1")
    (first,) = patients_of(served, name)
    assert (first.patient.birth_order, first.patient.ins_oid) == (1, "1.2.250.1.213.1.4.9")
    # The same traits but the rank: a person says whether it is another.
    client, answer = asked(served, name=name, rank="deuxième")
    assert "patients du registre peuvent être celui-ci" in " ".join(words_of(answer).split())
    opened = answered(client, answer, {"Patient déjà connu": "nouveau"})
    assert "ouverte" in str(client.answer_to(client.send(opened))["subject"])
    assert [row.patient.birth_order for row in patients_of(served, name)] == [1, 2]
    # Now each is found by the rank.
    open_thread(served, name=name, rank="2")
    assert len(patients_of(served, name)) == 2


def test_a46_the_same_number_with_another_identity_is_asked_back_and_opens_nothing(
    served: TestGateway,
) -> None:
    name, other = patient_name(), patient_name()
    open_thread(served, name=name, nir=numbered(name, 462))
    client, answer = asked(served, name=f"{other}QQ", nir=numbered(name, 462))
    words = words_of(answer)
    assert "déjà connu avec un autre nom de naissance" in words
    assert name not in words
    # without the number it is another patient, who is entered as such
    corrected = answered(client, answer, {"NIR ou INS": ""})
    assert "ouverte" in str(client.answer_to(client.send(corrected))["subject"])
    assert len(patients_of(served, name)) == len(patients_of(served, other)) == 1


def test_a46_two_candidates_are_a_question_with_numbered_answers(served: TestGateway) -> None:
    name = patient_name()
    for number in (463, 464):
        open_thread(served, name=name, nir=numbered(name, number))
    first, second = patients_of(served, name)
    for choice, expected in (("2", {second.id: 2, first.id: 1}), ("nouveau", {first.id: 1, second.id: 2})):
        client, question = asked(served, name=name)
        assert "Patient déjà connu" in words_of(question)
        assert first.patient.ins not in words_of(question)
        for wrong in ("7", "p1", ""):
            question = client.answer_to(
                client.send(answered(client, question, {"Patient déjà connu": wrong}))
            )
            assert "ouverte" not in str(question["subject"])
        opened = client.answer_to(client.send(answered(client, question, {"Patient déjà connu": choice})))
        assert "ouverte" in str(opened["subject"]), text_of(opened)
        assert attachments_kept(served, reference_in(opened))
        for row in (first, second):
            found = command(served, "patient", "show", row.id)
            assert len(found["conversations"]) == expected[row.id]
    assert len(patients_of(served, name)) == 3


def attachments_kept(served: TestGateway, ref: str) -> bool:
    """Whether the photo of the first answer came with the request that was opened in the end."""
    expert = served.client(region.DERMATOLOGIST)
    mail = expert.wait(lambda m: m["x-tle-ref"] == ref and bool(attachments(m)), FOLDER)
    return "photo.jpg" in attachments(mail)


def test_a46_likely_doubles_are_told_to_the_requester_alone_and_listed(served: TestGateway) -> None:
    name = patient_name() + "ERAND"
    # A day of their own: of a day that hundreds share not all are compared.
    thread = open_thread(served, name=name, born="07/04/1949")
    other = open_thread(served, name=name, born="04/07/1949")
    told = words_of(other.confirmation)
    assert f"{name} Jeanne Marie 07/04/1949 a jour et mois de naissance inversés" in told
    assert "À vérifier" not in words_of(thread.confirmation)
    assert "inversés" not in words_of(other.question(other.expert))
    first, second = patients_of(served, name)
    pairs = command(served, "patient", "doubles", "--limit", 1000)
    assert {"patients": [first.id, second.id], "why": "swapped_date"} in pairs
    # anonymous requests stay apart
    before = len(patients_of(served, "jeanne"))
    open_thread(served, name="", first="", born="03/02/1957", anonymous="oui")
    assert len(patients_of(served, "jeanne")) == before


def test_a46_the_insured_persons_number_bills_and_never_identifies(
    served: TestGateway, tmp_path: Path
) -> None:
    child, parent = patient_name(), numbered("", 465)
    thread = open_thread(served, name=child, born="01/10/2026", insured=f"{parent[:1]} {parent[1:]}")
    (row,) = patients_of(served, child)
    assert row.patient.ins == ""

    async def opening(services: Services) -> Opened:
        async with services.store.reading() as tx:
            found = await tx.conversations.by_ref(thread.ref)
            assert found is not None
            event = (await tx.events.of(found.id))[0].event
        assert isinstance(event, Opened)
        return event

    assert served.ask(opening).insured_number == parent
    thread.finalise(thread.expert)
    thread.reaches("completed")
    out = tmp_path / "activity.csv"
    command(served, "export", "--out", out)
    lines = list(csv.DictReader(out.read_text("utf-8-sig").splitlines(), delimiter=";"))
    mine = [row for row in lines if row["Référence"] == thread.ref]
    assert [parent in row["NIR de l'assuré"] for row in mine] == [True, True]
    assert not any(row["Patient : INS ou NIR"] for row in mine)
    _, answer = asked(served, name=patient_name(), insured=parent[:-1])
    assert "un NIR ou INS compte 15 caractères" in words_of(answer)


def test_a46_folders_follow_a_corrected_identity_and_a_merge_without_losing_a_mail(
    served: TestGateway,
) -> None:
    name, right = patient_name(), patient_name()
    threads = [open_thread(served, name=name) for _ in range(2)]
    double = open_thread(served, name=f"{name}QUE")
    for thread in (*threads, double):
        thread.finalise(thread.expert)
        folder_of(thread.requester, thread)
    (row,) = patients_of(served, name)[:1]
    other = next(each for each in patients_of(served, name) if each.id != row.id)
    client = threads[0].requester
    old = f"Patients/{name} Jeanne 1957-02-03"
    before = sorted(str(mail["message-id"]) for mail in client.mails(old))
    told = command(served, "patient", "correct", row.id, "--birth-name", right, "--birth-date", "04/02/1957")
    assert told["folders"] == 2  # the requester's and the expert's
    new = f"Patients/{right} Jeanne 1957-02-04"
    for reader in (client, threads[0].expert):
        wait_for_folders(reader, new, old)
        assert sorted(str(mail["message-id"]) for mail in reader.mails(new)) == before
    # what comes later goes there too, and the history stays
    later = open_thread(served, name=right, born="04/02/1957")
    later.finalise(later.expert)
    assert folder_of_ref(client, later.ref, new)
    assert len(command(served, "patient", "show", row.id)["conversations"]) == 3
    # a double becomes this one: its folder goes into this one's
    command(served, "patient", "merge", other.id, row.id, "--yes")
    merged = f"Patients/{name}QUE Jeanne 1957-02-03"
    wait_for_folders(client, new, merged)
    assert folder_of_ref(client, double.ref, new)
    assert len(client.mails(new)) == 4
    found = command(served, "patient", "show", other.id)
    assert (found["id"], len(found["conversations"])) == (row.id, 4)


def test_a46_corrections_that_overtake_each_other_end_in_the_last_name(served: TestGateway) -> None:
    name, right = patient_name(), patient_name()
    for number in (467, 468):  # two patients of one name, date and sex: the second folder has a number
        thread = open_thread(served, name=name, nir=numbered(name, number))
        thread.finalise(thread.expert)
        folder_of(thread.requester, thread)
    client, (first, second) = thread.requester, patients_of(served, name)

    async def correct(services: Services) -> None:
        for birth_name, row in ((right, second), (name, second), (right, first), (right, second)):
            async with services.store.transaction() as tx:
                desk = Desk(tx, "operator test", services.clock(), services.new_id)
                known = await desk.known(row.id)
                await desk.correct(known, replace(known.patient, birth_name=birth_name))
            await asyncio.sleep(0.01)  # the workers have begun, or not

    served.ask(correct)
    served.settled()
    mine = [folder for folder in client.folders() if name in folder or right in folder]
    base = f"Patients/{right} Jeanne 1957-02-03"
    assert sorted(mine) == [base, f"{base} (2)"]
    assert [len(client.mails(folder)) for folder in sorted(mine)] == [1, 1]


def wait_for_folders(client: Client, there: str, gone: str) -> None:
    """Wait until one folder is subscribed to and another is not."""

    def look() -> bool:
        found = client.folders()
        return there in found and gone not in found

    eventually(look, f"{there}, and {gone} no more")


def folder_of_ref(client: Client, ref: str, folder: str) -> bool:
    """Whether a folder holds the report of a conversation, as soon as it does."""
    return eventually(
        lambda: any(ref in name for mail in client.mails(folder) for name in attachments(mail)),
        f"the report of {ref}",
    )
