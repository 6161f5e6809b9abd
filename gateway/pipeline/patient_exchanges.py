"""Mail with patients: exchanges that our users open and end, and patients' mail, which only answers in one.

The operator of the patients vouches for an address, as others do for theirs; what it says is an answer to is
known by the Message-IDs that it cites, never by its subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from gateway.pipeline import receipts
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.patient_returns import is_return
from gateway.pipeline.refusing import refused
from gateway.pipeline.unit import Unit
from gateway.relay.dsn import read_report
from gateway.smtp.refusals import Refusal
from gateway.store.rows import MessageRow
from teleexpertise.addressing import without_detail
from teleexpertise.automatic import Automatic
from teleexpertise.conversation import Conversation
from teleexpertise.patient_mail import (
    Ending,
    Exchange,
    cited_by,
    ending_of,
    in_patients_domain,
    matricule_of,
    nearest,
    patient_of,
)
from teleexpertise.people import Account
from teleexpertise.texts.contexts import RefusalReason
from teleexpertise.texts.typography import size

__all__ = ["Admitted", "admit", "check_outgoing", "follow", "record_sent_report"]

#: What a copy gains on its way: trace, DKIM and loop fields.
_ADDED_ON_THE_WAY = 4096


@dataclass(frozen=True, slots=True)
class Admitted:
    """A patient's mail that was let in: our mailbox -> the open exchange that it answers."""

    exchanges: Mapping[str, Exchange] = field(default_factory=dict)


# -- what our users send


def check_outgoing(unit: Unit, incoming: Incoming) -> None:
    """Refuse what must not go to a patient: copies of a tele-expertise, and more than its mailbox takes.

    Raises a refusal; nothing is sent to anybody then.
    """
    documents = unit.services.settings.documents
    addressed = incoming.addressed
    if not any(in_patients_domain(name, documents.patient_domain) for name in addressed.others):
        return
    if addressed.conversations or addressed.service:
        raise refused(unit.services, RefusalReason.PATIENT_MEMBER)
    if incoming.local and len(incoming.raw) + _ADDED_ON_THE_WAY > documents.patient_max_bytes:
        detail, reason = size(documents.patient_max_bytes), RefusalReason.PATIENT_SIZE
        raise refused(unit.services, reason, detail, code=552, enhanced="5.3.4")


async def _answering_mailbox(unit: Unit, incoming: Incoming) -> str:
    """The mailbox of ours where the patient may answer: that of Reply-To, which replaces the sender as
    authorised contact (ENS §9), else of From; '' where it is none of ours.
    """
    named = incoming.letter.reply_to
    if len(named) > 1:
        return ""
    address = named[0].address if named else incoming.written_as
    account = await _account(unit, address)
    return account.address if account is not None else ""


async def _account(unit: Unit, address: str) -> Account | None:
    if not unit.services.is_local(address):
        return None
    lower = address.lower()
    return await unit.account(lower) or await unit.account(without_detail(lower))


async def _sent(unit: Unit, incoming: Incoming, message: MessageRow) -> None:
    """Open, go on with or end the exchange of a user's mail with each patient that it goes to."""
    domain = unit.services.settings.documents.patient_domain
    patients = {patient_of(name, domain) for name in incoming.addressed.others} - {""}
    mailbox = await _answering_mailbox(unit, incoming) if patients else ""
    for patient in sorted(patients) if mailbox else ():
        await _continue(unit, incoming, message, mailbox, patient)


async def _continue(unit: Unit, incoming: Incoming, message: MessageRow, mailbox: str, patient: str) -> None:
    letter, who = incoming.letter, incoming.login.address
    known = await unit.tx.exchanges.citing(mailbox, patient, [message.mail_id, *cited_by(letter)])
    # A mail that its client sends again, having lost our 250, opens no second exchange.
    exchange = known.get(message.mail_id) or nearest(cited_by(letter), known)
    ending = ending_of(letter)
    if exchange is None or not (exchange.open or message.mail_id in known):
        exchange = await _open(unit, mailbox, patient, who)
    await unit.tx.exchanges.note_mail(exchange.id, message.mail_id, unit.now)
    if ending is Ending.NONE:
        return
    ended = {exchange.id: exchange}
    if ending is Ending.ALL:
        ended |= {each.id: each for each in await unit.tx.exchanges.between(mailbox, patient) if each.open}
    for each in ended.values():
        if await unit.tx.exchanges.close([each.id], who, unit.now):
            await unit.audit(who, "close exchange", str(each.id), f"ended by {ending}", mailbox=mailbox)


async def _open(
    unit: Unit, mailbox: str, patient: str, who: str, conversation: UUID | None = None
) -> Exchange:
    exchange = Exchange(
        id=unit.services.new_id(),
        mailbox=mailbox,
        patient=patient,
        opened_by=who,
        opened_at=unit.now,
        last_at=unit.now,
        conversation_id=conversation,
    )
    await unit.tx.exchanges.add(exchange)
    await unit.audit(who, "open exchange", str(exchange.id), "opened", mailbox=mailbox)
    return exchange


async def record_sent_report(unit: Unit, conversation: Conversation, patient: str, mail_id: str) -> None:
    """Keep the exchange of a report that the service sent to a patient: closed as it is opened."""
    assert conversation.completion is not None, "a report follows a finalisation"
    finaliser = conversation.completion.finaliser.address
    exchange = await _open(unit, unit.services.book.service, patient, finaliser, conversation.id)
    await unit.tx.exchanges.note_mail(exchange.id, mail_id, unit.now)
    await unit.tx.exchanges.close([exchange.id], finaliser, unit.now)
    await unit.audit(finaliser, "close exchange", str(exchange.id), "ended as sent")


# -- what patients send


async def admit(unit: Unit, incoming: Incoming) -> Admitted:
    """Let a patient's mail in where it answers an open exchange with each of its recipients here.

    Mail of anybody else passes. Of automatic mail, reports on what the patient was sent come in although the
    exchange was closed since; the operator's own reports are no patient's mail. Raises a refusal.
    """
    services = unit.services
    domain = services.settings.documents.patient_domain
    if not in_patients_domain(incoming.written_as, domain):
        return Admitted()
    to_us = bool(incoming.addressed.conversations or incoming.addressed.service)
    if to_us and incoming.automatic is None:
        raise refused(services, RefusalReason.PATIENT)
    if incoming.local:
        return Admitted()
    patient = patient_of(incoming.written_as, domain)
    others = [name for name in incoming.addressed.others if services.is_local(name)]
    if not patient:
        if incoming.automatic is None and others and not is_return(unit, incoming):
            raise refused(services, RefusalReason.PATIENT_FIRST)
        return Admitted()
    found: dict[str, Exchange] = {}
    for name in others:
        account = await _account(unit, name)
        exchange = await _answered(unit, incoming, account.address if account else name, patient)
        if exchange is not None:
            found[exchange.mailbox] = exchange
    return Admitted(found)


async def _answered(unit: Unit, incoming: Incoming, mailbox: str, patient: str) -> Exchange | None:
    """The open exchange that a mail answers; ``None`` for a report on a mail of one. Raises a refusal."""
    report = incoming.automatic is Automatic.REPORT
    cited = _reported_ids(incoming) if report else cited_by(incoming.letter)
    exchange = nearest(cited, await unit.tx.exchanges.citing(mailbox, patient, cited))
    if exchange is not None and (report or exchange.open):
        return None if report else exchange
    if exchange is not None:
        raise refused(unit.services, RefusalReason.PATIENT_CLOSED)
    raise await _unanswering(unit, mailbox, patient)


async def _unanswering(unit: Unit, mailbox: str, patient: str) -> Refusal:
    """Why a mail that cites nothing of an exchange is not let in."""
    known = await unit.tx.exchanges.between(mailbox, patient)
    if not known:
        return refused(unit.services, RefusalReason.PATIENT_FIRST)
    still = any(exchange.open for exchange in known)
    reason = RefusalReason.PATIENT_NOT_ANSWERING if still else RefusalReason.PATIENT_CLOSED
    return refused(unit.services, reason)


def _reported_ids(incoming: Incoming) -> tuple[str, ...]:
    """The mails that a report is about: what its machine part says, and what it cites."""
    receipt = receipts.receipt_of(incoming)
    report = read_report(incoming.readable)
    named = (receipt.message_id if receipt else "", report.message_id if report else "")
    return (*filter(None, named), *cited_by(incoming.letter))


async def follow(unit: Unit, incoming: Incoming, message: MessageRow, admitted: Admitted) -> None:
    """Record what an ordinary mail is to its exchanges, once it is stored and on its way: a patient's answer
    is filed into the patient's folder as well.
    """
    if incoming.local:
        if incoming.automatic is None:
            await _sent(unit, incoming, message)
        return
    for mailbox, exchange in admitted.exchanges.items():
        await unit.tx.exchanges.note_mail(exchange.id, message.mail_id, unit.now, answer=True)
        await unit.audit(exchange.patient, "answer in exchange", str(exchange.id), "delivered", to=mailbox)
        await _file(unit, incoming, message, mailbox, exchange)


async def _file(
    unit: Unit, incoming: Incoming, message: MessageRow, mailbox: str, exchange: Exchange
) -> None:
    """Into the folder of the patient, where the register has this INS as qualified: else it is in INBOX."""
    account = await unit.account(mailbox)
    known = await unit.tx.patients.with_ins(matricule_of(exchange.patient))
    if account is None or not account.files_reports or known is None or not known.patient.qualified:
        return
    if known.patient.birth_date is None:
        return
    await unit.job(
        "file_letter",
        f"file_letter:{message.id}:{mailbox}",
        recipient=mailbox,
        message=message.id,
        payload={"fields": [list(pair) for pair in incoming.trace], "drop": [], "patient": known.id},
    )
