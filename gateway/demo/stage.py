"""The clients of both sides of a demonstration, and the writing down of what each of them sends and sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from threading import Event

from certs.tls import submission_client_context
from config import Settings
from gateway.demo.accounts import DemoFile
from gateway.demo.client import MailClient, NotSeen, Received
from gateway.demo.data import DemoConversation, load_demo
from gateway.demo.steps import Archive, Sent, Sight, Step, Story, load_story
from mailboxes.vocabulary import CONVERSATIONS_FOLDER, STATES, state_keyword
from teleexpertise.events import Side
from teleexpertise.people import Document
from teleexpertise.states import State

__all__ = ["INBOX", "Stage", "set_stage"]

INBOX = "INBOX"
_SECONDS = 120.0
_KEYWORDS = {state_keyword(state): state for state in STATES}


@dataclass(slots=True)
class Stage:
    """Everything that the demonstration plays with.

    ``requester`` and ``expert`` read the mailboxes of the two sides, ``delegate`` writes for the expert.
    ``reference`` is '' until the conversation is open; ``key`` is the step that is being played.
    """

    service: str
    data: DemoConversation
    story: Story
    archive: Archive
    tell: Callable[[Step], None]
    requester: MailClient
    expert: MailClient
    delegate: MailClient
    key: str = ""
    reference: str = ""
    steps: list[Step] = field(default_factory=list)
    _sent: list[Sent] = field(default_factory=list)
    _seen: list[Sight] = field(default_factory=list)

    @property
    def clients(self) -> tuple[MailClient, ...]:
        """All clients."""
        return (self.requester, self.expert, self.delegate)

    def side(self, client: MailClient) -> Side:
        """On which side a client stands."""
        return Side.REQUESTER if client is self.requester else Side.EXPERT

    @contextmanager
    def step(self, key: str) -> Iterator[None]:
        """One step: told when all in it was seen."""
        self.key = key
        self._sent.clear()
        self._seen.clear()
        began = time.monotonic()
        yield
        done = Step(
            key=key,
            title=self.story.steps[key],
            sent=tuple(self._sent),
            seen=tuple(self._seen),
            seconds=round(time.monotonic() - began, 2),
        )
        self.steps.append(done)
        self.tell(done)

    # -- sending ---

    def command(self, client: MailClient, to: str, subject: str) -> str:
        """Send a mail that is a command in the subject; its Message-ID comes back."""
        return self.send(client, client.compose(to, subject, ""), "")[0]

    def reply(
        self, client: MailClient, received: Received, text: str, attachments: Sequence[Document] = ()
    ) -> tuple[str, bytes]:
        """Reply to a mail; the Message-ID of the reply and its octets come back."""
        return self.send(client, client.reply(received, text, attachments), text)

    def send(self, client: MailClient, message: EmailMessage, text: str) -> tuple[str, bytes]:
        """Send a mail and write it down."""
        raw = client.send(message)
        side = self.side(client)
        self._sent.append(
            Sent(
                side=side,
                sender=str(message["From"]),
                to=str(message["To"]),
                subject=str(message["Subject"]),
                text=text,
                attachments=tuple(str(part.get_filename()) for part in message.iter_attachments()),
                file=self.archive.put(self.key, side, "sent", raw),
            )
        )
        return str(message["Message-ID"]), raw

    # -- seeing ---

    def answer(self, client: MailClient, message_id: str) -> Received:
        """The service's answer to a mail, in INBOX."""
        found = client.wait(
            INBOX, "In-Reply-To", message_id, lambda _: True, what=message_id, seconds=_SECONDS
        )
        return self.note(client, found)

    def event(self, client: MailClient, event: str, state: State) -> Received:
        """The mail that the gateway wrote for an event of the conversation, its keyword saying the state."""
        found = client.wait(
            CONVERSATIONS_FOLDER,
            "X-TLE-Ref",
            self.reference,
            lambda mail: mail.header("X-TLE-Event") == event and state_keyword(state) in mail.flags,
            what=f"{event}, {state}",
            seconds=_SECONDS,
        )
        return self.note(client, found)

    def letter(self, client: MailClient, message_id: str, raw: bytes, state: State) -> Received:
        """A person's mail in the conversation, its body byte for byte, its keyword saying the state."""
        found = client.wait(
            CONVERSATIONS_FOLDER,
            "Message-ID",
            message_id,
            lambda mail: state_keyword(state) in mail.flags,
            what=f"{message_id}, {state}",
            seconds=_SECONDS,
        )
        if found.body.rstrip() != raw.partition(b"\r\n\r\n")[2].rstrip():
            raise NotSeen(f"{client.account.address}: the body of {message_id} was altered")
        return self.note(client, found)

    def notices(self, client: MailClient) -> int:
        """How many short notices about the conversation lie in INBOX."""
        return len(client.search(INBOX, "Subject", self.reference))

    def notice(self, client: MailClient, before: int) -> Received:
        """One more notice than there were ``before``."""

        def newest() -> Received | None:
            found = client.search(INBOX, "Subject", self.reference)
            return found[0] if len(found) > before else None

        return self.note(client, client.until(newest, what=f"notice of {self.reference}", seconds=_SECONDS))

    def filed(self, client: MailClient, below: str, content: bytes) -> Received:
        """A mail of the conversation in a folder ``below`` that encloses ``content``."""

        def look() -> Received | None:
            for folder in client.folders():
                if folder.startswith(f"{below}/"):
                    for mail in client.search(folder, "X-TLE-Ref", self.reference):
                        if content in (enclosed for _, enclosed in mail.attachments()):
                            return mail
            return None

        return self.note(client, client.until(look, what=f"{self.reference} below {below}", seconds=_SECONDS))

    def note(self, client: MailClient, received: Received) -> Received:
        """Write down what a client saw."""
        side = self.side(client)
        self._seen.append(
            Sight(
                side=side,
                mailbox=client.account.address,
                folder=received.folder,
                sender=received.sender,
                subject=received.header("Subject"),
                state=_state(received.flags),
                text=received.text,
                attachments=tuple(name for name, _ in received.attachments()),
                file=self.archive.put(self.key, side, "seen", received.raw),
            )
        )
        return received


def _state(flags: Iterable[str]) -> str:
    return next((_KEYWORDS[flag] for flag in sorted(flags) if flag in _KEYWORDS), "")


def set_stage(
    settings: Settings, accounts: DemoFile, archive: Archive, tell: Callable[[Step], None], stopped: Event
) -> Stage:
    """The clients, not connected yet: between them they use every port that clients connect to."""
    data = load_demo(settings.service.domain).conversation
    tls = submission_client_context(settings.pki.anchors)

    def client(address: str, imap: int, smtp: int) -> MailClient:
        return MailClient(accounts.account(address), accounts.imap[imap], accounts.smtp[smtp], tls, stopped)

    return Stage(
        service=accounts.service_address,
        data=data,
        story=load_story(),
        archive=archive,
        tell=tell,
        requester=client(data.requester, 0, 1),
        expert=client(data.expert, 1, 0),
        delegate=client(data.answering, 0, 0),
    )
