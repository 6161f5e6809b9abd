"""A mail client's two connections, kept open: submission to send, IMAP to look for news, by verified TLS."""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType

from imapclient import IMAPClient

from tests.load.served import Served
from tests.support.region import PASSWORD

_SECONDS = 60.0
#: Enough of a body for its mark; clients read what is long when somebody opens it.
_BEGINNING = 24_000
_HEADER = b"BODY[HEADER]"


@dataclass(frozen=True, slots=True)
class Sent:
    """One mail that was answered with 250, with the seconds when it was handed over and answered."""

    raw: bytes
    sender: str
    recipients: tuple[str, ...]
    began: float
    answered: float


@dataclass(slots=True)
class Session(AbstractContextManager["Session"]):
    """The connections of one account."""

    served: Served
    address: str
    sent: list[Sent] = field(default_factory=list)
    _smtp: smtplib.SMTP_SSL | None = None
    _imap: IMAPClient | None = None
    _seen: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Session:
        """Connect and log in."""
        smtp, imap = self.served.settings.smtp, self.served.settings.imap
        self._smtp = smtplib.SMTP_SSL(
            "localhost", smtp.submissions_port, timeout=_SECONDS, context=self.served.tls
        )
        self._smtp.login(self.address, PASSWORD)
        self._imap = IMAPClient("localhost", imap.tls_port, ssl_context=self.served.tls, timeout=_SECONDS)
        self._imap.login(self.address, PASSWORD)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        if self._smtp is not None:
            self._smtp.close()
        if self._imap is not None:
            self._imap.shutdown()

    def send(self, raw: bytes, recipients: Sequence[str]) -> None:
        """Send one mail. Raises ``smtplib.SMTPException`` unless it was taken for all."""
        assert self._smtp is not None, "connected"
        began = time.monotonic()
        refused = self._smtp.sendmail(self.address, list(recipients), raw)
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)
        self.sent.append(Sent(raw, self.address, tuple(recipients), began, time.monotonic()))

    def news(self, folder: str) -> list[tuple[bytes, bytes]]:
        """Header and beginning of the body of the mails that came since the last look, oldest first."""
        assert self._imap is not None, "connected"
        known = self._seen.get(folder, 1)
        following = self._imap.folder_status(folder, ["UIDNEXT"])[b"UIDNEXT"]
        if following <= known:
            return []
        self._imap.select_folder(folder, readonly=True)
        part = f"BODY.PEEK[TEXT]<0.{_BEGINNING}>"
        answer = self._imap.fetch(range(known, following), ["BODY.PEEK[HEADER]", part])
        self._imap.close_folder()  # the STATUS of a folder that is open tells no news
        self._seen[folder] = following
        return [(answer[uid][_HEADER], answer[uid][b"BODY[TEXT]<0>"]) for uid in sorted(answer)]

    def all_mails(self, folder: str) -> list[bytes]:
        """Every mail of a folder as it lies there; none where there is no such folder."""
        assert self._imap is not None, "connected"
        if not self._imap.folder_exists(folder):
            return []
        self._imap.select_folder(folder, readonly=True)
        uids = self._imap.search()
        answer = self._imap.fetch(uids, ["BODY.PEEK[]"]) if uids else {}
        return [answer[uid][b"BODY[]"] for uid in sorted(answer)]

    def folders(self) -> list[str]:
        """The names of all folders."""
        assert self._imap is not None, "connected"
        return [name for _, _, name in self._imap.list_folders()]


def unfolded(header: bytes, name: str) -> str:
    """The value of a header field in one line, '' where there is none."""
    found = re.search(rb"(?im)^" + re.escape(name.encode()) + rb":((?:.*\r?\n)(?:[ \t].*\r?\n)*)", header)
    return " ".join(found[1].decode("utf-8", "replace").split()) if found else ""
