"""A decision carried out: its events recorded, its actions turned into stored mails and outbox rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.compose.composer import Draft
from gateway.pipeline.absences import hand_over
from gateway.pipeline.fanout import FannedOut, reply_to, thread_fields, voice_name
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.peer_news import tell_peers
from gateway.pipeline.unit import Unit, tle_fields
from gateway.pipeline.views import Case, build
from gateway.store.exported import DigestRow
from gateway.store.rows import DecisionRow, MessageRow
from teleexpertise.actions import (
    Action,
    Answer,
    DeliverLetter,
    FileReport,
    HandOver,
    MakeReport,
    Notify,
    Post,
    Reader,
    Tag,
)
from teleexpertise.conversation import Conversation
from teleexpertise.decision import Decision, decide
from teleexpertise.events import Author, Completed, MemberLeft, Opened, Posted
from teleexpertise.facts import Facts
from teleexpertise.letters import Attachment, Mailbox
from teleexpertise.people import Document, NoticeMode, Party
from teleexpertise.texts import contexts as mails

__all__ = ["Act", "carry_out", "settle"]

#: Mails that carry a document ask what became of it (ECO.2.3.2).
_RECEIPTED = frozenset({"rapport"})
#: Notices that come while a delay runs out.
_URGENT = frozenset({mails.NoticeEvent.REMINDER, mails.NoticeEvent.SUBSTITUTION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that happened, with all that its consequences may need.

    ``message`` is the stored mail that caused it, ``incoming`` the same as received where it is a member's
    letter. ``attachments`` are what a post may carry on, ``fields`` the header fields that go with them;
    ``also`` are told although they are no members (any more); ``only``, where given, are the addresses that
    posts and files go to; ``about`` is the Message-ID that an answer follows where no letter came; ``cause``
    is why a patient was not reached, ``None`` of others.
    """

    facts: Facts
    message: MessageRow
    incoming: Incoming | None = None
    answer_to: Mailbox | None = None
    documents: tuple[Document, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    also: tuple[Party, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    only: frozenset[str] | None = None
    person: Party | None = None
    others: tuple[mails.ExpertCard, ...] = ()
    text: str = ""
    warnings: tuple[str, ...] = ()
    filename: str = ""
    recipient: str = ""
    sent_at: datetime | None = None
    diagnostic: str = ""
    code: str = ""
    cause: str | None = None
    about: str = ""


async def settle(
    unit: Unit, conversation: Conversation | None, identifier: UUID, facts: Facts, message: MessageRow
) -> tuple[Decision, Conversation | None]:
    """Decide on one thing that happened and record what was decided: events, their fold, and the why. What is
    to be done about it is left to the caller; the conversation after it comes back.
    """
    decision = decide(conversation, facts, unit.services.rules, unit.now.astimezone(unit.services.zone))
    after = conversation
    if decision.events:
        after = await unit.record(conversation, identifier, decision.events, facts.author, message)
    row = DecisionRow(
        at=unit.now,
        trigger=facts.trigger,
        facts={**decision.symbols, "state_after": str(decision.after)},
        trace=[[line.rule, line.fired, line.why] for line in decision.trace],
        rules_version=decision.rules_version,
        conversation_id=after.id if after else None,
        message_id=message.id,
    )
    await unit.tx.decisions.add(row)
    return decision, after


async def carry_out(
    unit: Unit, conversation: Conversation | None, identifier: UUID, act: Act
) -> tuple[Decision, Conversation | None]:
    """Decide on ``act`` and put all that follows into the transaction; the conversation after it comes
    back.
    """
    decision, after = await settle(unit, conversation, identifier, act.facts, act.message)
    if after is None:
        await _answer_unopened(unit, act, decision)
        return decision, None
    work = _Work(unit, act, after)
    for action in decision.actions:
        await work.perform(action)
    if _is_news(decision):
        await tell_peers(unit, work.conversation, act.also)
    return decision, work.conversation


def _is_news(decision: Decision) -> bool:
    """Whether peers may not hear of this by the mails that went out, or not all that their exports need."""
    told = any(isinstance(event, MemberLeft | Completed) for event in decision.events)
    return told or decision.after is not decision.before


async def _answer_unopened(unit: Unit, act: Act, decision: Decision) -> None:
    """Answers about a request that opened nothing."""
    opening = act.facts.proposed
    assert isinstance(opening, Opened), "only a request comes without a conversation"
    for action in decision.actions:
        if isinstance(action, Answer) and act.answer_to is not None:
            mail = _unopened_mail(action.template, opening, act.facts.tool_url)
            await unit.answer(mail, act.answer_to, in_reply_to=act.message.mail_id)


def _unopened_mail(template: str, opening: Opened, tool_url: str) -> mails.Mail:
    """The mails that need no conversation; the rules are held to these when they are loaded."""
    if template == mails.OtherTool.template:
        return mails.OtherTool(expert_name=opening.expert.name, tool_url=tool_url)
    return mails.VitalEmergency(expert_name=opening.expert.name)


@dataclass(slots=True)
class _Work:
    """The actions of one decision, one by one; ``conversation`` goes on with each mail posted."""

    unit: Unit
    act: Act
    conversation: Conversation
    posted: MessageRow | None = None

    def _parties(self, to: tuple[Reader, ...] = ()) -> tuple[Party, ...]:
        only = self._named(to) if to else self.act.only
        active = self.conversation.active()
        return active if only is None else tuple(party for party in active if party.address in only)

    def _named(self, to: tuple[Reader, ...]) -> frozenset[str]:
        """The addresses of those whom a rule names."""
        conversation = self.conversation
        known = {
            Reader.EXPERT: conversation.expert,
            Reader.DEPUTY: conversation.deputy,
            Reader.REQUESTER: conversation.requester,
        }
        return frozenset(party.address for reader in to if (party := known[reader]) is not None)

    async def perform(self, action: Action) -> None:
        match action:
            case Post():
                await self._post(action)
            case Answer():
                await self._answer(action)
            case DeliverLetter():
                await self._deliver()
            case HandOver():
                if self.conversation.deputy is not None:
                    await hand_over(self.unit, self.conversation, self.conversation.deputy)
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
            others=act.others,
            filename=act.filename,
            recipient=act.recipient,
            sent_at=act.sent_at,
            diagnostic=act.diagnostic,
            code=act.code,
            cause=act.cause,
        )

    async def _post(self, post: Post) -> None:
        unit, conversation = self.unit, self.conversation
        readers = tuple(dict.fromkeys((*self._parties(post.to), *self.act.also)))
        if post.to and not readers:
            return
        attachments: list[Attachment] = []
        if post.documents:
            attachments += [
                Attachment(document.filename, document.content_type, document.content)
                for document in self.act.documents
            ]
        if post.letter or self.act.filename:
            attachments += self.act.attachments
        answers_to = reply_to(unit, conversation)
        in_reply_to, references = thread_fields(conversation.thread)
        seq = conversation.seq + 1
        draft = Draft(
            body=unit.services.texts.render(build(post.template, self._case(post.text))),
            from_name=voice_name(unit, conversation, post.voice),
            to=(answers_to,),
            automatic="auto-generated",
            reply_to=answers_to,
            in_reply_to=in_reply_to,
            references=references,
            attachments=tuple(attachments),
            fields=(*tle_fields(conversation, post.template, seq, readers), *self.act.fields),
        )
        self.posted = message = await unit.write(draft, conversation.id)
        author = Author(unit.services.book.service, unit.services.settings.service.display_name)
        self.conversation = await unit.record(
            conversation, conversation.id, [Posted(template=post.template)], author, message
        )
        for party in readers:
            fields = await unit.placed_fields(party)
            await unit.send(
                message,
                party.address,
                conversation=conversation.id,
                fields=fields,
                receipt=post.template in _RECEIPTED,
            )

    async def _answer(self, answer: Answer) -> None:
        if self.act.answer_to is None:
            return
        mail = build(answer.template, self._case(answer.text))
        await self.unit.answer(
            mail,
            self.act.answer_to,
            in_reply_to=self.act.incoming.letter.message_id if self.act.incoming else self.act.about,
            conversation=self.conversation.id,
        )

    async def _deliver(self) -> None:
        incoming = self.act.incoming
        assert incoming is not None, "only a member's letter is delivered"
        letter = FannedOut(
            unit=self.unit,
            conversation=self.conversation,
            author=self.act.facts.author,
            incoming=incoming,
            message=self.act.message,
            attachments=self.act.attachments,
        )
        await letter.deliver()

    async def _notify(self, notify: Notify) -> None:
        """A short notice into INBOX, without patient data, for the members of our domains who want it so."""
        unit, conversation = self.unit, self.conversation
        wanting = []
        for party in conversation.active():
            account = await unit.account(party.address) if party.local else None
            if account is None or account.notice is NoticeMode.INBOX or not self._concerned(notify, party):
                continue
            if account.notice is NoticeMode.DIGEST and self._can_wait(notify, party):
                await self._keep_for_digest(notify, party)
            else:
                wanting.append(party.address)
        if not wanting:
            return
        mail = mails.Notice(
            reference=conversation.ref,
            state=conversation.state,
            event=mails.NoticeEvent(notify.subject),
            who=self.act.facts.author.shown,
            folder=unit.services.texts.words.of("folders", "conversations"),
            missing=() if conversation.closed else conversation.missing,
            false_name=self.act.incoming is not None and self.act.incoming.false_name,
        )
        in_reply_to, references = thread_fields(conversation.thread)
        answers_to = reply_to(unit, conversation)
        draft = Draft(
            body=unit.services.texts.render(mail),
            from_name=unit.services.settings.service.display_name,
            to=(answers_to,),
            automatic="auto-generated",
            reply_to=answers_to,
            in_reply_to=in_reply_to,
            references=references,
        )
        message = await unit.write(draft, conversation.id)
        for address in wanting:
            await unit.send(message, address, conversation=conversation.id)

    def _concerned(self, notify: Notify, party: Party) -> bool:
        """What is missing is the requester's to bring, whoever wrote; all else is news to everybody but
        its author.
        """
        if notify.to:
            return party.address in self._named(notify.to)
        if notify.subject == mails.NoticeEvent.MISSING:
            return party.address == self.conversation.requester.address
        if notify.subject == mails.NoticeEvent.REMINDER and self.act.only is not None:
            return party.address in self.act.only
        author = self.act.facts.author
        return party.address not in (author.account, author.address)

    def _can_wait(self, notify: Notify, party: Party) -> bool:
        """Whether a daily digest is soon enough: never for the requester, who waits for the answer, nor for a
        reminder or a deputy, whose delay would be over, nor where the notice warns of the sender's name.
        """
        warned = self.act.incoming is not None and self.act.incoming.false_name
        if warned or notify.subject in _URGENT:
            return False
        return party.address != self.conversation.requester.address

    async def _keep_for_digest(self, notify: Notify, party: Party) -> None:
        row = DigestRow(
            address=party.address,
            conversation_id=self.conversation.id,
            at=self.unit.now,
            event=notify.subject,
            who=self.act.facts.author.shown,
        )
        await self.unit.tx.digests.add(row)

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
        unfiled = conversation.completion.unfiled if conversation.completion else ()
        for party in self._parties():
            if party.address in unfiled:
                continue
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
