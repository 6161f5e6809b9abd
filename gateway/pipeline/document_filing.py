"""Documents that come by mail: whose they are is decided, or asked of the account that received them.

The question is a form that is answered by Reply. Until then, and whatever the answer, the mail itself lies
in INBOX: nothing here moves or deletes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from uuid import UUID

import structlog

from config import Settings
from gateway.pipeline.document_facts import authorities
from gateway.pipeline.identifying import candidates_of
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.requesting import FilledForm
from gateway.pipeline.sending_forms import Sheet, send_form
from gateway.pipeline.unit import Unit
from gateway.store.rows import MessageRow, PatientRow
from teleexpertise.archives import ArchivePatient, OpenedArchive, holds_documents
from teleexpertise.filing import Asked, Certain, Uncertainty, enterable, whose
from teleexpertise.forms import (
    NEW_PATIENT,
    NO_PATIENT,
    FormKind,
    candidate_number,
    candidate_value,
    filing_form,
)
from teleexpertise.identifiers import nir_disagreements
from teleexpertise.letters import Letter, Mailbox
from teleexpertise.matching import Known
from teleexpertise.patients import Patient
from teleexpertise.texts.document_contexts import DocumentPlaced

__all__ = [
    "ask_whose",
    "doubts",
    "finding_sentences",
    "save",
    "sheet",
    "sort_documents",
    "stated_by",
    "whose_document",
]

#: Questions of one account that wait for an answer at once: a flood of documents must not become two.
MOST_OPEN = 50
_LONGEST = 200
#: Doubts that a question tells of; the rest of a long list would hide it.
_MOST_DOUBTS = 5


async def sort_documents(
    unit: Unit, incoming: Incoming, message: MessageRow, recipients: Iterable[str]
) -> None:
    """Let a worker file a mail that holds an archive of documents for each recipient of ours who wants it."""
    if incoming.encrypted or not any(holds_documents(a) for a in incoming.letter.attachments):
        return
    for recipient in recipients:
        account = await unit.account(recipient.lower()) if unit.services.is_local(recipient) else None
        if account is None or not account.active or not account.files_reports:
            continue
        await unit.job(
            "sort",
            f"sort:{message.id}:{account.address}",
            recipient=account.address,
            conversation=None,
            message=message.id,
            payload={"fields": [list(pair) for pair in incoming.trace], "drop": []},
        )


def finding_sentences(unit: Unit, opened: OpenedArchive, *, blocking: bool) -> list[str]:
    """What is wrong with an archive so that it is not to be trusted, or what is doubtful about it, in French;
    each sentence once.
    """
    words = unit.services.texts.words
    said = (
        words.of("archive_faults", finding.fault).format(name=finding.name, detail=finding.detail)
        for finding in opened.findings
        if finding.blocking is blocking
    )
    return list(dict.fromkeys(said))


def stated_by(settings: Settings, patient: ArchivePatient) -> tuple[Patient, bool]:
    """The patient that documents state, and whether that is an identity to be trusted: qualified, by an
    authority of this deployment, its INS of nobody else's sex and birth. Test identities stay among
    themselves.
    """
    others = nir_disagreements(patient.ins, patient.sex, patient.birth_date)
    trusted = patient.qualified and patient.oid in authorities(settings) and not others
    return (
        Patient(
            birth_name=patient.birth_name[:_LONGEST],
            first_names=(patient.first_names or patient.first_name)[:_LONGEST],
            first_first_name=patient.first_name[:_LONGEST],
            birth_date=patient.birth_date,
            sex=patient.sex if patient.sex in ("F", "M") else "",
            ins=patient.ins if trusted else "",
            ins_oid=patient.oid if trusted else "",
            birth_place=patient.birthplace[:5],
            birth_order=patient.birth_order,
            qualified=trusted,
        ),
        trusted,
    )


async def whose_document(unit: Unit, stated: Patient, *, trusted: bool) -> Certain | Asked:
    """Ask the register of now."""
    return whose(stated, await unit.tx.patients.candidates(stated), trusted=trusted)


async def ask_whose(
    unit: Unit,
    account: str,
    message: MessageRow,
    letter: Letter,
    stated: Patient,
    asked: Asked,
    doubtful: Sequence[str] = (),
) -> bool:
    """Ask an account whose the document of a stored mail is; ``False`` where there is nobody to choose, or
    too many questions wait already. ``doubtful`` are sentences about the document itself.
    """
    to = await unit.account(account)
    possible = bool(asked.candidates) or enterable(stated)
    waiting = await unit.tx.forms.waiting(account, FormKind.FILING, unit.now)
    if to is None or not possible or waiting >= MOST_OPEN:
        structlog.get_logger("filing").info("not asked", message=str(message.id), waiting=waiting)
        return False
    options: dict[str, object] = {
        "kept": [],
        "message": str(message.id),
        "account": account,
        "subject": letter.subject[:_LONGEST],
        "from": letter.author.address if letter.author else message.sender,
        "why": str(asked.why),
        "traits": [str(trait) for trait in asked.traits],
        "candidates": [known.id for known in asked.candidates],
        "stated": _kept(stated),
        "doubtful": list(doubtful[:_MOST_DOUBTS]),
    }
    await unit.audit(account, "ask patient of document", f"message {message.id}", str(asked.why))
    await send_form(unit, Mailbox(account, to.name), await sheet(unit, options), message.mail_id)
    return True


def _kept(stated: Patient) -> dict[str, object]:
    """The stated patient as JSON, for the answer."""
    return asdict(stated) | {"birth_date": stated.birth_date.isoformat() if stated.birth_date else ""}


def _stated(options: Mapping[str, object]) -> Patient:
    kept = options["stated"]
    assert isinstance(kept, dict), "the sent form kept who the document states"
    born = str(kept["birth_date"])
    return Patient(**{**kept, "birth_date": date.fromisoformat(born) if born else None})


async def sheet(unit: Unit, options: Mapping[str, object]) -> Sheet:
    """The question as it was sent, with the register's patients as they are now."""
    catalogue, stated = unit.services.forms, _stated(options)
    form = catalogue.form(FormKind.FILING)
    traits = options["traits"]
    assert isinstance(traits, list), "the sent form kept the traits that differ"
    differ = ", ".join(form.notes[f"trait_{trait}"] for trait in traits)
    about = (
        form.notes["filing_document"].format(document=f"« {options['subject']} », {options['from']}"),
        form.notes["filing_patient"].format(patient=_shown(stated) or form.notes["filing_nobody"]),
        form.notes[f"filing_{options['why']}"].format(traits=f" ({differ})" if differ else ""),
        *(form.notes["filing_doubt"].format(doubt=each) for each in _doubtful(options)),
    )
    candidates = await candidates_of(unit, options)
    return Sheet(form=filing_form(catalogue, about, candidates, new=enterable(stated)), options=dict(options))


def _doubtful(options: Mapping[str, object]) -> list[str]:
    """What was doubtful about the document; questions sent by an older version kept nothing of it."""
    kept = options.get("doubtful", [])
    return [str(each) for each in kept] if isinstance(kept, list) else []


def _shown(stated: Patient) -> str:
    """What tells people apart, without the INS itself."""
    born = f"{stated.birth_date:%d/%m/%Y}" if stated.birth_date else ""
    return ", ".join(part for part in (stated.label, stated.sex, born) if part)


async def doubts(unit: Unit, sheet_: Sheet, values: Mapping[str, object]) -> dict[str, str]:
    """A patient chosen who left the register meanwhile is asked again."""
    chosen = values.get("patient")
    if chosen in (NEW_PATIENT, NO_PATIENT, None):
        return {}
    there = {candidate_value(known.id) for known in await candidates_of(unit, sheet_.options)}
    return {} if chosen in there else {"patient": sheet_.form.say("filing_gone")}


async def save(unit: Unit, incoming: Incoming, filled: FilledForm) -> str:
    """Let a worker file the document for whom the answer names; what was answered is audited."""
    await unit.store(incoming)
    options, chosen = filled.sheet.options, filled.text("patient")
    message, account = UUID(str(options["message"])), str(options["account"])
    row = None if chosen == NO_PATIENT else await _patient(unit, _stated(options), chosen)
    result = f"patient {row.id}" if row else "left in inbox"
    entered = {"entered": 1} if chosen == NEW_PATIENT else {}
    await unit.audit(incoming.login.address, "file document", f"message {message}", result, **entered)
    kept = await unit.tx.messages.get(message)
    if row is None:
        placed = DocumentPlaced(
            subject_received=str(options["subject"]), received_at=kept.received_at if kept else unit.now
        )
        await unit.answer(placed, incoming.login, in_reply_to=incoming.letter.message_id)
        return "document left where it is"
    trace = kept.envelope.get("trace", []) if kept else []
    await unit.job(
        "file_document",
        f"file_document:{filled.row.id}",
        recipient=account,
        message=message,
        payload={
            "patient": row.id,
            "fields": trace,
            "drop": [],
            "subject": str(options["subject"]),
            "login": incoming.login.address,
            "name": incoming.login.name,
            "in_reply_to": incoming.letter.message_id,
        },
    )
    return f"document of patient {row.id}"


async def _patient(unit: Unit, stated: Patient, chosen: str) -> PatientRow:
    """The patient whom the answer names, entered where it says that it is a new one.

    Who is chosen with the very same traits gets the INS of the document where the register has none, as the
    question announced. An INS that another has is left out of a new one: an INS is one person.
    """
    patients = unit.tx.patients
    holder = await patients.with_ins(stated.ins)
    if chosen == NEW_PATIENT:
        if holder is not None:
            stated = replace(stated, ins="", ins_oid="", qualified=False)
        return await patients.add(stated, unit.now)
    row = await patients.get(candidate_number(chosen))
    assert row is not None, "the answer was looked at"
    found = whose(stated, [Known(row.id, row.patient)], trusted=bool(stated.ins))
    unnoted = isinstance(found, Asked) and found.why is Uncertainty.INS_NOT_NOTED
    return await patients.complete(row, stated) if unnoted and holder is None else row
