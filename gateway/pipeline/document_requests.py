"""A request that comes as a national document: the TLM-DA of an IHE_XDM.zip opens a conversation as the form
does, by the same checks; what it leaves out is asked back by that form.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from gateway.pipeline import member_mail, requesting
from gateway.pipeline.document_facts import authorities
from gateway.pipeline.document_filing import finding_sentences
from gateway.pipeline.document_numbers import Met, Numbers, kept_numbers, meet, note
from gateway.pipeline.identifying import Identified, identify
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.requesting import FilledForm
from gateway.pipeline.sending_forms import Sheet, send_form
from gateway.pipeline.unit import Unit
from gateway.store.rows import FormRow
from teleexpertise.archives import ArchiveLimits, archive_in, holds_documents
from teleexpertise.documents.oids import INS_NIA
from teleexpertise.documents.reading import ReadPerson, RequestValues, read_request
from teleexpertise.documents.sentences import sentences
from teleexpertise.documents.tlmda import LOINC_REQUEST
from teleexpertise.forms import Form, FormKind, Value, validate
from teleexpertise.patients import Patient
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import CommandDone, RefusalReason

__all__ = ["receive"]

#: What one mail may hold: more is no request.
_LIMITS = ArchiveLimits(
    archive=32 * 1024 * 1024, file=32 * 1024 * 1024, total=48 * 1024 * 1024, files=50, ratio=100
)


async def receive(unit: Unit, incoming: Incoming, expert: str = "") -> str | None:
    """Open what the archive of a mail to the service asks for; ``None`` for a mail without an archive.

    ``expert`` is the mailbox that the mail itself names, '' where the document says who is asked.
    """
    attachments = incoming.letter.signed_attachments
    opened = await asyncio.to_thread(archive_in, attachments, _LIMITS)
    if opened is None:
        return None
    requests = [d.content for d in opened.documents if d.header and d.header.code == LOINC_REQUEST]
    if not opened.sound:
        return await _refuse(unit, incoming, finding_sentences(unit, opened, blocking=True))
    if len(requests) != 1 or requests[0] is None:
        word = "several_requests" if requests else "no_request"
        return await _refuse(unit, incoming, [unit.services.texts.words.of("documents", word)])
    read = await asyncio.to_thread(read_request, requests[0])
    if read.values is None:
        return await _refuse(unit, incoming, sentences(read.problems))
    asked = replace(read.values, expert=await _expert(unit, read.values.expert, expert))
    numbers = Numbers.of(read.document)
    met = await meet(unit, incoming, numbers, asked.expert.mail, _ours(unit, asked))
    if met is not None:
        return await _go_on(unit, incoming, met, numbers, asked)
    return await _open(unit, incoming, asked, numbers, sentences(read.warnings))


async def _expert(unit: Unit, stated: ReadPerson, named: str) -> ReadPerson:
    """Who is asked, with a mailbox of our directory: of several ways to name it the first that leads there.

    Much software knows a colleague by the RPPS number alone, or writes a mailbox that is none of ours.
    """
    if named or await unit.tx.experts.get(stated.mail) is not None:
        return replace(stated, mail=named or stated.mail)
    account = await unit.tx.accounts.by_rpps(stated.rpps)
    return stated if account is None else replace(stated, mail=account.address)


async def _go_on(unit: Unit, incoming: Incoming, met: Met, numbers: Numbers, asked: RequestValues) -> str:
    """A request that is open already: the same version is noted, a newer one goes into the thread."""
    reference = met.conversation.ref
    if not met.same_patient:
        await unit.audit(incoming.login.address, "request document", reference, "another patient")
        return await _refuse(unit, incoming, [unit.services.texts.words.of("documents", "other_patient")])
    message = await unit.store(incoming, met.conversation.id)
    conversation = met.conversation
    if met.newer:
        conversation = await member_mail.post_letter(
            unit,
            incoming,
            met.conversation,
            met.by,
            message,
            brought=_addition(unit, incoming, numbers, asked),
        )
        await note(unit, conversation, numbers, message)
    done = CommandDone.ADDED if met.newer else CommandDone.KNOWN
    await unit.audit(incoming.login.address, "request document", reference, str(done))
    mail = mails.CommandConfirmation(reference=reference, state=conversation.state, done=done)
    await unit.answer(
        mail, incoming.login, in_reply_to=incoming.letter.message_id, conversation=conversation.id
    )
    return f"request document {done}: {reference}"


def _addition(unit: Unit, incoming: Incoming, numbers: Numbers, asked: RequestValues) -> member_mail.Brought:
    """What a newer version says, as text, and its files without the archive."""
    words = unit.services.texts.words
    option = unit.services.forms.form(FormKind.REQUEST).field("urgency").option(asked.urgency)
    urgency = words.of("documents", "replaced_urgency").format(urgency=option.label) if option else ""
    said = (
        words.of("documents", "new_version").format(version=numbers.version),
        asked.question,
        urgency,
        *(f"{label} : {answer}" for label, answer in asked.answers),
        asked.remark,
    )
    own = (each for each in incoming.letter.signed_attachments if not holds_documents(each))
    return member_mail.Brought("\n\n".join(part for part in said if part), (*own, *asked.attachments))


async def _refuse(unit: Unit, incoming: Incoming, why: Sequence[str]) -> str:
    """Answer that nothing was opened, and why; the ways to ask by form stand below."""
    head = unit.services.texts.words.of("documents", "not_opened")
    mail = mails.Refusal(
        reason=RefusalReason.OTHER,
        statement=" ".join((head, *dict.fromkeys(why))),
        subject_received=incoming.letter.subject,
        links=unit.services.links.everyday(),
    )
    await unit.reply(incoming, mail)
    return "document refused"


async def _open(
    unit: Unit, incoming: Incoming, asked: RequestValues, numbers: Numbers, warnings: tuple[str, ...]
) -> str:
    options: dict[str, object] = {"order_id": asked.order_id, "numbers": kept_numbers(numbers)}
    sheet = await requesting.sheet(unit, incoming.login, asked.expert.mail, options)
    if sheet is None:
        return await _refuse(unit, incoming, [unit.services.texts.words.of("documents", "unknown_expert")])
    values = {**sheet.values, **_values(unit, asked, sheet.form)}
    today = unit.now.astimezone(unit.services.zone).date()
    checked = validate(sheet.form, values, today)
    row = FormRow(
        id=unit.services.new_id(),
        kind=FormKind.REQUEST,
        owner=incoming.login.address,
        created_at=unit.now,
        expires_at=unit.now + timedelta(days=1),
        options=dict(sheet.options),
    )
    vital = requesting.is_vital(row.kind, checked.values)
    if checked.problems and not vital:
        return await _ask_back(unit, incoming, replace(sheet, values=values), checked.problems, asked)
    identified = Identified()
    if not vital:
        identified = await identify(unit, sheet.form, checked.values, incoming.login.address)
    if identified.problems:
        if identified.candidates:
            options |= {"candidates": list(identified.candidates)}
            sheet = await requesting.sheet(unit, incoming.login, asked.expert.mail, options) or sheet
        return await _ask_back(unit, incoming, replace(sheet, values=values), identified.problems, asked)
    filled = FilledForm(
        row=row,
        sheet=sheet,
        values=checked.values,
        remark=asked.remark,
        warnings=(*checked.warnings.values(), *identified.warnings.values(), *warnings),
        known_patient=identified.known,
        brought=asked.attachments,
    )
    return await requesting.open_request(unit, incoming, filled)


async def _ask_back(
    unit: Unit, incoming: Incoming, sheet: Sheet, problems: Mapping[str, str], asked: RequestValues
) -> str:
    """The form with what the document said, and what it left out beside its line; attachments wait for it."""
    message = await unit.store(incoming)
    options = {**sheet.options, "kept": [str(message.id)], "remark": asked.remark}
    again = replace(sheet, problems=problems, options=options)
    await send_form(unit, incoming.login, again, incoming.letter.message_id)
    return f"document returned as form: {len(problems)} problems"


def _ours(unit: Unit, asked: RequestValues) -> Patient:
    """The patient that the document states. An INS of another authority is left out."""
    if asked.ins_oid in authorities(unit.services.settings):
        return replace(asked.patient, ins_oid=asked.ins_oid)
    return replace(asked.patient, ins="", ins_oid="", qualified=False)


def _values(unit: Unit, asked: RequestValues, form: Form) -> dict[str, Value]:
    """The values of the request form that the document states."""
    patient = _ours(unit, asked)
    stated: dict[str, Value] = {
        "birth_name": patient.birth_name,
        "first_names": patient.first_names,
        "birth_date": patient.birth_date.isoformat() if patient.birth_date else "",
        "sex": patient.sex,
        "ins": patient.ins,
        "birth_place": patient.birth_place,
        "first_first_name": patient.first_first_name,
        "used_name": patient.used_name,
        "used_first_names": patient.used_first_names,
        "birth_order": str(patient.birth_order or ""),
        "ins_kind": "NIA" if patient.ins_oid == INS_NIA else "",
        "question": asked.question,
        "urgency": asked.urgency,
        "phone": asked.phone,
    }
    answers = dict(asked.answers)
    stated |= {field.name: answers[field.element] for field in form.fields if field.element in answers}
    known: dict[str, Value] = {name: value for name, value in stated.items() if value}
    known |= {"anonymous": False, "qualified": patient.qualified}
    if asked.consent:
        known["consent"] = True
    names = {field.name for field in form.fields}
    return {name: value for name, value in known.items() if name in names}
