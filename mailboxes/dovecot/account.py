"""The unprivileged account that all of Dovecot runs as."""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from mailboxes.dovecot.settings import DovecotSettings
from mailboxes.errors import DovecotFailed, DovecotMissing


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A Unix account: numeric ids and names."""

    uid: int
    gid: int
    user: str
    group: str


def service_account(settings: DovecotSettings) -> ServiceAccount:
    """Return the account to run as: ``settings.user`` for root, the caller's own for everybody else.

    Raises DovecotMissing when root has no such account and it is the one that Debian's package makes,
    DovecotFailed when it is another one, is root itself, or the caller's ids have no names.
    """
    try:
        entry = pwd.getpwnam(settings.user) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(entry.pw_gid).gr_name
    except KeyError:
        if os.geteuid() == 0 and settings.user == "dovecot":
            raise DovecotMissing(("dovecot-core",)) from None
        raise DovecotFailed(f"no account or group for {settings.user!r}, uid {os.geteuid()}") from None
    if entry.pw_uid == 0:
        raise DovecotFailed("the mailbox server must not run as root: set another account")
    return ServiceAccount(uid=entry.pw_uid, gid=entry.pw_gid, user=entry.pw_name, group=group)


def check_reachable(home: Path, account: ServiceAccount) -> None:
    """Raise DovecotFailed, saying what to do, unless the account owns ``home`` and may pass all directories
    above.
    """
    for directory in reversed(home.resolve().parents):
        if not _may_pass(directory, account):
            raise DovecotFailed(
                f"the account {account.user} cannot pass {directory} to reach the mails in {home}: "
                f"allow it (chmod o+x {directory}) or put the mails elsewhere"
            )
    if home.stat().st_uid != account.uid:
        raise DovecotFailed(
            f"the mails in {home} must belong to {account.user}: chown -R {account.user} {home}"
        )


def _may_pass(directory: Path, account: ServiceAccount) -> bool:
    """Tell whether the account has the execute bit on the directory, by the first class that holds
    (POSIX).
    """
    status = directory.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)
