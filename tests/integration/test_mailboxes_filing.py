"""Folders, filing and keywords over IMAP as the master user."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import date
from itertools import count

import pytest

from mailboxes.connection import ImapAccess
from mailboxes.errors import FilingFailed
from mailboxes.filing import Filing
from mailboxes.folders import patient_folder
from tests.support.dovecot import Running, deployment, login, served

CONVERSATIONS = ("Téléexpertises",)
PATIENT = patient_folder("Lefèvre d'Aix & fils", "Zoé", date(1957, 3, 2))

_numbers = count(1)


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Running]:
    mailboxes = [login(f"boite{number}@hopital.mssante.example") for number in range(1, 20)]
    with deployment() as made, served(made, *mailboxes) as running:
        yield running


@pytest.fixture
def filing(dovecot: Running) -> Filing:
    return dovecot.filing()


@pytest.fixture
def mailbox() -> str:
    """A mailbox that no other test has used."""
    return f"boite{next(_numbers)}@hopital.mssante.example"


def keyed(key: str, conversation: str = "c-1", body: bytes = b"Bonjour\r\n") -> bytes:
    return f"Subject: essai\r\nX-TLE-Delivery: {key}\r\nX-TLE-Id: {conversation}\r\n\r\n".encode() + body


def flags_of(dovecot: Running, mailbox: str, folder: str) -> list[str]:
    with dovecot.deployment.imap_of(mailbox) as client:
        client.select(folder, readonly=True)
        return [part.decode() for part in client.fetch("1:*", "(FLAGS)")[1] if isinstance(part, bytes)]


async def test_folders_are_made_and_subscribed_with_those_above_them(
    dovecot: Running, filing: Filing, mailbox: str
) -> None:
    for key in ("k-1", "k-2"):
        await filing.file_once(mailbox, PATIENT, keyed(key), key)

    def subscribed() -> list[str]:
        with dovecot.deployment.imap_of(mailbox) as client:
            return [line.decode() for line in client.lsub()[1] if isinstance(line, bytes)]

    lines = await asyncio.to_thread(subscribed)
    assert sum(line.endswith('"/" Patients') for line in lines) == 1
    assert sum("Patients/LEF&AMg-VRE D'AIX &- FILS Zo&AOk- 1957-03-02" in line for line in lines) == 1


async def test_filing_twice_stores_once_byte_for_byte(dovecot: Running, filing: Filing, mailbox: str) -> None:
    report = keyed("k-1", body=b"* 1 FETCH (\r\n.\r\n\xff\x01binaire\r\n" + b"x" * 300_000)
    assert await filing.file_once(mailbox, PATIENT, report, "k-1", flags=[r"\Seen", "tle_completed"])
    assert not await filing.file_once(mailbox, PATIENT, report, "k-1")
    assert await filing.file_once(mailbox, PATIENT, keyed("k-2"), "k-2")

    def stored() -> tuple[int, bytes, bytes]:
        with dovecot.deployment.imap_of(mailbox) as client:
            total = client.select('"Patients/LEF&AMg-VRE D\'AIX &- FILS Zo&AOk- 1957-03-02"')[1][0]
            part = client.fetch("1", "(FLAGS BODY.PEEK[])")[1][0]
            assert isinstance(part, tuple)
            assert isinstance(total, bytes)
            return int(total), part[0], part[1]

    total, head, content = await asyncio.to_thread(stored)
    assert total == 2
    assert b"\\Seen" in head
    assert b"tle_completed" in head
    assert content == report


async def test_concurrent_filings_of_one_key_store_once(filing: Filing, mailbox: str) -> None:
    done = await asyncio.gather(*(filing.file_once(mailbox, PATIENT, keyed("k-1"), "k-1") for _ in range(5)))
    assert sorted(done) == [False, False, False, False, True]
    assert await filing.tag(mailbox, PATIENT, "c-1", "completed") == 1


async def test_a_message_without_its_key_is_a_mistake_of_the_caller(filing: Filing, mailbox: str) -> None:
    with pytest.raises(ValueError, match="delivery key"):
        await filing.file_once(mailbox, PATIENT, b"Subject: x\r\n\r\nX-TLE-Delivery: k-1\r\n", "k-1")


async def test_a_state_replaces_the_other_states_of_its_conversation_only(
    dovecot: Running, filing: Filing, mailbox: str
) -> None:
    for key, conversation in (("k-1", "c-1"), ("k-2", "c-1"), ("k-3", "c-2")):
        await filing.file_once(
            mailbox, CONVERSATIONS, keyed(key, conversation), key, flags=["tle_requested", r"\Flagged"]
        )
    assert await filing.tag(mailbox, CONVERSATIONS, "c-1", "in_progress") == 2
    assert await filing.tag(mailbox, CONVERSATIONS, "c-1", "completed") == 2
    assert await filing.tag(mailbox, CONVERSATIONS, "c-1", "completed") == 2
    first, second, other = await asyncio.to_thread(flags_of, dovecot, mailbox, "T&AOk-l&AOk-expertises")
    for line in (first, second):
        assert "tle_completed" in line
        assert "tle_requested" not in line
        assert "tle_in_progress" not in line
        assert r"\Flagged" in line
    assert "tle_requested" in other
    assert "tle_completed" not in other


async def test_what_is_not_there_is_tagged_nowhere(filing: Filing, mailbox: str) -> None:
    for folder in (PATIENT, ("INBOX",)):
        assert await filing.tag(mailbox, folder, "c-1", "completed") == 0
    with pytest.raises(ValueError, match="state"):
        await filing.tag(mailbox, PATIENT, "c-1", "invented")


@pytest.mark.parametrize("folder", [(), ("a/b",), ("",)])
async def test_names_that_are_no_folders_fail_for_good(
    filing: Filing, mailbox: str, folder: tuple[str, ...]
) -> None:
    with pytest.raises(FilingFailed) as failure:
        await filing.file_once(mailbox, folder, keyed("k-1"), "k-1")
    assert failure.value.permanent


async def test_an_unknown_account_fails_soon(filing: Filing) -> None:
    with pytest.raises(FilingFailed):
        await filing.file_once("personne@hopital.mssante.example", PATIENT, keyed("k-1"), "k-1")


async def test_a_server_of_another_authority_is_not_trusted(dovecot: Running) -> None:
    settings, server = dovecot.deployment.settings, dovecot.server
    stranger = Filing(
        ImapAccess(
            settings.bind,
            settings.tls_port,
            ssl.create_default_context,
            server.master_user,
            server.master_password,
        )
    )
    with pytest.raises(FilingFailed, match="SSLCertVerificationError"):
        await stranger.file_once("boite1@hopital.mssante.example", PATIENT, keyed("k-1"), "k-1")


async def test_a_silent_server_is_given_up_after_the_time_limit(dovecot: Running) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client gives up
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        filing = Filing(
            ImapAccess("127.0.0.1", port, lambda: dovecot.deployment.client_tls, "gateway", "x", timeout=0.3)
        )
        with pytest.raises(FilingFailed) as failure:
            await filing.file_once("boite1@hopital.mssante.example", PATIENT, keyed("k-1"), "k-1")
    assert not failure.value.permanent
