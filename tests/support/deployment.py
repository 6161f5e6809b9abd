"""A deployment at rest for tests of the command line: files and database are there, nothing is served."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from click.testing import CliRunner, Result

from config import Settings
from gateway import CONFIGURATION
from gateway.bootstrap import open_services
from gateway.cli.root import cli
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.doors import GatewayDoors
from gateway.pipeline.screening import screen
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.smtp.envelope import Envelope, Peer, PeerKind
from gateway.smtp.refusals import Refusal
from gateway.store import OutboxState
from teleexpertise.events import Author
from teleexpertise.facts import Facts, Trigger
from teleexpertise.letters import Mailbox
from teleexpertise.people import Absence, Account, Party
from tests.support import region
from tests.support.cases import opened
from tests.support.gateway import made_deployment, read

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The files of a deployment of the test region."""

    settings: Settings
    path: Path

    def call(self, *arguments: object, input: str | None = None) -> Result:  # noqa: A002 - click's own name
        """Run a command; what it printed and its exit code."""
        found = CliRunner().invoke(cli, ["--config", str(self.path), *map(str, arguments)], input=input)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    def done(self, *arguments: object, input: str | None = None) -> str:  # noqa: A002 - click's own name
        """Run a command that must succeed; its output."""
        found = self.call(*arguments, input=input)
        assert found.exit_code == 0, found.output
        return found.stdout

    def json(self, *arguments: object, input: str | None = None) -> Any:  # noqa: A002 - click's own name
        """Run a command that must succeed, with --json; its data."""
        return json.loads(self.done(*arguments, "--json", input=input))

    def work(self, work: Callable[[Services], Awaitable[_Found]]) -> _Found:
        """Do something with the deployment's parts."""

        async def whole() -> _Found:
            async with open_services(self.settings) as services:
                return await work(services)

        return asyncio.run(whole())


@contextmanager
def deployed() -> Iterator[Deployment]:
    """A deployment of the test region, where the mailbox server's account can reach it; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tle-test-"))
    folder.chmod(0o755)
    try:
        yield Deployment(made_deployment(folder / "var"), folder / "var" / CONFIGURATION)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- mails --------------------------------------------------------------------------------------------------


def mail(author: Account, to: str, subject: str, **fields: str) -> bytes:
    """A mail as a client writes it."""
    message = EmailMessage(policy=SMTP)
    message["From"] = author.address
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = f"<{subject.replace(' ', '.')}@client.example>"
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content("Bonjour,\n\nVoici ma réponse.\n")
    return message.as_bytes()


def envelope(author: Account, to: str, queue_id: str) -> Envelope:
    """The envelope of a mail that ``author`` submits."""
    peer = Peer(
        kind=PeerKind.USER, ip="192.0.2.7", helo="client.example", tls_version="TLSv1.3", login=author.address
    )
    return Envelope(
        queue_id=queue_id,
        peer=peer,
        mail_from=author.address,
        recipients=(to,),
        received_at=datetime.now(UTC),
    )


@dataclass(frozen=True, slots=True)
class Played:
    """What was played: a search, a request, the expert's answer, and a stranger who was refused."""

    conversation: UUID
    ref: str
    request: UUID
    search_queue_id: str = "00000000000000A1"
    answer_queue_id: str = "00000000000000A2"
    refused_queue_id: str = "00000000000000A3"
    answer_mail_id: str = "<Re.avis@client.example>"


async def play(services: Services) -> Played:
    """Play a short conversation through screening, decisions and commits, as if mails had come in."""
    gp, expert = region.GP, region.DERMATOLOGIST
    request = mail(gp, services.book.service, "avis")
    incoming = await screen(services, envelope(gp, services.book.service, "00000000000000A0"), request)
    asked = replace(
        opened(items=region.DERMATOLOGY.items), requester=Party.of(gp), expert=Party.of(expert), ref=""
    )
    author = Author(
        region.SECRETARY.address, region.SECRETARY.name, acting_for=gp.address, acting_for_name=gp.name
    )
    identifier = services.new_id()
    async with services.store.transaction() as tx:
        unit = Unit(services, tx, incoming.received_at)
        message = await unit.store(incoming)
        facts = Facts(trigger=Trigger.REQUEST, author=author, proposed=asked)
        act = Act(facts=facts, message=message, incoming=incoming, answer_to=Mailbox(gp.address, gp.name))
        _, conversation = await carry_out(unit, None, identifier, act)
        assert conversation is not None
        await tx.messages.place(message.id, identifier)
        await unit.audit(gp.address, "accept", str(message.id), "opened", queue_id="00000000000000A0")
    played = Played(identifier, conversation.ref, message.id)
    doors = GatewayDoors(services)
    reply = services.book.reply(identifier)
    search = mail(gp, services.book.service, "Annuaire dermatologie")
    await doors.accept(envelope(gp, services.book.service, played.search_queue_id), search)
    answer = mail(expert, reply, "Re avis", References=conversation.thread[-1])
    await doors.accept(envelope(expert, reply, played.answer_queue_id), answer)
    stranger = mail(region.STRANGER, reply, "Curieux", References=conversation.thread[-1])
    try:
        await doors.accept(envelope(region.STRANGER, reply, played.refused_queue_id), stranger)
    except Refusal:
        return played
    raise AssertionError("a stranger was let in")


async def request(
    services: Services,
    *,
    delay_days: int,
    answer: bool = False,
    absence: Absence | None = None,
    deputy: Account | None = None,
) -> UUID:
    """Open a complete request of the GP to the dermatologist, who answers or not, or is away and replaced;
    its identifier.
    """
    gp, expert = region.GP, region.DERMATOLOGIST
    identifier = services.new_id()
    raw = mail(gp, services.book.service, f"avis {identifier}")
    queue_id = identifier.hex[:16].upper()
    incoming = await screen(services, envelope(gp, services.book.service, queue_id), raw)
    asked = replace(
        opened(),
        requester=Party.of(gp),
        expert=Party.of(expert),
        ref="",
        delay_days=delay_days,
        specialties=("Dermatologie",),
        absence=absence,
        deputy=Party.of(deputy) if deputy is not None else None,
    )
    async with services.store.transaction() as tx:
        unit = Unit(services, tx, incoming.received_at)
        message = await unit.store(incoming)
        facts = Facts(trigger=Trigger.REQUEST, author=Author(gp.address, gp.name), proposed=asked)
        act = Act(facts=facts, message=message, incoming=incoming, answer_to=Mailbox(gp.address, gp.name))
        _, conversation = await carry_out(unit, None, identifier, act)
        assert conversation is not None
        await tx.messages.place(message.id, identifier)
    if answer:
        reply = services.book.reply(identifier)
        said = mail(expert, reply, f"Re {identifier}", References=conversation.thread[-1])
        await GatewayDoors(services).accept(envelope(expert, reply, queue_id[::-1]), said)
    return identifier


async def mails_to(services: Services, address: str) -> list[EmailMessage]:
    """All that is on its way to an address, in the order it was put there."""
    async with services.store.reading() as tx:
        rows = [
            row for row in await tx.outbox.list(list(OutboxState), limit=1000) if row.recipient == address
        ]
        rows = [row for row in rows if row.action in ("deliver", "relay") and row.message_id]
        return [read(await tx.messages.get_raw(row.message_id) or b"") for row in rows if row.message_id]
