"""What a rule may ask about: one flat vocabulary of symbols, filled from the conversation and what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from teleexpertise.conversation import Conversation
from teleexpertise.events import (
    AnyEvent,
    Author,
    Exchanged,
    ExpertAway,
    Opened,
    Reminded,
    ReminderKind,
    Side,
)
from teleexpertise.people import Party
from teleexpertise.prerequisites import Given, missing
from teleexpertise.states import CLOSED, State

__all__ = ["SYMBOLS", "VALUES", "Facts", "SymbolKind", "Trigger", "symbols"]


class Trigger(StrEnum):
    """What a rule's ``on`` names: the kind of thing that has just happened."""

    REQUEST = "request"
    MESSAGE = "message"
    ASK = "ask"
    FINALISE = "finalise"
    DECLINE = "decline"
    CANCEL = "cancel"
    INVITE = "invite"
    REMOVE = "remove"
    REPORT = "report"
    ABSENCE = "absence"
    BOUNCE = "bounce"
    INTEGRATION = "integration"
    REMINDER = "reminder"
    AWAY = "away"


class SymbolKind(StrEnum):
    """The types of the vocabulary, as the condition language knows them."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"
    TEXTS = "texts"


#: The vocabulary of conditions: symbol -> type and meaning. ``docs/rules.md`` is generated from it.
SYMBOLS: Mapping[str, tuple[SymbolKind, str]] = MappingProxyType(
    {
        "state": (SymbolKind.TEXT, "state of the conversation before this rule; new for a request"),
        "side": (SymbolKind.TEXT, "the side of the author"),
        "closed": (SymbolKind.TRUTH, "the conversation was closed already"),
        "urgency": (SymbolKind.TEXT, "urgency of the request, as the form's option"),
        "anonymous": (SymbolKind.TRUTH, "the patient is not named"),
        "images": (SymbolKind.NUMBER, "photos in this message"),
        "documents": (SymbolKind.NUMBER, "documents in this message"),
        "images_total": (SymbolKind.NUMBER, "photos from the requester's side so far, this message included"),
        "documents_total": (
            SymbolKind.NUMBER,
            "documents from the requester's side so far, this one included",
        ),
        "missing": (SymbolKind.TEXTS, "mandatory elements still missing, by name"),
        "missing_count": (SymbolKind.NUMBER, "how many mandatory elements are missing"),
        "asked_count": (SymbolKind.NUMBER, "how many elements the expert has asked for and waits for"),
        "expert": (SymbolKind.TEXT, "address of the expert"),
        "deputy": (
            SymbolKind.TEXT,
            "address of who answers for the absent expert here (on `away`: from now on), or empty",
        ),
        "expert_specialties": (SymbolKind.TEXTS, "specialties of the expert, lower case with accents"),
        "expert_delay_days": (SymbolKind.NUMBER, "delay announced by the expert, days"),
        "expert_tool_url": (SymbolKind.TEXT, "address of the other tool that the expert uses, or empty"),
        "expert_allows_anonymous": (SymbolKind.TRUTH, "the expert accepts requests without identity"),
        "expert_has_written": (SymbolKind.TRUTH, "the expert's side has answered at least once"),
        "requester": (SymbolKind.TEXT, "address of the requester"),
        "requester_profession": (SymbolKind.TEXT, "profession of the requester, lower case"),
        "requester_is_local": (SymbolKind.TRUTH, "the requester has an account of our domains"),
        "delegated": (SymbolKind.TRUTH, "the author acts for somebody else"),
        "signature": (SymbolKind.TEXT, "S/MIME verdict of the message"),
        "encrypted": (SymbolKind.TRUTH, "the message is encrypted end to end"),
        "version": (SymbolKind.NUMBER, "finalisations so far"),
        "reminder": (SymbolKind.TEXT, "what the request is to be reminded of, or empty"),
        "age_hours": (SymbolKind.NUMBER, "hours since the opening"),
        "hour": (SymbolKind.NUMBER, "hour of the day now, where the service is (0 to 23)"),
    }
)

#: The words that some symbols are limited to, so that a misspelt one is found when the rules are loaded.
VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "state": tuple(str(state) for state in State),
        "side": tuple(str(side) for side in Side),
        "urgency": ("vitale", "24h", "72h", "7j", "aucune"),
        "reminder": ("", *map(str, ReminderKind)),
        "signature": ("passed", "failed", "indeterminate", "none"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One thing that happened, with all that the rules may know of it.

    ``proposed`` is the event that ``accept`` records (the opened request, the exchanged mail, the
    finalisation ...).
    """

    trigger: Trigger
    author: Author
    proposed: AnyEvent
    side: Side = Side.REQUESTER
    tool_url: str = ""
    allows_anonymous: bool = False


def _given(facts: Facts) -> Given:
    event = facts.proposed
    if isinstance(event, Opened):
        answered = frozenset(name for name, answer in event.answers if answer)
        return Given(images=event.images, documents=event.documents, fields=answered)
    if isinstance(event, Exchanged):
        return Given(images=event.images, documents=event.documents)
    return Given()


def _deputy(conversation: Conversation | None, proposed: AnyEvent) -> Party | None:
    if isinstance(proposed, Opened | ExpertAway):
        return proposed.deputy
    return conversation.deputy if conversation is not None else None


def symbols(conversation: Conversation | None, facts: Facts, now: datetime) -> dict[str, Any]:
    """Every symbol of :data:`SYMBOLS` with its value for this case.

    ``now`` is in the zone of the service, since ``hour`` is what its clocks show.
    """
    opening = facts.proposed if isinstance(facts.proposed, Opened) else None
    if opening is None:
        assert conversation is not None, "only a request comes without a conversation"
        opening = conversation.opening
    deputy = _deputy(conversation, facts.proposed)
    here = _given(facts)
    before = conversation.given if conversation else Given()
    total = before + here if conversation is None or facts.side is not Side.EXPERT else before
    lacking = missing(opening.items, total)
    state = conversation.state if conversation else State.NEW
    exchanged = facts.proposed if isinstance(facts.proposed, Exchanged) else None
    age = (now - conversation.opened_at).total_seconds() / 3600 if conversation else 0.0
    return {
        "state": str(state),
        "side": str(facts.side),
        "closed": state in CLOSED,
        "urgency": opening.urgency,
        "anonymous": opening.patient.anonymous,
        "images": here.images,
        "documents": here.documents,
        "images_total": total.images,
        "documents_total": total.documents,
        "missing": list(lacking),
        "missing_count": len(lacking),
        "asked_count": len(conversation.asked) if conversation else 0,
        "expert": opening.expert.address,
        "deputy": deputy.address if deputy is not None else "",
        "expert_specialties": [name.lower() for name in opening.specialties],
        "expert_delay_days": opening.delay_days,
        "expert_tool_url": facts.tool_url,
        "expert_allows_anonymous": facts.allows_anonymous,
        "expert_has_written": bool(conversation and conversation.expert_has_written),
        "requester": opening.requester.address,
        "requester_profession": opening.requester.profession.lower(),
        "requester_is_local": opening.requester.local,
        "delegated": bool(facts.author.acting_for),
        "signature": exchanged.signature if exchanged else "none",
        "encrypted": bool(exchanged and exchanged.encrypted),
        "version": conversation.version if conversation else 0,
        "reminder": str(facts.proposed.reminder) if isinstance(facts.proposed, Reminded) else "",
        "age_hours": age,
        "hour": now.hour,
    }
