"""A patient's folder under another name, with the real Dovecot: nothing lost, nothing doubled, whatever
happens.
"""

import asyncio
import re
from collections.abc import Coroutine, Iterator
from itertools import count
from typing import Any

import pytest
from imapclient import imap_utf7

from mailboxes.connection import Answer, Connection
from mailboxes.errors import FilingFailed
from mailboxes.filing import Filing
from mailboxes.folders import Folder
from mailboxes.renaming import bring_folder
from tests.support.dovecot import Running, deployment, login, served

OLD: Folder = ("Patients", "LEFÈVRE Zoé 1957-03-02")
NEW: Folder = ("Patients", "LEFÈBVRE Zoé 1957-03-02 & fils (2)")
ASIDE: Folder = ("Patients", OLD[-1] + " ~")
_numbers = count(1)


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Running]:
    mailboxes = [login(f"boite{number}@hopital.mssante.example") for number in range(1, 20)]
    with deployment() as made, served(made, *mailboxes) as running:
        yield running


@pytest.fixture
def filing(dovecot: Running) -> Filing:
    return dovecot.filing()


class Mailbox:
    """A mailbox that no other test has used, by the client of its owner."""

    def __init__(self, running: Running) -> None:
        self.address = f"boite{next(_numbers)}@hopital.mssante.example"
        self.running = running

    def wire(self, folder: Folder) -> str:
        return f'"{imap_utf7.encode("/".join(folder)).decode()}"'

    def do(self, *commands: tuple[str, ...]) -> None:
        with self.running.deployment.imap_of(self.address) as client:
            for name, *arguments in commands:
                assert getattr(client, name)(*arguments)[0] == "OK", name

    def append(self, folder: Folder, *subjects: str) -> None:
        with self.running.deployment.imap_of(self.address) as client:
            client.create(self.wire(folder))
            for subject in subjects:
                raw = f"Subject: {subject}\r\n\r\nBonjour\r\n".encode()
                assert client.append(self.wire(folder), r"(\Flagged)", None, raw)[0] == "OK"

    def subjects(self, folder: Folder) -> list[str]:
        """What a folder holds, in order of the alphabet; [] where there is none."""
        with self.running.deployment.imap_of(self.address) as client:
            if client.select(self.wire(folder), readonly=True)[0] != "OK":
                return []
            fetched = client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            parts = [part for part in fetched if isinstance(part, tuple)]
            assert all(rb"\Flagged" in part[0] or b"tle_" in part[0] for part in parts)
            return sorted(part[1].decode().removeprefix("Subject:").strip() for part in parts)

    def names(self, command: str = "list") -> set[str]:
        """The folders that are there, or that are subscribed to (lsub)."""
        with self.running.deployment.imap_of(self.address) as client:
            lines = getattr(client, command)()[1]
        found = (re.search(rb'"/" "?(.*?)"?$', line) for line in lines if isinstance(line, bytes))
        return {imap_utf7.decode(match[1]) for match in found if match}


@pytest.fixture
def mailbox(dovecot: Running) -> Mailbox:
    return Mailbox(dovecot)


def keyed(key: str) -> bytes:
    return f"Subject: {key}\r\nX-TLE-Delivery: {key}\r\n\r\nBonjour\r\n".encode()


async def filed(filing: Filing, mailbox: Mailbox, folder: Folder, *keys: str) -> None:
    for key in keys:
        await filing.file_once(mailbox.address, folder, keyed(key), key, ["tle_completed"])


async def test_a_folder_is_renamed_with_messages_folders_below_and_subscriptions(
    filing: Filing, mailbox: Mailbox
) -> None:
    await filed(filing, mailbox, OLD, "k-1", "k-2")
    await asyncio.to_thread(mailbox.append, (*OLD, "Imagerie"), "mine")
    await asyncio.to_thread(mailbox.do, ("subscribe", mailbox.wire((*OLD, "Imagerie"))))
    for _ in range(2):
        await filing.bring(mailbox.address, OLD, NEW)
        assert await asyncio.to_thread(mailbox.subjects, NEW) == ["k-1", "k-2"]
        assert await asyncio.to_thread(mailbox.subjects, (*NEW, "Imagerie")) == ["mine"]
        below = {"Patients/" + NEW[-1], "Patients/" + NEW[-1] + "/Imagerie"}
        for command in ("list", "lsub"):
            names = await asyncio.to_thread(mailbox.names, command)
            assert {name for name in names if name.startswith("Patients/")} == below
    assert not await filing.file_once(mailbox.address, NEW, keyed("k-1"), "k-1")


async def test_who_had_unsubscribed_stays_so(filing: Filing, mailbox: Mailbox) -> None:
    await filed(filing, mailbox, OLD, "k-1")
    await asyncio.to_thread(mailbox.do, ("unsubscribe", mailbox.wire(OLD)))
    await filing.bring(mailbox.address, OLD, NEW)
    assert "Patients/" + NEW[-1] not in await asyncio.to_thread(mailbox.names, "lsub")
    assert await asyncio.to_thread(mailbox.subjects, NEW) == ["k-1"]


async def test_what_is_in_both_folders_comes_together_once(filing: Filing, mailbox: Mailbox) -> None:
    await filed(filing, mailbox, OLD, "k-1", "k-2", "k-3")
    await filed(filing, mailbox, NEW, "k-2", "k-4")
    await asyncio.to_thread(mailbox.append, OLD, "mine", "mine")  # two of the user's own, which look alike
    await asyncio.to_thread(mailbox.append, (*OLD, "Imagerie"), "scan")
    await asyncio.to_thread(mailbox.append, (*NEW, "Imagerie"), "photo")
    await filing.bring(mailbox.address, OLD, NEW)
    assert await asyncio.to_thread(mailbox.subjects, NEW) == ["k-1", "k-2", "k-3", "k-4", "mine", "mine"]
    assert await asyncio.to_thread(mailbox.subjects, (*NEW, "Imagerie")) == ["photo", "scan"]
    names = await asyncio.to_thread(mailbox.names)
    assert not {name for name in names if OLD[-1] in name}


async def test_an_interrupted_attempt_is_gone_on_with(filing: Filing, mailbox: Mailbox) -> None:
    """The name aside holds what the attempt had left, and a mail was filed under the old name since."""
    await filed(filing, mailbox, ASIDE, "k-1", "k-2")
    await filed(filing, mailbox, NEW, "k-1")
    await filed(filing, mailbox, OLD, "k-3")
    await filing.bring(mailbox.address, OLD, NEW)
    assert await asyncio.to_thread(mailbox.subjects, NEW) == ["k-1", "k-2", "k-3"]
    names = await asyncio.to_thread(mailbox.names)
    assert {name for name in names if name.startswith("Patients/")} == {"Patients/" + NEW[-1]}


async def test_no_folder_is_nothing_to_do(filing: Filing, mailbox: Mailbox) -> None:
    await filing.bring(mailbox.address, OLD, NEW)
    await filing.bring(mailbox.address, OLD, OLD)
    assert not any("Patients" in name for name in await asyncio.to_thread(mailbox.names))


async def test_a_reader_with_the_folder_open_loses_nothing(
    dovecot: Running, filing: Filing, mailbox: Mailbox
) -> None:
    await filed(filing, mailbox, OLD, "k-1", "k-2")
    await filed(filing, mailbox, NEW, "k-3")
    client = dovecot.deployment.imap_of(mailbox.address)
    await asyncio.to_thread(client.select, mailbox.wire(OLD))
    await filing.bring(mailbox.address, OLD, NEW)
    await asyncio.to_thread(client.logout)
    assert await asyncio.to_thread(mailbox.subjects, NEW) == ["k-1", "k-2", "k-3"]


class Breaking(Connection):
    """A connection that is lost after some commands. Whether the last one's answer was lost or the next was
    never sent is one to the server.
    """

    left = 1000

    async def ask(self, name: str, command: Coroutine[Any, Any, Any]) -> Answer:
        """Ask while there are commands left."""
        self.left -= 1
        if self.left >= 0:
            return await super().ask(name, command)
        command.close()
        raise FilingFailed(permanent=False, text="the connection was lost")


async def broken_off(running: Running, address: str, source: Folder, target: Folder, commands: int) -> bool:
    """Bring a folder with a connection that is lost after some commands; whether it was done before."""
    broken = Breaking(running.filing()._access)
    try:
        await broken.login(running.filing()._access, address)
        broken.left = commands
        await bring_folder(broken, source, target)
    except FilingFailed:
        return False
    finally:
        await broken.close()
    return True


@pytest.mark.parametrize("both", [False, True], ids=["renamed", "moved"])
async def test_whatever_step_is_interrupted_no_message_is_lost_or_doubled(
    dovecot: Running, filing: Filing, mailbox: Mailbox, both: bool
) -> None:
    """One command of the way after another is the last one; then it is begun again.

    Of the long way every seventh: all of them take half a minute.
    """
    keys = [f"k-{number}" for number in range(1, 5)]
    await filed(filing, mailbox, OLD, *keys[:3])
    source, target = OLD, NEW
    for commands in count(1, 7 if both else 1):
        if both:  # the other folder is there already, with one mail of both and one of its own
            await filed(filing, mailbox, target, keys[0], keys[3])
            await filed(filing, mailbox, (*target, "Imagerie"), "k-9")
            await filed(filing, mailbox, (*source, "Imagerie"), "k-8")
        done = await broken_off(dovecot, mailbox.address, source, target, commands)
        # a report that was filed meanwhile under either name
        await filed(filing, mailbox, source if commands % 2 else target, keys[1])
        await filing.bring(mailbox.address, source, target)
        assert await asyncio.to_thread(mailbox.subjects, target) == (keys if both else keys[:3])
        if both:
            assert await asyncio.to_thread(mailbox.subjects, (*target, "Imagerie")) == ["k-8", "k-9"]
        names = await asyncio.to_thread(mailbox.names)
        assert not {name for name in names if source[-1] in name or name.endswith("~")}
        source, target = target, source
        if done:
            break
    assert commands > (30 if both else 5)
