"""mbsync (isync) copies a whole account into a local Maildir: complete, the second time without a change."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from imapclient import imap_utf7

from tests.support import region
from tests.support.gateway import Client, TestGateway, eventually, gateway
from tests.support.threads import Thread, open_thread

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("mbsync") is None, reason="mbsync (isync) is not installed"),
]


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


def configured(served: TestGateway, account: Client, folder: Path) -> Path:
    """The configuration of mbsync: everything of one account, both ways, flags too."""
    path = folder / "mbsyncrc"
    path.write_text(
        f"""
IMAPAccount tele
Host localhost
Port {served.imaps_port}
User {account.address}
Pass "{account.password}"
SSLType IMAPS
CertificateFile {served.settings.pki.anchors}

IMAPStore far
Account tele

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Sync All
Expunge Both
SyncState *
CopyArrivalDate yes
""",
        "utf-8",
    )
    (folder / "mail").mkdir()
    return path


def synced(configuration: Path) -> None:
    """Run mbsync once."""
    done = subprocess.run(["mbsync", "-c", configuration, "-a"], capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()


def tree(folder: Path) -> dict[str, str]:
    """Every file of the Maildir by name, with the digest of its octets."""
    files = [file for file in (folder / "mail").rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def local_mails(folder: Path, name: str) -> dict[bytes, str]:
    """The mails of a local folder as octets with CRLF, with Maildir flags; mbsync's own field left out."""
    box = folder / "mail" / name
    found = {}
    for file in [*box.glob("new/*"), *box.glob("cur/*")]:
        lines = file.read_bytes().splitlines(keepends=True)
        raw = b"".join(line for line in lines if not line.startswith(b"X-TUID: "))
        found[raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")] = file.name.partition(":2,")[2]
    return found


@pytest.mark.parametrize("side", ["requester", "expert"])
def test_a_whole_account_is_copied_and_copied_again_without_a_difference(
    finished: Thread, tmp_path: Path, side: str
) -> None:
    account: Client = getattr(finished, side)
    configuration = configured(finished.gateway, account, tmp_path)
    synced(configuration)
    first = tree(tmp_path)
    for name in account.folders():
        here = local_mails(tmp_path, imap_utf7.encode(name).decode())
        there = account.raw_mails(name)
        assert sorted(here) == sorted(raw for raw, _ in there), name
        seen = sum("\\Seen" in flags for _, flags in there)
        assert sum("S" in flags for flags in here.values()) == seen, name
    synced(configuration)
    assert tree(tmp_path) == first


def test_folders_have_their_french_names_and_the_patients_folder_its_report(
    finished: Thread, tmp_path: Path
) -> None:
    account = finished.requester
    synced(configured(finished.gateway, account, tmp_path))
    names = {imap_utf7.decode(path.name.encode()) for path in (tmp_path / "mail").iterdir() if path.is_dir()}
    assert {"INBOX", "Téléexpertises", "Patients"} <= names
    (patient,) = [name for name in account.folders() if name.startswith("Patients/")]
    (report,) = local_mails(tmp_path, imap_utf7.encode(patient).decode())
    assert f"{finished.ref}-v1.pdf".encode() in report


def test_a_flag_set_locally_reaches_the_server(finished: Thread, tmp_path: Path) -> None:
    account = finished.gateway.client(region.DERMATOLOGIST)
    configuration = configured(finished.gateway, account, tmp_path)
    synced(configuration)
    inbox = tmp_path / "mail" / "INBOX"
    (first, *_) = sorted([*inbox.glob("new/*"), *inbox.glob("cur/*")])
    marked = inbox / "cur" / f"{first.name.partition(':2,')[0]}:2,FS"
    first.rename(marked)
    synced(configuration)
    raw = next(raw for raw, flags in account.raw_mails() if "\\Flagged" in flags)
    assert raw in local_mails(tmp_path, "INBOX")
    before = tree(tmp_path)
    synced(configuration)
    assert tree(tmp_path) == before
