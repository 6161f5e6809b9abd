"""From the domain's state to what our mails show: the contexts of ``teleexpertise.texts`` for one
conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from gateway.pipeline.links import Links
from teleexpertise.absences import asking
from teleexpertise.commands import Remove
from teleexpertise.conversation import Conversation
from teleexpertise.events import Author, ReminderKind, Side
from teleexpertise.people import Absence, Document, Party
from teleexpertise.prerequisites import satisfied
from teleexpertise.reminding import CONVENTION
from teleexpertise.texts import contexts as mails
from teleexpertise.texts import followup_contexts
from teleexpertise.texts.document_contexts import IntegrationRefused
from teleexpertise.texts.views import Link

__all__ = ["Case", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One mail to be written: the conversation after the decision, who caused it, and what only this case
    has.
    """

    conversation: Conversation
    author: Author
    now: datetime
    links: Links
    text: str = ""
    warnings: tuple[str, ...] = ()
    person: Party | None = None
    documents: tuple[Document, ...] = ()
    filename: str = ""
    others: tuple[mails.ExpertCard, ...] = ()
    recipient: str = ""
    sent_at: datetime | None = None
    diagnostic: str = ""
    code: str = ""
    cause: str | None = None


class _Head(TypedDict):
    reference: str
    state: str


def _head(case: Case) -> _Head:
    """What begins every mail about a conversation."""
    return {"reference": case.conversation.ref, "state": case.conversation.state}


def _opening(case: Case) -> mails.Mail:
    conversation = case.conversation
    opening = conversation.opening
    given = satisfied(conversation.items, conversation.given)
    return mails.Opening(
        **_head(case),
        requester=opening.requester,
        expert=opening.expert,
        delay_days=opening.delay_days,
        prerequisites=opening.prerequisites,
        checklist=tuple(
            mails.ChecklistLine(item, given=there)
            for item, there in zip(conversation.items, given, strict=True)
        ),
        documents=tuple(document.filename for document in case.documents),
        absence=opening.absence,
        deputy=opening.deputy,
        deputy_until=opening.deputy_until,
        expert_links=case.links.of(conversation, Side.EXPERT),
        requester_links=case.links.of(conversation, Side.REQUESTER),
    )


def _question(case: Case) -> mails.Mail:
    conversation = case.conversation
    opening = conversation.opening
    return mails.Question(
        **_head(case),
        requester=opening.requester,
        author=case.author,
        expert=opening.expert,
        patient=opening.patient,
        consent=opening.consent,
        urgency=opening.urgency,
        question=opening.question,
        asked_at=conversation.opened_at,
        phone=opening.phone,
        remark=opening.remark,
        answers=opening.answers,
        attachments=opening.attachments,
        missing=conversation.missing,
    )


def _missing(case: Case) -> mails.Mail:
    conversation = case.conversation
    return mails.MissingItems(
        **_head(case),
        expert=conversation.expert,
        missing=conversation.missing,
        asked=case.text,
    )


def _complement(case: Case) -> mails.Mail:
    conversation = case.conversation
    return mails.MoreAsked(
        **_head(case),
        author=case.author,
        asked="\n".join(conversation.asked),
    )


def _person(case: Case) -> Party:
    assert case.person is not None, "this mail is about a person"
    return case.person


def _invitation(case: Case) -> mails.Mail:
    conversation = case.conversation
    person = _person(case)
    return mails.Invited(
        **_head(case),
        person=person,
        by=case.author,
        requester=conversation.requester.name,
        expert=conversation.expert.name,
        remove=case.links.to(Remove(person.address, conversation.ref)),
    )


def _removal(case: Case) -> mails.Mail:
    return mails.Removed(**_head(case), person=_person(case), by=case.author)


def _names(conversation: Conversation, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """People by the name that the conversation knows them by, others by their address."""
    known = {member.party.address: member.party for member in conversation.members}
    return tuple(known[each].name or each if each in known else each for each in addresses)


def _report(case: Case) -> mails.Mail:
    conversation = case.conversation
    completion = conversation.completion
    assert completion is not None, "a report follows a finalisation"
    return mails.ReportReady(
        **_head(case),
        requester=completion.requester,
        expert=completion.expert,
        finaliser=completion.finaliser,
        outcome=completion.outcome,
        conclusion=completion.conclusion,
        filename=case.filename,
        version=conversation.version,
        addressees=_names(conversation, completion.addressees),
        lacking=case.warnings,
    )


def _closed(case: Case) -> mails.Mail:
    conversation = case.conversation
    return mails.Closed(
        **_head(case),
        author=case.author,
        reason=conversation.closing_reason,
    )


def _absence(case: Case) -> mails.Mail:
    return mails.Absence(**_head(case), author=case.author.name, text=case.text)


def _not_delivered(case: Case) -> mails.Mail:
    return mails.NotDelivered(
        **_head(case),
        recipient=case.recipient,
        sent_at=case.sent_at or case.now,
        diagnostic=case.diagnostic,
        cause=case.cause,
    )


def _not_integrated(case: Case) -> mails.Mail:
    return IntegrationRefused(
        **_head(case),
        recipient=case.recipient,
        sent_at=case.sent_at or case.now,
        code=case.code,
        diagnostic=case.diagnostic,
    )


def _confirmation(case: Case) -> mails.Mail:
    conversation = case.conversation
    opening = conversation.opening
    return mails.Confirmation(
        **_head(case),
        author=case.author,
        expert=conversation.expert,
        patient=conversation.patient,
        urgency=opening.urgency,
        delay_days=opening.delay_days,
        missing=conversation.missing,
        warnings=case.warnings,
        links=case.links.of(conversation, Side.REQUESTER),
    )


def _closing_confirmation(case: Case) -> mails.Mail:
    conversation = case.conversation
    completion = conversation.completion
    return mails.ClosingConfirmation(
        **_head(case),
        author=case.author,
        requester=conversation.requester,
        expert=conversation.expert,
        patient=conversation.patient,
        outcome=completion.outcome if completion else "",
        conclusion=completion.conclusion if completion else "",
        reason=conversation.closing_reason,
        version=conversation.version,
        addressees=_names(conversation, completion.addressees) if completion else (),
        billed=completion.billed if completion else (),
        warnings=case.warnings,
    )


def _conflict(case: Case) -> mails.Mail:
    conversation = case.conversation
    return mails.AlreadyClosed(
        **_head(case),
        by=conversation.closed_by or case.author,
        at=conversation.closed_at or conversation.updated_at,
        links=case.links.of(conversation, conversation.side(case.author.account)),
    )


def _redirection(case: Case) -> mails.Mail:
    conversation = case.conversation
    return mails.OtherTool(expert_name=conversation.expert.name, tool_url=conversation.redirect_url)


def _emergency(case: Case) -> mails.Mail:
    return mails.VitalEmergency(expert_name=case.conversation.expert.name)


def _reminder(case: Case) -> mails.Mail:
    return followup_contexts.Reminder(**_due(case))


def _reminder_of_deputy(case: Case) -> mails.Mail:
    conversation = case.conversation
    known = conversation.known_absences
    until = known[-1].ends if known else None
    return followup_contexts.DeputyReminder(
        **_due(case), absent=conversation.opening.expert.name, until=until
    )


class _Due(_Head):
    """What every reminder of the expert's side says."""

    reminder: ReminderKind
    requester: str
    asked_at: datetime
    ends_at: datetime
    links: tuple[Link, ...]


def _due(case: Case) -> _Due:
    conversation = case.conversation
    kind = conversation.reminded[-1]
    by_convention = conversation.opened_at + CONVENTION
    return _Due(
        **_head(case),
        reminder=kind,
        requester=conversation.requester.name,
        asked_at=conversation.opened_at,
        ends_at=conversation.promised_at if kind is ReminderKind.PROMISE else by_convention,
        links=case.links.of(conversation, Side.EXPERT),
    )


def _unanswered(case: Case) -> mails.Mail:
    conversation = case.conversation
    return followup_contexts.Unanswered(
        **_head(case),
        expert=conversation.expert.name,
        asked_at=conversation.opened_at,
        others=case.others,
        links=case.links.of(conversation, Side.REQUESTER),
    )


class _Away(_Head):
    """What is said of an expert's absence."""

    expert: str
    absence: Absence
    asked_at: datetime
    answered: bool
    others: tuple[mails.ExpertCard, ...]


def _away(case: Case) -> mails.Mail:
    """The mail that an absence asks for, by whichever name a rule calls it: with a deputy or without."""
    conversation = case.conversation
    noted = conversation.away[-1]
    said = _Away(
        **_head(case),
        expert=conversation.expert.name,
        absence=noted.absence,
        asked_at=conversation.opened_at,
        answered=conversation.expert_has_written,
        others=case.others,
    )
    if noted.deputy is None:
        return followup_contexts.ExpertAbsent(
            **said,
            self_asked=noted.absence.deputy in asking(conversation),
            links=case.links.of(conversation, Side.REQUESTER),
        )
    due = conversation.promised_at
    return followup_contexts.Replacement(
        **said,
        deputy=noted.deputy,
        requester=conversation.requester.name,
        remove=case.links.to(Remove(noted.deputy.address, conversation.ref)),
        due=due if due > case.now and not conversation.expert_has_written else None,
        deputy_until=noted.deputy_until,
        links=case.links.of(conversation, Side.EXPERT),
    )


def _command_done(case: Case) -> mails.Mail:
    person = case.person.name if case.person else ""
    done = mails.CommandDone.REMOVED if case.person else mails.CommandDone.ASKED
    return mails.CommandConfirmation(
        **_head(case),
        done=done,
        person=person,
        warnings=case.warnings,
    )


_BUILDERS: Mapping[str, Callable[[Case], mails.Mail]] = {
    "ouverture": _opening,
    "question": _question,
    "elements-manquants": _missing,
    "complement": _complement,
    "invitation": _invitation,
    "retrait": _removal,
    "rapport": _report,
    "cloture": _closed,
    "absence": _absence,
    "non-remise": _not_delivered,
    "integration-echouee": _not_integrated,
    "confirmation": _confirmation,
    "confirmation-cloture": _closing_confirmation,
    "confirmation-commande": _command_done,
    "conflit": _conflict,
    "rappel": _reminder,
    "rappel-remplacant": _reminder_of_deputy,
    "sans-reponse": _unanswered,
    "remplacement": _away,
    "expert-absent": _away,
    "redirection": _redirection,
    "urgence-vitale": _emergency,
}


def build(template: str, case: Case) -> mails.Mail:
    """The context of the mail that a rule names. Raises ``KeyError`` for a name that no rule may use."""
    return _BUILDERS[template](case)
