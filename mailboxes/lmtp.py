r"""Delivery to the mailbox server by LMTP (RFC 2033) over a Unix socket.

Dovecot puts exactly these fields in front of the message and alters nothing behind them::

    Return-Path: <sender>
    Delivered-To: recipient
    Received: from <our name>
    \tby <hostname> with LMTP
    \tid <id>
    \t(envelope-from <sender>)
    \tfor <recipient>; <date>

A message that does not end in CRLF gets one, as the protocol cannot say anything else (RFC 5321 §4.1.1.4).
"""

import asyncio
import queue
import smtplib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailboxes.errors import DeliveryFailed

_OK: Final = 250
_NO_ANSWER: Final = 451
_BAD_ADDRESS: Final = 553
_CLOSING: Final = 421


@dataclass(slots=True)
class _Slot:
    """One place in the pool; ``client`` is None while it has no connection."""

    client: smtplib.LMTP | None = None


class LmtpDelivery:
    """A pool of open LMTP connections; one transaction for each recipient, so that each has its own answer.

    ``timeout`` in seconds holds for each answer of the server. ``name`` is what we call ourselves in LHLO.
    """

    def __init__(
        self, socket_path: Path, connections: int = 4, timeout: float = 60.0, name: str = "gateway"
    ) -> None:
        self._socket = str(socket_path)
        self._timeout = timeout
        self._name = name
        # smtplib blocks; a thread for each connection is all the concurrency that a pool of this size needs
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="lmtp")
        self._slots: queue.LifoQueue[_Slot] = queue.LifoQueue()
        for _ in range(connections):
            self._slots.put(_Slot())

    async def deliver(self, sender: str, recipient: str, message: bytes) -> None:
        """Return when the server has stored the message; raises DeliveryFailed.

        ``sender`` may be empty (the null reverse path). When a connection that was open before is lost, the
        transaction is done once more on a new one: it can then have happened twice, which the delivery key in
        the message makes harmless.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._deliver, sender, recipient, message)

    async def close(self) -> None:
        """Close the connections after the transactions that are under way; nothing can be delivered
        afterwards.
        """
        await asyncio.to_thread(self._threads.shutdown)
        while not self._slots.empty():
            _drop(self._slots.get_nowait())

    def _deliver(self, sender: str, recipient: str, message: bytes) -> None:
        """Do one delivery in a thread of the pool; there are as many threads as slots, so this never waits
        for one.
        """
        slot = self._slots.get()
        try:
            was_open = slot.client is not None
            try:
                self._transact(slot, sender, recipient, message)
            except (smtplib.SMTPServerDisconnected, OSError):
                _drop(slot)
                if not was_open:
                    raise
                self._transact(slot, sender, recipient, message)
        except (OSError, smtplib.SMTPException) as error:
            _drop(slot)
            raise DeliveryFailed(permanent=False, code=_NO_ANSWER, text=f"4.3.2 {error}") from error
        except ValueError as error:
            # smtplib refuses line ends and what is not ASCII in an address before anything is sent
            _drop(slot)
            raise DeliveryFailed(permanent=True, code=_BAD_ADDRESS, text="5.1.3 not an address") from error
        finally:
            self._slots.put(slot)

    def _transact(self, slot: _Slot, sender: str, recipient: str, message: bytes) -> None:
        """Do MAIL, RCPT and DATA; DeliveryFailed carries a refusal, other errors mean that the connection is
        lost.
        """
        client = slot.client = slot.client or self._connect()
        options = ["BODY=8BITMIME"] if client.has_extn("8bitmime") else []
        self._expect(slot, client.mail(sender, options))
        self._expect(slot, client.rcpt(recipient))
        try:
            self._expect(slot, client.data(message))
        except smtplib.SMTPDataError as refusal:
            error = refusal.smtp_error
            self._expect(slot, (refusal.smtp_code, error if isinstance(error, bytes) else error.encode()))

    def _connect(self) -> smtplib.LMTP:
        """Open a connection and greet; OSError or SMTPException when that fails."""
        client = smtplib.LMTP(self._socket, local_hostname=self._name, timeout=self._timeout)
        try:
            client.ehlo_or_helo_if_needed()
        except (OSError, smtplib.SMTPException):
            client.close()
            raise
        return client

    def _expect(self, slot: _Slot, answer: tuple[int, bytes]) -> None:
        """Raise DeliveryFailed unless the answer is 250, and leave the connection ready for the next
        transaction.
        """
        code, text = answer
        if code == _OK:
            return
        if code == _CLOSING:
            raise smtplib.SMTPServerDisconnected("the server is closing the connection")
        client = slot.client
        if client is not None:
            try:
                client.rset()
            except (OSError, smtplib.SMTPException):
                _drop(slot)
        raise DeliveryFailed(
            permanent=code >= 500, code=code, text=" ".join(text.decode("utf-8", "replace").split())
        )


def _drop(slot: _Slot) -> None:
    """Close the connection of a slot, if it has one."""
    if slot.client is not None:
        slot.client.close()
        slot.client = None
