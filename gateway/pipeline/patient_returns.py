"""Mails that a patient's mailbox returned: why, in French, to the professional who sent them.

The return itself is delivered like any mail; what it means is told beside it, in the thread, once a mail.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.pipeline.incoming import Incoming
from gateway.pipeline.unit import Unit
from gateway.relay.dsn import Action, RecipientReport, read_report
from gateway.relay.multipart_reports import enclosed_ids
from gateway.services import Services
from teleexpertise.letters import Letter, Mailbox
from teleexpertise.patient_mail import Exchange, cited_by, in_patients_domain, patient_of
from teleexpertise.plaintext import readable_text
from teleexpertise.quotation import own_words
from teleexpertise.texts.patient_contexts import PatientUnreached

__all__ = ["UNKNOWN_CAUSE", "cause_for", "explain_return", "is_return", "note_unreached", "own_text"]

UNKNOWN_CAUSE = "other"
"""What is recorded of a return whose cause the table does not know."""


def cause_for(services: Services, recipient: str, status: str, texts: Iterable[str]) -> str | None:
    """Why a mail did not reach ``recipient``: a name of the table or '', ``None`` where
    that is no patient.
    """
    if not patient_of(recipient, services.settings.documents.patient_domain):
        return None
    return services.patient_bounces.cause(status, texts)


async def note_unreached(unit: Unit, recipient: str, mail_id: str, status: str, text: str) -> None:
    """Note in its exchange that a mail did not reach the patient, for who looks there; nothing for others."""
    cause = cause_for(unit.services, recipient, status, [text])
    patient = patient_of(recipient, unit.services.settings.documents.patient_domain)
    for exchange in await unit.tx.exchanges.sent([mail_id]) if cause is not None else ():
        if exchange.patient == patient:
            await unit.tx.exchanges.note_failure(exchange.id, [mail_id], cause or UNKNOWN_CAUSE)
            await unit.audit(exchange.mailbox, "exchange failed", str(exchange.id), cause or UNKNOWN_CAUSE)


def is_return(unit: Unit, incoming: Incoming) -> bool:
    """Whether a mail is a return by the operator of the patients as its subject says, a report or not."""
    domain = unit.services.settings.documents.patient_domain
    if incoming.local or not in_patients_domain(incoming.written_as, domain):
        return False
    return not patient_of(incoming.written_as, domain) and unit.services.patient_bounces.is_return(
        incoming.letter.subject
    )


def own_text(letter: Letter) -> tuple[str, ...]:
    """The words of a return itself, what it quotes of the mail left out."""
    return (own_words(readable_text(letter)), letter.subject)


async def explain_return(unit: Unit, incoming: Incoming) -> None:
    """Tell each professional of ours to whom a return comes why the patient was not reached.

    It must come from the operator of the patients, by its certificate, and be about a mail of an exchange of
    the one who gets it.
    """
    domain = unit.services.settings.documents.patient_domain
    if domain is None or incoming.local or not _vouched(unit, incoming, domain):
        return
    report = read_report(incoming.readable)
    failed = [each for each in report.recipients if each.action is Action.FAILED] if report else []
    if not failed and not is_return(unit, incoming):
        return
    letter = incoming.letter
    named = [report.message_id] if report else []
    ids = tuple(dict.fromkeys(filter(None, (*named, *enclosed_ids(letter), *cited_by(letter)))))
    exchanges = await unit.tx.exchanges.sent(ids) if ids else ()
    for name in incoming.addressed.others:
        for exchange in exchanges:
            if name.lower() in (exchange.mailbox, exchange.opened_by):
                await _explain(unit, incoming, exchange, ids, failed, name.lower())


def _vouched(unit: Unit, incoming: Incoming, domain: str) -> bool:
    certificate = incoming.envelope.peer.certificate or b""
    return unit.services.trust.sender_fault(certificate, "", f"postmaster@{domain}") is None


async def _explain(
    unit: Unit,
    incoming: Incoming,
    exchange: Exchange,
    ids: tuple[str, ...],
    failed: list[RecipientReport],
    reader: str,
) -> None:
    domain = unit.services.settings.documents.patient_domain
    mine = [each for each in failed if patient_of(each.final_recipient, domain) == exchange.patient]
    if failed and not mine:
        return  # a report on another recipient of the same mail
    texts = (*(each.diagnostic for each in mine), *own_text(incoming.letter))
    cause = unit.services.patient_bounces.cause(mine[0].status if mine else "", texts)
    noted = await unit.tx.exchanges.note_failure(exchange.id, ids, cause or UNKNOWN_CAUSE)
    if noted is None:
        return
    mail_id, sent_at = noted
    account = await unit.account(reader)
    to = Mailbox(reader, account.name if account is not None else "")
    mail = PatientUnreached(sent_at=sent_at, cause=cause, diagnostic=mine[0].diagnostic if mine else "")
    await unit.audit(reader, "exchange failed", str(exchange.id), cause or UNKNOWN_CAUSE)
    await unit.answer(mail, to, in_reply_to=mail_id)
