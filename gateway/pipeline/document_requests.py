"""A request that comes as a national document: the TLM-DA of an IHE_XDM.zip opens a conversation as the form
does, by the same checks; what it leaves out is asked back by that form.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from gateway.pipeline import requesting
from gateway.pipeline.document_facts import ins_oid
from gateway.pipeline.identifying import Identified, identify
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.requesting import FilledForm
from gateway.pipeline.sending_forms import Sheet, send_form
from gateway.pipeline.unit import Unit
from gateway.store.rows import FormRow
from teleexpertise.archives import ArchiveLimits, OpenedArchive, archive_in
from teleexpertise.documents.oids import INS_NIA
from teleexpertise.documents.reading import RequestValues, read_request
from teleexpertise.documents.sentences import sentences
from teleexpertise.documents.tlmda import LOINC_REQUEST
from teleexpertise.forms import Form, FormKind, Value, validate
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["receive"]

#: What one mail may hold: more is no request.
_LIMITS = ArchiveLimits(
    archive=32 * 1024 * 1024, file=32 * 1024 * 1024, total=48 * 1024 * 1024, files=50, ratio=100
)


async def receive(unit: Unit, incoming: Incoming) -> str | None:
    """Open what the archive of a mail to the service asks for; ``None`` for a mail without an archive."""
    attachments = incoming.letter.signed_attachments
    opened = await asyncio.to_thread(archive_in, attachments, _LIMITS)
    if opened is None:
        return None
    requests = [d.content for d in opened.documents if d.header and d.header.code == LOINC_REQUEST]
    if not opened.sound:
        return await _refuse(unit, incoming, _faults(unit, opened))
    if len(requests) != 1 or requests[0] is None:
        word = "several_requests" if requests else "no_request"
        return await _refuse(unit, incoming, [unit.services.texts.words.of("documents", word)])
    read = await asyncio.to_thread(read_request, requests[0])
    if read.values is None:
        return await _refuse(unit, incoming, sentences(read.problems))
    return await _open(unit, incoming, read.values, sentences(read.warnings))


def _faults(unit: Unit, opened: OpenedArchive) -> list[str]:
    words = unit.services.texts.words
    return [
        words.of("archive_faults", finding.fault).format(name=finding.name, detail=finding.detail)
        for finding in opened.findings
        if finding.blocking
    ]


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


async def _open(unit: Unit, incoming: Incoming, asked: RequestValues, warnings: tuple[str, ...]) -> str:
    options: dict[str, object] = {"order_id": asked.order_id}
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


def _values(unit: Unit, asked: RequestValues, form: Form) -> dict[str, Value]:
    """The values of the request form that the document states. An INS of another authority is left out."""
    patient = asked.patient
    settings = unit.services.settings
    authorities = {ins_oid(settings)} | (set() if settings.service.test_identifiers else {INS_NIA})
    ours = asked.ins_oid in authorities
    stated: dict[str, Value] = {
        "birth_name": patient.birth_name,
        "first_names": patient.first_names,
        "birth_date": patient.birth_date.isoformat() if patient.birth_date else "",
        "sex": patient.sex,
        "ins": patient.ins if ours else "",
        "birth_place": patient.birth_place,
        "first_first_name": patient.first_first_name,
        "used_name": patient.used_name,
        "used_first_names": patient.used_first_names,
        "question": asked.question,
        "urgency": asked.urgency,
        "phone": asked.phone,
    }
    answers = dict(asked.answers)
    stated |= {field.name: answers[field.element] for field in form.fields if field.element in answers}
    known: dict[str, Value] = {name: value for name, value in stated.items() if value}
    known |= {"anonymous": False, "qualified": ours and patient.qualified}
    if asked.consent:
        known["consent"] = True
    names = {field.name for field in form.fields}
    return {name: value for name, value in known.items() if name in names}
