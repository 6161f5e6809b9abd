"""Finding the installed Dovecot and what is missing of it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailboxes.errors import DovecotFailed, DovecotMissing

_SEARCH: Final = ("usr/sbin", "usr/bin", "sbin", "bin", "usr/local/sbin", "usr/local/bin")

# Debian compiles these directories in; other systems have theirs beside
_PROGRAMS: Final = ("usr/lib/dovecot", "usr/libexec/dovecot")
_PLUGINS: Final = ("usr/lib/dovecot/modules", "usr/lib64/dovecot", "usr/lib/dovecot")


@dataclass(frozen=True, slots=True)
class Installation:
    """Paths of the two programs that we start."""

    dovecot: Path
    sievec: Path


def find_installation(managesieve: bool, root: Path = Path("/")) -> Installation:
    """Return the Dovecot 2.3 that is installed below ``root``.

    Raises DovecotMissing naming the Debian packages that are wanted, DovecotFailed for another series of
    Dovecot, as 2.4 reads another configuration language.
    """
    dovecot, sievec = _find(root, _SEARCH, "dovecot"), _find(root, _SEARCH, "sievec")
    wanted = (
        ("dovecot-core", dovecot),
        ("dovecot-core", _find(root, _PLUGINS, "lib01_acl_plugin.so")),
        ("dovecot-imapd", _find(root, _PROGRAMS, "imap")),
        ("dovecot-imapd", _find(root, _PLUGINS, "lib02_imap_acl_plugin.so")),
        ("dovecot-lmtpd", _find(root, _PROGRAMS, "lmtp")),
        ("dovecot-sieve", sievec),
        ("dovecot-sieve", _find(root, _PLUGINS, "lib90_sieve_plugin.so")),
        ("dovecot-managesieved", not managesieve or _find(root, _PROGRAMS, "managesieve")),
    )
    missing = tuple(sorted({package for package, found in wanted if not found}))
    if missing or dovecot is None or sievec is None:
        raise DovecotMissing(missing)
    version = _told_version(dovecot)
    if not version.startswith("2.3."):
        raise DovecotFailed(f"Dovecot 2.3 is needed, this is {version or 'unknown'}")
    return Installation(dovecot=dovecot, sievec=sievec)


def installed_version(root: Path = Path("/")) -> str:
    """What the Dovecot below ``root`` says that it is (``2.3.19.1 (9b53102964)``); '' where there is none."""
    dovecot = _find(root, _SEARCH, "dovecot")
    return _told_version(dovecot) if dovecot else ""


def _told_version(dovecot: Path) -> str:
    return subprocess.run([dovecot, "--version"], capture_output=True, text=True, check=False).stdout.strip()


def _find(root: Path, directories: tuple[str, ...], name: str) -> Path | None:
    """Return the first file of that name in the directories, None when none has one."""
    return next((path for directory in directories if (path := root / directory / name).exists()), None)
