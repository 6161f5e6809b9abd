"""Deliveries: a stored mail as one recipient's copy, by LMTP to a mailbox of ours or over TLS to another
operator.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

import structlog

from certs.dkim import DkimFault
from certs.results import remove_forged
from gateway.compose.copies import copy_for, delivery_key, is_gateway_field
from gateway.intake.rawmail import remove_fields, split
from gateway.pipeline.opening import with_entity
from gateway.pipeline.screening import LOOP_FIELD
from gateway.pipeline.unit import Unit
from gateway.relay.dsn import Action
from gateway.relay.failure import OwnWords, RelayFailed
from gateway.relay.outbound import Relay
from gateway.services import Services
from gateway.smtp.envelope import DsnOptions, RecipientOptions
from gateway.store.errors import StoreError
from gateway.store.rows import Direction, MessageRow, OutboxRow
from gateway.workers.confidential import sealed
from gateway.workers.failure import ActionFailed
from gateway.workers.receipts import report_delivery, wishes_success
from mailboxes.errors import DeliveryFailed
from mailboxes.lmtp import LmtpDelivery
from teleexpertise.patient_mail import in_patients_domain

__all__ = ["Deliveries"]


_UNKNOWN = "5.1.1"
_REREAD_SECONDS = 1.1


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Performs ``deliver`` and ``relay``. Local delivery is idempotent by its key, so a repeated attempt
    is harmless.
    """

    services: Services
    lmtp: LmtpDelivery
    outbound: Relay

    async def copy(self, row: OutboxRow, *, leaves: bool = False) -> tuple[bytes, MessageRow]:
        """The mail as this recipient gets it before anything is encrypted, and what the store knows of it.

        What came encrypted goes decrypted to people here. Where it ``leaves`` again, its header stays the one
        that its author showed outside: a subject that was hidden is not told to the way.
        """
        assert row.message_id is not None, "a delivery has a message"
        async with self.services.store.reading() as tx:
            found = await tx.messages.get_whole(row.message_id)
        message, raw, clear = found or (None, None, None)
        if message is None or raw is None:
            raise ActionFailed("5.3.0", "message purged", permanent=True)
        if clear is not None:
            raw = with_entity(raw, clear) if leaves else clear
        if message.direction is Direction.RECEIVED:
            header, body = split(raw)
            header = remove_forged(header, self.services.settings.hostname)
            raw = remove_fields(header, is_gateway_field) + body
        fields = [(str(name), str(value)) for name, value in row.payload["fields"]]
        return copy_for(raw, fields, map(str, row.payload["drop"])), message

    async def deliver(self, row: OutboxRow) -> None:
        """Into a mailbox of ours (``RFC 2033``)."""
        raw, message = await self.copy(row)
        key = delivery_key(self.services.key, message.sha256, row.recipient)
        raw = copy_for(raw, [("X-TLE-Delivery", key)])
        try:
            await self._hand_over(row, raw)
        except DeliveryFailed as failure:
            raise ActionFailed(_status(failure.code), failure.text, permanent=failure.permanent) from failure
        if wishes_success(row):
            await self._receipt(row)

    async def _hand_over(self, row: OutboxRow, raw: bytes) -> None:
        """Give a mail to the mailbox server. Raises ``DeliveryFailed``.

        Dovecot looks at its list of logins once in a second: it may not know an account yet that was added a
        moment ago. What it does not know and we do is tried again then, and later: no mail is lost to that.
        """
        try:
            await self.lmtp.deliver(row.mail_from, row.recipient, raw)
        except DeliveryFailed as failure:
            if not failure.text.startswith(_UNKNOWN) or not await self._has_login(row.recipient):
                raise
            await asyncio.sleep(_REREAD_SECONDS)
            try:
                await self.lmtp.deliver(row.mail_from, row.recipient, raw)
            except DeliveryFailed as again:
                unknown = again.text.startswith(_UNKNOWN)
                raise DeliveryFailed(
                    permanent=again.permanent and not unknown, code=again.code, text=again.text
                ) from again

    async def _has_login(self, recipient: str) -> bool:
        """Whether the mailbox of a recipient, its detail aside, is that of an account that can log in."""
        local, _, domain = recipient.lower().rpartition("@")
        async with self.services.store.reading() as tx:
            for name in (local, local.partition("+")[0]):
                if await tx.accounts.password_hash(f"{name}@{domain}") is not None:
                    return True
        return False

    async def _receipt(self, row: OutboxRow) -> None:
        """The receipt and the end of the action in one transaction: a repeated attempt sends no second
        one.
        """
        assert row.message_id is not None, "a delivery has a message"
        async with self.services.store.transaction() as tx:
            unit = Unit(self.services, tx, self.services.clock(), cause=row.message_id)
            message = await tx.messages.get(row.message_id)
            if message is not None:
                await report_delivery(unit, row, message, Action.DELIVERED, "2.0.0", "")
            await tx.outbox.done(row, unit.now)

    async def relay(self, row: OutboxRow) -> None:
        """To another operator, marked so that it does not come back unnoticed."""
        raw, message = await self.copy(row, leaves=True)
        raw = copy_for(raw, [(LOOP_FIELD, self.services.settings.service.domain)])
        raw = await sealed(self.services, row, message, raw)
        raw = await self._signed(raw, row)
        self._check_size(row.recipient, raw)
        try:
            service = await self.outbound.send(row.mail_from, row.recipient, raw, *_wishes(row))
        except RelayFailed as failure:
            raise ActionFailed(failure.enhanced, failure.text, permanent=failure.permanent) from failure
        except ssl.SSLError as failure:
            raise ActionFailed("4.7.5", type(failure).__name__, permanent=False) from failure
        if row.conversation_id is not None and service:
            await self._learn_peer(row.recipient.lower().rpartition("@")[2], service)

    def _check_size(self, recipient: str, raw: bytes) -> None:
        """No more goes to a patient than the mailbox takes: what was just under it may be above by now."""
        documents = self.services.settings.documents
        if len(raw) > documents.patient_max_bytes and in_patients_domain(recipient, documents.patient_domain):
            raise ActionFailed("5.3.4", OwnWords.PATIENT_SIZE, permanent=True)

    async def _learn_peer(self, domain: str, service: str) -> None:
        """Remember that an operator runs a gateway: it is told where conversations of ours stand.

        The mail is with the other operator: a database that is busy must not make it go again.
        """
        if service != f"{self.services.book.local_part}@{domain}":
            return
        try:
            async with self.services.store.reading() as tx:
                known = await tx.peers.service(domain)
            if known != service:
                async with self.services.store.transaction() as tx:
                    await tx.peers.learn(domain, service, self.services.clock())
        except StoreError as error:
            structlog.get_logger("relay").warning("peer not noted", error=type(error).__name__)

    async def _signed(self, raw: bytes, row: OutboxRow) -> bytes:
        """The finished octets with our DKIM signature, the same at each attempt.

        A mail that cannot be signed leaves without: what the next operator requires is our certificate.
        """
        try:
            return await self.services.dkim.sign(raw, row.first_at, self.services.clock())
        except DkimFault as fault:
            structlog.get_logger("relay").warning("not signed", outbox=str(row.id), reason=str(fault))
            return raw


def _wishes(row: OutboxRow) -> tuple[DsnOptions, RecipientOptions]:
    payload = row.payload
    dsn = DsnOptions(str(payload.get("ret", "")), str(payload.get("envid", "")))
    return dsn, RecipientOptions(frozenset(payload.get("notify", ())), str(payload.get("original", "")))


def _status(code: int) -> str:
    return "4.2.0" if code < 500 else "5.2.0"
