"""A whole gateway on PostgreSQL: from the submission of a mail to the report, the command line beside it, and
a database that is gone for a while.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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

    @property
    def commands(self) -> Deployment:
        """Its command line."""
        settings = self.gateway.settings
        return Deployment(settings, settings.files.mac_key_file.parent / "gateway.toml")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with (
        cluster() as server,
        server.database() as url,
        gateway(f'\n[database]\nurl = "{url}"\n\n[conversation]\nanswers_per_hour = 100000\n') as made,
    ):
        yield Place(made, server)


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
