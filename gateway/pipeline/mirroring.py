"""A conversation that a peer gateway holds, as it happens here: its mails recorded and filed, answers of our
users recorded and sent on. Nothing here answers anybody.
"""

from __future__ import annotations

from uuid import UUID

from gateway.compose.composer import Draft, address_field
from gateway.mirrored import load_mirror
from gateway.pipeline.document_filing import sort_documents
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.peer_belief import Belief, Disbelief, Way, judge, may_be_for
from gateway.pipeline.unit import MAX_REFERENCES, Unit
from gateway.pipeline.wishes import wishes_of
from gateway.smtp.refusals import TemporaryFailure
from gateway.store.exported import DigestRow
from gateway.store.rows import MessageRow, OutboxState
from teleexpertise.claims import STANDING, Claim, claim_fields
from teleexpertise.events import Author
from teleexpertise.letters import Letter, Mailbox
from teleexpertise.matching import Same, match
from teleexpertise.mirrors import (
    INVITATION,
    Flow,
    Mirror,
    MirrorEvent,
    fold_mirror,
    invited,
    mirror_author,
)
from teleexpertise.people import Account, NoticeMode, Party
from teleexpertise.states import State
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.contexts import NoticeEvent
from teleexpertise.told import TOLD_FILENAME, Told, read_told

__all__ = ["believed", "receive", "record_answer"]

#: What of a mirrored conversation is announced in INBOX, by the event that the holder names. Who asks gets
#: the question back as its author, and is not told that it came.
_ANNOUNCED = {
    "message": NoticeEvent.ANSWER,
    "late": NoticeEvent.ANSWER,
    "complement": NoticeEvent.MISSING,
    "rapport": NoticeEvent.REPORT,
    "sans-reponse": NoticeEvent.REMINDER,
    "remplacement": NoticeEvent.ABSENCE,
    "expert-absent": NoticeEvent.ABSENCE,
}
_CLOSED = {State.DECLINED: NoticeEvent.DECLINED, State.CANCELLED: NoticeEvent.CANCELLED}
#: A name that a peer's mail shows is cut here before it stands in a mail of ours.
_LONGEST_NAME = 120


# -- belief -------------------------------------------------------------------------------------------------


async def believed(unit: Unit, incoming: Incoming) -> Belief | None:
    """What the X-TLE fields of a mail claim, if it may be believed; what may not is noted with the reason."""
    settings, trust = unit.services.settings, unit.services.trust
    certificate = incoming.envelope.peer.certificate or b""
    found = judge(
        incoming,
        settings.service.local_part,
        lambda domain: trust.sender_fault(certificate, "", f"{settings.service.local_part}@{domain}") is None,
    )
    if isinstance(found, Belief):
        found = await _contradicted(unit, incoming, found) or found
    if isinstance(found, Disbelief):
        await _disbelieve(unit, incoming, found)
        return None
    return found


async def _contradicted(unit: Unit, incoming: Incoming, belief: Belief) -> Disbelief | None:
    """What our own record says against a claim that its signature bears out."""
    claim = belief.claim
    if await unit.tx.conversations.get(claim.id) is not None:
        return Disbelief.OWN_CONVERSATION
    holder = await unit.tx.mirrors.holder(claim.id)
    if holder is not None and holder != belief.holder:
        return Disbelief.OTHER_HOLDER
    told = incoming.addressed.service and claim.event == STANDING
    if told and holder is None and not await _members(unit, claim):
        return Disbelief.NOT_ADDRESSED
    if not told and not any(may_be_for(claim, name) for name in incoming.addressed.others):
        return Disbelief.NOT_ADDRESSED
    return None


async def _disbelieve(unit: Unit, incoming: Incoming, why: Disbelief, recipient: str = "") -> None:
    detail = {"queue_id": incoming.envelope.queue_id, **({"recipient": recipient} if recipient else {})}
    await unit.audit(incoming.login.address, "disbelieve", str(incoming.id), str(why), **detail)


# -- from the holder ----------------------------------------------------------------------------------------


async def receive(unit: Unit, incoming: Incoming, belief: Belief) -> str:
    """Record a believed mail and deliver it to those of ours for whom it is; each mail counts once."""
    claim = belief.claim
    message = await unit.store(incoming)
    before = await load_mirror(unit.tx, claim.id)
    members = await _members(unit, claim)
    told = await _told(unit, incoming, belief)
    event = _event(belief, incoming, message, members, unit.services.book.local_part, told)
    if before is None:
        pinned = await unit.tx.mirrors.pin(fold_mirror(claim.id, belief.holder, [event]))
        if pinned != belief.holder:  # two operators at the same instant: the next attempt sees the first
            raise TemporaryFailure("Another operator claims this conversation", code=451, enhanced="4.7.1")
        await unit.tx.peers.learn(belief.holder, f"{unit.services.book.local_part}@{belief.holder}", unit.now)
    new = await unit.tx.mirrors.append(claim.id, event)
    after = fold_mirror(claim.id, belief.holder, await unit.tx.mirrors.events(claim.id))
    if new:
        await unit.tx.mirrors.save(after)
        await _recognise(unit, after)
    for recipient in incoming.addressed.others:
        if may_be_for(claim, recipient):
            await _deliver(unit, incoming, message, claim, after, before, recipient)
        else:
            await _disbelieve(unit, incoming, Disbelief.NOT_ADDRESSED, recipient)
            await unit.send(
                message,
                recipient,
                fields=incoming.trace,
                mail_from=incoming.envelope.mail_from,
                wishes=wishes_of(incoming.envelope, recipient),
            )
    if before is not None and before.state is not after.state:
        await _tag(unit, after)
    return f"mirrored {claim.ref} of {belief.holder}" if new else "mirrored already"


async def _told(unit: Unit, incoming: Incoming, belief: Belief) -> Told | None:
    """What the holder tells for exports in its own signed news; what cannot be read is noted."""
    if belief.way is not Way.ORGANISATION or belief.claim.event != STANDING:
        return None
    found = [
        each for each in incoming.letter.attachments if each.filename == TOLD_FILENAME and not each.unsigned
    ]
    if not found:
        return None
    told = read_told(found[0].content) if len(found) == 1 else None
    if told is None:
        await _disbelieve(unit, incoming, Disbelief.FACTS)
    return told


async def _recognise(unit: Unit, mirror: Mirror) -> None:
    """Which patient of the register the mirror is about, so that yearly limits count it with ours.

    Where that is not certain yet, the register looks again when it learns of somebody
    (``gateway.register.settle``). What another operator tells enters nobody: our register is our users'.
    """
    patient = mirror.told.patient if mirror.told else None
    if patient is None or patient.anonymous or await unit.tx.mirrors.patient_of(mirror.id) is not None:
        return
    found = match(patient, await unit.tx.patients.candidates(patient))
    if isinstance(found, Same):
        await unit.tx.mirrors.about(mirror.id, found.known.id)


async def _members(unit: Unit, claim: Claim) -> tuple[str, ...]:
    """The accounts of ours that a claim names."""
    local = [address for address in claim.to if unit.services.is_local(address)]
    found = [await _account(unit, address) for address in local]
    return tuple(dict.fromkeys(account.address for account in found if account is not None))


async def _account(unit: Unit, address: str) -> Account | None:
    """The account of an address, with detail or without (``RFC 5233``)."""
    local, _, domain = address.lower().rpartition("@")
    return await unit.account(address.lower()) or await unit.account(f"{local.partition('+')[0]}@{domain}")


def _event(
    belief: Belief,
    incoming: Incoming,
    message: MessageRow,
    members: tuple[str, ...],
    service: str,
    told: Told | None,
) -> MirrorEvent:
    """The mail as an event; ``service`` is the local part of every gateway's service address."""
    claim, letter = belief.claim, incoming.letter
    # Of a person's mail the X-TLE fields alone are the holder's words.
    own = belief.way is Way.ORGANISATION
    answers_to = [
        mailbox.address
        for mailbox in letter.reply_to
        if mailbox.domain == belief.holder and mailbox.address.startswith(f"{service}+")
    ]
    return MirrorEvent(
        flow=Flow.RECEIVED,
        event=claim.event,
        at=incoming.received_at,
        author=Author(incoming.login.address, (incoming.login.name or "")[:_LONGEST_NAME]),
        message=message.id,
        message_sha256=message.sha256,
        mail_id=message.mail_id,
        seq=claim.seq,
        state=claim.state,
        ref=claim.ref,
        members=members,
        cites=_cited(letter) if own else (),
        reply_to=answers_to[0] if own and len(answers_to) == 1 else "",
        told=told,
    )


def _cited(letter: Letter) -> tuple[str, ...]:
    """The mails before this one: the last that a gateway cites, and no more of what anybody could write."""
    return tuple(dict.fromkeys((*letter.references, *letter.in_reply_to)))[-MAX_REFERENCES:]


def _fields(mirror: Mirror, event: str, seq: int) -> tuple[tuple[str, str], ...]:
    """Our own header fields on a copy: the state is the one that our record says now, for a late mail too."""
    claim = Claim(id=mirror.id, ref=mirror.ref, event=event, seq=seq, state=mirror.state)
    return claim_fields(claim)


async def _deliver(
    unit: Unit,
    incoming: Incoming,
    message: MessageRow,
    claim: Claim,
    after: Mirror,
    before: Mirror | None,
    recipient: str,
) -> None:
    """The mail into the thread of one account, and what announces it, once."""
    if await _has_it(unit, incoming, claim.id, recipient):
        return
    account = await _account(unit, recipient)
    place = await unit.placed_fields(Party.of(account)) if account else ()
    await unit.send(
        message,
        recipient,
        mirror=claim.id,
        fields=(*place, *_fields(after, claim.event, claim.seq), *incoming.trace),
        mail_from=incoming.envelope.mail_from,
        wishes=wishes_of(incoming.envelope, recipient),
    )
    if claim.event == "rapport":
        # The patient is this operator's too: the report lies with the others of the same patient.
        await sort_documents(unit, incoming, message, [recipient])
    known = before is not None and account is not None and account.address in before.active()
    news = _news(claim, known=known)
    if news is None or account is None or account.notice is NoticeMode.INBOX:
        return
    if account.notice is NoticeMode.DIGEST and await _can_wait(unit, after, news, account):
        await unit.tx.digests.add(
            DigestRow(
                address=account.address, at=unit.now, event=news, who=_shown(incoming), mirror_id=after.id
            )
        )
    else:
        await _announce(unit, incoming, after, news, recipient)


async def _can_wait(unit: Unit, mirror: Mirror, news: NoticeEvent, account: Account) -> bool:
    """Whether a daily digest is soon enough, as in conversations of ours: never for who may have asked, nor
    for a reminder.
    """
    if news is NoticeEvent.REMINDER:
        return False
    return account.address in invited(await unit.tx.mirrors.events(mirror.id))


def _shown(incoming: Incoming) -> str:
    """Who wrote, as a mail of ours may show it."""
    return (incoming.login.name or incoming.login.address)[:_LONGEST_NAME]


async def _has_it(unit: Unit, incoming: Incoming, mirror: UUID, recipient: str) -> bool:
    """Whether the same mail was put on its way to this mailbox before."""
    earlier = [row.id for row in await unit.copies(incoming) if row.id != incoming.id]
    return any(
        row.action == "deliver"
        and row.recipient == recipient
        and row.mirror_id == mirror
        and row.state is not OutboxState.FAILED
        for row in await unit.tx.outbox.of_messages(earlier)
    )


def _news(claim: Claim, *, known: bool) -> NoticeEvent | None:
    """What a mail is announced as, ``None`` for one that is not; who is invited is told once."""
    if claim.event == "cloture":
        return _CLOSED.get(claim.state)
    if claim.event == INVITATION:
        return None if known else NoticeEvent.INVITATION
    return _ANNOUNCED.get(claim.event)


async def _announce(
    unit: Unit, incoming: Incoming, mirror: Mirror, news: NoticeEvent, recipient: str
) -> None:
    """A short notice into INBOX without patient data, by which one can answer as well."""
    letter = incoming.letter
    mail = mails.Notice(
        reference=mirror.ref,
        state=mirror.state,
        event=news,
        who=_shown(incoming),
        folder=unit.services.texts.words.of("folders", "conversations"),
    )
    draft = Draft(
        body=unit.services.texts.render(mail),
        from_name=unit.services.settings.service.display_name,
        to=(Mailbox(recipient),),
        automatic="auto-generated",
        reply_to=Mailbox(mirror.reply_to, mirror.ref) if mirror.reply_to else None,
        in_reply_to=letter.message_id,
    )
    notice = await unit.write(draft)
    await unit.send(notice, recipient, mirror=mirror.id, mail_from="")


async def _tag(unit: Unit, mirror: Mirror) -> None:
    """The keywords of earlier mails follow the state."""
    for address in mirror.active():
        key = f"tag:{mirror.id}:{mirror.seq}:{mirror.state}:{address}"
        await unit.job("tag", key, recipient=address, mirror=mirror.id, payload={"state": str(mirror.state)})


# -- to the holder ------------------------------------------------------------------------------------------


async def record_answer(unit: Unit, incoming: Incoming, message: MessageRow, recipient: str) -> UUID | None:
    """Record a member's mail to a conversation that a peer holds, and file it as read in the acting account,
    so that its delegates see what was answered and by whom. ``None`` for any other mail.

    The mail itself goes on as it is: whether it counts is the holder's decision.
    """
    if not incoming.local or incoming.automatic is not None:
        return None
    identifier = await unit.tx.mirrors.at(recipient)
    mirror = await load_mirror(unit.tx, identifier) if identifier else None
    if mirror is None:
        return None
    account = await unit.account(incoming.written_as)
    author = mirror_author(
        mirror.active(),
        incoming.login,
        account.name if account else "",
        incoming.written_as,
        await unit.tx.delegations.rights(),
    )
    if author is None or account is None:
        return None
    event = MirrorEvent(
        flow=Flow.SENT,
        event="message",
        at=incoming.received_at,
        author=author,
        message=message.id,
        message_sha256=message.sha256,
        mail_id=message.mail_id,
        ref=mirror.ref,
    )
    if await unit.tx.mirrors.append(mirror.id, event):
        mirror = await load_mirror(unit.tx, mirror.id) or mirror
        await unit.tx.mirrors.save(mirror)
        await _file_own(unit, incoming, message, mirror, account)
    return mirror.id


async def _file_own(
    unit: Unit, incoming: Incoming, message: MessageRow, mirror: Mirror, account: Account
) -> None:
    fields = (
        *await unit.placed_fields(Party.of(account)),
        ("X-TLE-Copy", "seen"),
        *_fields(mirror, "message", mirror.seq),
        *incoming.trace,
        ("Reply-To", address_field(Mailbox(mirror.reply_to, mirror.ref))),
    )
    await unit.send(
        message, account.address, mirror=mirror.id, fields=fields, drop=("reply-to",), mail_from=""
    )
