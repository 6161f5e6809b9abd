"""Signed mail: a user's signature passes intact and is judged; what the gateway writes verifies elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.support import region
from tests.support.certificates import run
from tests.support.gateway import Client, TestGateway, octets_after_header, read
from tests.support.signing import signed
from tests.support.threads import FOLDER, Thread, open_thread

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

ENTITY = (
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Avis sign=C3=A9 :  \r\n\r\nl=C3=A9sion b=C3=A9nigne.=20\r\n"
)


@pytest.fixture(scope="module")
def thread(served: TestGateway) -> Thread:
    made = open_thread(served)
    made.question(made.expert)
    made.question(made.requester)
    return made


def signed_reply(thread: Thread, folder: Path, address: str, *options: str) -> tuple[bytes, EmailMessage]:
    """A reply of the expert's client, its body signed by openssl with a certificate for ``address``."""
    draft = thread.expert.reply(thread.question(thread.expert), "")
    raw = signed(thread.gateway.settings, folder, draft, ENTITY, address, *options)
    (address_,) = draft["to"].addresses
    thread.expert.send_bytes(raw, [address_.addr_spec])
    return raw, draft


def raw_copy(thread: Thread, reader: Client, sent: EmailMessage) -> bytes:
    thread.copy_of(reader, sent)
    return next(raw for raw, _ in thread.raw_seen_by(reader) if read(raw)["message-id"] == sent["message-id"])


def verified(raw: bytes, folder: Path, anchors: Path) -> bool:
    (folder / "mail.eml").write_bytes(raw)
    judged = run(
        "openssl", "cms", "-verify", "-in", folder / "mail.eml", "-CAfile", anchors, "-out", "/dev/null"
    )
    return judged.returncode == 0


@pytest.mark.parametrize("options", [(), ("-nodetach",)], ids=["multipart/signed", "opaque"])
def test_a_users_signature_passes_intact_and_its_result_is_told(
    thread: Thread, tmp_path: Path, options: tuple[str, ...]
) -> None:
    raw, sent = signed_reply(thread, tmp_path, thread.expert.address, *options)
    for reader in (thread.requester, thread.expert):
        copy = raw_copy(thread, reader, sent)
        assert octets_after_header(copy) == octets_after_header(raw)
        assert verified(copy, tmp_path, thread.gateway.settings.pki.anchors)
        (result,) = read(copy).get_all("authentication-results", [])
        assert result.startswith(f"{thread.gateway.settings.hostname};")
        assert "smime=pass" in result
        assert thread.expert.address in result


def test_a_signature_of_somebody_else_does_not_pass_for_the_authors(thread: Thread, tmp_path: Path) -> None:
    _, sent = signed_reply(thread, tmp_path, region.STRANGER.address)
    (result,) = read(raw_copy(thread, thread.requester, sent)).get_all("authentication-results", [])
    assert "smime=pass" not in result


def test_a_signed_opaque_mail_is_read_like_any_other(thread: Thread, tmp_path: Path) -> None:
    _, sent = signed_reply(thread, tmp_path, thread.expert.address, "-nodetach")
    thread.copy_of(thread.requester, sent)
    line = re.search(r"\[x\] \d+\. .*", str(thread.form(thread.expert, "Finaliser").get_body(("plain",))))
    assert line is not None


def written_by_the_gateway(served: TestGateway, clients: Iterable[Client]) -> list[bytes]:
    found = []
    for client in clients:
        patients = [name for name in client.folders() if name.startswith("Patients/")]
        for folder in ("INBOX", FOLDER, *patients):
            for raw, _ in client.raw_mails(folder):
                (author,) = read(raw)["from"].addresses
                if author.addr_spec == served.service:
                    found.append(raw)
    return found


def test_all_that_the_gateway_writes_verifies_with_openssl(served: TestGateway, tmp_path: Path) -> None:
    """A whole conversation of people of its own: forms, answers, notices, opening, report, filed copies."""
    thread = open_thread(served, requester=region.STRANGER, expert=region.SERVICE, billing="431000042")
    thread.tell(thread.expert, "Bonjour.")
    thread.requester.ask_service("Avis")
    thread.requester.ask_service("Mes téléexpertises")
    thread.requester.ask_service(f"Synthèse {thread.ref}")
    thread.finalise(thread.expert)
    thread.report(thread.requester)
    served.settled()
    mails = written_by_the_gateway(served, (thread.requester, thread.expert))
    assert len(mails) >= 12
    for raw in mails:
        mail = read(raw)
        assert mail.get_content_type() == "multipart/signed", mail["subject"]
        assert mail.get_param("micalg") == "sha-256"
        assert verified(raw, tmp_path, served.settings.pki.anchors), mail["subject"]
        assert mail["auto-submitted"] in ("auto-generated", "auto-replied")
