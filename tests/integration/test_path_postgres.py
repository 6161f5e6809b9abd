"""A whole gateway on PostgreSQL: from the submission of a mail to the report, the command line beside it, and
a database that is gone for a while.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from config import load
from gateway.services import Services
from gateway.store import OutboxState
from tests.support import region
from tests.support.deployment import Deployment
from tests.support.gateway import TestGateway, gateway, text_of
from tests.support.postgres import Cluster, cluster
from tests.support.threads import Thread, attachments, open_thread


@dataclass(frozen=True, slots=True)
class Place:
    """A served gateway and the server that holds its database, which a test may kill."""

    gateway: TestGateway
    server: Cluster
    url: str

    @property
    def commands(self) -> Deployment:
        """Its command line."""
        return Deployment(self.gateway.settings, self._file)

    @property
    def _file(self) -> Path:
        return self.gateway.settings.files.mac_key_file.parent / "gateway.toml"

    def use(self, url: str) -> None:
        """Name another database in the settings, for the next start."""
        text = self._file.read_text("utf-8")
        self._file.write_text(re.sub(r'(?<=\[database\]\n)url = ".*"', f'url = "{url}"', text), "utf-8")
        self.gateway.settings = load(self._file)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with (
        cluster() as server,
        server.database() as url,
        gateway(f'\n[database]\nurl = "{url}"\n\n[conversation]\nanswers_per_hour = 100000\n') as made,
    ):
        yield Place(made, server, url)


@pytest.fixture(scope="module")
def finished(place: Place) -> Thread:
    thread = open_thread(place.gateway, name="ÉVRARD-DÉSIRÉ", first="Zoé Anne")
    thread.question(thread.expert)
    thread.tell(thread.expert, "Une lésion bénigne.")
    thread.tell(thread.requester, "Merci, voici un détail.")
    thread.finalise(thread.expert, "Exérèse complète.")
    thread.reaches("completed")
    place.gateway.settled()
    return thread


def test_a_conversation_goes_from_submission_to_its_report(finished: Thread) -> None:
    for reader in (finished.requester, finished.expert):
        _, report = finished.report(reader)
        assert report.startswith(b"%PDF")
    for reader in (finished.requester, finished.expert):
        (folder,) = (name for name in reader.folders() if name.startswith("Patients/ÉVRARD-DÉSIRÉ"))
        assert any(map(attachments, reader.mails(folder)))


def test_the_directory_answers_by_mail(place: Place) -> None:
    doctor = place.gateway.client(region.GP)
    assert "Dr Rémy PERRET" in text_of(doctor.ask_service("Annuaire PERRET remy 43"))
    assert "Avis Cardiologie CH LE PUY" in text_of(doctor.ask_service("Avis"))


def test_the_command_line_works_beside_the_gateway(place: Place, finished: Thread, tmp_path: Path) -> None:
    place.gateway.settled()
    commands = place.commands
    found = commands.json("rebuild", "--check")
    assert found["differences"] == []
    assert found["events"] >= 4
    assert commands.json("audit", "verify")["holds"] is True
    assert [each["ref"] for each in commands.json("conversation", "list")] == [finished.ref]
    assert len(commands.json("patient", "search", "evrard desire")["patients"]) == 1
    out = tmp_path / "all.csv"
    commands.done("export", "--from", "2020-01-01", "--to", "2100-01-01", "--out", out)
    assert finished.ref in out.read_text("utf-8-sig")
    assert finished.ref in commands.done("explain", finished.ref)


def test_a_database_that_is_gone_refuses_for_now_and_loses_nothing(place: Place) -> None:
    thread = open_thread(place.gateway, name="GONDRY")
    thread.question(thread.expert)
    place.gateway.settled()
    place.server.kill()
    try:
        mail = thread.expert.reply(thread.question(thread.expert), "Pendant la panne.")
        for client in (thread.expert, place.gateway.client(region.STRANGER)):
            with pytest.raises(smtplib.SMTPException) as refused:  # in a session of before, and at the login
                client.send(mail)
            assert 400 <= _code(refused.value) < 500
    finally:
        place.server.start()
    thread.expert.send(mail)
    thread.copy_of(thread.requester, mail)
    place.gateway.settled()
    same = [found for found in thread.seen_by(thread.requester) if found["message-id"] == mail["message-id"]]
    assert len(same) == 1
    place.gateway.ask(_assert_sound)


def test_a_deployment_goes_to_sqlite_and_back_and_is_used_there(place: Place, finished: Thread) -> None:
    """Copied between the mails of a conversation, which goes on as if nothing had happened."""
    thread = open_thread(place.gateway, name="ŒUVRARD", first="Noëlle")
    thread.question(thread.expert)
    place.gateway.settled()
    refused = place.commands.call("database", "copy", "--to", "sqlite:///copy.sqlite3")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "stop it first" in refused.stderr
    with place.server.empty_database() as url:
        for number, target in enumerate(("sqlite:///copy.sqlite3", url)):
            place.gateway.stop()
            before = place.commands.json("database", "status")
            copied = place.commands.json("database", "copy", "--to", target)
            assert copied["differences"] == []
            assert {name: table["rows"] for name, table in copied["tables"].items()} == before["rows"]
            place.use(target)
            place.gateway.start()
            after = place.commands.json("database", "status")
            assert {after["engine"], before["engine"]} == {"sqlite", "postgresql"}
            assert (before["served"], after["served"]) == (False, True)
            thread.tell(thread.expert, f"Après la copie {number}.")
            assert "Dr Rémy PERRET" in text_of(thread.requester.ask_service("Annuaire PERRET remy 43"))
            for name in ("oeuvrard noelle", "ŒUVRARD"):
                assert len(place.commands.json("patient", "search", name)["patients"]) == 1
        place.gateway.settled()
        refs = {each["ref"] for each in place.commands.json("conversation", "list")}
        assert {finished.ref, thread.ref} <= refs
        assert place.commands.json("rebuild", "--check")["differences"] == []
        place.gateway.ask(_assert_sound)
        place.gateway.stop()
        place.use(place.url)
        place.gateway.start()


async def _assert_sound(services: Services) -> None:
    async with services.store.reading() as tx:
        counts = await tx.outbox.counts()
        assert (counts[OutboxState.HELD], counts[OutboxState.FAILED]) == (0, 0)
        assert (await tx.audit.verify()).holds


def _code(error: smtplib.SMTPException) -> int:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return max(code for code, _ in error.recipients.values())
    assert isinstance(error, smtplib.SMTPResponseException)
    return error.smtp_code
