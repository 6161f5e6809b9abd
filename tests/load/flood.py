"""The same mails as ordinary mail, handed over as fast as they are taken: to the gateway, and to Postfix."""

from __future__ import annotations

import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.load.sessions import Sent

Connect = Callable[[str], smtplib.SMTP]
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Letter:
    """One ordinary mail to be sent."""

    raw: bytes
    sender: str
    recipients: tuple[str, ...]


@dataclass(slots=True)
class Flood:
    """What came of it; seconds of one clock. ``delivered`` is when the last copy lay in its mailbox."""

    began: float
    answered: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    delivered: float = 0.0
    copies: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def accepted_rate(self) -> float:
        """Mails answered with 250 per second."""
        return len(self.answered) / (max(self.answered) - self.began) if self.answered else 0.0

    @property
    def mail_rate(self) -> float:
        """Mails per second until the last copy of all lay in its mailbox."""
        return len(self.answered) / (self.delivered - self.began) if self.delivered else 0.0


def letters_of(sent: Sequence[Sent], partners: dict[str, str]) -> list[Letter]:
    """The mails of a play as ordinary ones: to the other side and the author, as in a conversation.

    Each gets a field more: the octets of a mail are delivered to one mailbox once only.
    """
    return [
        Letter(b"X-Load: ordinary\r\n" + mail.raw, mail.sender, (partners[mail.sender], mail.sender))
        for mail in sent
    ]


def flood(letters: Sequence[Letter], connect: Connect, arrived: Callable[[], int], seconds: float) -> Flood:
    """Send all letters, one connection for each sender; ``arrived`` counts the copies in the mailboxes."""
    by_sender: dict[str, list[Letter]] = {}
    for letter in letters:
        by_sender.setdefault(letter.sender, []).append(letter)
    before = arrived()
    result = Flood(time.monotonic(), copies=sum(len(letter.recipients) for letter in letters))
    threads = [
        threading.Thread(target=_send_all, args=(connect, sender, own, result))
        for sender, own in by_sender.items()
    ]
    for thread in threads:
        thread.start()
    end = result.began + seconds
    while (come := arrived() - before) < result.copies and time.monotonic() < end and not result.faults:
        time.sleep(_POLL_SECONDS)
    result.delivered = time.monotonic()
    for thread in threads:
        thread.join()
    if come != result.copies:
        result.faults.append(f"{come} of {result.copies} copies arrived")
    return result


def _send_all(connect: Connect, sender: str, letters: Sequence[Letter], result: Flood) -> None:
    try:
        with connect(sender) as smtp:
            for letter in letters:
                began = time.monotonic()
                smtp.sendmail(sender, list(letter.recipients), letter.raw)
                result.answered.append(time.monotonic())
                result.latencies.append(result.answered[-1] - began)
    except (smtplib.SMTPException, OSError) as error:
        result.faults.append(f"{sender}: {type(error).__name__}: {error}")


def mails_in(home: Path) -> int:
    """How many mails lie in the Maildirs below a folder, those in INBOX only."""
    found: Counter[str] = Counter()
    for name in ("new", "cur"):
        for box in home.glob(f"*/*/Maildir/{name}"):
            found[name] += sum(1 for _ in box.iterdir())
    return found.total()
