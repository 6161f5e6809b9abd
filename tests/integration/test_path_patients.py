"""Reports of one patient lie in one folder, whether a request names the patient's number or not."""

from __future__ import annotations

from typing import Any

from tests.support.gateway import Client, TestGateway, eventually
from tests.support.threads import Thread, attachments, open_thread, patient_name


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
