"""Preferences by mail: what an account declares of itself as an expert, and how it wants to be told (A.13 to
A.21).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypedDict

from gateway.declarations import declared_by, read_declaration, save_declaration
from gateway.pipeline.absences import waiting_for
from gateway.pipeline.directory_pages import absence_on
from gateway.pipeline.document_mailboxes import deposits_of, read_deposits, save_deposits
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.refusing import refused
from gateway.pipeline.requesting import FilledForm
from gateway.pipeline.sending_forms import Sheet, kept_attachments, send_form
from gateway.pipeline.unit import Unit
from gateway.store.rows import FormRow
from teleexpertise.absences import Waiting
from teleexpertise.commands import Preferences
from teleexpertise.declaring import Declaration, file_may_be_handed_out, preferences_values
from teleexpertise.forms import Form, Value, preferences_form
from teleexpertise.letters import Attachment, Mailbox, PartKind
from teleexpertise.people import Absence, Document, Expert
from teleexpertise.texts.contexts import RefusalReason
from teleexpertise.texts.directory_contexts import PreferencesSaved

__all__ = ["ask", "examine", "returned", "save", "sheet"]

_KIBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class _Files:
    """The documents of an answer: those the form listed, in its order; those chosen; names refused."""

    listed: tuple[Document, ...]
    chosen: tuple[Document, ...]
    refused: tuple[Attachment, ...]


async def ask(unit: Unit, incoming: Incoming, command: Preferences) -> str:
    """Send the form of one's own account, or of one that one may act for: named in the subject, else the one
    in whose name the mail is written.
    """
    login = incoming.login
    address = command.account or incoming.written_as
    found = await sheet(unit, login, address, {})
    if found is None:
        raise refused(unit.services, RefusalReason.UNKNOWN_ADDRESS, address)
    await unit.store(incoming)
    await send_form(unit, login, found, incoming.letter.message_id)
    return "preferences form"


async def sheet(unit: Unit, login: Mailbox, address: str, options: Mapping[str, object]) -> Sheet | None:
    """The form of one account as saved now, with the files of earlier answers; ``None`` for no account of
    ours. Refused where the login may not act for it.
    """
    rights = await unit.tx.delegations.rights()
    if not rights.may_act(login.address, address):
        raise refused(unit.services, RefusalReason.MAY_NOT_ACT, address)
    before = await declared_by(unit, address)
    if before is None:
        return None
    account = before.account
    listed = await _listed(unit, before, options)
    values = preferences_values(account, before.expert, unit.today)
    deposits = await deposits_of(unit, address)
    return Sheet(
        form=_form(unit, before, listed),
        values={**values, "deposits": "\n".join(deposits), "documents": list(range(1, len(listed) + 1))},
        options={"kept": [], **options, "account": address, "base": _base(before, deposits)},
    )


def _form(unit: Unit, before: Declaration, listed: Sequence[Document]) -> Form:
    """The form of an account; who has no list of elements is shown the usual ones of their specialties."""
    account, expert = before.account, before.expert
    usual: dict[str, Sequence[str]] = {}
    if expert is None or not expert.items:
        names = expert.specialties if expert is not None and expert.specialties else (account.specialty,)
        usual = {name: unit.services.usual_items[name] for name in names if name in unit.services.usual_items}
    return preferences_form(unit.services.forms, account, list(map(_line, listed)), usual)


def _line(document: Document) -> str:
    return f"{document.filename} ({-(-len(document.content) // _KIBIBYTE)} Ko)"


def _base(before: Declaration, deposits: Sequence[str]) -> str:
    """What the form was filled in on: another one means that somebody else saved meanwhile."""
    account, expert = before.account, before.expert
    facts: list[object] = [account.billing_number, account.unit, account.notice, account.files_reports]
    facts += [expert is None]
    facts += deposits
    if expert is not None:
        facts += [repr(replace(expert, documents=(), account=account))]
        facts += [(each.filename, sha256(each.content).hexdigest()) for each in expert.documents]
    return sha256(json.dumps(facts).encode()).hexdigest()


async def _listed(unit: Unit, before: Declaration, options: Mapping[str, object]) -> tuple[Document, ...]:
    """The documents handed out so far, then the files of earlier answers to the same form."""
    documents = list(before.expert.documents) if before.expert else []
    known = {document.content for document in documents}
    kept = _usable(await kept_attachments(unit, options))
    documents += [_document(each) for each in kept if each.content not in known]
    return tuple(documents)


def _usable(attachments: Iterable[Attachment]) -> list[Attachment]:
    """Attachments that may be handed out; pictures inside the text are the answerer's signature."""
    return [each for each in attachments if not _decoration(each) and file_may_be_handed_out(each.filename)]


def _decoration(attachment: Attachment) -> bool:
    return attachment.inline and attachment.kind is PartKind.IMAGE


def _document(attachment: Attachment) -> Document:
    return Document(
        filename=attachment.filename, content_type=attachment.content_type, content=attachment.content
    )


async def _before(unit: Unit, options: Mapping[str, object]) -> Declaration:
    address = str(options["account"])
    declared = await declared_by(unit, address)
    assert declared is not None, "the sheet was made for an active account"
    return declared


async def _files(
    unit: Unit, incoming: Incoming, before: Declaration, filled: Sheet, values: Mapping[str, Value]
) -> _Files:
    listed = await _listed(unit, before, filled.options)
    ticks = values.get("documents", [])
    numbers = ticks if isinstance(ticks, list) else []
    chosen = [listed[number - 1] for number in numbers if number <= len(listed)]
    brought = incoming.letter.signed_attachments
    there = {document.content for document in chosen}
    for each in _usable(brought):
        if each.content not in there:
            chosen.append(_document(each))
            there.add(each.content)
    wrong = [each for each in brought if not _decoration(each) and not file_may_be_handed_out(each.filename)]
    return _Files(listed, tuple(chosen), tuple(wrong))


async def examine(
    unit: Unit, incoming: Incoming, row: FormRow, filled: Sheet, values: Mapping[str, Value]
) -> dict[str, str]:
    """Sentences about lines that are well formed and yet wrong, by field; '' for a form overtaken by
    another.
    """
    before = await _before(unit, filled.options)
    if row.options.get("base") != filled.options["base"]:
        return {"": filled.form.say("overtaken")}
    files = await _files(unit, incoming, before, filled, values)
    problems = dict((await read_declaration(unit, before, filled.form, files.chosen, values)).problems)
    wrong = await read_deposits(unit, filled.form, before.account.address, values)
    if wrong:
        problems["deposits"] = wrong
    if files.refused:
        names = ", ".join(each.filename for each in files.refused)
        problems["documents"] = filled.form.say("file_kind", typed=names[:200])
    return problems


async def returned(unit: Unit, incoming: Incoming, row: FormRow, again: Sheet) -> Sheet:
    """The sheet to send back: the files that came so far in its list, ticked as they were, new ones ticked.

    ``again`` holds the mail in its ``kept`` already; a file that may not be handed out is dropped from it.
    """
    dropped = [
        sha256(each.content).hexdigest()
        for each in incoming.letter.signed_attachments
        if not file_may_be_handed_out(each.filename)
    ]
    options = dict(again.options)
    earlier = options.get("dropped", [])
    assert isinstance(earlier, list), "dropped is a list of hashes"
    options["dropped"] = sorted({*earlier, *dropped})
    before = await _before(unit, options)
    listed = await _listed(unit, before, options)
    old = len(await _listed(unit, before, row.options))
    ticks = again.values.get("documents", [])
    numbers = [number for number in ticks if number <= old] if isinstance(ticks, list) else []
    if row.options.get("base") != options["base"]:
        numbers = list(range(1, old + 1))
    form = _form(unit, before, listed)
    problems = dict(again.problems)
    if not listed and "documents" in problems:
        problems[""] = " ".join(filter(None, (problems.get("", ""), problems.pop("documents"))))
    values = {**again.values, "documents": [*numbers, *range(old + 1, len(listed) + 1)]}
    return replace(again, form=form, values=values, problems=problems, options=options)


class _Absence(TypedDict, total=False):
    """What the mail about saved preferences says of an absence."""

    absence: Absence
    deputy: str
    deputy_away: Absence | None
    begun: bool
    waiting: Waiting


async def _absence(unit: Unit, expert: Expert | None) -> _Absence:
    """The absence that is under way or to come; nothing without one."""
    absence = absence_on(unit, expert) if expert is not None else None
    if expert is None or absence is None:
        return {}
    deputy = await unit.account(absence.deputy) if absence.deputy else None
    own = await unit.tx.experts.absence(absence.deputy)
    return {
        "absence": absence,
        "deputy": deputy.name if deputy is not None and deputy.active else "",
        "deputy_away": own if own is not None and own.overlaps(absence) else None,
        "begun": absence.covers(unit.today),
        "waiting": await waiting_for(unit, expert),
    }


async def save(unit: Unit, incoming: Incoming, filled: FilledForm) -> str:
    """Save all of a form that is right, tell its author what holds now, and note who did it for whom."""
    before = await _before(unit, filled.sheet.options)
    files = await _files(unit, incoming, before, filled.sheet, filled.values)
    declared = await read_declaration(unit, before, filled.sheet.form, files.chosen, filled.values)
    login = incoming.login
    await unit.store(incoming)
    changed = await save_declaration(unit, before, declared, login.address)
    account, expert = declared.account, declared.expert
    if await save_deposits(unit, account.address, filled.values):
        changed = True
        await unit.audit(login.address, "preferences", account.address, "deposits saved")
    mail = PreferencesSaved(
        account=account,
        expert=expert,
        **await _absence(unit, expert),
        deposits=await deposits_of(unit, account.address),
        changed=changed,
        warnings=filled.warnings,
        again=unit.services.links.to(
            Preferences("" if account.address == login.address else account.address), "preferences_again"
        ),
    )
    await unit.answer(mail, login, in_reply_to=incoming.letter.message_id)
    if changed and account.address != login.address:
        by = login.name or login.address
        again = unit.services.links.to(Preferences(), "preferences_again")
        await unit.answer(replace(mail, by=by, again=again), Mailbox(account.address, account.name))
    return "preferences saved" if changed else "preferences unchanged"
