"""Invented tele-expertises for tests of the domain: people, a request, a conversation played step by step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from config.resources import read_resource
from teleexpertise.conversation import Conversation, fold
from teleexpertise.decision import Decision, decide
from teleexpertise.events import (
    AbsenceNoted,
    AnyEvent,
    AttachmentNote,
    Author,
    Cancelled,
    Completed,
    Declined,
    DeliveryFailed,
    Exchanged,
    ExpertAway,
    Held,
    IntegrationFailed,
    MemberJoined,
    MemberLeft,
    Opened,
    Record,
    Reminded,
    ReminderKind,
    ReportMade,
    Side,
)
from teleexpertise.facts import Facts, Trigger
from teleexpertise.letters import Letter, Mailbox
from teleexpertise.patients import Patient
from teleexpertise.people import Absence, ItemKind, Party, PrerequisiteItem
from teleexpertise.rules import RuleBook, load_rules

CONVERSATION = UUID("6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11")
REF = "TLE-2026-000123"
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

REQUESTER = Party(
    "lea.martin@demo.mssante.example", "Dr Léa MARTIN", rpps="10001234567", profession="Médecin généraliste"
)
EXPERT = Party("remy.perret@demo.mssante.example", "Dr Rémy PERRET", profession="Dermatologie")
GUEST = Party("nora.faure@autre.mssante.example", "Nora FAURE", local=False)
STRANGER = Mailbox("paul.inconnu@demo.mssante.example", "Paul INCONNU")
DEPUTY = Party("anne.brun@demo.mssante.example", "Dr Anne BRUN", profession="Dermatologie")
AWAY = Absence(starts=date(2026, 3, 3), ends=date(2026, 3, 12), deputy=DEPUTY.address)
PARTIES = {Side.REQUESTER: REQUESTER, Side.EXPERT: EXPERT, Side.GUEST: GUEST}

OVERVIEW = PrerequisiteItem(name="Vue d'ensemble", kind=ItemKind.IMAGE, mandatory=True)
CLOSE_UP = PrerequisiteItem(name="Vue rapprochée", kind=ItemKind.IMAGE, mandatory=True)
SHEET = PrerequisiteItem(name="Fiche remplie", kind=ItemKind.DOCUMENT, mandatory=True)

DEFAULT_RULES = read_resource("rules.toml")


def author(side: Side, acting_for: Party | None = None) -> Author:
    """The person of that side, maybe acting for somebody."""
    party = PARTIES[side]
    if acting_for is None:
        return Author(party.address, party.name)
    return Author(party.address, party.name, acting_for.address, acting_for.name)


def note(filename: str = "photo.jpg", content_type: str = "image/jpeg") -> AttachmentNote:
    """A remembered attachment."""
    return AttachmentNote(filename=filename, content_type=content_type, size=120_000, sha256="0" * 64)


def opened(
    items: tuple[PrerequisiteItem, ...] = (),
    images: int = 0,
    documents: int = 0,
    urgency: str = "7j",
    specialties: tuple[str, ...] = ("Dermatologie",),
) -> Opened:
    """A request of Dr Martin to Dr Perret."""
    return Opened(
        ref=REF,
        requester=REQUESTER,
        expert=EXPERT,
        patient=Patient(
            birth_name="Durand",
            first_names="Zoé",
            birth_date=date(1961, 5, 4),
            sex="F",
            ins="261054300000186",
        ),
        question="Lésion pigmentée du dos, évolutive ?",
        urgency=urgency,
        items=items,
        images=images,
        documents=documents,
        specialties=specialties,
        attachments=tuple(note() for _ in range(images)),
    )


def completed(conclusion: str = "Kératose séborrhéique, pas de geste.") -> Completed:
    """A finalisation with the parties of the request."""
    return Completed(requester=REQUESTER, expert=EXPERT, conclusion=conclusion, exchanges=(1,))


def record(seq: int, event: AnyEvent, writer: Author | None = None) -> Record:
    """One entry of the record, a minute after the one before."""
    return Record(
        seq=seq,
        at=START + timedelta(minutes=seq),
        author=writer or author(Side.REQUESTER),
        message=uuid5(CONVERSATION, str(seq)),
        message_sha256="0" * 64,
        mail_id=f"<{seq}@client.example>",
        event=event,
    )


def conversation(*events: AnyEvent | tuple[Side, AnyEvent], opening: Opened | None = None) -> Conversation:
    """The conversation after a request and these events; an event alone is the requester's."""
    pairs = [event if isinstance(event, tuple) else (Side.REQUESTER, event) for event in events]
    records = [record(1, opening or opened())]
    records += [record(seq, event, author(side)) for seq, (side, event) in enumerate(pairs, 2)]
    return fold(CONVERSATION, records)


def rules(*operator: str) -> RuleBook:
    """The default rules, then an operator's."""
    return load_rules([DEFAULT_RULES, *operator])


def letter(**fields: Any) -> Letter:
    """A letter with these fields."""
    return replace(Letter(message_id="<m@client.example>", subject="", senders=()), **fields)


@dataclass
class Play:
    """A conversation played through ``decide`` as the gateway would: decided, recorded, folded."""

    book: RuleBook = field(default_factory=rules)
    records: list[Record] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    @property
    def now(self) -> Conversation | None:
        """What the record says, ``None`` before it begins."""
        return fold(CONVERSATION, self.records) if self.records else None

    def happens(self, facts: Facts) -> Decision:
        """Decide, then record the events of the decision."""
        moment = START + timedelta(minutes=len(self.records))
        decision = decide(self.now, facts, self.book, moment)
        for event in decision.events:
            self.records.append(record(len(self.records) + 1, event, facts.author))
        self.decisions.append(decision)
        return decision

    def request(self, opening: Opened | None = None, tool_url: str = "") -> Decision:
        """The requester asks."""
        facts = Facts(
            trigger=Trigger.REQUEST,
            author=author(Side.REQUESTER),
            proposed=opening or opened(),
            tool_url=tool_url,
        )
        return self.happens(facts)

    def mail(self, side: Side, images: int = 0, documents: int = 0) -> Decision:
        """A member writes."""
        before = self.now
        event = Exchanged(
            side=side, images=images, documents=documents, late=before is not None and before.closed
        )
        return self.act(Trigger.MESSAGE, event, side)

    def act(self, trigger: Trigger, proposed: AnyEvent, side: Side) -> Decision:
        """A member of that side does something."""
        return self.happens(Facts(trigger=trigger, author=author(side), proposed=proposed, side=side))

    def finalise(self, side: Side = Side.EXPERT) -> Decision:
        """The expert's side finalises."""
        return self.act(Trigger.FINALISE, completed(), side)


def proposals(seed: int = 1) -> list[tuple[Trigger, AnyEvent]]:
    """One thing of each trigger but the request that can happen to a conversation."""
    return [
        (Trigger.MESSAGE, Exchanged(side=Side.REQUESTER, images=seed)),
        (Trigger.ASK, Held(reason="demande de l'expert", asked=("Photographie nette",))),
        (Trigger.FINALISE, completed()),
        (Trigger.DECLINE, Declined(reason="Hors de mon domaine.")),
        (Trigger.CANCEL, Cancelled(reason="Patient vu en consultation.")),
        (Trigger.INVITE, MemberJoined(party=GUEST)),
        (Trigger.REMOVE, MemberLeft(address=GUEST.address)),
        (Trigger.REPORT, ReportMade(version=seed, filename="compte-rendu.pdf", sha256="0" * 64)),
        (Trigger.ABSENCE, AbsenceNoted(address=EXPERT.address)),
        (Trigger.BOUNCE, DeliveryFailed(recipient=GUEST.address, status="5.1.1")),
        (
            Trigger.INTEGRATION,
            IntegrationFailed(recipient=GUEST.address, mail_id="<a@b.example>", code="902"),
        ),
        (Trigger.REMINDER, Reminded(reminder=ReminderKind.PROMISE)),
        (Trigger.AWAY, ExpertAway(absence=AWAY, deputy=DEPUTY)),
    ]
