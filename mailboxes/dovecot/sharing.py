"""Whose folders an account reads besides its own: one ACL file per reader, and the list of who shares.

Rights hold for all folders of an account, those to come included, as they are patterns (Dovecot's global ACL
file), and nothing lies in the mailboxes themselves that could outlast a withdrawal. A file is read when a
session begins and again, by one that lasts, within a second: who lost a right is to be disconnected after
`write_sharing`, see `DovecotServer.end_sessions`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailboxes.dovecot.account import ServiceAccount, service_account
from mailboxes.dovecot.logins import (
    OWN_FOLDERS,
    RIGHTS,
    mailbox_address,
    make_home,
    prepare_home,
    write_private,
)
from mailboxes.dovecot.settings import COMMON_PREFIX, OWN_PREFIX, DovecotSettings

__all__ = ["SharedMailbox", "write_sharing"]

#: Dovecot makes them for the owner's session or the first mail; a reader may come before both.
_MAILDIR: Final = ("cur", "new", "tmp")


@dataclass(frozen=True, slots=True)
class SharedMailbox:
    """An account whose folders others read: ``readers`` are their addresses. ``common``: one mark of
    reading for all of them and the account, in place of one each. ValueError for what cannot name a mailbox.
    """

    owner: str
    readers: frozenset[str]
    common: bool = False

    def __post_init__(self) -> None:
        """Refuse what would break the files."""
        for address in (self.owner, *self.readers):
            if mailbox_address(address) != address:
                raise ValueError(f"not in lower case: {address!r}")


def write_sharing(
    settings: DovecotSettings, addresses: Iterable[str], shared: Iterable[SharedMailbox]
) -> None:
    """Make ``shared`` all that the mailboxes ``addresses`` read of each other; each file is replaced
    atomically, and only where it says something else.

    May be called before the server's start. Raises as `write_logins` does.
    """
    account = service_account(settings)
    prepare_home(settings, account)
    known = {mailbox_address(address) for address in addresses}
    lines: dict[str, list[str]] = {address: [] for address in known}
    pairs: list[tuple[str, str]] = []
    for mailbox in sorted(shared, key=lambda one: one.owner):
        local, _, domain = mailbox.owner.partition("@")
        missing = not (settings.home / domain / local / "Maildir" / _MAILDIR[-1]).is_dir()
        for folder in _MAILDIR if missing else ():
            make_home(settings.home, (domain, local, "Maildir", folder), account)
        prefix = COMMON_PREFIX if mailbox.common else OWN_PREFIX
        for reader in sorted(mailbox.readers & known - {mailbox.owner}):
            # The name without folder is that by which Dovecot asks for the rights to INBOX.
            lines[reader] += [
                f'"{prefix}{mailbox.owner}{folders}" user={reader} {RIGHTS}\n' for folders in ("", "/*")
            ]
            pairs.append((reader, mailbox.owner))
    for address, granted in lines.items():
        _write(settings.acl / address, "".join([OWN_FOLDERS, *granted]), account)
    # Where Dovecot's LIST looks for accounts to show: its own dictionary format, key and value line by line.
    listed = "".join(f"shared/shared-boxes/user/{reader}/{owner}\n1\n" for reader, owner in sorted(pairs))
    _write(settings.shared_mailboxes, listed, account)


def _write(path: Path, text: str, account: ServiceAccount) -> None:
    content = text.encode()
    try:
        # Nothing that grants anything is as short as the file of one's own folders: most need no reading.
        if path.stat().st_size == len(content) and (text == OWN_FOLDERS or path.read_bytes() == content):
            return
    except FileNotFoundError:
        pass
    # Not waited for: all files are written again, where they differ, before Dovecot starts the next time.
    write_private(path, content, account, durable=False)
