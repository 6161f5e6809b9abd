"""One transaction's worth of consequences: messages stored, events recorded, actions put into the outbox.

Everything here happens before the ``250`` and inside one transaction; nothing here sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from hashlib import sha256
from uuid import UUID

from asn1crypto.pem import armor
from pydantic import TypeAdapter

from gateway.compose.composer import Draft
from gateway.pipeline.incoming import Incoming
from gateway.services import Services
from gateway.store.rows import BounceRow, Direction, KnownCertificateRow, MessageRow, OutboxRow, Projection
from gateway.store.transaction import Transaction
from teleexpertise.claims import Claim, claim_fields
from teleexpertise.conversation import Conversation, apply, fold
from teleexpertise.events import AnyEvent, Author, Opened, Record
from teleexpertise.letters import Attachment, Mailbox
from teleexpertise.patient_mail import masked
from teleexpertise.people import Account, NoticeMode, Party
from teleexpertise.texts.contexts import Mail

__all__ = ["MAX_REFERENCES", "Unit", "projection", "tle_fields"]

#: References cite the root and the last ones: enough for any client's thread, bounded for any relay.
MAX_REFERENCES = 10
_STATE = TypeAdapter(Conversation)


def projection(conversation: Conversation) -> Projection:
    """What the database keeps of a conversation beside its events, for lists and rights."""
    return Projection(
        state=conversation.state,
        requester_address=conversation.requester.address,
        expert_address=conversation.expert.address,
        updated_at=conversation.updated_at,
        members={member.party.address: member.active for member in conversation.members},
        folded=_STATE.dump_python(conversation, mode="json"),
    )


def tle_fields(
    conversation: Conversation, event: str, seq: int, readers: Iterable[Party] = ()
) -> tuple[tuple[str, str], ...]:
    """The gateway's header fields on a mail of a conversation. Of its ``readers`` those of other operators
    are named, so that no peer takes the mail for somebody else's.
    """
    foreign = dict.fromkeys(party.address for party in readers if not party.local)
    return claim_fields(
        Claim(
            id=conversation.id,
            ref=conversation.ref,
            event=event,
            seq=seq,
            state=conversation.state,
            to=tuple(foreign),
        )
    )


@dataclass(slots=True)
class Unit:
    """The work of one transaction. ``now`` is its single instant; ``cause``, the message that its mails are
    written for, becomes the mail that :meth:`store` keeps.
    """

    services: Services
    tx: Transaction
    now: datetime
    cause: UUID | None = None
    _accounts: dict[str, Account | None] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """The day that calendars show where the service is."""
        return self.now.astimezone(self.services.zone).date()

    # -- messages

    async def store(self, incoming: Incoming, conversation: UUID | None = None) -> MessageRow:
        """Keep a received mail byte for byte; what is written from now on is its consequence.

        One that is kept already (it was held, or its bounce was matched) is placed, not kept twice.
        """
        self.cause = incoming.id
        known = await self.tx.messages.get(incoming.id)
        if known is not None:
            if conversation is not None:
                await self.tx.messages.place(known.id, conversation)
            return replace(known, conversation_id=conversation or known.conversation_id)
        envelope = incoming.envelope
        row = MessageRow(
            id=incoming.id,
            sha256=incoming.sha256,
            mail_id=incoming.letter.message_id,
            sender=incoming.written_as,
            body_sha256=incoming.letter.body_sha256,
            direction=Direction.RECEIVED,
            received_at=self.now,
            size=len(incoming.raw),
            queue_id=envelope.queue_id,
            conversation_id=conversation,
            envelope={
                "mail_from": envelope.mail_from,
                "recipients": list(envelope.recipients),
                "login": incoming.login.address,
                "name": incoming.login.name,
                "signature": str(incoming.signature.verdict),
                "reason": str(incoming.signature.reason),
                "trace": [list(pair) for pair in incoming.trace],
                "findings": list(incoming.findings),
                "encryption": str(incoming.encryption or ""),
            },
        )
        await self.tx.messages.add(row, incoming.raw)
        if incoming.clear is not None:
            await self.tx.messages.add_clear(row.id, incoming.clear)
        for found in incoming.known:
            await self.tx.certificates.learn(
                KnownCertificateRow(
                    address=incoming.written_as,
                    fingerprint=found.fingerprint,
                    certificate=found.certificate,
                    issuers=b"".join(armor("CERTIFICATE", issuer) for issuer in found.issuers),
                    announces_gcm=found.gcm,
                    signed_at=found.signed_at,
                )
            )
        return row

    async def copies(self, incoming: Incoming) -> tuple[MessageRow, ...]:
        """The stored mails with its sender, Message-ID and body, oldest first, itself among them if stored:
        who missed our 250 sends again, with other hop fields, and so with another hash.
        """
        letter = incoming.letter
        return tuple(
            row
            for row in await self.tx.messages.by_mail_id(letter.message_id)
            if row.sender == incoming.written_as and row.body_sha256 == letter.body_sha256
        )

    async def write(self, draft: Draft, conversation: UUID | None = None) -> MessageRow:
        """Compose, sign and keep a mail of ours."""
        identifier = self.services.new_id()
        written = self.services.composer.write(draft, identifier, self.now)
        return await self.keep(identifier, written.mail_id, written.raw, conversation)

    async def keep(
        self, identifier: UUID, mail_id: str, raw: bytes, conversation: UUID | None = None
    ) -> MessageRow:
        """Keep a finished mail of ours."""
        digest = sha256(raw).hexdigest()
        row = MessageRow(
            id=identifier,
            sha256=digest,
            mail_id=mail_id,
            sender=self.services.book.service,
            body_sha256=digest,
            direction=Direction.WRITTEN,
            received_at=self.now,
            size=len(raw),
            cause_id=self.cause,
            conversation_id=conversation,
        )
        await self.tx.messages.add(row, raw)
        return row

    # -- outbox

    async def send(
        self,
        message: MessageRow,
        recipient: str,
        *,
        conversation: UUID | None = None,
        mirror: UUID | None = None,
        fields: Sequence[tuple[str, str]] = (),
        drop: Iterable[str] = (),
        mail_from: str | None = None,
        wishes: Mapping[str, object] | None = None,
        receipt: bool = False,
    ) -> None:
        """Put one delivery of a stored mail into the outbox: to a mailbox of ours, or to another operator.

        ``mail_from`` ``None`` makes a bounce address of ours, so that a bounce comes back to the gateway;
        ``wishes`` are the sender's for delivery reports (``RFC 3461``), and further facts that the delivery
        needs. ``receipt`` asks for one (``RFC 8098 §2.1``) at the same bounce address, where automatic ones
        may go.
        """
        action = "deliver" if self.services.is_local(recipient) else "relay"
        key = f"{action}:{message.id}:{recipient}"
        outbox_id = self.services.new_id()
        bounce = self.services.new_id() if mail_from is None else None
        sender = self.services.book.bounce(bounce) if bounce else mail_from or ""
        if receipt and bounce is not None:
            fields = (*fields, ("Disposition-Notification-To", f"<{sender}>"))
        await self._put(
            action,
            key,
            recipient,
            conversation,
            message.id,
            payload={"fields": [list(pair) for pair in fields], "drop": sorted(drop), **(wishes or {})},
            mail_from=sender,
            outbox_id=outbox_id,
            mirror=mirror,
        )
        if bounce is not None:
            row = BounceRow(
                id=bounce,
                recipient=recipient,
                created_at=self.now,
                outbox_id=outbox_id,
                message_id=message.id,
            )
            await self.tx.bounces.add(row)

    async def job(
        self,
        action: str,
        key: str,
        *,
        recipient: str = "",
        conversation: UUID | None = None,
        mirror: UUID | None = None,
        message: UUID | None = None,
        payload: dict[str, object] | None = None,
    ) -> None:
        """Put a job other than a delivery into the outbox (tag, file, make_report, export), for a
        conversation of ours, a mirrored one or none.
        """
        await self._put(action, key, recipient, conversation, message, payload=payload or {}, mirror=mirror)

    async def order(
        self,
        action: str,
        incoming: Incoming,
        message: MessageRow,
        payload: Mapping[str, object],
        conversation: UUID | None = None,
    ) -> None:
        """Let a worker do what a stored mail asks for, and answer it (share, export, synthesis)."""
        await self.job(
            action,
            f"{action}:{message.id}",
            recipient=incoming.login.address,
            conversation=conversation,
            message=message.id,
            payload={
                "name": incoming.login.name,
                "in_reply_to": incoming.letter.message_id,
                **payload,
            },
        )

    async def _put(
        self,
        action: str,
        key: str,
        recipient: str,
        conversation: UUID | None,
        message: UUID | None,
        *,
        payload: dict[str, object],
        mail_from: str = "",
        outbox_id: UUID | None = None,
        mirror: UUID | None = None,
    ) -> None:
        row = OutboxRow(
            id=outbox_id or self.services.new_id(),
            key=key,
            action=action,
            recipient=recipient,
            first_at=self.now,
            next_at=self.now,
            mail_from=mail_from,
            conversation_id=conversation,
            message_id=message,
            payload=payload,
            mirror_id=mirror,
        )
        await self.tx.outbox.put([row])

    # -- answers

    async def answer(
        self,
        mail: Mail,
        to: Mailbox,
        *,
        in_reply_to: str = "",
        attachments: tuple[Attachment, ...] = (),
        conversation: UUID | None = None,
        about: Iterable[UUID] = (),
    ) -> MessageRow:
        """An automatic answer: ``MAIL FROM:<>``, ``auto-replied``, into the INBOX of one person (``RFC
        3834``). ``about`` are conversations that it tells of without belonging to them.
        """
        draft = Draft(
            body=self.services.texts.render(mail),
            from_name=self.services.settings.service.display_name,
            to=(to,),
            automatic="auto-replied",
            in_reply_to=in_reply_to,
            attachments=attachments,
        )
        row = await self.write(draft, conversation)
        named = [str(each) for each in about]
        wishes = {"about": named} if named else None
        await self.send(row, to.address, conversation=conversation, mail_from="", wishes=wishes)
        return row

    async def reply(self, incoming: Incoming, mail: Mail, about: Iterable[UUID] = ()) -> None:
        """Keep a mail that needs no more than an answer, and answer its author."""
        await self.store(incoming)
        await self.answer(mail, incoming.login, in_reply_to=incoming.letter.message_id, about=about)

    # -- conversations

    async def load(self, conversation: UUID) -> Conversation | None:
        """A conversation as its events say, or ``None``."""
        records = await self.tx.events.of(conversation)
        return fold(conversation, records) if records else None

    async def known_ids(self, conversation: UUID) -> tuple[str, ...]:
        """The Message-IDs of a conversation's mails, oldest first."""
        return await self.tx.messages.mail_ids(conversation)

    async def record(
        self,
        conversation: Conversation | None,
        identifier: UUID,
        events: Sequence[AnyEvent],
        author: Author,
        message: MessageRow,
    ) -> Conversation:
        """Append events that one message caused and return the conversation after them."""
        seq = conversation.seq if conversation else 0
        if conversation is None:
            events = await self._named(events)
        records = [
            Record(
                seq=seq + number,
                at=self.now,
                author=author,
                message=message.id,
                message_sha256=message.sha256,
                mail_id=message.mail_id,
                event=event,
                rules=self.services.rules.version,
            )
            for number, event in enumerate(events, start=1)
        ]
        if conversation is None:
            after = fold(identifier, records)
            opening = records[0].event
            assert isinstance(opening, Opened), "a conversation begins with its opening"
            await self.tx.conversations.add(identifier, opening.ref, self.now, projection(after))
        else:
            after = conversation
            for record in records:
                after = apply(after, record)
        await self.tx.events.append(identifier, records)
        await self.tx.conversations.save(identifier, projection(after))
        return after

    @staticmethod
    def identifier(text: object) -> UUID:
        """A message or conversation id that was kept as JSON text."""
        return UUID(str(text))

    async def _named(self, events: Sequence[AnyEvent]) -> list[AnyEvent]:
        """Give a conversation that opens its reference, counted by the year of the people who read it."""
        opening, *others = events
        assert isinstance(opening, Opened), "a conversation begins with its opening"
        year = self.now.astimezone(self.services.zone).year
        return [replace(opening, ref=await self.tx.conversations.next_reference(year)), *others]

    async def account(self, address: str) -> Account | None:
        """An account of ours, read once per transaction."""
        if address not in self._accounts:
            self._accounts[address] = await self.tx.accounts.get(address)
        return self._accounts[address]

    async def placed_fields(self, party: Party) -> tuple[tuple[str, str], ...]:
        """The field that puts conversation mail into INBOX for an account that prefers it so."""
        account = await self.account(party.address) if party.local else None
        if account is not None and account.notice is NoticeMode.INBOX:
            return (("X-TLE-Place", "INBOX"),)
        return ()

    async def audit(self, actor: str, action: str, target: str, result: str, **detail: str | int) -> None:
        """One line of the audit trail, identifiers only: of a patient's address, an INS, the domain alone."""
        shown = {name: masked(value) if isinstance(value, str) else value for name, value in detail.items()}
        await self.tx.audit.write(self.now, masked(actor), action, masked(target), result, shown)
