"""Commands in the subject: the directory, forms, the worklist, a synthesis, removal, confirmation, help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.pipeline import (
    closing,
    delegating,
    document_requests,
    exporting,
    holding,
    patient_search,
    preferences,
    requesting,
    worklist,
)
from gateway.pipeline.directory_pages import directory_page, experts_named
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.membership import join, leave, reachable
from gateway.pipeline.refusing import refused
from gateway.pipeline.sending_forms import send_form
from gateway.pipeline.unit import Unit
from teleexpertise import commands
from teleexpertise.conversation import Conversation
from teleexpertise.events import Side
from teleexpertise.forms import FormKind
from teleexpertise.letters import Mailbox
from teleexpertise.people import Expert, Party
from teleexpertise.placing import Authorship, authorship
from teleexpertise.states import State
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import RefusalReason
from teleexpertise.texts.export_contexts import ExportRefused

__all__ = ["obey"]


async def obey(unit: Unit, incoming: Incoming, command: commands.Command) -> str:
    """Do what a command says; every command is answered to its author alone."""
    perform = _PERFORMERS[type(command)]
    return await perform(unit, incoming, command)


async def _search(unit: Unit, incoming: Incoming, command: commands.Annuaire) -> str:
    page = await directory_page(unit, command.terms, command.page)
    await unit.reply(incoming, page)
    return "directory"


async def _new_request(unit: Unit, incoming: Incoming, command: commands.NewRequest) -> str:
    found: list[Expert] = await experts_named(unit, command.expert, 2)
    if len(found) != 1:
        await unit.reply(incoming, await directory_page(unit, command.expert, 1))
        return "expert to be chosen"
    asked = await document_requests.receive(unit, incoming, found[0].account.address)
    if asked is not None:
        return asked
    options = {"acting": incoming.written_as}
    sheet = await requesting.sheet(unit, incoming.login, found[0].account.address, options)
    if sheet is None:
        mail = mails.Refusal(reason=RefusalReason.UNKNOWN_EXPERT, detail=command.expert)
        await unit.reply(incoming, mail)
        return "expert unknown"
    await unit.store(incoming)
    if command.patient is not None:
        known = await patient_search.prefilled(unit, incoming.login.address, command.patient)
        sheet = replace(sheet, values={**sheet.values, **known})
    await send_form(unit, incoming.login, sheet, incoming.letter.message_id)
    return "request form"


async def _member_of(unit: Unit, incoming: Incoming, reference: str) -> tuple[Conversation, Authorship]:
    """The conversation of a reference and the side somebody takes in it; refused alike for unknown and
    foreign ones.
    """
    row = await unit.tx.conversations.by_ref(reference) if reference else None
    conversation = await unit.load(row.id) if row else None
    rights = await unit.tx.delegations.rights()
    by = authorship(conversation, incoming.login, incoming.written_as, rights) if conversation else None
    if conversation is None or by is None:
        raise refused(unit.services, RefusalReason.UNKNOWN_CONVERSATION, reference)
    return conversation, by


def _form(kind: FormKind) -> Callable[[Unit, Incoming, Any], Awaitable[str]]:
    async def send(unit: Unit, incoming: Incoming, command: commands.Finalise) -> str:
        conversation, _ = await _member_of(unit, incoming, command.reference)
        await closing.require_side(unit, incoming, conversation, kind)
        again = kind is FormKind.FINALISE and conversation.state is State.COMPLETED
        if conversation.closed and not again:
            mail = mails.Refusal(reason=RefusalReason.CONVERSATION_CLOSED, detail=conversation.ref)
            await unit.reply(incoming, mail)
            return "closed already"
        await unit.store(incoming)
        sheet = await closing.sheet(unit, conversation, kind, incoming.login, {})
        await send_form(unit, incoming.login, sheet, incoming.letter.message_id)
        return f"{kind} form"

    return send


async def _synthesis(unit: Unit, incoming: Incoming, command: commands.Synthesis) -> str:
    conversation, _ = await _member_of(unit, incoming, command.reference)
    await closing.require_side(unit, incoming, conversation, FormKind.SYNTHESIS)
    return await closing.order_synthesis(unit, incoming, conversation)


async def _worklist(unit: Unit, incoming: Incoming, _: commands.Worklist) -> str:
    mail, shown = await worklist.of(unit, incoming.login)
    await unit.reply(incoming, mail, about=shown)
    return "worklist"


async def _remove(unit: Unit, incoming: Incoming, command: commands.Remove) -> str:
    conversation, by = await _member_of(unit, incoming, command.reference)
    person = conversation.member(command.address)
    if person is None or conversation.side(person.address) is not Side.GUEST:
        mail = mails.Refusal(reason=RefusalReason.NOT_REMOVABLE, detail=command.address)
        await unit.reply(incoming, mail)
        return "not removable"
    message = await unit.store(incoming, conversation.id)
    await leave(unit, incoming, message, conversation, by, person)
    return "removed"


async def _invite(unit: Unit, incoming: Incoming, command: commands.Invite) -> str:
    """Deliberately, so that it also holds for somebody who was removed."""
    conversation, by = await _member_of(unit, incoming, command.reference)
    if conversation.member(command.address) is None:
        person = await reachable(unit, Mailbox(command.address))
        message = await unit.store(incoming, conversation.id)
        await join(unit, incoming, message, conversation, by, [person])
    else:
        person = conversation.member(command.address) or Party(command.address, command.address)
    mail = mails.CommandConfirmation(
        reference=conversation.ref,
        state=conversation.state,
        done=mails.CommandDone.INVITED,
        person=person.name,
    )
    await unit.reply(incoming, mail)
    return "invited"


async def _confirm(unit: Unit, incoming: Incoming, command: commands.Confirm) -> str:
    return await holding.confirm(unit, incoming, command.token)


async def _export(unit: Unit, incoming: Incoming, command: commands.Export) -> str:
    """One's own activity, that of those one acts for (A.38), of services one administers (A.45); a worker
    makes the file.
    """
    mine = await exporting.accounts_of(unit.tx, incoming.login.address)
    if command.account and command.account not in mine:
        raise refused(unit.services, RefusalReason.MAY_NOT_ACT, command.account)
    if command.problems:
        await unit.reply(incoming, ExportRefused(problems=command.problems, links=exporting.examples(unit)))
        return "export not understood"
    return await exporting.order(
        unit, incoming, command, frozenset({command.account}) if command.account else mine
    )


async def _delegates(unit: Unit, incoming: Incoming, command: commands.Delegates) -> str:
    sheet = await delegating.sheet(unit, incoming, command.account or incoming.written_as, {})
    await unit.store(incoming)
    await send_form(unit, incoming.login, sheet, incoming.letter.message_id)
    return "delegates form"


async def _help(unit: Unit, incoming: Incoming, command: commands.Help | commands.Unknown) -> str:
    links = unit.services.links
    mail = mails.Help(
        directory=links.to(commands.Annuaire("dermatologie 43"), "example"),
        services=links.to(commands.Annuaire("avis"), "services"),
        request=links.to(commands.NewRequest(""), "request"),
        worklist=links.to(commands.Worklist()),
        others=(
            *exporting.examples(unit),
            links.to(commands.Preferences()),
            links.to(commands.Delegates()),
            links.to(commands.PatientSearch("")),
        ),
        received=command.text if isinstance(command, commands.Unknown) else "",
    )
    await unit.reply(incoming, mail)
    return "help"


_PERFORMERS: Mapping[type, Callable[[Unit, Incoming, Any], Awaitable[str]]] = {
    commands.Annuaire: _search,
    commands.NewRequest: _new_request,
    commands.PatientSearch: patient_search.search,
    commands.Preferences: preferences.ask,
    commands.Finalise: _form(FormKind.FINALISE),
    commands.Decline: _form(FormKind.DECLINE),
    commands.Cancel: _form(FormKind.CANCEL),
    commands.Ask: _form(FormKind.ASK),
    commands.Synthesis: _synthesis,
    commands.Worklist: _worklist,
    commands.Remove: _remove,
    commands.Invite: _invite,
    commands.Confirm: _confirm,
    commands.Export: _export,
    commands.Delegates: _delegates,
    commands.Help: _help,
    commands.Unknown: _help,
}
