"""Those who are not asked in: guessers of passwords, readers of other folders, other users of the machine."""

from __future__ import annotations

import imaplib
import io
import zlib
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from pypdf import PdfReader
from structlog.testing import capture_logs

from gateway.pipeline.attempts import Guesses
from gateway.pipeline.doors import GatewayDoors
from gateway.services import Services
from gateway.smtp.envelope import Peer, PeerKind
from gateway.smtp.refusals import Refusal
from tests.support import region
from tests.support.gateway import TestGateway
from tests.support.threads import (
    Thread,
    answered,
    attach,
    open_thread,
    photo,
    reference_in,
    request_form,
    request_values,
)

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


def test_a_stranger_elsewhere_locks_no_account_and_one_device_no_hospital() -> None:
    guesses = Guesses()
    for _ in range(20):
        guesses.failed("a@x.example", "192.0.2.1", NOW)
    assert guesses.blocked("a@x.example", "192.0.2.1", NOW)
    assert not guesses.blocked("a@x.example", "198.51.100.7", NOW)
    assert not guesses.blocked("b@x.example", "192.0.2.1", NOW)
    assert not guesses.blocked("a@x.example", "192.0.2.1", NOW + timedelta(minutes=15))


def test_many_places_do_not_guess_one_account_for_ever_nor_one_place_many_accounts() -> None:
    guesses = Guesses()
    for number in range(200):
        guesses.failed("a@x.example", f"192.0.2.{number}", NOW)
        guesses.failed(f"{number}@x.example", f"2001:db8:0:1::{number:x}", NOW)
    assert guesses.blocked("a@x.example", "198.51.100.7", NOW)
    assert guesses.blocked("new@x.example", "2001:db8:0:1:ffff::1", NOW)
    assert not guesses.blocked("new@x.example", "2001:db8:0:2::1", NOW)


def test_even_the_right_password_waits_after_twenty_wrong_ones(served: TestGateway) -> None:
    async def guess(services: Services) -> list[str | None]:
        doors = GatewayDoors(services)
        peer = Peer(kind=PeerKind.USER, ip="192.0.2.1")
        tried = [await doors.authenticate(region.NURSE.address, f"{n}", peer) for n in range(20)]
        with pytest.raises(Refusal) as refused:
            await doors.authenticate(region.NURSE.address, region.PASSWORD, peer)
        assert refused.value.code == 454
        elsewhere = Peer(kind=PeerKind.USER, ip="192.0.2.2")
        return [*tried, await doors.authenticate(region.NURSE.address, region.PASSWORD, elsewhere)]

    assert served.ask(guess) == [None] * 20 + [region.NURSE.address]


def test_a_password_typed_as_login_is_not_kept(served: TestGateway) -> None:
    secret = "Sesame ouvre-toi 4711"

    async def mistyped(services: Services) -> str:
        peer = Peer(kind=PeerKind.USER, ip="192.0.2.3")
        assert await GatewayDoors(services).authenticate(secret, "x", peer) is None
        async with services.store.reading() as tx:
            return repr(await tx.audit.list(limit=100_000)).lower()

    assert "sesame" not in served.ask(mistyped)


@pytest.mark.parametrize("login", ["{victim}*{own}", "{victim}*", "*{victim}", "{own}*{victim}"])
def test_the_password_of_one_account_opens_no_other(served: TestGateway, login: str) -> None:
    name = login.format(victim=region.DERMATOLOGIST.address, own=region.GP.address)
    connection = imaplib.IMAP4_SSL("localhost", served.imaps_port, ssl_context=served.tls)
    with pytest.raises(imaplib.IMAP4.error):
        connection.login(name, region.PASSWORD)
    connection.shutdown()


@pytest.mark.parametrize(
    "folder",
    [
        f"Autres comptes/{region.DERMATOLOGIST.address}",
        f"Autres comptes/{region.DERMATOLOGIST.address}/INBOX",
        f"../../{region.DERMATOLOGIST.address.partition('@')[0]}/Maildir",
        "../remy.perret/Maildir/INBOX",
        "/etc/passwd",
        "~remy.perret/x",
        "a/../../b",
    ],
)
def test_no_folder_name_leads_out_of_the_own_mailbox(served: TestGateway, folder: str) -> None:
    with served.client(region.GP).imap() as connection:
        for command in (connection.select, connection.create, connection.delete):
            assert command(f'"{folder}"')[0] == "NO", command


def test_other_users_of_the_machine_read_nothing(served: TestGateway) -> None:
    settings = served.settings
    folder = settings.files.mac_key_file.parent
    readable = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and settings.mailboxes.home not in path.parents
    ]
    public = {".pem", ".crl", ".toml", ".xml"}
    assert [name for name in readable if Path(name).suffix not in public] == []
    closed = [settings.mailboxes.home / ".tle", settings.mailboxes.home / settings.service.domain]
    assert [path for path in closed if path.stat().st_mode & 0o077] == []


_EVIL_WORDS = (
    "{{ 7*7 }} {% raw %} <img src=file:///etc/passwd> <style>@import url(http://127.0.0.1:9/x)</style> "
    "&lt;b&gt; '; DROP TABLE message; -- %s \u202e ../../x"
)


def _bomb(side: int) -> bytes:
    """A PNG of a few octets that unpacks to ``side`` squared pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    size = side.to_bytes(4, "big") * 2
    head = chunk(b"IHDR", size + b"\x08\x02\x00\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\x00" * 1000)) + chunk(b"IEND", b"")


def _evil_request(served: TestGateway) -> tuple[Thread, EmailMessage]:
    doctor, expert = served.client(region.GP), served.client(region.DERMATOLOGIST)
    values = request_values(question=_EVIL_WORDS, first="Zo{{7*7}}é", name="D'ARTAGNAN-%-/..")
    sent = attach(answered(doctor, request_form(doctor), values), photo(), ("bombe.png", _bomb(60_000)))
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    sent.add_attachment(svg, maintype="image", subtype="svg+xml", filename="{{7*7}}<b>.svg")
    answer = doctor.answer_to(doctor.send(sent))
    return Thread(reference_in(answer), doctor, expert, sent, answer, values), answer


def test_hostile_words_and_pictures_are_printed_as_words_or_named(served: TestGateway) -> None:
    thread, _ = _evil_request(served)
    thread.question(thread.expert)
    thread.finalise(thread.expert, conclusion=_EVIL_WORDS)
    _, pdf = thread.report(thread.requester)
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    flat = "".join(text.split())
    assert "{{7*7}}" in flat
    assert "<imgsrc=file:///etc/passwd>" in flat
    assert "root:" not in text
    assert "bombe.png" in text
    served.settled()
    names = [name for name in thread.requester.folders() if "ARTAGNAN" in name]
    assert names
    assert all(name.startswith("Patients/D'ARTAGNAN") and name.count("/") == 1 for name in names)


def test_logs_and_audit_hold_no_words_of_people(served: TestGateway) -> None:
    with capture_logs() as logs:
        thread = open_thread(served, question="Mot secret zanzibar.", first="Philibertine")
        thread.tell(thread.expert, "Encore zanzibar.")
        thread.finalise(thread.expert, conclusion="Conclusion zanzibar.")
        thread.report(thread.requester)
        served.settled()

    async def audited(services: Services) -> str:
        async with services.store.reading() as tx:
            return repr(await tx.audit.list(limit=100_000))

    mailboxes = (served.settings.mailboxes.home / ".tle" / "dovecot.log").read_text("utf-8", "replace")
    everything = (repr(logs) + served.ask(audited) + mailboxes).lower()
    assert logs
    reply = str(thread.question(thread.expert)["reply-to"].addresses[0].username).partition("+")[2]
    for word in ("zanzibar", "philibertine", thread.values["Nom de naissance"], region.PASSWORD, reply):
        assert word.lower() not in everything, word
