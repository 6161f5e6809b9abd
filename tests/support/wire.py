"""One tele-expertise behind the doors, without sockets: envelopes in, what was committed out.

A deployment with an opened conversation is made once; each course begins with a copy of its database.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from certs.tls import submission_client_context
from gateway.bootstrap import open_services
from gateway.pipeline.doors import GatewayDoors
from gateway.pipeline.unit import projection
from gateway.services import Services
from gateway.smtp.envelope import Envelope, Peer, PeerKind
from gateway.store import Direction, MessageRow, OutboxState, Store
from teleexpertise.conversation import Conversation, fold
from tests.support import region
from tests.support.gateway import Client, TestGateway, made_deployment, read
from tests.support.threads import answered, attach, request_values

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
REQUESTER, EXPERT = region.GP, region.DERMATOLOGIST
MEMBERS = (REQUESTER.address, EXPERT.address)
_OPENED = "opened.sqlite3"
_REPLIES = ("r1", "r2", "e1", "e1x", "e2")


@dataclass(frozen=True, slots=True)
class Posting:
    """A mail as its client hands it over. ``name`` is for people who read a failure."""

    name: str
    sender: str
    recipient: str
    raw: bytes

    def again(self) -> Posting:
        """The same once more, as it comes after another way: its header has grown, its body is the same."""
        return replace(
            self, raw=b"Received: from elsewhere.example; Mon, 2 Mar 2026 09:31:00 +0000\r\n" + self.raw
        )


@dataclass(frozen=True, slots=True)
class Committed:
    """What a course has left: the conversation by its events, all messages by id, all actions in order."""

    conversation: Conversation
    messages: dict[UUID, tuple[MessageRow, Message]]
    outbox: tuple[tuple[str, str, UUID | None], ...]

    def received(self) -> Counter[tuple[str, str, str]]:
        """How often each mail (sender, Message-ID, body hash) counts in the conversation."""
        return Counter(
            (row.sender, row.mail_id, row.body_sha256)
            for row, _ in self.messages.values()
            if row.direction is Direction.RECEIVED and row.conversation_id == self.conversation.id
        )

    def actions(self, *, states: bool = True) -> list[tuple[str, str, str]]:
        """The actions in order with what they carry, as far as it does not differ from run to run.

        Without ``states`` subjects, which show the state of their moment, are left out.
        """
        return [
            (action, recipient, self._told(message, states)) for action, recipient, message in self.outbox
        ]

    def _told(self, message: UUID | None, states: bool) -> str:
        if message is None:
            return ""
        row, mail = self.messages[message]
        if row.direction is Direction.RECEIVED:
            return f"{row.sender} {row.mail_id} {row.body_sha256}"
        kind = f"{mail['x-tle-event'] or ''} {mail['auto-submitted']}"
        return f"{kind} {mail['subject']}" if states else kind


class Course:
    """The doors of a gateway on a database of its own; a second passes with each look at the clock."""

    def __init__(self, services: Services, store: Store, conversation: UUID | None = None) -> None:
        seconds = count()
        self._conversation = conversation
        self._queue = count()
        self.services = replace(services, store=store, clock=lambda: START + timedelta(seconds=next(seconds)))
        self._doors = GatewayDoors(self.services)

    async def take(self, posting: Posting) -> None:
        """One mail through the doors: committed when this returns. Raises the refusal."""
        peer = Peer(PeerKind.USER, "127.0.0.1", tls_version="TLSv1.3", login=posting.sender)
        number = f"{next(self._queue):016X}"
        envelope = Envelope(number, peer, posting.sender, (posting.recipient,), START)
        await self._doors.accept(envelope, posting.raw)

    async def at_once(self, postings: Iterable[Posting]) -> None:
        """Several mails on as many connections."""
        await asyncio.gather(*map(self.take, postings))

    async def check(self) -> Conversation:
        """The conversation as its events say; asserts that the projection says the same."""
        assert self._conversation is not None, "the conversation is open"
        async with self.services.store.reading() as tx:
            records = await tx.events.of(self._conversation)
            row = await tx.conversations.get(self._conversation)
        conversation = fold(self._conversation, records)
        assert row is not None
        assert row.projection == projection(conversation)
        assert row.next_seq == len(records) + 1
        return conversation

    async def read(self) -> Committed:
        """All that is committed now."""
        conversation = await self.check()
        messages: dict[UUID, tuple[MessageRow, Message]] = {}
        async with self.services.store.reading() as tx:
            rows = await tx.outbox.list(list(OutboxState), limit=10_000)
            wanted = {action.message_id for action in rows if action.message_id}
            wanted |= {message.id for message in await tx.messages.of(conversation.id)}
            for identifier in wanted:
                message, raw = await tx.messages.get(identifier), await tx.messages.get_raw(identifier)
                assert message is not None
                assert raw is not None
                messages[identifier] = (message, BytesHeaderParser().parsebytes(raw))
        return Committed(
            conversation, messages, tuple((item.action, item.recipient, item.message_id) for item in rows)
        )

    async def newest_to(self, address: str) -> EmailMessage:
        """The mail that was last put into the outbox for somebody."""
        async with self.services.store.reading() as tx:
            rows = await tx.outbox.list(list(OutboxState), limit=10_000)
            last = [row for row in rows if row.recipient == address and row.message_id][-1]
            assert last.message_id is not None
            raw = await tx.messages.get_raw(last.message_id)
        assert raw is not None
        return read(raw)


@dataclass(frozen=True, slots=True)
class Wire:
    """An opened conversation to begin courses from, and mails that may come to it."""

    runner: asyncio.Runner
    services: Services
    folder: Path
    conversation: UUID
    postings: dict[str, Posting]

    def run(self, steps: Sequence[Sequence[str]]) -> Committed:
        """Take the named mails, those of one step at once; a name with ``'`` is that mail's late copy."""
        return self.runner.run(self._whole(steps))

    async def _whole(self, steps: Sequence[Sequence[str]]) -> Committed:
        async with self.course() as course:
            for step in steps:
                await course.at_once(map(self._posting, step))
                await course.check()
            return await course.read()

    @asynccontextmanager
    async def course(self) -> AsyncIterator[Course]:
        """A course from the beginning, for what is played on ``runner``; one at a time."""
        copy = self.folder / "course.sqlite3"
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self.folder / _OPENED, copy)
        async with Store.open(f"sqlite:///{copy}") as store:
            yield Course(self.services, store, self.conversation)

    def _posting(self, name: str) -> Posting:
        known = self.postings[name.rstrip("'")]
        return known.again() if name.endswith("'") else known


@contextmanager
def made_wire() -> Iterator[Wire]:
    """A deployment with an opened conversation, and what may come to it: replies of both sides (``e1`` and
    ``e1x`` with one Message-ID), and the filled forms ``finalise``, ``decline`` and ``cancel``.
    """
    folder = Path(tempfile.mkdtemp(prefix="tle-wire-"))
    try:
        settings = made_deployment(folder / "var")
        with asyncio.Runner() as runner:
            services = open_services(settings)
            opened = runner.run(services.__aenter__())
            try:
                yield runner.run(_open(runner, opened, folder))
            finally:
                runner.run(services.__aexit__(None, None, None))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _open(runner: asyncio.Runner, services: Services, folder: Path) -> Wire:
    """Ask, open, fetch the forms of all closings, and write down what may come."""
    course = Course(services, services.store)
    gateway = TestGateway(services.settings, submission_client_context(services.settings.pki.anchors))
    requester = Client(REQUESTER.address, REQUESTER.name, gateway)
    expert = Client(EXPERT.address, EXPERT.name, gateway)
    service = services.settings.service_address

    async def form(writer: Client, subject: str) -> EmailMessage:
        await course.take(_posting(subject, writer, writer.compose(service, subject), service))
        return await course.newest_to(writer.address)

    asked = await form(requester, f"Nouvelle téléexpertise {EXPERT.address}")
    filled = answered(requester, asked, request_values(name="ESSAI"))
    await course.take(
        _posting("request", requester, attach(filled, ("photo.jpg", b"\xff\xd8" * 50)), service)
    )
    async with services.store.reading() as tx:
        (conversation,) = await tx.conversations.ids()
        row = await tx.conversations.get(conversation)
    assert row is not None
    postings = []
    for name, command, writer, values in (
        ("finalise", "Finaliser", expert, {"Conclusion": "Bénin.", "Suite proposée": "Surveillance"}),
        ("decline", "Décliner", expert, {"Motif": "Hors de mon domaine."}),
        ("cancel", "Annuler", requester, {"Motif": "Le patient a consulté."}),
    ):
        mail = await form(writer, f"{command} {row.ref}")
        postings.append(_posting(name, writer, answered(writer, mail, values), service))
    postings += _replies(await _question(services, conversation), requester, expert)
    _snapshot(Path(services.settings.database.url.get_secret_value().partition(":///")[2]), folder / _OPENED)
    return Wire(runner, services, folder, conversation, {posting.name: posting for posting in postings})


def _replies(question: EmailMessage, requester: Client, expert: Client) -> list[Posting]:
    address = str(question["reply-to"].addresses[0].addr_spec)
    mails = {
        name: (writer, writer.reply(question, f"Message {name}.\r\n"))
        for name, writer in (
            ("r1", requester),
            ("r2", requester),
            ("e1", expert),
            ("e2", expert),
            ("e1x", expert),
        )
    }
    mails["e1x"][1].replace_header("Message-ID", str(mails["e1"][1]["message-id"]))
    return [_posting(name, writer, mail, address) for name, (writer, mail) in mails.items()]


def _snapshot(database: Path, copy: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def _posting(name: str, writer: Client, mail: EmailMessage, recipient: str) -> Posting:
    return Posting(name, writer.address, recipient, mail.as_bytes())


async def _question(services: Services, conversation: UUID) -> EmailMessage:
    async with services.store.reading() as tx:
        rows: Any = await tx.messages.of(conversation)
        mails = [read(await tx.messages.get_raw(row.id) or b"") for row in rows]
    return next(mail for mail in mails if mail["x-tle-event"] == "question")
