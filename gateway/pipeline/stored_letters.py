"""Stored mails read again, with what an opaque signature encloses opened as it was at the door."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

from certs.verdicts import SignatureReport
from gateway.intake.letter import read_letter
from gateway.services import Services
from gateway.store.transaction import Transaction
from teleexpertise.letters import Letter

__all__ = ["read_signed", "stored_letter"]


async def read_signed(
    services: Services, raw: bytes, signature: SignatureReport | None, now: datetime
) -> Letter:
    """The letter in octets: an opaque signature (``application/pkcs7-mime``) is opened, its words are the
    mail's.

    ``signature`` is the report on it where it is known already. Raises ``IntakeFault``.
    """
    letter = await asyncio.to_thread(read_letter, raw, services.limits)
    if not letter.content_type.endswith("pkcs7-mime"):
        return letter
    report = signature or await services.trust.verify(raw, now)
    if report.entity is None:
        return letter
    return await asyncio.to_thread(read_letter, raw, services.limits, report.entity)


async def stored_letter(services: Services, tx: Transaction, message: UUID) -> Letter | None:
    """A stored mail as a letter, ``None`` when its octets are purged. It was readable when it was
    accepted.
    """
    row = await tx.messages.get(message)
    raw = await tx.messages.get_raw(message)
    return await read_signed(services, raw, None, row.received_at) if row and raw is not None else None
