"""The links that our mails carry: commands to the service address, never patient or billing data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from teleexpertise.commands import (
    Annuaire,
    Ask,
    Cancel,
    Command,
    Confirm,
    Decline,
    Delegates,
    Export,
    Finalise,
    Help,
    Invite,
    NewRequest,
    PatientSearch,
    Preferences,
    Remove,
    Synthesis,
    Worklist,
    command_subject,
    mailto,
)
from teleexpertise.conversation import Conversation
from teleexpertise.events import Side
from teleexpertise.states import State
from teleexpertise.texts import Link, Words

__all__ = ["Links"]

_LABELS = {
    Annuaire: "directory",
    NewRequest: "request",
    PatientSearch: "patient",
    Preferences: "preferences",
    Worklist: "worklist",
    Finalise: "finalise",
    Synthesis: "synthesis",
    Decline: "decline",
    Cancel: "cancel",
    Ask: "ask",
    Remove: "remove",
    Invite: "invite",
    Confirm: "confirm",
    Export: "export",
    Help: "help",
    Delegates: "delegates",
}


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links to the service address with the French labels of ``words.toml`` (table ``links``)."""

    service: str
    words: Words

    def to(self, command: Command, label: str = "") -> Link:
        """The link of one command; ``label`` names another entry of the table than the command's own."""
        subject = command_subject(command)
        shown = self.words.of("links", label or _LABELS[type(command)])
        return Link(shown, mailto(self.service, subject), self.service, subject)

    def all(self, commands: Iterable[Command]) -> tuple[Link, ...]:
        """The links of several commands, in order."""
        return tuple(self.to(command) for command in commands)

    def of(self, conversation: Conversation, side: Side) -> tuple[Link, ...]:
        """What somebody on this side can do with a conversation now."""
        ref = conversation.ref
        if conversation.state is State.COMPLETED and side is Side.EXPERT:
            return self.all((Synthesis(ref), Finalise(ref)))
        if conversation.closed:
            return self.all((Synthesis(ref),)) if side is not Side.GUEST else ()
        match side:
            case Side.EXPERT:
                return self.all((Finalise(ref), Ask(ref), Decline(ref), Synthesis(ref)))
            case Side.REQUESTER:
                return self.all((Cancel(ref), Synthesis(ref)))
            case Side.GUEST:
                return ()

    def everyday(self) -> tuple[Link, ...]:
        """Where anybody can begin: the directory of services, one's own conversations."""
        return (self.to(Annuaire("avis"), "services"), self.to(Worklist()))
