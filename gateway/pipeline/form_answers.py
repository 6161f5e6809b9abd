"""A form that came back: whose it is, what it says, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from gateway.pipeline import closing, delegating, document_filing, preferences, requesting
from gateway.pipeline.identifying import Identified, identify
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.refusing import refused
from gateway.pipeline.requesting import FilledForm
from gateway.pipeline.sending_forms import Sheet, kept_attachments, send_form
from gateway.pipeline.unit import Unit
from gateway.smtp.refusals import MessageTooBig
from gateway.store.rows import FormRow
from teleexpertise.forms import (
    Form,
    FormKind,
    FormReading,
    FoundForm,
    Value,
    form_identity,
    read_form,
    validate,
)
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["receive"]

_CLOSING = frozenset({FormKind.FINALISE, FormKind.DECLINE, FormKind.CANCEL, FormKind.ASK})


async def receive(unit: Unit, incoming: Incoming, found: FoundForm) -> str:
    """Read a filled form. What is wrong goes back beside its line; nothing typed or attached is lost."""
    identifier = form_identity(unit.services.key, found.form_id)
    row = await unit.tx.forms.get(identifier) if identifier else None
    if row is None or row.expires_at < unit.now:
        return await _not_taken(unit, incoming, RefusalReason.FORM_UNKNOWN)
    rights = await unit.tx.delegations.rights()
    if not rights.may_act(incoming.login.address, row.owner):
        raise refused(unit.services, RefusalReason.FORM_NOT_YOURS)
    if row.used_at is not None:
        return await _not_taken(unit, incoming, RefusalReason.FORM_USED)
    sheet = await _sheet(unit, incoming, row)
    if sheet is None:
        return await _not_taken(unit, incoming, RefusalReason.FORM_UNKNOWN)
    reading = read_form(sheet.form, found, row.filled)
    today: date = unit.now.astimezone(unit.services.zone).date()
    checked = validate(sheet.form, {**_unsaid(row, sheet), **reading.values}, today)
    problems = {**checked.problems, **reading.problems}
    if row.kind == FormKind.PREFERENCES:
        problems = {**await preferences.examine(unit, incoming, row, sheet, checked.values), **problems}
    if row.kind == FormKind.REQUEST:
        problems = {**await requesting.examine(unit, sheet, checked.values), **problems}
    warnings = {**checked.warnings, **reading.warnings, **_words_above(row, sheet, reading.remark)}
    if row.kind == FormKind.DELEGATES:
        # Rights are not guessed: a line that is gone or was not understood withdraws nobody.
        problems = {**warnings, **await delegating.doubts(unit, sheet, checked.values), **problems}
    if row.kind == FormKind.FILING:
        problems = {**await document_filing.doubts(unit, sheet, checked.values), **problems}
    remark = "\n".join(filter(None, (str(row.options.get("remark", "")), reading.remark)))
    reading, problems, remark = _from_above(sheet.form, reading, problems, remark)
    identified = Identified()
    # A vital emergency is answered at once, whatever else is wrong with the form: call 15.
    vital = requesting.is_vital(row.kind, checked.values)
    if row.kind == FormKind.REQUEST and not problems and not vital:
        identified = await identify(unit, sheet.form, checked.values, incoming.login.address)
        problems |= identified.problems
        warnings |= identified.warnings
        if identified.candidates:
            options = {**row.options, "candidates": list(identified.candidates)}
            sheet = await _sheet(unit, incoming, replace(row, options=options)) or sheet
    if problems and not vital:
        again = replace(
            sheet,
            values={**sheet.values, **reading.values},
            problems=problems,
            warnings=warnings,
            options={**sheet.options, "remark": remark},
        )
        return await _ask_back(unit, incoming, row, again)
    await unit.tx.forms.use(row.id, unit.now)
    answer = FilledForm(
        row=row,
        sheet=sheet,
        values=checked.values,
        remark=remark,
        warnings=tuple(warnings.values()),
        known_patient=identified.known,
    )
    return await _dispatch(unit, incoming, answer)


def _from_above(
    form: Form, reading: FormReading, problems: Mapping[str, str], remark: str
) -> tuple[FormReading, dict[str, str], str]:
    """Words above a closing form whose one text to write was left empty come back in that place, to be sent
    again: most people answer above what they got. The form comes back anyway, and nothing is sent unseen.
    """
    texts = [field.name for field in form.fields if field.several_lines]
    if form.kind not in _CLOSING or not remark or len(texts) != 1 or reading.values.get(texts[0]):
        return reading, dict(problems), remark
    (name,) = texts
    if name not in problems:
        return reading, dict(problems), remark
    placed = replace(reading, values={**reading.values, name: remark})
    return placed, {**problems, name: form.say("from_above")}, ""


def _unsaid(row: FormRow, sheet: Sheet) -> Mapping[str, Value]:
    """What stands for lines that are gone: who keeps only the lines to change, or whose client drops some,
    empties none of the others.
    """
    return {**sheet.values, **row.filled} if row.kind == FormKind.PREFERENCES else {}


def _words_above(row: FormRow, sheet: Sheet, remark: str) -> Mapping[str, str]:
    """What to say of words above a form that nobody reads."""
    if row.kind == FormKind.PREFERENCES and remark:
        return {"remark": sheet.form.say("remark_unread")}
    if row.kind == FormKind.DELEGATES and "@" in remark:
        return {"": sheet.form.say("answered_above")}
    return {}


async def _sheet(unit: Unit, incoming: Incoming, row: FormRow) -> Sheet | None:
    """The form of this case once more, with the options that it offered."""
    if row.kind == FormKind.REQUEST:
        return await requesting.sheet(unit, incoming.login, str(row.options.get("expert", "")), row.options)
    if row.kind == FormKind.PREFERENCES:
        account = str(row.options.get("account", ""))
        return await preferences.sheet(unit, incoming.login, account, row.options)
    if row.kind == FormKind.DELEGATES:
        return await delegating.sheet(unit, incoming, str(row.options.get("account", "")), row.options)
    if row.kind == FormKind.FILING:
        return await document_filing.sheet(unit, row.options)
    if row.conversation_id is None:
        return None
    conversation = await unit.load(row.conversation_id)
    if conversation is None:
        return None
    kind = FormKind(row.kind)
    # Before the form is read: one that has to come back would show the exchanges to a withdrawn delegate.
    await closing.require_side(unit, incoming, conversation, kind)
    return await closing.sheet(unit, conversation, kind, incoming.login, row.options)


async def _ask_back(unit: Unit, incoming: Incoming, row: FormRow, sheet: Sheet) -> str:
    """Send the form again as filled, what is wrong beside its line; the attachments wait for the corrected
    answer.
    """
    message = await unit.store(incoming)
    kept = sheet.options.get("kept", [])
    assert isinstance(kept, list), "kept is a list of message ids"
    if await _brings_more(unit, incoming, sheet):
        sheet = replace(sheet, options={**sheet.options, "kept": [*kept, str(message.id)]})
    if row.kind == FormKind.PREFERENCES:
        sheet = await preferences.returned(unit, incoming, row, sheet)
    await send_form(unit, incoming.login, sheet, incoming.letter.message_id)
    return f"form returned: {len(sheet.problems)} problems"


async def _brings_more(unit: Unit, incoming: Incoming, sheet: Sheet) -> bool:
    """Whether the mail encloses what earlier answers did not; all of it together stays as large as one mail
    may be.
    """
    known = {attachment.content for attachment in await kept_attachments(unit, sheet.options)}
    new = {attachment.content for attachment in incoming.letter.signed_attachments} - known
    if new and sum(map(len, known | new)) > unit.services.settings.smtp.max_message_bytes:
        raise MessageTooBig
    return bool(new)


async def _dispatch(unit: Unit, incoming: Incoming, answer: FilledForm) -> str:
    if answer.row.kind == FormKind.REQUEST:
        return await requesting.open_request(unit, incoming, answer)
    if answer.row.kind == FormKind.PREFERENCES:
        return await preferences.save(unit, incoming, answer)
    if answer.row.kind == FormKind.DELEGATES:
        return await delegating.save(unit, incoming, answer)
    if answer.row.kind == FormKind.FILING:
        return await document_filing.save(unit, incoming, answer)
    return await closing.act_on(unit, incoming, answer)


async def _not_taken(unit: Unit, incoming: Incoming, reason: RefusalReason) -> str:
    """Answer that this form counts no more, with the ways to begin again."""
    mail = mails.Refusal(
        reason=reason,
        subject_received=incoming.letter.subject,
        links=unit.services.links.everyday(),
    )
    await unit.reply(incoming, mail)
    return f"form not taken: {reason}"
