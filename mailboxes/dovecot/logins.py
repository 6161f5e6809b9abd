"""The mailboxes that Dovecot knows, as a passwd-file, and their home directories."""

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailboxes.dovecot.account import ServiceAccount, check_reachable, service_account
from mailboxes.dovecot.settings import DovecotSettings

# the local part becomes a directory and Dovecot's own set of user name characters is as narrow
_LOCAL = r"[a-z0-9_][a-z0-9_.-]{0,63}"
_DOMAIN = r"[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?"
_ADDRESS: Final = re.compile(f"{_LOCAL}@{_DOMAIN}")
_ARGON2ID: Final = re.compile(r"\$argon2id\$[A-Za-z0-9$,=+/]+")

RIGHTS: Final = "lrwstipekx"
"""What the owner of a folder may do, and whoever acts for that account: all (RFC 4314 §2.1 as Dovecot spells
it) but ``a``, so that nobody shares past the gateway.
"""

OWN_FOLDERS: Final = f'"*" owner {RIGHTS}\n'
"""The file of rights of a mailbox that reads nobody else's folders, see `mailboxes.dovecot.sharing`."""


@dataclass(frozen=True, slots=True)
class MailboxLogin:
    """One mailbox: its address (kept in lower case), argon2id hash as argon2-cffi prints it, and whether it
    may log in.

    A mailbox that is not ``active`` still receives mail. ValueError when the address cannot name a mailbox or
    the hash is not argon2id.
    """

    address: str
    password_hash: str
    active: bool = True

    def __post_init__(self) -> None:
        """Bring the address to lower case and refuse what would break the file."""
        object.__setattr__(self, "address", mailbox_address(self.address))
        if not _ARGON2ID.fullmatch(self.password_hash):
            raise ValueError(f"not an argon2id hash for {self.address}")

    @property
    def home(self) -> tuple[str, str]:
        """The directory of the mailbox below the mails: domain and local part."""
        local, _, domain = self.address.partition("@")
        return domain, local


def mailbox_address(text: str) -> str:
    """Return an address in the form that names a mailbox, in lower case; ValueError when it cannot name
    one.
    """
    address = text.lower()
    if not _ADDRESS.fullmatch(address) or ".." in address:
        raise ValueError(f"cannot name a mailbox: {text!r}")
    return address


def write_logins(settings: DovecotSettings, logins: Iterable[MailboxLogin]) -> None:
    """Make ``logins`` the mailboxes of the instance, atomically; Dovecot follows within a second.

    Also makes the missing home directories: Dovecot keeps the delivery keys there and would lose the key of
    the first delivery otherwise. The home of a mailbox that is no longer named stays. May be called before
    the server's start. Raises DovecotFailed or DovecotMissing as `service_account` does, OSError as it comes.
    """
    ordered = sorted(logins, key=lambda login: login.address)
    account = service_account(settings)
    prepare_home(settings, account)
    for login in ordered:
        make_home(settings.home, login.home, account)
        if not (settings.acl / login.address).exists():
            write_private(settings.acl / login.address, OWN_FOLDERS.encode(), account, durable=False)
    write_private(settings.logins, "".join(map(_line, ordered)).encode(), account)


def take_turn(settings: DovecotSettings) -> int | None:
    """Take the one place of those who read what the mailboxes are and write it: an open file, to be closed
    after it, or ``None`` while another has it. Ends with the process, too.

    Raises as `write_logins` does.
    """
    prepare_home(settings, service_account(settings))
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(settings.control / "writing", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def prepare_home(settings: DovecotSettings, account: ServiceAccount) -> None:
    """Make the mail and control directories of that account, and an empty list of logins, where they are
    missing.

    DovecotFailed when the account cannot use them, naming the directory that is in the way.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    if settings.home.stat().st_uid != account.uid and not any(settings.home.iterdir()):
        os.chown(settings.home, account.uid, account.gid)
    check_reachable(settings.home, account)
    make_home(settings.home, (settings.control.name, settings.acl.name), account)
    if not settings.logins.exists():
        write_private(settings.logins, b"", account)


def write_private(path: Path, content: bytes, account: ServiceAccount, *, durable: bool = True) -> None:
    """Replace ``path`` atomically by a file of mode 0600 of that account; ``durable``: on disk on return.

    Its time of modification is a second later, at least, than that of the file that it replaces: Dovecot
    reads a passwd-file again only when size or whole second differ.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(file.fileno(), account.uid, account.gid)
            modified = max(int(os.fstat(file.fileno()).st_mtime), _second_of(path) + 1)
            os.utime(file.fileno(), (modified, modified))
            if durable:
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _second_of(path: Path) -> int:
    """Return the time of modification in whole seconds, 0 when there is no such file."""
    try:
        return int(path.lstat().st_mtime)
    except FileNotFoundError:
        return 0


def _line(login: MailboxLogin) -> str:
    """Return one line: name, hash, then uid, gid, gecos, home and shell left empty, then extra fields."""
    return f"{login.address}:{{ARGON2ID}}{login.password_hash}::::::{'' if login.active else 'nologin'}\n"


def make_home(root: Path, components: tuple[str, ...], account: ServiceAccount) -> None:
    """Make the directories below ``root`` one by one without following links: root may act in a user's
    directory. OSError as it comes.
    """
    flags = os.O_DIRECTORY | os.O_NOFOLLOW
    parent = os.open(root, os.O_DIRECTORY)
    try:
        for component in components:
            with contextlib.suppress(FileExistsError):
                os.mkdir(component, 0o700, dir_fd=parent)
            child = os.open(component, flags, dir_fd=parent)
            os.close(parent)
            parent = child
            if os.fstat(child).st_uid != account.uid:
                os.fchown(child, account.uid, account.gid)
    finally:
        os.close(parent)
