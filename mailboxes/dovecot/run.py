"""One run of Dovecot on disk and as a process: its directory, its files and its master process."""

import fcntl
import os
import re
import shutil
import ssl
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final, TypedDict

from mailboxes.dovecot.account import ServiceAccount
from mailboxes.dovecot.configuration import render_configuration, render_tokens
from mailboxes.dovecot.installation import Installation
from mailboxes.dovecot.logins import write_private
from mailboxes.dovecot.script import render_before_script
from mailboxes.dovecot.settings import MASTER_USER, DovecotSettings, RunFiles
from mailboxes.errors import DovecotFailed

_LONGEST_PATH: Final = 70
_COMPLAINT: Final = re.compile(r"\b((?:Error|Fatal|Panic): .*)")
_LONGEST_LOG: Final = 16 * 1024 * 1024
# doveadm: nobody was connected (sysexits.h EX_NOHOST)
_NOBODY: Final = 68
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class _Identity(TypedDict, total=False):
    """Arguments of a child process that choose its account."""

    user: int
    group: int
    extra_groups: list[int]


def lock(path: Path, flags: int) -> int:
    """Open ``path``, lock it for as long as the descriptor is open, and return that; DovecotFailed when it is
    held.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DovecotFailed(f"another gateway serves the mails in {path.parent.parent}") from None
    return descriptor


def make_run_directory(settings: DovecotSettings, account: ServiceAccount) -> RunFiles:
    """Make a new directory that only the account can enter; DovecotFailed when sockets in it would get too
    long.
    """
    parent = _run_parent(settings)
    run = Path(tempfile.mkdtemp(prefix=f"{settings.instance}-", dir=parent))
    os.chown(run, account.uid, account.gid)
    if len(os.fsencode(run)) > _LONGEST_PATH:
        run.rmdir()
        raise DovecotFailed(f"{parent} is too long a path for sockets: set a shorter run directory")
    return RunFiles(run)


def remove_left_directories(settings: DovecotSettings, account: ServiceAccount) -> None:
    """Remove run directories of this instance that a killed owner left."""
    for left in _run_parent(settings).glob(f"{settings.instance}-*"):
        if not left.is_symlink() and left.stat().st_uid == account.uid:
            shutil.rmtree(left, ignore_errors=True)


def write_run_files(
    settings: DovecotSettings,
    files: RunFiles,
    account: ServiceAccount,
    installation: Installation,
    master_password: str,
) -> None:
    """Write configuration, certificate, master login and compiled Sieve script of the run, each of mode 0600.

    DovecotFailed when certificate or key cannot be read or the script does not compile.
    """
    write_certificate(settings, files, account)
    shutil.rmtree(files.base, ignore_errors=True)  # sockets and pid file of a run that was killed
    # a fast hash is enough for 256 random bits, and filing logs in often
    master = f"{MASTER_USER}:{{SHA256.HEX}}{sha256(master_password.encode()).hexdigest()}\n"
    if settings.questions is not None:
        write_private(files.tokens, render_tokens(settings.questions).encode(), account)
    for path, content in (
        (files.masters, master.encode()),
        (files.before_script, render_before_script(settings.duplicate_days).encode()),
        (files.configuration, render_configuration(settings, files, account).encode()),
    ):
        write_private(path, content, account)
    _compile_script(installation, files, account)


def write_certificate(settings: DovecotSettings, files: RunFiles, account: ServiceAccount) -> None:
    """Write certificate and key of the run; DovecotFailed, and nothing is written, when they cannot be read
    or are no pair.
    """
    try:
        certificate, key = settings.certificate.read_bytes(), settings.key.read_bytes()
    except OSError as error:
        raise DovecotFailed(f"cannot read {error.filename}: {error.strerror}") from error
    _check_certificate(settings)
    write_private(files.certificate, certificate, account)
    write_private(files.key, key, account)


def spawn(
    settings: DovecotSettings, files: RunFiles, account: ServiceAccount, installation: Installation
) -> subprocess.Popen[bytes]:
    """Start the master process in a session of its own, as the account, its output going to the log."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    log = os.open(settings.log, flags, 0o600)
    try:
        os.fchown(log, account.uid, account.gid)
        command = [str(installation.dovecot), "-F", "-c", str(files.configuration)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=files.run,
            env=_ENVIRONMENT,
            start_new_session=True,
            **_identity(account),
        )
    finally:
        os.close(log)


def kick(files: RunFiles, account: ServiceAccount, address: str) -> None:
    """End the open sessions of a mailbox; DovecotFailed when that cannot be asked of Dovecot."""
    _run(["doveadm", "-c", str(files.configuration), "kick", address], files, account, accepted=(0, _NOBODY))


def log_size(settings: DovecotSettings) -> int:
    """Return the size of the log in bytes, after putting away one that has grown too long."""
    try:
        size = settings.log.stat().st_size
    except FileNotFoundError:
        return 0
    if size > _LONGEST_LOG:
        settings.log.replace(settings.log.with_suffix(".log.1"))
        return 0
    return size


def last_words(settings: DovecotSettings, start: int) -> str:
    """Return the last complaints in the log after ``start`` bytes, or else its last line."""
    try:
        with settings.log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
    # a failed start is told twice, in the log and on standard error, and its last complaint rarely says why
    complaints = list(dict.fromkeys(found[1] for line in lines if (found := _COMPLAINT.search(line))))
    return "; ".join(complaints[-3:] or lines[-1:] or ["it said nothing"])


def _run_parent(settings: DovecotSettings) -> Path:
    """Return where run directories are made: short, local, and not cleared while in use."""
    if settings.run_parent is not None:
        return settings.run_parent
    if os.geteuid() == 0:
        return Path("/run")
    return Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp"))  # noqa: S108 - mkdtemp makes the name


def _check_certificate(settings: DovecotSettings) -> None:
    """Raise DovecotFailed unless certificate and key are a pair: Dovecot itself would fail at each connection
    only.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.certificate, settings.key)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise DovecotFailed(
            f"no certificate and key in {settings.certificate} and {settings.key}: {reason}"
        ) from error


def _compile_script(installation: Installation, files: RunFiles, account: ServiceAccount) -> None:
    """Compile the global script once, since users' processes must not write beside it."""
    _run([str(installation.sievec), "-c", str(files.configuration), str(files.before_script)], files, account)


def _run(
    command: list[str], files: RunFiles, account: ServiceAccount, accepted: tuple[int, ...] = (0,)
) -> None:
    """Run one of Dovecot's programs as the account; DovecotFailed with its words unless its status is
    accepted.
    """
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=files.run,
        env=_ENVIRONMENT,
        **_identity(account),
    )
    if done.returncode not in accepted:
        name = command[0].rpartition("/")[2]
        raise DovecotFailed(f"{name}: {' '.join(done.stderr.split()) or f'status {done.returncode}'}")


def _identity(account: ServiceAccount) -> _Identity:
    """Return the arguments by which a child of root drops to the account; others run as it already."""
    if os.geteuid() != 0:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}
