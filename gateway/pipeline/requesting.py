"""The request: its form for one expert, and the conversation that a filled one opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.pipeline.absences import away
from gateway.pipeline.attachment_notes import notes_of
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.document_mailboxes import receives_documents
from gateway.pipeline.document_numbers import Met, meet, note, numbers_in
from gateway.pipeline.identifying import candidates_of, enter_patient, stated_patient
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.refusing import refused
from gateway.pipeline.sending_forms import Sheet, kept_attachments
from gateway.pipeline.unit import Unit
from gateway.register import record_treating
from gateway.store.rows import FormRow
from teleexpertise.archives import holds_documents
from teleexpertise.conversation import Conversation
from teleexpertise.events import Author, ExpertAway, Opened, Side
from teleexpertise.facts import Facts, Trigger
from teleexpertise.forms import FormKind, Value, element_answers, request_form
from teleexpertise.letters import Attachment, Letter, Mailbox
from teleexpertise.people import Account, AccountKind, Expert, IdentityPolicy, Party
from teleexpertise.prerequisites import count_given
from teleexpertise.texts.contexts import CommandConfirmation, CommandDone, RefusalReason

__all__ = ["FilledForm", "examine", "is_vital", "open_request", "sheet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledForm:
    """A form that is complete and right: its copy, its sheet, typed values, the answerer's words above it.

    ``warnings`` are sentences about what is doubtful and was taken all the same; ``known_patient`` is the
    number of a request's patient in the register, ``None`` for a new or anonymous one; ``brought`` is what a
    document held that asked in its place.
    """

    row: FormRow
    sheet: Sheet
    values: Mapping[str, Value]
    remark: str = ""
    warnings: tuple[str, ...] = ()
    known_patient: int | None = None
    brought: tuple[Attachment, ...] = ()

    def brought_by_document(self, attachment: Attachment) -> bool:
        """Whether an attachment is the archive, or the bare document, that asked in the form's place."""
        return bool(self.sheet.options.get("order_id")) and holds_documents(attachment)

    def text(self, name: str) -> str:
        """A text value, '' when the line was left empty."""
        value = self.values.get(name, "")
        return value if isinstance(value, str) else ""

    def truth(self, name: str) -> bool:
        """A yes-or-no value, ``False`` when absent."""
        return self.values.get(name) is True

    def ticked(self, name: str) -> list[int]:
        """The numbers of the ticked lines."""
        value = self.values.get(name, [])
        return value if isinstance(value, list) else []


def is_vital(kind: str, values: Mapping[str, Value]) -> bool:
    """Whether a form is a request that calls itself a vital emergency."""
    return kind == FormKind.REQUEST and values.get("urgency") == "vitale"


async def _acting(unit: Unit, login: Mailbox) -> tuple[Account, ...]:
    """The accounts somebody may ask for: the own one first; a person of another operator stands for
    themselves.
    """
    own = await unit.account(login.address)
    if own is None:
        return (Account(address=login.address, name=login.name or login.address),)
    rights = await unit.tx.delegations.rights()
    others = [await unit.account(address) for address in rights.principals(login.address)]
    return (own, *(account for account in others if account is not None and account.active))


async def sheet(
    unit: Unit, login: Mailbox, expert_address: str, options: Mapping[str, object]
) -> Sheet | None:
    """The request form for one expert, prefilled with what is known; ``None`` when the expert has left the
    directory. ``options["acting"]`` is the account in whose name it was asked for, the first choice.
    """
    expert = await unit.tx.experts.get(expert_address)
    if expert is None or not expert.listed or not expert.account.active:
        return None
    acting = await _acting(unit, login)
    form = request_form(unit.services.forms, expert, acting, await candidates_of(unit, options))
    asking = next((account for account in acting if account.address == options.get("acting")), acting[0])
    values: dict[str, Value] = {"acting": asking.address, "expert": expert.account.address}
    if asking.billing_number:
        values["billing_number"] = asking.billing_number
    return Sheet(
        form=form, values=values, options={"kept": [], **options, "expert": expert_address}, expert=expert
    )


async def _away(unit: Unit, expert: Expert, requester: Party, author: Author) -> ExpertAway | None:
    """The expert's absence today, with who answers meanwhile; ``None`` for an expert who is there."""
    absence = expert.absence
    if absence is None or not absence.covers(unit.today):
        return None
    return await away(unit, absence, expert.account.address, (requester.address, author.address))


def _opening(
    filled: FilledForm,
    expert: Expert,
    requester: Party,
    attachments: tuple[Attachment, ...],
    met: ExpertAway | None,
) -> Opened:
    answers = element_answers(filled.sheet.form, filled.values)
    given = count_given(attachments)
    return Opened(
        ref="",
        requester=requester,
        expert=Party.of(expert.account),
        patient=stated_patient(filled.values),
        question=filled.text("question"),
        urgency=filled.text("urgency"),
        consent=filled.truth("consent"),
        phone=filled.text("phone"),
        delay_days=expert.delay_days,
        specialties=expert.specialties,
        items=expert.items,
        prerequisites=expert.prerequisites,
        answers=answers,
        attachments=notes_of(attachments),
        images=given.images,
        documents=given.documents,
        remark=filled.remark,
        absence=met.absence if met else None,
        deputy=met.deputy if met else None,
        deputy_until=met.deputy_until if met else None,
        insured_number=filled.text("insured"),
        treating=filled.text("treating").lower(),
        order_id=str(filled.sheet.options.get("order_id", "")),
    )


def _left_out(unit: Unit, letter: Letter) -> tuple[str, ...]:
    """What a mail enclosed outside of its signed part goes no further, and its author hears it."""
    names = ", ".join(attachment.filename for attachment in letter.attachments if attachment.unsigned)
    sentence = unit.services.texts.words.of("forms", "unsigned_attachments")
    return (sentence.format(names=names),) if names else ()


async def _opened_already(unit: Unit, incoming: Incoming, met: Met) -> str:
    """A document that came twice was asked back twice: of two answers one opens the conversation."""
    conversation = met.conversation
    await unit.store(incoming, conversation.id)
    mail = CommandConfirmation(reference=conversation.ref, state=conversation.state, done=CommandDone.KNOWN)
    await unit.answer(
        mail, incoming.login, in_reply_to=incoming.letter.message_id, conversation=conversation.id
    )
    return f"request document known: {conversation.ref}"


async def examine(unit: Unit, filled: Sheet, values: Mapping[str, Value]) -> dict[str, str]:
    """Sentences about lines that are well formed and yet wrong, by field."""
    treating = str(values.get("treating", "")).lower()
    if not treating or await receives_documents(unit, treating):
        return {}
    return {"treating": filled.form.say("treating", typed=treating[:80])}


def _told_of_treating(unit: Unit, filled: FilledForm) -> tuple[str, ...]:
    """What becomes of the treating doctor recorded for the patient, where the form speaks of all requests."""
    if filled.text("treating_kept") != "always":
        return ()
    words, address = unit.services.texts.words, filled.text("treating").lower()
    if filled.truth("anonymous"):
        return (words.of("forms", "treating_anonymous"),)
    word = "treating_kept" if address else "treating_cleared"
    return (words.of("forms", word).format(address=address),)


async def _keep_treating(unit: Unit, conversation: Conversation, who: str) -> None:
    """Record the treating doctor that a request names for its patient; without a name none from now on."""
    known = await unit.tx.patients.of_conversation(conversation.id)
    if known is not None:
        await record_treating(unit.tx, known.id, conversation.opening.treating, who, unit.now)


def _without_rpps(unit: Unit, requester: Account | None) -> tuple[str, ...]:
    """Who asks hears that the expert will miss the RPPS number of a person's account (A.23)."""
    if requester is None or requester.kind is not AccountKind.PERSON or requester.rpps:
        return ()
    return (unit.services.texts.words.of("forms", "no_rpps").format(name=requester.name),)


async def open_request(unit: Unit, incoming: Incoming, filled: FilledForm) -> str:
    """Decide on a complete request; the rules open it, redirect it, or answer that one must call 15."""
    expert = filled.sheet.expert
    assert expert is not None, "a request form names its expert"
    login = incoming.login
    numbers = numbers_in(filled.sheet.options)
    if numbers is not None:
        met = await meet(unit, incoming, numbers, expert.account.address, stated_patient(filled.values))
        if met is not None and met.same_patient:
            return await _opened_already(unit, incoming, met)
    chosen = filled.text("acting")
    rights = await unit.tx.delegations.rights()
    if not rights.may_act(login.address, chosen):
        raise refused(unit.services, RefusalReason.MAY_NOT_ACT, chosen)
    account = await unit.account(chosen)
    requester = Party.of(account) if account else Party(chosen, login.name or chosen, local=False)
    requester = replace(requester, billing_number=filled.text("billing_number"))
    author = Author(login.address, login.name or login.address)
    if chosen != login.address:
        author = replace(author, acting_for=chosen, acting_for_name=requester.name)
    earlier = await kept_attachments(unit, filled.row.options)
    # An archive that asked is a form: what it says is in the question, what it holds beside it.
    brought = (
        *(a for a in incoming.letter.signed_attachments if not filled.brought_by_document(a)),
        *filled.brought,
    )
    seen = {attachment.content for attachment in brought}
    attachments = (*(attachment for attachment in earlier if attachment.content not in seen), *brought)
    identifier = unit.services.new_id()
    absent = await _away(unit, expert, requester, author)
    message = await unit.store(incoming)
    facts = Facts(
        trigger=Trigger.REQUEST,
        author=author,
        proposed=_opening(filled, expert, requester, attachments, absent),
        side=Side.REQUESTER,
        tool_url=expert.tool_url,
        allows_anonymous=expert.identity is IdentityPolicy.ANONYMOUS_ALLOWED,
    )
    act = Act(
        facts=facts,
        message=message,
        incoming=incoming,
        answer_to=login,
        documents=expert.documents,
        attachments=attachments,
        warnings=(
            *filled.warnings,
            *_without_rpps(unit, account),
            *_left_out(unit, incoming.letter),
            *_told_of_treating(unit, filled),
        ),
    )
    _, conversation = await carry_out(unit, None, identifier, act)
    if conversation is None:
        return "request answered, nothing opened"
    await unit.tx.messages.place(message.id, conversation.id)
    await _remember(unit, conversation, filled, login.address)
    if numbers is not None:
        await note(unit, conversation, numbers, message)
    return f"opened {conversation.ref}"


async def _remember(unit: Unit, conversation: Conversation, filled: FilledForm, who: str) -> None:
    """What outlasts the conversation: its patient in the register, the treating doctor of all requests."""
    await enter_patient(unit, conversation.id, conversation.patient, filled.known_patient)
    if filled.text("treating_kept") == "always":
        await _keep_treating(unit, conversation, who)
