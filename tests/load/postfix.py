"""Postfix in front of a Dovecot as ours, without us: the yardstick of the same run."""

from __future__ import annotations

import os
import pwd
import signal
import smtplib
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config import Settings
from mailboxes.dovecot.logins import MailboxLogin
from tests.load.plan import DOMAIN
from tests.support.dovecot import HASHER, PASSWORD, Running, deployment, free_port, served

_MASTER = Path("/usr/lib/postfix/sbin/master")
_QUEUES = "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace"
_START_SECONDS = 20.0
_STOP_SECONDS = 15.0
_SERVICES = """
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A Postfix that delivers by LMTP to a Dovecot; ``home`` holds the mails."""

    port: int
    tls: ssl.SSLContext
    home: Path
    postfix_pid: int
    dovecot_pid: int
    log: Path

    def connect(self, sender: str) -> smtplib.SMTP:
        """A connection with STARTTLS, as the gateway's clients have one under TLS."""
        smtp = smtplib.SMTP("localhost", self.port, timeout=60)
        smtp.starttls(context=self.tls)
        smtp.ehlo()
        return smtp


def absent() -> str:
    """Why Postfix cannot be measured here, '' where it can."""
    if not _MASTER.exists():
        return "Postfix is not installed"
    return "" if os.geteuid() == 0 else "a Postfix of our own needs root"


@contextmanager
def yardstick(
    folder: Path, settings: Settings, addresses: Sequence[str], tls: ssl.SSLContext
) -> Iterator[Yardstick]:
    """Postfix with the TLS certificate of ``settings``, and a private Dovecot with these mailboxes."""
    logins = [MailboxLogin(address, HASHER.hash(PASSWORD), active=True) for address in addresses]
    with deployment() as made, served(made, *logins) as running:
        _open_lmtp(running)
        port = free_port()
        configuration = _lay_out(folder, settings, port, running.server.lmtp_socket)
        process = subprocess.Popen(
            [str(_MASTER), "-c", str(configuration), "-d"],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            assert running.server.pid is not None, "Dovecot runs"
            yield Yardstick(port, tls, made.settings.home, process.pid, running.server.pid, folder / "log")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            finally:
                _end_group(process.pid)


def _open_lmtp(running: Running) -> None:
    """Let Postfix's own account reach the socket, which is otherwise for the gateway alone."""
    socket = running.server.lmtp_socket
    for folder in (socket.parent, socket.parent.parent):
        folder.chmod(0o711)
    socket.chmod(0o666)


def _lay_out(folder: Path, settings: Settings, port: int, lmtp: Path) -> Path:
    owner = pwd.getpwnam("postfix")
    for name in ("etc", "queue", "data"):
        (folder / name).mkdir(parents=True)
    for name in _QUEUES.split():
        (folder / "queue" / name).mkdir()
        if name != "pid":
            os.chown(folder / "queue" / name, owner.pw_uid, owner.pw_gid)
    (folder / "queue" / "public").chmod(0o711)
    os.chown(folder / "data", owner.pw_uid, owner.pw_gid)
    values = {
        "compatibility_level": "3.6",
        "queue_directory": folder / "queue",
        "data_directory": folder / "data",
        "maillog_file": folder / "log",
        "maillog_file_prefixes": folder,
        "myhostname": "yardstick.example",
        "mydestination": "",
        "alias_maps": "",
        "local_recipient_maps": "",
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "mynetworks": "127.0.0.0/8",
        "smtpd_peername_lookup": "no",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "smtpd_client_connection_count_limit": "0",
        "smtpd_tls_security_level": "encrypt",
        "smtpd_tls_cert_file": settings.pki.tls_certificate,
        "smtpd_tls_key_file": settings.pki.tls_key,
        "virtual_mailbox_domains": DOMAIN,
        "virtual_transport": f"lmtp:unix:{lmtp}",
        "biff": "no",
    }
    (folder / "etc" / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in values.items()))
    (folder / "etc" / "master.cf").write_text(f"127.0.0.1:{port} inet n - n - - smtpd\n{_SERVICES}")
    return folder / "etc"


def _wait_for(port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=5) as smtp:
                smtp.noop()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def _end_group(group: int) -> None:
    """Postfix's master signals its children when it ends; who is left of its process group ends here."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
