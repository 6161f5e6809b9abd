"""A decision carried out: its events recorded, its actions turned into stored mails and outbox rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.compose.composer import Draft, address_field
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.unit import MAX_REFERENCES, Unit, tle_fields
from gateway.pipeline.views import Case, build
from gateway.store.rows import DecisionRow, MessageRow
from teleexpertise.actions import (
    Action,
    Answer,
    DeliverLetter,
    FileReport,
    MakeReport,
    Notify,
    Post,
    Tag,
    Voice,
)
from teleexpertise.conversation import Conversation
from teleexpertise.decision import Decision, decide
from teleexpertise.events import Author, Opened, Posted
from teleexpertise.facts import Facts
from teleexpertise.letters import Attachment, Mailbox, PartKind
from teleexpertise.people import Document, NoticeMode, Party
from teleexpertise.texts import contexts as mails

__all__ = ["Act", "carry_out", "voice_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that happened, with all that its consequences may need.

    ``message`` is the stored mail that caused it, ``incoming`` the same as received where it is a member's letter.
    ``attachments`` are what a post may carry on; ``also`` are told although they are no members (any more);
    ``only``, where given, are the addresses that posts and files go to.
    """

    facts: Facts
    message: MessageRow
    incoming: Incoming | None = None
    answer_to: Mailbox | None = None
    documents: tuple[Document, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    also: tuple[Party, ...] = ()
    only: frozenset[str] | None = None
    person: Party | None = None
    text: str = ""
    warnings: tuple[str, ...] = ()
    filename: str = ""
    recipient: str = ""
    sent_at: datetime | None = None
    diagnostic: str = ""


def voice_name(unit: Unit, conversation: Conversation, voice: Voice) -> str:
    """The display name under which a mail of ours speaks: ``Dr Rémy PERRET (téléexpertise)``."""
    words = unit.services.texts.words
    match voice:
        case Voice.EXPERT:
            return words.of("voices", "person").format(name=conversation.expert.name)
        case Voice.REQUESTER:
            return words.of("voices", "person").format(name=conversation.requester.name)
        case Voice.SERVICE:
            return unit.services.settings.service.display_name


async def carry_out(
    unit: Unit, conversation: Conversation | None, identifier: UUID, act: Act
) -> tuple[Decision, Conversation | None]:
    """Decide on ``act`` and put all that follows into the transaction; the conversation after it comes back."""
    decision = decide(conversation, act.facts, unit.services.rules, unit.now)
    after = conversation
    if decision.events:
        after = await unit.record(conversation, identifier, decision.events, act.facts.author, act.message)
    row = DecisionRow(
        at=unit.now,
        trigger=act.facts.trigger,
        facts={**decision.symbols, "state_after": str(decision.after)},
        trace=[[line.rule, line.fired, line.why] for line in decision.trace],
        rules_version=decision.rules_version,
        conversation_id=after.id if after else None,
        message_id=act.message.id,
    )
    await unit.tx.decisions.add(row)
    if after is None:
        await _answer_unopened(unit, act, decision)
        return decision, None
    work = _Work(unit, act, after)
    for action in decision.actions:
        await work.perform(action)
    return decision, work.conversation


async def _answer_unopened(unit: Unit, act: Act, decision: Decision) -> None:
    """Answers about a request that opened nothing."""
    opening = act.facts.proposed
    assert isinstance(opening, Opened), "only a request comes without a conversation"
    for action in decision.actions:
        if isinstance(action, Answer) and act.answer_to is not None:
            mail = mails.VitalEmergency(expert_name=opening.expert.name)
            await unit.answer(mail, act.answer_to, in_reply_to=act.message.mail_id)


@dataclass(slots=True)
class _Work:
    """The actions of one decision, one by one; ``conversation`` goes on with each mail posted."""

    unit: Unit
    act: Act
    conversation: Conversation
    posted: MessageRow | None = None

    def _parties(self) -> tuple[Party, ...]:
        only = self.act.only
        active = self.conversation.active()
        return active if only is None else tuple(party for party in active if party.address in only)

    async def perform(self, action: Action) -> None:
        match action:
            case Post():
                await self._post(action)
            case Answer():
                await self._answer(action)
            case DeliverLetter():
                await self._deliver()
            case Notify():
                await self._notify(action)
            case Tag():
                await self._tag()
            case MakeReport():
                version = self.conversation.version
                key = f"report:{self.conversation.id}:{version}"
                await self.unit.job(
                    "make_report", key, conversation=self.conversation.id, payload={"version": version}
                )
            case FileReport():
                await self._file()

    def _case(self, text: str = "") -> Case:
        act = self.act
        return Case(
            conversation=self.conversation,
            author=act.facts.author,
            now=self.unit.now,
            links=self.unit.services.links,
            text=text or act.text,
            warnings=act.warnings,
            person=act.person,
            documents=act.documents,
            filename=act.filename,
            recipient=act.recipient,
            sent_at=act.sent_at,
            diagnostic=act.diagnostic,
        )

    def _reply_to(self) -> Mailbox:
        conversation = self.conversation
        address = self.unit.services.book.reply(conversation.id)
        return Mailbox(address, f"{conversation.ref} {conversation.opening.expert.name}")

    def _thread(self) -> tuple[str, tuple[str, ...]]:
        """In-Reply-To and References for the next mail of the thread."""
        thread = self.conversation.thread
        if not thread:
            return "", ()
        references = thread if len(thread) <= MAX_REFERENCES else (thread[0], *thread[1 - MAX_REFERENCES :])
        return thread[-1], references

    async def _post(self, post: Post) -> None:
        unit, conversation = self.unit, self.conversation
        attachments: list[Attachment] = []
        if post.documents:
            attachments += [
                Attachment(document.filename, document.content_type, document.content)
                for document in self.act.documents
            ]
        if post.letter or self.act.filename:
            attachments += self.act.attachments
        reply_to = self._reply_to()
        in_reply_to, references = self._thread()
        seq = conversation.seq + 1
        draft = Draft(
            body=unit.services.texts.render(build(post.template, self._case(post.text))),
            from_name=voice_name(unit, conversation, post.voice),
            to=(reply_to,),
            automatic="auto-generated",
            reply_to=reply_to,
            in_reply_to=in_reply_to,
            references=references,
            attachments=tuple(attachments),
            fields=tle_fields(conversation, post.template, seq),
        )
        self.posted = message = await unit.write(draft, conversation.id)
        author = Author(unit.services.book.service, unit.services.settings.service.display_name)
        self.conversation = await unit.record(
            conversation, conversation.id, [Posted(template=post.template)], author, message
        )
        for party in (*self._parties(), *self.act.also):
            fields = await unit.placed_fields(party)
            await unit.send(message, party.address, conversation=conversation.id, fields=fields)

    async def _answer(self, answer: Answer) -> None:
        if self.act.answer_to is None:
            return
        mail = build(answer.template, self._case(answer.text))
        await self.unit.answer(
            mail,
            self.act.answer_to,
            in_reply_to=self.act.incoming.letter.message_id if self.act.incoming else "",
            conversation=self.conversation.id,
        )

    async def _deliver(self) -> None:
        """Fan the author's mail out (design, section 5, "Bodies are never altered")."""
        incoming = self.act.incoming
        assert incoming is not None, "only a member's letter is delivered"
        fields = (*tle_fields(self.conversation, self._event(), self.conversation.seq), *incoming.trace)
        fields += (("Reply-To", address_field(self._reply_to())),)
        drop = {"reply-to"}
        thread_fields = self._repaired_thread(incoming)
        if thread_fields:
            drop |= {"in-reply-to", "references"}
            fields += thread_fields
        if incoming.letter.reply_to:
            own = ", ".join(address_field(mailbox) for mailbox in incoming.letter.reply_to)
            fields += (("X-Original-Reply-To", own),)
        acting = self.act.facts.author.account
        relayed: MessageRow | None = None
        for party in self.conversation.active():
            place = await self.unit.placed_fields(party)
            if party.address == acting:
                place += (("X-TLE-Copy", "seen"),)
            if party.local or incoming.local:
                if party.address == acting and not party.local:
                    continue
                await self.unit.send(
                    self.act.message,
                    party.address,
                    conversation=self.conversation.id,
                    fields=(*place, *fields),
                    drop=drop,
                )
            elif party.address != acting:
                relayed = relayed or await self._retell(incoming)
                await self.unit.send(relayed, party.address, conversation=self.conversation.id)

    def _event(self) -> str:
        late = self.conversation.exchanges[-1].late if self.conversation.exchanges else False
        return "late" if late else "message"

    def _repaired_thread(self, incoming: Incoming) -> tuple[tuple[str, str], ...]:
        """Thread fields for a mail whose client dropped them: the reader's client still shows one thread."""
        thread = self.conversation.thread[:-1]
        cited = (*incoming.letter.references, *incoming.letter.in_reply_to)
        if not thread or any(name in thread for name in cited):
            return ()
        references = thread if len(thread) <= MAX_REFERENCES else (thread[0], *thread[1 - MAX_REFERENCES :])
        return (("In-Reply-To", thread[-1]), ("References", " ".join(references)))

    async def _retell(self, incoming: Incoming) -> MessageRow:
        """A foreign author's mail for foreign members: readable, signed by us, the original beside it."""
        unit, conversation, letter = self.unit, self.conversation, incoming.letter
        original = Attachment("message.eml", "message/rfc822", incoming.raw)
        readable = tuple(item for item in letter.attachments if item.kind is not PartKind.MESSAGE)
        exchange = conversation.exchanges[-1]
        mail = mails.Relayed(
            reference=conversation.ref,
            state=conversation.state,
            author=self.act.facts.author,
            sent_at=letter.sent_at or unit.now,
            text=self.act.text,
            attachments=exchange.attachments,
        )
        words = unit.services.texts.words
        reply_to = self._reply_to()
        thread = conversation.thread[:-1]
        draft = Draft(
            body=unit.services.texts.render(mail),
            from_name=words.of("voices", "person").format(name=self.act.facts.author.shown),
            to=(reply_to,),
            automatic="auto-generated",
            reply_to=reply_to,
            in_reply_to=thread[-1] if thread else "",
            references=thread[-MAX_REFERENCES:],
            attachments=(*readable, original),
            fields=tle_fields(conversation, self._event(), conversation.seq),
        )
        return await unit.write(draft, conversation.id)

    async def _notify(self, notify: Notify) -> None:
        """A short notice into INBOX, without patient data, for the members of our domains who want it so."""
        unit, conversation = self.unit, self.conversation
        author = self.act.facts.author
        wanting = []
        for party in conversation.active():
            account = await unit.account(party.address) if party.local else None
            told = account is not None and account.notice is not NoticeMode.INBOX
            if told and party.address not in (author.account, author.address):
                wanting.append(party.address)
        if not wanting:
            return
        mail = mails.Notice(
            reference=conversation.ref,
            state=conversation.state,
            event=mails.NoticeEvent(notify.subject),
            who=author.shown,
            folder=unit.services.texts.words.of("folders", "conversations"),
        )
        in_reply_to, references = self._thread()
        reply_to = self._reply_to()
        draft = Draft(
            body=unit.services.texts.render(mail),
            from_name=unit.services.settings.service.display_name,
            to=(reply_to,),
            automatic="auto-generated",
            reply_to=reply_to,
            in_reply_to=in_reply_to,
            references=references,
        )
        message = await unit.write(draft, conversation.id)
        for address in wanting:
            await unit.send(message, address, conversation=conversation.id)

    async def _tag(self) -> None:
        conversation = self.conversation
        for party in conversation.active():
            if party.local:
                key = f"tag:{conversation.id}:{conversation.seq}:{party.address}"
                await self.unit.job(
                    "tag",
                    key,
                    recipient=party.address,
                    conversation=conversation.id,
                    payload={"state": str(conversation.state)},
                )

    async def _file(self) -> None:
        conversation = self.conversation
        assert self.posted is not None, "a rule files what it has posted"
        for party in self._parties():
            account = await self.unit.account(party.address) if party.local else None
            if account is None or not account.files_reports:
                continue
            key = f"file:{conversation.id}:{conversation.version}:{party.address}"
            await self.unit.job(
                "file",
                key,
                recipient=party.address,
                conversation=conversation.id,
                message=self.posted.id,
                payload={"state": str(conversation.state)},
            )
