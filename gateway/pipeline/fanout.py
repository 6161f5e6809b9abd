"""A member's mail on its way to the other members: the author's octets with header fields added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.compose.composer import Draft, address_field
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.unit import MAX_REFERENCES, Unit, tle_fields
from gateway.store.rows import MessageRow
from teleexpertise.actions import Voice
from teleexpertise.conversation import Conversation
from teleexpertise.events import Author
from teleexpertise.letters import Attachment, Mailbox, PartKind
from teleexpertise.people import Party
from teleexpertise.plaintext import readable_text, unsigned_text
from teleexpertise.texts import contexts as mails

__all__ = ["FannedOut", "reply_to", "thread_fields", "voice_name"]


def voice_name(unit: Unit, conversation: Conversation, voice: Voice) -> str:
    """The display name under which a mail of ours speaks: ``Dr Rémy PERRET (téléexpertise)``."""
    match voice:
        case Voice.EXPERT:
            return _spoken(unit, conversation.expert.name)
        case Voice.REQUESTER:
            return _spoken(unit, conversation.requester.name)
        case Voice.SERVICE:
            return unit.services.settings.service.display_name


def _spoken(unit: Unit, name: str) -> str:
    return unit.services.texts.words.of("voices", "person").format(name=name)


def reply_to(unit: Unit, conversation: Conversation) -> Mailbox:
    """The reply address under a name that a collected address book entry still explains."""
    address = unit.services.book.reply(conversation.id)
    return Mailbox(address, f"{conversation.ref} {conversation.opening.expert.name}")


def thread_fields(thread: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """In-Reply-To and References of the next mail of a thread: the root and the last ones (``RFC 5322
    §3.6.4``).
    """
    if not thread:
        return "", ()
    kept = tuple(thread)
    if len(kept) > MAX_REFERENCES:
        kept = (kept[0], *kept[1 - MAX_REFERENCES :])
    return kept[-1], kept


@dataclass(frozen=True, slots=True, kw_only=True)
class FannedOut:
    """One mail of a member and the conversation after it. Words that a document brought are retold to all,
    with ``attachments``.
    """

    unit: Unit
    conversation: Conversation
    author: Author
    incoming: Incoming
    message: MessageRow
    attachments: tuple[Attachment, ...] = ()

    @property
    def _words(self) -> str:
        return self.conversation.exchanges[-1].words

    async def deliver(self) -> None:
        """Put a copy for each member into the outbox; the author's own is filed as read in the acting
        account.

        A foreign author's mail goes to foreign members retold, and so does one to anybody whose protected
        header names a Reply-To that ours would contradict (``RFC 9788``).
        """
        fields = self._fields()
        drop = {name.lower() for name, _ in fields} & {"reply-to", "in-reply-to", "references"}
        protected = any(name.lower() == "reply-to" for name, _ in self.incoming.signature.protected_headers)
        retold: MessageRow | None = None
        for party in self.conversation.active():
            own = party.address == self.author.account
            if own and not party.local:
                continue
            place = await self.unit.placed_fields(party)
            if own:
                place += (("X-TLE-Copy", "seen"),)
            if not own and (self._words or protected or not (party.local or self.incoming.local)):
                retold = retold or await self._retell()
                await self._send(retold, party, place, ())
            else:
                await self._send(self.message, party, (*place, *fields), drop)

    async def _send(
        self,
        message: MessageRow,
        party: Party,
        fields: Sequence[tuple[str, str]],
        drop: Sequence[str] | set[str],
    ) -> None:
        await self.unit.send(
            message, party.address, conversation=self.conversation.id, fields=fields, drop=drop
        )

    def _thread_before(self) -> tuple[str, ...]:
        return tuple(name for name in self.conversation.thread if name != self.message.mail_id)

    def _readers(self) -> tuple[Party, ...]:
        """Who gets the mail, its author's account left out."""
        return tuple(p for p in self.conversation.active() if p.address != self.author.account)

    def _event(self) -> str:
        return "late" if self.conversation.exchanges[-1].late else "message"

    def _fields(self) -> tuple[tuple[str, str], ...]:
        letter = self.incoming.letter
        answers_to = reply_to(self.unit, self.conversation)
        fields = (
            *tle_fields(self.conversation, self._event(), self.conversation.seq, self._readers()),
            *self.incoming.trace,
            ("Reply-To", address_field(answers_to)),
        )
        if letter.reply_to:
            fields += (("X-Original-Reply-To", ", ".join(map(address_field, letter.reply_to))),)
        thread = self._thread_before()
        cited = (*letter.references, *letter.in_reply_to)
        if thread and not any(name in thread for name in cited):
            # The client dropped the thread: the reader's client still shows one.
            last, references = thread_fields(thread)
            fields += (("In-Reply-To", last), ("References", " ".join(references)))
        return fields

    async def _retell(self) -> MessageRow:
        """The author's words readable in a mail of ours, signed, the original beside them as it came."""
        conversation, letter = self.conversation, self.incoming.letter
        original = Attachment("message.eml", "message/rfc822", self.incoming.readable)
        shown = self.attachments if self._words else letter.attachments
        readable = tuple(item for item in shown if item.kind is not PartKind.MESSAGE)
        mail = mails.Relayed(
            reference=conversation.ref,
            state=conversation.state,
            author=self.author,
            sent_at=letter.sent_at or self.unit.now,
            text=self._words or readable_text(letter),
            unsigned=unsigned_text(letter).strip(),
            attachments=conversation.exchanges[-1].attachments,
        )
        answers_to = reply_to(self.unit, conversation)
        last, references = thread_fields(self._thread_before())
        draft = Draft(
            body=self.unit.services.texts.render(mail),
            from_name=_spoken(self.unit, self.author.shown),
            to=(answers_to,),
            automatic="auto-generated",
            reply_to=answers_to,
            in_reply_to=last,
            references=references,
            attachments=(*readable, original),
            fields=tle_fields(conversation, self._event(), conversation.seq, self._readers()),
        )
        return await self.unit.write(draft, conversation.id)
