"""Finding the installed Dovecot and what is missing of it."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailboxes.errors import DovecotFailed, DovecotMissing

_SEARCH: Final = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"

# Debian compiles these directories in; other systems have theirs beside
_PROGRAMS: Final = (Path("/usr/lib/dovecot"), Path("/usr/libexec/dovecot"))
_PLUGINS: Final = (Path("/usr/lib/dovecot/modules"), Path("/usr/lib64/dovecot"), Path("/usr/lib/dovecot"))


@dataclass(frozen=True, slots=True)
class Installation:
    """Paths of the two programs that we start."""

    dovecot: Path
    sievec: Path


def find_installation(managesieve: bool) -> Installation:
    """Return the installed Dovecot 2.3.

    Raises DovecotMissing naming the Debian packages that are wanted, DovecotFailed for another series of
    Dovecot, as 2.4 reads another configuration language.
    """
    dovecot, sievec = (shutil.which(name, path=_SEARCH) for name in ("dovecot", "sievec"))
    wanted = {
        "dovecot-core": dovecot is not None and _exists(_PLUGINS, "lib01_acl_plugin.so"),
        "dovecot-imapd": _exists(_PROGRAMS, "imap") and _exists(_PLUGINS, "lib02_imap_acl_plugin.so"),
        "dovecot-lmtpd": _exists(_PROGRAMS, "lmtp"),
        "dovecot-sieve": sievec is not None and _exists(_PLUGINS, "lib90_sieve_plugin.so"),
        "dovecot-managesieved": not managesieve or _exists(_PROGRAMS, "managesieve"),
    }
    missing = tuple(sorted(package for package, there in wanted.items() if not there))
    if missing or dovecot is None or sievec is None:
        raise DovecotMissing(missing)
    version = subprocess.run([dovecot, "--version"], capture_output=True, text=True, check=False).stdout
    if not version.startswith("2.3."):
        raise DovecotFailed(f"Dovecot 2.3 is needed, this is {version.strip() or 'unknown'}")
    return Installation(dovecot=Path(dovecot), sievec=Path(sievec))


def _exists(directories: tuple[Path, ...], name: str) -> bool:
    """Tell whether one of the directories has a file of that name."""
    return any((directory / name).exists() for directory in directories)
