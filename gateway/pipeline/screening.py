"""From an envelope and octets to an :class:`Incoming`, or a refusal: intake, loops, who wrote, signature.

Nothing here changes anything. Cheap and certain refusals come first.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256

from certs.dkim import DkimReport
from certs.harvest import FoundCertificate
from certs.results import dkim_results, render_results, smime_result
from certs.verdicts import Verdict
from gateway.intake.faults import IntakeFault
from gateway.intake.letter import read_letter
from gateway.intake.rawmail import count_received, header_fields, split
from gateway.pipeline.incoming import Incoming, noted
from gateway.pipeline.opening import OpenedMail, open_mail
from gateway.pipeline.writers import require_writer
from gateway.relay.dsn import read_report
from gateway.services import Services
from gateway.smtp.envelope import Envelope, PeerKind
from gateway.smtp.refusals import ContentRefused, OperatorRefused, PolicyRefused, Refusal
from gateway.smtp.trace import received_field
from teleexpertise.automatic import classify
from teleexpertise.letters import Letter, Mailbox

__all__ = ["DECRYPTED_FIELD", "LOOP_FIELD", "screen"]

#: Our mark on what came encrypted and was decrypted here: by whom, and the cipher.
DECRYPTED_FIELD = "X-TLE-Decrypted"

#: Our own mark on what leaves to other operators: seeing it come back is a loop.
LOOP_FIELD = "X-TLE-Loop"


def _looped(services: Services, letter: Letter, raw: bytes) -> bool:
    header, _ = split(raw)
    marked = services.settings.service.domain in letter.values(LOOP_FIELD)
    return marked or count_received(header) > services.settings.smtp.max_received


def _single_author(letter: Letter) -> Mailbox:
    author = letter.author
    if author is None or not author.domain:
        raise Refusal("Exactly one From address is required", code=550, enhanced="5.6.0")
    return author


async def _user_may_write(services: Services, envelope: Envelope, letter: Letter, author: Mailbox) -> Mailbox:
    """Who is logged in. MAIL FROM and From are the account's own or those of delegators, now; a Sender field
    must name the account.
    """
    login = await require_writer(services, envelope.peer, (envelope.mail_from, author.address))
    if letter.sender is not None and letter.sender.address != login.address:
        raise PolicyRefused("Sender is not the authenticated account")
    return Mailbox(login.address, login.name)


async def _operator_may_write(services: Services, envelope: Envelope, author: Mailbox, raw: bytes) -> None:
    """The domains of both MAIL FROM and From must be listed with the peer's certificate; ours never are.

    A report to a bounce address of ours, or on a user's mail to a patient, may also come from the operator
    that the mail went to, whatever its From: mail servers write reports in their host's name
    (``MAILER-DAEMON@mx.…``), which no list holds, and a report refused is a failure that nobody hears of.
    """
    if services.is_local(author.address) or services.is_local(envelope.mail_from or "@"):
        raise OperatorRefused("Our own domains do not write from outside")
    certificate = envelope.peer.certificate or b""
    fault = services.trust.sender_fault(certificate, envelope.mail_from, author.address)
    if fault is None:
        return
    reported = await _reported(services, envelope, raw)
    if not reported or services.trust.sender_fault(certificate, "", reported) is not None:
        raise OperatorRefused(fault)


async def _reported(services: Services, envelope: Envelope, raw: bytes) -> str:
    """Whom our mail went to that a report answers: by its bounce address, or, of a mail to a patient, by the
    Message-ID that it names; '' for any other mail.
    """
    addressed = services.book.sort(envelope.recipients)
    if envelope.mail_from or len(envelope.recipients) != 1:
        return ""
    if addressed.bounces:
        async with services.store.reading() as tx:
            bounce = await tx.bounces.get(min(addressed.bounces))
        return bounce.recipient if bounce else ""
    report = await asyncio.to_thread(read_report, raw)
    if report is None or not report.message_id:
        return ""
    reader = envelope.recipients[0].lower()
    async with services.store.reading() as tx:
        exchanges = await tx.exchanges.sent([report.message_id])
    mine = (each.patient for each in exchanges if reader in (each.mailbox, each.opened_by))
    return next(mine, "")


def _unnamed(letter: Letter, login: Mailbox) -> bool:
    """Whether a mail in somebody else's name does not say yet who sent it (``RFC 5322 §3.6.2``)."""
    return letter.author is not None and letter.author.address != login.address and letter.sender is None


def _trace(
    services: Services, envelope: Envelope, results: bytes, sender: Mailbox | None
) -> tuple[tuple[str, str], ...]:
    value = results.decode("ascii").partition(":")[2]
    fields = [
        ("Received", received_field(envelope, services.settings.hostname)),
        ("Authentication-Results", " ".join(value.split())),
    ]
    if sender is not None:
        fields.append(("Sender", sender.address))
    return tuple(fields)


def _identified(services: Services, raw: bytes, letter: Letter) -> Letter:
    """The letter with a Message-ID, made up where it is missing (``RFC 6409 §8.3``).

    It follows from the octets, so that the same mail sent again is known again.
    """
    if letter.message_id:
        return letter
    return replace(letter, message_id=f"<{sha256(raw).hexdigest()[:40]}@{services.settings.service.domain}>")


def _decrypted_by(services: Services, mail: OpenedMail) -> tuple[tuple[str, str], ...]:
    """The mark on every copy of a mail that was decrypted here; in what comes in the field is taken out."""
    if mail.clear is None:
        return ()
    return ((DECRYPTED_FIELD, f"{services.settings.service.domain}; cipher={mail.cipher}"),)


def _completed(services: Services, raw: bytes, letter: Letter) -> tuple[tuple[str, str], ...]:
    """Fields that the author's client left out and every copy needs (``RFC 6409 §8``)."""
    header, _ = split(raw)
    there = {name for name, _ in header_fields(header)}
    fields = () if "message-id" in there else (("Message-ID", letter.message_id),)
    return fields if "date" in there else (*fields, ("Date", format_datetime(services.clock())))


async def _dkim(services: Services, raw: bytes, now: datetime, *, local: bool) -> DkimReport:
    """What the DKIM signatures of an operator's mail say; a user of ours is known by the login.

    They refuse no mail: the operator's certificate was judged already.
    """
    return DkimReport() if local else await services.dkim.judge(raw, now)


async def screen(services: Services, envelope: Envelope, raw: bytes) -> Incoming:
    """Read and judge one mail. Raises a :class:`Refusal` with its SMTP answer."""
    try:
        letter = await asyncio.to_thread(read_letter, raw, services.limits)
    except IntakeFault as fault:
        raise ContentRefused(fault) from fault
    if _looped(services, letter, raw):
        raise Refusal("Mail loop detected", code=554, enhanced="5.4.6")
    author = _single_author(letter)
    local = envelope.peer.kind is PeerKind.USER
    login = author
    if local:
        login = await _user_may_write(services, envelope, letter, author)
    else:
        await _operator_may_write(services, envelope, author, raw)
    now = services.clock()
    mail, dkim = await asyncio.gather(
        open_mail(services, raw, letter, now), _dkim(services, raw, now, local=local)
    )
    letter = _identified(services, raw, mail.letter)
    signature = noted(mail.signature, letter)
    told = smime_result(signature)
    if mail.clear is not None:
        told = replace(told, reason="; ".join(filter(None, ("decrypted", told.reason))))
    results = render_results(services.settings.hostname, [told, *([] if local else dkim_results(dkim))])
    return Incoming(
        id=services.new_id(),
        envelope=envelope,
        raw=raw,
        sha256=sha256(raw).hexdigest(),
        letter=letter,
        login=login,
        local=local,
        signature=signature,
        trace=(
            *_decrypted_by(services, mail),
            *_trace(services, envelope, results, login if _unnamed(letter, login) else None),
            *_completed(services, raw, letter),
        ),
        addressed=services.book.sort(envelope.recipients),
        automatic=classify(letter, envelope.mail_from),
        received_at=now,
        dkim=dkim,
        encryption=mail.encryption,
        clear=mail.clear,
        known=await _known(services, mail, author, raw, now) if not local else (),
    )


async def _known(
    services: Services, mail: OpenedMail, author: Mailbox, raw: bytes, now: datetime
) -> tuple[FoundCertificate, ...]:
    """Certificates to which mail for this author of another operator can be encrypted from now on."""
    if mail.signature.verdict is not Verdict.PASSED:
        return ()
    octets = raw if mail.clear is None else mail.clear
    return await services.trust.harvest(octets, mail.signature, author.address, now)
