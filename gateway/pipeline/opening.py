"""A mail opened at the door: decrypted where it is encrypted to us, its signature judged, then read.

Whoever sends altered copies of somebody's ciphertext must not learn from us what is in it (EFAIL,
CVE-2017-17689; padding oracles): only a mail that is encrypted as a whole is opened, what it holds is used
only under a signature of the very sender, and all failures are one, with one answer after one time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from certs.envelopes import OpenedMessage, open_message
from certs.fields import FieldFault, split_message
from certs.protection import read_protected
from certs.verdicts import Reason, SignatureReport, Verdict
from gateway.intake.faults import IntakeFault
from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from gateway.intake.protected import with_protected
from gateway.intake.rawmail import header_fields, prepend_fields, remove_fields, split, wire_fault
from gateway.pipeline.incoming import Encryption
from gateway.pipeline.refusing import not_opened
from gateway.services import Services
from gateway.smtp.refusals import ContentRefused, TemporaryFailure
from teleexpertise.letters import Letter

__all__ = ["OpenedMail", "open_mail", "with_entity"]

#: Every failure to open is answered this long after the beginning, so that the clock tells nothing either,
#: and
#: guessing by many altered copies takes its time.
FAILURE_SECONDS = 2.0

#: Protected fields that the decrypted mail shows in place of those that stood outside of the encryption.
_SHOWN = frozenset({"subject", "to", "cc", "reply-to", "in-reply-to", "references", "keywords", "comments"})


class _NotOpenedError(Exception):
    """Decryption failed, or what came out may not be used. Which of both is told to nobody."""


@dataclass(frozen=True, slots=True)
class OpenedMail:
    """What the pipeline goes on with: the letter, the verdict on its signature, and for a decrypted mail its
    octets with the decrypted content and the cipher's name.
    """

    letter: Letter
    signature: SignatureReport
    encryption: Encryption | None = None
    clear: bytes | None = None
    cipher: str = ""


async def open_mail(services: Services, raw: bytes, letter: Letter, now: datetime) -> OpenedMail:
    """Open one mail, of which ``letter`` was read as it came.

    Raises ``ContentRefused``; ``TemporaryFailure`` for a signature that cannot be judged now; ``Refusal``
    (``550 5.7.5``) for what only we could open and did not.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    keys = services.sealing.keys
    if keys and letter.content_type.endswith("pkcs7-mime"):
        opened = await asyncio.to_thread(open_message, raw, keys)
        if opened is not None:
            try:
                return await _released(services, raw, opened, now)
            except _NotOpenedError:
                await asyncio.sleep(max(0.0, began + FAILURE_SECONDS - loop.time()))
            if not opened.others:
                raise not_opened(services)
            return OpenedMail(letter, await _judged(services, raw, now, in_clear=True), Encryption.NOT_OPENED)
    signature = await _judged(services, raw, now, in_clear=True)
    encryption = Encryption.BETWEEN_USERS if signature.reason is Reason.ENCRYPTED else None
    return OpenedMail(await _read(services, raw, letter, signature), signature, encryption)


async def _judged(services: Services, raw: bytes, now: datetime, *, in_clear: bool) -> SignatureReport:
    signature = await services.trust.verify(raw, now, in_clear)
    if signature.verdict is Verdict.INDETERMINATE:
        # Three-valued verdicts: what cannot be judged now is asked again later, never passed.
        raise TemporaryFailure("Signature cannot be judged now", code=451, enhanced="4.7.5")
    return signature


async def _read(services: Services, raw: bytes, letter: Letter, signature: SignatureReport) -> Letter:
    """The letter with its opaque signature opened and its protected fields believed."""
    try:
        if letter.content_type.endswith("pkcs7-mime") and signature.entity is not None:
            letter = await asyncio.to_thread(read_letter, raw, services.limits, signature.entity)
        return with_protected(letter, signature.protected_headers, services.limits)
    except IntakeFault as fault:
        raise ContentRefused(fault) from fault


async def _released(services: Services, raw: bytes, opened: OpenedMessage, now: datetime) -> OpenedMail:
    """The mail with its decrypted content, judged and read within the bounds of any mail.

    Raises :class:`_NotOpenedError` for every fault, ``TemporaryFailure`` for a signature that holds and
    cannot be judged whole now.
    """
    entity, cipher = opened.entity, opened.cipher
    if entity is None:
        raise _NotOpenedError
    try:
        clear = await asyncio.to_thread(with_entity, raw, entity)
    except ValueError as fault:
        raise _NotOpenedError from fault
    signature = await _judged(services, clear, now, in_clear=False)
    taken_unsigned = cipher.authenticated and services.settings.smime.unsigned_content == "gcm"
    if signature.verdict is not Verdict.PASSED and not (
        taken_unsigned and signature.reason is Reason.UNSIGNED
    ):
        raise _NotOpenedError
    protected = signature.protected_headers or _unsigned_protection(entity)
    shown = [pair for pair in protected if pair[0].lower() in _SHOWN]
    clear, letter = await asyncio.to_thread(_assembled, services.limits, raw, entity, shown)
    try:
        letter = await _read(services, clear, letter, signature)
    except ContentRefused as refusal:
        raise _NotOpenedError from refusal
    return OpenedMail(letter, signature, Encryption.DECRYPTED, clear, cipher.name)


def _assembled(
    limits: IntakeLimits, raw: bytes, entity: bytes, shown: Iterable[tuple[str, str]]
) -> tuple[bytes, Letter]:
    """The mail with its decrypted content, within the bounds of any mail. Raises :class:`_NotOpenedError`."""
    try:
        clear = with_entity(raw, entity, shown)
        if wire_fault(clear, limits.max_header_bytes) is not None:
            raise _NotOpenedError
        return clear, read_letter(clear, limits)
    except (IntakeFault, ValueError) as fault:
        raise _NotOpenedError from fault


def _unsigned_protection(entity: bytes) -> tuple[tuple[str, str], ...]:
    """The protected fields of content that nobody signed: they show what was hidden, never who wrote."""
    try:
        protected = read_protected(entity)
    except FieldFault:
        return ()
    return () if protected is None else tuple((field.name, field.text) for field in protected.fields)


def with_entity(raw: bytes, entity: bytes, shown: Iterable[tuple[str, str]] = ()) -> bytes:
    """The mail in ``raw`` with ``entity`` as its content: header fields of the one, Content-* and body of the
    other, byte for byte. ``shown`` replace the fields of their names. Nothing else in the entity's header is
    taken over: fields of the gateway in there are nobody's.

    The entity's header was read before, see ``decrypt_message``. Raises ``ValueError`` for values that fit no
    header.
    """
    shown = list(shown)
    replaced = {name.lower() for name, _ in shown}
    header, _ = split(raw)
    outer = remove_fields(header, lambda name: _describes_content(name) or name in replaced)
    inner, _ = split(entity)
    content = [octets for name, octets in header_fields(inner) if name.startswith("content-")]
    _, body = split_message(entity)
    return b"".join(
        (
            outer.removesuffix(b"\r\n"),
            prepend_fields(b"", shown),
            b"MIME-Version: 1.0\r\n",
            *content,
            b"\r\n",
            entity[body:],
        )
    )


def _describes_content(name: str) -> bool:
    return name == "mime-version" or name.startswith("content-")
