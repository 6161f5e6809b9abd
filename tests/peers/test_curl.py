"""curl as a mail client: sends by SMTP with AUTH, reads by IMAP over implicit TLS."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support import region
from tests.support.gateway import TestGateway, gateway, octets_after_header, read
from tests.support.threads import Thread, open_thread

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]
FOLDER = "T&AOk-l&AOk-expertises"  # as it goes over the wire (RFC 3501 §5.1.3)


@pytest.fixture(scope="module")
def thread() -> Iterator[Thread]:
    with gateway() as served:
        yield open_thread(served)


def curl(served: TestGateway, *arguments: str, given: bytes = b"") -> bytes:
    """What curl prints for the general practitioner's account; it verifies the server's certificate."""
    root = str(served.settings.pki.anchors)
    command = ["curl", "-sS", "--cacert", root, "-u", f"{region.GP.address}:{region.PASSWORD}", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def imap(served: TestGateway, command: str, folder: str = "") -> bytes:
    """The untagged answers to one IMAP command."""
    return curl(served, f"imaps://localhost:{served.imaps_port}/{quote(folder)}", "-X", command)


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "STARTTLS"])
def test_curl_sends_and_reads_a_mail(thread: Thread, tmp_path: Path, implicit: bool) -> None:
    served = thread.gateway
    sender = served.client(region.GP)
    message = sender.compose(region.NURSE.address, "Essai par curl", "Accents : éàü\n.point\n")
    message["Cc"] = region.GP.address
    file = tmp_path / "mail.eml"
    file.write_bytes(message.as_bytes())
    port = served.submissions_port if implicit else served.submission_port
    url = f"smtp{'s' if implicit else ''}://localhost:{port}/poste"
    names = ["--mail-rcpt", region.NURSE.address, "--mail-rcpt", region.GP.address]
    curl(served, url, "--ssl-reqd", "--mail-from", region.GP.address, *names, "-T", str(file))

    nurse = served.client(region.NURSE)
    nurse.wait(lambda mail: mail["message-id"] == message["message-id"])
    sender.wait(lambda mail: mail["message-id"] == message["message-id"])
    found = imap(served, f"SEARCH HEADER Message-ID {str(message['message-id']).strip('<>')}", "INBOX")
    number = re.search(rb"SEARCH (\d+)", found)
    assert number is not None
    url = f"imaps://localhost:{served.imaps_port}/INBOX;MAILINDEX={number[1].decode()}"
    raw = curl(served, url)
    assert octets_after_header(raw) == octets_after_header(message.as_bytes())


def test_curl_without_the_right_password_sends_nothing(thread: Thread) -> None:
    served = thread.gateway
    command = ["curl", "-sS", "--cacert", str(served.settings.pki.anchors), "-u", f"{region.GP.address}:faux"]
    url = f"smtps://localhost:{served.submissions_port}/poste"
    names = ["--mail-from", region.GP.address, "--mail-rcpt", region.NURSE.address, "-T", "-"]
    done = subprocess.run([*command, url, *names], input=b"From: x\r\n\r\n", capture_output=True, timeout=60)
    assert done.returncode == 67  # "the user name, password, or similar was not accepted"


def test_curl_lists_the_folders_and_finds_a_conversation_by_its_header(thread: Thread) -> None:
    served = thread.gateway
    question = thread.question(thread.requester)
    listed = imap(served, 'LIST "" "*"').replace(b'"', b"").splitlines()
    assert any(line.endswith(f"/ {FOLDER}".encode()) for line in listed)

    answer = imap(served, f"SEARCH HEADER X-TLE-Id {question['x-tle-id']}", FOLDER)
    numbers = [int(number) for number in answer.split(b"SEARCH", 1)[1].split()]
    assert len(numbers) == len(thread.seen_by(thread.requester))
    url = f"imaps://localhost:{served.imaps_port}/{quote(FOLDER)};MAILINDEX={numbers[-1]}"
    mail = read(curl(served, url))
    assert mail["x-tle-ref"] == thread.ref
    assert b"tle_requested" in imap(served, f"FETCH {numbers[-1]} FLAGS", FOLDER)
    absent = imap(served, "SEARCH HEADER X-TLE-Id 00000000-0000-4000-8000-000000000000", FOLDER)
    assert absent.split() == [b"*", b"SEARCH"]
