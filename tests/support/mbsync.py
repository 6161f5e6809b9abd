"""mbsync (Debian's isync) as a client: a whole account, or some of its folders, as Maildirs to look into."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest
from imapclient import imap_utf7

from tests.support.gateway import Client, TestGateway, read

__all__ = ["Copy", "needs_mbsync"]

#: For ``pytestmark``: a test that cannot run says so, it does not pass.
needs_mbsync = pytest.mark.skipif(shutil.which("mbsync") is None, reason="mbsync (isync) is not installed")


@dataclass(frozen=True, slots=True)
class Copy:
    """An account's folders on a disk of their own, synchronised both ways, flags too.

    ``patterns`` are mbsync's; ``*`` is all that the account may read, shared folders included;
    ``subscribed``: only folders that the account is subscribed to.
    """

    account: Client
    folder: Path
    patterns: str = "*"
    subscribed: bool = False

    def sync(self) -> subprocess.CompletedProcess[bytes]:
        """Run mbsync once; it must find nothing to complain about."""
        done = self.try_sync()
        assert done.returncode == 0, done.stderr.decode()
        return done

    def try_sync(self) -> subprocess.CompletedProcess[bytes]:
        """Run mbsync once, whatever comes of it."""
        return subprocess.run(["mbsync", "-c", self._configured(), "-a"], capture_output=True, timeout=100)

    def folders(self) -> set[str]:
        """The names of the folders copied, with ``/`` between their parts."""
        found = {path.parent for path in self._mail.rglob("cur") if path.is_dir()}
        return {imap_utf7.decode(str(path.relative_to(self._mail)).encode()) for path in found}

    def mails(self, name: str) -> list[EmailMessage]:
        """The mails of a folder, oldest first."""
        return [read(path.read_bytes()) for path in self._files(name)]

    def octets(self, name: str) -> dict[bytes, str]:
        """The mails of a folder as octets with CRLF, with Maildir flags; mbsync's own field left out."""
        found = {}
        for path in self._files(name):
            lines = path.read_bytes().splitlines(keepends=True)
            raw = b"".join(line for line in lines if not line.startswith(b"X-TUID: "))
            found[raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")] = _flags(path)
        return found

    def flags(self, name: str, message_id: str) -> set[str]:
        """The Maildir flags of the one mail with this Message-ID (S: read, F: flagged, R: replied)."""
        (path,) = self._named(name, message_id)
        return set(_flags(path))

    def holds(self, name: str, message_id: str) -> bool:
        """Whether a folder has the mail with this Message-ID."""
        return any(self._named(name, message_id))

    def mark(self, name: str, message_id: str, flags: str) -> None:
        """Give a mail Maildir flags, in alphabetical order, as a local mail program does."""
        (path,) = self._named(name, message_id)
        bare = path.name.partition(":2,")[0]
        path.rename(path.parent.parent / "cur" / f"{bare}:2,{flags}")

    def tree(self) -> dict[str, str]:
        """Every file by name, with the digest of its octets."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self._mail.rglob("*")
            if path.is_file()
        }

    @property
    def _mail(self) -> Path:
        return self.folder / "mail"

    def _files(self, name: str) -> list[Path]:
        box = self._mail / imap_utf7.encode(name).decode()
        # The first number in a Maildir name is the second of its making; mbsync counts on behind it.
        return sorted([*box.glob("new/*"), *box.glob("cur/*")], key=_made)

    def _named(self, name: str, message_id: str) -> Iterator[Path]:
        wanted = message_id.strip()
        for path in self._files(name):
            if str(read(path.read_bytes())["message-id"] or "").strip() == wanted:
                yield path

    def _configured(self) -> Path:
        path = self.folder / "mbsyncrc"
        if path.exists():
            return path
        self._mail.mkdir(parents=True)
        gateway: TestGateway = self.account.gateway
        path.write_text(
            f"""
IMAPAccount tele
Host localhost
Port {gateway.imaps_port}
User {self.account.address}
Pass "{self.account.password}"
SSLType IMAPS
CertificateFile {gateway.settings.pki.anchors}

IMAPStore far
Account tele
SubscribedOnly {"yes" if self.subscribed else "no"}

MaildirStore near
Path {self._mail}/
Inbox {self._mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns {self.patterns}
Create Near
Sync All
Expunge Both
SyncState *
CopyArrivalDate yes
""",
            "utf-8",
        )
        return path


def _flags(path: Path) -> str:
    return path.name.partition(":2,")[2]


def _made(path: Path) -> tuple[int, int]:
    second, _, rest = path.name.partition(".")
    return int(second), int(rest.partition("_")[2].partition(".")[0] or 0)
