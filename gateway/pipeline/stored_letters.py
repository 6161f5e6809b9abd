"""Stored mails read again as they were at the door: decrypted, an opaque signature opened."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from certs.protection import read_protected
from certs.verdicts import SignatureReport, Verdict
from gateway.intake.letter import read_letter
from gateway.intake.protected import with_protected
from gateway.services import Services
from gateway.store.rows import MessageRow
from gateway.store.transaction import Transaction
from teleexpertise.letters import Letter

__all__ = ["believed_letter", "judged_then", "read_signed", "stored_letter"]


async def read_signed(
    services: Services, raw: bytes, signature: SignatureReport | None, now: datetime
) -> Letter:
    """The letter in octets: an opaque signature (``application/pkcs7-mime``) is opened, its words are the
    mail's; protected header fields are believed (RFC 9788) where ``signature`` is known and passed.

    ``signature`` is the report on it where it is known already. Raises ``IntakeFault``.
    """
    letter = await asyncio.to_thread(read_letter, raw, services.limits)
    if letter.content_type.endswith("pkcs7-mime"):
        signature = signature or await services.trust.verify(raw, now)
        if signature.entity is not None:
            letter = await asyncio.to_thread(read_letter, raw, services.limits, signature.entity)
    return (
        letter if signature is None else with_protected(letter, signature.protected_headers, services.limits)
    )


async def stored_letter(services: Services, tx: Transaction, message: UUID) -> Letter | None:
    """A stored mail as a letter, for its words and attachments; ``None`` when its octets are purged. It was
    readable when it was accepted.
    """
    row = await tx.messages.get(message)
    raw = await tx.messages.get_readable(message)
    return await read_signed(services, raw, None, row.received_at) if row and raw is not None else None


async def believed_letter(services: Services, tx: Transaction, message: UUID) -> Letter | None:
    """The same with its signature judged again, so that subject and addressees are the protected ones."""
    row = await tx.messages.get(message)
    raw = await tx.messages.get_readable(message)
    if row is None or raw is None:
        return None
    signature = await judged_then(services, row, raw)
    return await read_signed(services, raw, signature, row.received_at)


async def judged_then(
    services: Services, row: MessageRow, raw: bytes, *, in_clear: bool = False
) -> SignatureReport:
    """The report on a stored mail. A signature that passed when the mail came keeps its protected header
    fields: revocation lists of that day are gone, and a Cc that was put in outside must not count now.
    """
    report = await services.trust.verify(raw, row.received_at, in_clear)
    passed_then = row.envelope.get("signature") == str(Verdict.PASSED)
    if report.verdict is Verdict.PASSED or not passed_then or report.entity is None:
        return report
    protected = read_protected(report.entity)
    fields = () if protected is None else tuple((field.name, field.text) for field in protected.fields)
    return replace(report, protected_headers=fields)
