"""Reports for those outside of the conversation: applicative mailboxes that accounts named ("dépôt dans le
dossier patient"), the treating doctor, on request the patient. Each gets a mail of its own under the national
rules; the thread holds by References.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import NAMESPACE_OID, uuid5

from config import Settings, __version__
from gateway.compose.composer import Draft
from gateway.pipeline.fanout import thread_fields
from gateway.pipeline.unit import Unit
from teleexpertise.archives import ArchiveDocument, Sender, Transfer, build_archive
from teleexpertise.archives.headers import header_of
from teleexpertise.archives.mails import DocumentMail, MailedDocument, report_mail
from teleexpertise.archives.markup import read_markup
from teleexpertise.conversation import Conversation
from teleexpertise.events import Author, Posted
from teleexpertise.identifiers import read_ins
from teleexpertise.letters import Attachment, Mailbox
from teleexpertise.texts.contexts import Refusal, RefusalReason
from teleexpertise.texts.document_contexts import EnclosedReport

__all__ = ["archive_of", "deposit", "depositees", "enclosed", "from_patient", "patient_mailbox"]

#: What a patient's mailbox takes in all (Mon espace santé, section 6), in octets as sent.
_MOST_FOR_PATIENTS = 25 * 1024 * 1024
_TEMPLATE = EnclosedReport.template


async def depositees(unit: Unit, conversation: Conversation) -> dict[str, str]:
    """Who gets the report beside the members: mailbox -> its line on the form that finalises.

    The mailboxes that the two parties named for their documents, and the treating doctor of the request.
    """
    words = unit.services.texts.words
    names = {party.address: party.name for party in (conversation.requester, conversation.expert)}
    members = {party.address for party in conversation.active()}
    found: dict[str, str] = {}
    for address, mailbox in await unit.tx.deposits.of(names):
        if mailbox not in members:
            line = words.of("forms", "deposit")
            found.setdefault(mailbox, line.format(name=names[address], address=mailbox))
    treating = conversation.opening.treating
    if treating and treating not in members:
        found.setdefault(treating, words.of("forms", "treating").format(address=treating))
    return found


def patient_mailbox(settings: Settings, conversation: Conversation) -> str:
    """The patient's own mailbox, '' without a qualified INS (ECO.2.2.6) or where no domain is configured."""
    domain, patient = settings.documents.patient_domain, conversation.patient
    if domain is None or patient.anonymous or not patient.qualified or not read_ins(patient.ins).valid:
        return ""
    return f"{patient.ins.lower()}@{domain}"


def from_patient(settings: Settings, address: str) -> bool:
    """Whether an address is a patient's."""
    domain = settings.documents.patient_domain
    return domain is not None and address.lower().rpartition("@")[2] == domain


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
    for address in others:
        conversation = await _send(unit, conversation, made, address, structured=cda is not None)
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
    unit: Unit, conversation: Conversation, made: DocumentMail, address: str, *, structured: bool
) -> Conversation:
    texts = unit.services.texts
    mail = EnclosedReport(
        reference=conversation.ref,
        state=conversation.state,
        requester=conversation.requester,
        expert=conversation.expert,
        version=conversation.version,
        structured=structured,
    )
    body = texts.render(mail)
    patient = from_patient(unit.services.settings, address)
    # The exchange with the patient is closed as it is opened: nobody here waits for an answer to the service.
    closing = (("X-MSS-MES", "FIN"),) if patient else ()
    in_reply_to, references = thread_fields(conversation.thread)
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
    if patient and len(written.raw) > _MOST_FOR_PATIENTS:
        return await _too_large(unit, conversation)
    message = await unit.keep(identifier, written.mail_id, written.raw, conversation.id)
    author = Author(unit.services.book.service, unit.services.settings.service.display_name)
    after = await unit.record(conversation, conversation.id, [Posted(template=_TEMPLATE)], author, message)
    await unit.send(message, address, conversation=conversation.id, receipt=True)
    shown = "the patient" if patient else address
    await unit.audit(author.address, "deposit report", str(conversation.id), "sent", to=shown)
    return after


async def _too_large(unit: Unit, conversation: Conversation) -> Conversation:
    """Tell who finalised that the patient could not be written to; the others have got theirs."""
    completion = conversation.completion
    assert completion is not None, "a report follows a finalisation"
    statement = unit.services.texts.words.of("documents", "patient_too_large")
    mail = Refusal(reason=RefusalReason.OTHER, statement=statement, links=())
    to = Mailbox(completion.finaliser.address, completion.finaliser.name)
    await unit.answer(mail, to, conversation=conversation.id)
    return conversation
