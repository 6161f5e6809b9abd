"""mbsync (isync) copies a whole account into a local Maildir: complete, the second time without a change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import region
from tests.support.gateway import Client, eventually, gateway
from tests.support.mbsync import Copy, needs_mbsync
from tests.support.threads import Thread, open_thread

pytestmark = [pytest.mark.timeout(120), needs_mbsync]


@pytest.fixture(scope="module")
def finished() -> Iterator[Thread]:
    """A tele-expertise with its report filed in the patients' folders of both sides."""
    with gateway() as served:
        thread = open_thread(served)
        thread.tell(thread.expert, "Exérèse conseillée.")
        thread.finalise(thread.expert)
        for client in (thread.requester, thread.expert):
            eventually(lambda: any(name.startswith("Patients/") for name in client.folders()), "filing")  # noqa: B023
        served.settled()
        yield thread


@pytest.mark.parametrize("side", ["requester", "expert"])
def test_a_whole_account_is_copied_and_copied_again_without_a_difference(
    finished: Thread, tmp_path: Path, side: str
) -> None:
    account: Client = getattr(finished, side)
    copy = Copy(account, tmp_path)
    copy.sync()
    first = copy.tree()
    for name in account.folders():
        here, there = copy.octets(name), account.raw_mails(name)
        assert sorted(here) == sorted(raw for raw, _ in there), name
        seen = sum("\\Seen" in flags for _, flags in there)
        assert sum("S" in flags for flags in here.values()) == seen, name
    copy.sync()
    assert copy.tree() == first


def test_folders_have_their_french_names_and_the_patients_folder_its_report(
    finished: Thread, tmp_path: Path
) -> None:
    copy = Copy(finished.requester, tmp_path)
    copy.sync()
    assert {"INBOX", "Téléexpertises"} <= copy.folders()
    (patient,) = [name for name in finished.requester.folders() if name.startswith("Patients/")]
    assert patient in copy.folders()
    (report,) = copy.octets(patient)
    assert f"{finished.ref}-v1.pdf".encode() in report


def test_a_flag_set_locally_reaches_the_server(finished: Thread, tmp_path: Path) -> None:
    account = finished.gateway.client(region.DERMATOLOGIST)
    copy = Copy(account, tmp_path)
    copy.sync()
    first, *_ = copy.mails("INBOX")
    copy.mark("INBOX", str(first["message-id"]), "FS")
    copy.sync()
    raw = next(raw for raw, flags in account.raw_mails() if "\\Flagged" in flags)
    assert raw in copy.octets("INBOX")
    before = copy.tree()
    copy.sync()
    assert copy.tree() == before
