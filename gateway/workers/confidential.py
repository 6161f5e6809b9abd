"""What came encrypted leaves encrypted: copies for people of other operators, sealed for each at the last
moment.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from uuid import UUID

from certs.envelopes import EncryptionFault, EncryptionTarget, Transport, encrypt_message
from certs.fields import FieldFault
from certs.paths import is_authority, read_certificates
from certs.signing import SigningFault
from certs.verdicts import Verdict
from gateway.intake.charsets import decode_header_octets
from gateway.intake.encodedwords import encode_words
from gateway.intake.rawmail import header_fields, split
from gateway.services import Services
from gateway.store.rows import MessageRow, OutboxRow
from gateway.store.transaction import Transaction
from gateway.workers.failure import ActionFailed

__all__ = ["NOT_SEALED", "sealed"]

#: "Security features not supported" (RFC 3463 §3.8): the protection that the mail came with cannot be kept.
NOT_SEALED = "5.7.4"
_CANNOT_JUDGE = "4.7.5"


async def sealed(services: Services, row: OutboxRow, message: MessageRow, copy: bytes) -> bytes:
    """The finished copy for one recipient of another operator, encrypted where its content came encrypted to
    us.

    So is what we write ourselves for such a mail or about a conversation that holds one; a delivery report,
    which holds none of it, is not. Without a usable certificate the setting ``smime.foreign_plain`` decides.
    Raises :class:`ActionFailed`: for good with :data:`NOT_SEALED`, for now where no certificate can be
    judged.
    """
    if row.payload.get("open"):
        return copy
    async with services.store.reading() as tx:
        if not await _confidential(tx, row, message):
            return copy
        search = await _targets(services, tx, row.recipient)
    transport = Transport(services.settings.smime.rsa_transport)
    for target in search.usable:
        try:
            return await asyncio.to_thread(_encrypted, copy, target, transport)
        except (EncryptionFault, SigningFault, FieldFault):
            continue  # a certificate that the writer refuses, whatever its path is worth: the next one
    if search.unjudged:
        raise ActionFailed(
            _CANNOT_JUDGE, "Revocation of the recipient's certificate is unknown", permanent=False
        )
    if services.settings.smime.foreign_plain == "tls":
        return copy  # the relay sends over TLS with both certificates, or not at all
    raise ActionFailed(
        NOT_SEALED,
        "The message came encrypted, and no certificate to encrypt it for the recipient is known",
        permanent=True,
    )


async def _confidential(tx: Transaction, row: OutboxRow, message: MessageRow) -> bool:
    named = [UUID(str(identifier)) for identifier in row.payload.get("about", ())]
    about = {each for each in (message.conversation_id, row.conversation_id, *named) if each is not None}
    causes = {each for each in (message.id, message.cause_id) if each is not None}
    return await tx.messages.any_decrypted(causes, about)


@dataclass(frozen=True, slots=True)
class _Targets:
    """Certificates that may be encrypted to now, best first, and whether some could not be judged."""

    usable: tuple[EncryptionTarget, ...]
    unjudged: bool


async def _targets(services: Services, tx: Transaction, address: str) -> _Targets:
    """Those that an operator configured, then those known from signatures, newest first, each judged now."""
    candidates: dict[bytes, tuple[bytes, ...]] = {}
    configured = services.sealing.configured.get(address.lower(), ())
    authorities = tuple(der for der in configured if is_authority(der))
    candidates |= {der: authorities for der in configured if der not in authorities}
    gcm = set()
    for row in await tx.certificates.of(address):
        candidates.setdefault(row.certificate, read_certificates(row.issuers) if row.issuers else ())
        if row.announces_gcm:
            gcm.add(row.certificate)
    usable, unjudged = [], False
    for certificate, issuers in candidates.items():
        verdict = await services.trust.judge_target(certificate, issuers, services.clock())
        if verdict is Verdict.PASSED:
            usable.append(EncryptionTarget(certificate, certificate in gcm))
        unjudged |= verdict is Verdict.INDETERMINATE
    return _Targets(tuple(usable), unjudged)


def _encrypted(copy: bytes, target: EncryptionTarget, transport: Transport) -> bytes:
    """The copy as a mail encrypted as a whole: its Content-* fields and body inside, byte for byte."""
    header, body = split(copy)
    outer: list[tuple[str, str]] = []
    content: list[bytes] = []
    for name, octets in header_fields(header):
        if name.startswith("content-"):
            content.append(octets)
        elif name and name != "mime-version":
            label, _, value = octets.partition(b":")
            text = (
                value.decode("ascii")
                if value.isascii()
                else encode_words(decode_header_octets(value).strip())
            )
            outer.append((label.decode("ascii").strip(), text.rstrip("\r\n")))
    entity = b"".join((*content, b"\r\n", body))
    return encrypt_message(outer, entity, (target,), secrets.token_bytes, transport)
