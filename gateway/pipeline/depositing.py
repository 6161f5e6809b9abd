"""Reports for those outside of the conversation: applicative mailboxes that accounts named ("dépôt dans le
dossier patient"), the treating doctor, on request the patient. Each gets a mail of its own under the national
rules; the thread holds by References.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import NAMESPACE_OID, uuid5

from config import Settings
from gateway import __version__
from gateway.compose.composer import Draft
from gateway.pipeline.fanout import thread_fields
from gateway.pipeline.patient_exchanges import record_sent_report
from gateway.pipeline.unit import Unit
from teleexpertise.archives import ArchiveDocument, Sender, Transfer, build_archive
from teleexpertise.archives.headers import header_of
from teleexpertise.archives.mails import DocumentMail, MailedDocument, report_mail
from teleexpertise.archives.markup import read_markup
from teleexpertise.conversation import Conversation
from teleexpertise.events import Author, Posted
from teleexpertise.letters import Attachment, Mailbox
from teleexpertise.patient_mail import MES_FIELD, MES_FIN, in_patients_domain, patient_of
from teleexpertise.texts.document_contexts import EnclosedReport
from teleexpertise.texts.patient_contexts import ReportWithheld
from teleexpertise.texts.typography import size

__all__ = ["archive_of", "deposit", "depositees", "enclosed", "folder_lines", "folder_owner"]

#: No address begins so: it has no ``@`` before the colon.
_FOLDER = "folder:"
_TEMPLATE = EnclosedReport.template


async def depositees(unit: Unit, conversation: Conversation) -> dict[str, str]:
    """Who gets the report beside the members: mailbox -> its line on the form that finalises.

    The mailboxes that the two parties named for their documents, and the treating doctor: the one of the
    request, else the one recorded for the patient.
    """
    words, domain = unit.services.texts.words, unit.services.settings.documents.patient_domain
    names = {party.address: party.name for party in (conversation.requester, conversation.expert)}
    members = {party.address for party in conversation.active()}
    found: dict[str, str] = {}
    for address, mailbox in await unit.tx.deposits.of(names):
        if mailbox not in members and not in_patients_domain(mailbox, domain):
            line = words.of("forms", "deposit")
            found.setdefault(mailbox, line.format(name=names[address], address=mailbox))
    treating, word = conversation.opening.treating, "treating"
    if not treating:
        known = await unit.tx.patients.of_conversation(conversation.id)
        recorded = await unit.tx.doctors.of(known.id) if known is not None else None
        treating, word = (recorded.address, "treating_recorded") if recorded is not None else ("", "")
    if treating and treating not in members and not in_patients_domain(treating, domain):
        found.setdefault(treating, words.of("forms", word).format(address=treating))
    return found


async def folder_lines(unit: Unit, conversation: Conversation) -> dict[str, str]:
    """In whose mailbox the report is also filed into the patient's folder: entry -> its line on the form."""
    line, found = unit.services.texts.words.of("forms", "folder"), {}
    for party in conversation.active():
        account = await unit.account(party.address) if party.local else None
        if account is not None and account.files_reports:
            found[f"{_FOLDER}{party.address}"] = line.format(name=party.name)
    return found


def folder_owner(entry: str) -> str:
    """The account of an entry of :func:`folder_lines`, '' for an entry that is an address."""
    return entry.removeprefix(_FOLDER) if entry.startswith(_FOLDER) else ""


def _sender(settings: Settings) -> Sender:
    service = settings.service
    identifier = f"1{service.finess}" if service.finess else "0"
    return Sender(service.organisation_name, identifier, "teleexpertise", __version__)


def _submission(conversation: Conversation) -> str:
    """The OID of the submission of one version: the same each time that it is made (X.667, arc 2.25)."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'{conversation.id}:{conversation.version}:archive').int}"


def _transfer(cda: bytes) -> Transfer:
    """A document that names its parent takes its place at the receiver."""
    return Transfer.REPLACE if header_of(read_markup(cda)).replaces else Transfer.NEW


def archive_of(settings: Settings, conversation: Conversation, cda: bytes) -> bytes:
    """The archive of the last report of a conversation. Raises :class:`NotArchivable`."""
    completion = conversation.completion
    assert completion is not None, "a report follows a finalisation"
    document = ArchiveDocument(cda, _transfer(cda))
    return build_archive([document], _sender(settings), _submission(conversation), completion.at)


def enclosed(
    settings: Settings, conversation: Conversation, filename: str, pdf: bytes, cda: bytes | None
) -> DocumentMail:
    """What the report's mail in the thread carries: the archive where there is a CDA (ECO.2.1.1), and the PDF
    under the name that the thread calls it by.
    """
    page = Attachment(filename, "application/pdf", pdf)
    if cda is None:
        return DocumentMail("", (), (page,))
    made = _mail(settings, conversation, pdf, cda)
    return replace(made, attachments=(page, made.attachments[0]))


async def deposit(unit: Unit, conversation: Conversation, pdf: bytes, cda: bytes | None) -> Conversation:
    """Put a mail with the report into the outbox for each addressee who is no member; the conversation after.

    Without a CDA it is the PDF alone, and the mail says so. It asks what became of it (RFC 8098).
    """
    completion = conversation.completion
    assert completion is not None, "a report follows a finalisation"
    members = {member.party.address for member in conversation.members}
    others = [address for address in completion.addressees if address not in members]
    if not others:
        return conversation
    made = _mail(unit.services.settings, conversation, pdf, cda)
    # Each answers the report, none the deposit before it, which is another's.
    thread = conversation.thread
    for address in others:
        conversation = await _send(unit, conversation, made, address, thread, structured=cda is not None)
    return conversation


def _mail(settings: Settings, conversation: Conversation, pdf: bytes, cda: bytes | None) -> DocumentMail:
    completion = conversation.completion
    assert completion is not None, "a report follows a finalisation"
    if cda is None:
        page = Attachment(f"{conversation.ref}-v{conversation.version}.pdf", "application/pdf", pdf)
        return DocumentMail("", (), (page,))
    document = MailedDocument(
        cda=cda,
        pdf=pdf,
        performed_on=completion.at.astimezone(settings.zone).date(),
        file_number=conversation.ref,
        transfer=_transfer(cda),
    )
    # X-MSS-NIL stands in every mail of ours: the composer writes it.
    return report_mail([document], _sender(settings), _submission(conversation), completion.at)


async def _send(
    unit: Unit,
    conversation: Conversation,
    made: DocumentMail,
    address: str,
    thread: Sequence[str],
    *,
    structured: bool,
) -> Conversation:
    texts, documents = unit.services.texts, unit.services.settings.documents
    patient = patient_of(address, documents.patient_domain)
    mail = EnclosedReport(
        reference=conversation.ref,
        state=conversation.state,
        requester=conversation.requester,
        expert=conversation.expert,
        version=conversation.version,
        structured=structured,
        patient=bool(patient),
    )
    body = texts.render(mail)
    # The exchange with the patient is closed as it is opened: nobody here waits for an answer to the service.
    closing = ((MES_FIELD, MES_FIN),) if patient else ()
    in_reply_to, references = thread_fields(thread)
    draft = Draft(
        body=replace(body, subject=made.subject or body.subject),
        from_name=unit.services.settings.service.display_name,
        to=(Mailbox(address),),
        automatic="auto-generated",
        in_reply_to=in_reply_to,
        references=references,
        attachments=made.attachments,
        fields=(*made.fields, *closing),
    )
    identifier = unit.services.new_id()
    written = unit.services.composer.write(draft, identifier, unit.now)
    if patient and len(written.raw) > documents.patient_max_bytes:
        return await _too_large(unit, conversation)
    message = await unit.keep(identifier, written.mail_id, written.raw, conversation.id)
    author = Author(unit.services.book.service, unit.services.settings.service.display_name)
    after = await unit.record(conversation, conversation.id, [Posted(template=_TEMPLATE)], author, message)
    await unit.send(message, address, conversation=conversation.id, receipt=True)
    if patient:
        await record_sent_report(unit, conversation, patient, written.mail_id)
    shown = "the patient" if patient else address
    await unit.audit(author.address, "deposit report", str(conversation.id), "sent", to=shown)
    return after


async def _too_large(unit: Unit, conversation: Conversation) -> Conversation:
    """Tell who finalised that the patient could not be written to; the others have got theirs."""
    completion = conversation.completion
    assert completion is not None, "a report follows a finalisation"
    most = size(unit.services.settings.documents.patient_max_bytes)
    statement = unit.services.texts.words.of("documents", "patient_too_large").format(size=most)
    mail = ReportWithheld(reference=conversation.ref, state=conversation.state, statement=statement)
    to = Mailbox(completion.finaliser.address, completion.finaliser.name)
    last, _ = thread_fields(conversation.thread)
    await unit.answer(mail, to, in_reply_to=last, conversation=conversation.id)
    service = unit.services.book.service
    await unit.audit(service, "deposit report", str(conversation.id), "too large", to="the patient")
    return conversation
