"""The supervisor of the private Dovecot: starts it, restarts it when it dies, and stops it without
remains.
"""

import asyncio
import os
import secrets
import shutil
import signal
import ssl
import subprocess
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from mailboxes.dovecot.account import ServiceAccount, service_account
from mailboxes.dovecot.configuration import listening_address
from mailboxes.dovecot.doorway import Doorway
from mailboxes.dovecot.installation import find_installation
from mailboxes.dovecot.logins import mailbox_address, prepare_home
from mailboxes.dovecot.processes import end_instance, wait_for_exit
from mailboxes.dovecot.run import (
    kick,
    last_words,
    lock,
    log_size,
    make_run_directory,
    remove_left_directories,
    spawn,
    write_certificate,
    write_run_files,
)
from mailboxes.dovecot.settings import MASTER_USER, DovecotSettings, RunFiles
from mailboxes.errors import DovecotFailed

START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
_LONGEST_DELAY: Final = 30.0


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """What happened to a running server; ``detail`` is Dovecot's own last line or the reason, never
    content.
    """

    kind: Literal["died", "restart_failed", "restarted"]
    detail: str


def restart_delay(failures: int) -> float:
    """Return the seconds to wait before the next start after that many deaths or failed starts in a row
    (pure).
    """
    return min(_LONGEST_DELAY, 0.2 * 2.0 ** min(failures, 20))


class DovecotServer:
    """One private Dovecot instance, owned from `start` to `stop`.

    ``report`` is told of each `ServerEvent`. Only one server can own the mails of a directory; a second one
    is refused and an instance whose owner was killed is ended first.
    """

    def __init__(
        self, settings: DovecotSettings, report: Callable[[ServerEvent], None] | None = None
    ) -> None:
        self._settings = settings
        self._report: Callable[[ServerEvent], object] = report or (lambda _: None)
        self._stopping = asyncio.Event()
        self._changing = asyncio.Lock()
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._doorways: list[Doorway] = []
        self._files: RunFiles | None = None
        self._locks: list[int] = []
        self._master_password = secrets.token_urlsafe(32)

    @property
    def lmtp_socket(self) -> Path:
        """The socket for `mailboxes.lmtp.LmtpDelivery`; the same until `stop`."""
        return self._run_files.lmtp

    @property
    def master_user(self) -> str:
        """Name of the master user, for `mailboxes.filing.Filing`."""
        return MASTER_USER

    @property
    def master_password(self) -> str:
        """Password of the master user: new for each server, never on disk in clear text."""
        return self._master_password

    @property
    def pid(self) -> int | None:
        """Process id of Dovecot's master, None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    async def start(self) -> None:
        """Start Dovecot and return when IMAP and LMTP answer.

        Raises DovecotMissing when packages are missing and DovecotFailed, with the last line of Dovecot's
        log, when it does not come up. Nothing is left behind then.
        """
        settings = self._settings
        find_installation(settings.managesieve_port is not None)
        account = service_account(settings)
        prepare_home(settings, account)
        self._stopping.clear()
        try:
            self._locks.append(lock(settings.control / "lock", os.O_RDWR | os.O_CREAT))
            await self._end_stale(account)
            self._files = make_run_directory(settings, account)
            # systemd-tmpfiles spares a locked directory when it clears /tmp of old files
            self._locks.append(lock(self._files.run, os.O_RDONLY | os.O_DIRECTORY))
            await self._launch(account)
            await self._open_doorways()
        except BaseException:
            await self.stop()
            raise

    async def watch(self) -> None:
        """Keep Dovecot running until `stop` is called; then return.

        Each death is reported, what it left is ended, and it is started again after `restart_delay`, for as
        long as it takes: mail waits in the queue meanwhile. Sockets and master password stay the same.
        """
        failures = 0
        while not self._stopping.is_set():
            if self._process is not None:
                await _first_of(wait_for_exit(self._process.pid), self._stopping.wait())
                if self._stopping.is_set():
                    return
                ending = f"status {self._process.wait()}"
                self._report(ServerEvent("died", f"{ending}: {last_words(self._settings, self._log_start)}"))
            if await self._stopped_within(restart_delay(failures)):
                return
            try:
                await self._restart()
            except DovecotFailed as failure:
                failures += 1
                self._report(ServerEvent("restart_failed", str(failure)))
            else:
                failures = 0
                if self._stopping.is_set():
                    return
                self._report(ServerEvent("restarted", f"pid {self.pid}"))

    async def end_sessions(self, address: str) -> None:
        """End the open IMAP sessions of a mailbox, as when its account is suspended; none is no error.

        DovecotFailed when Dovecot cannot do it or does not run, ValueError when this is no mailbox's address.
        """
        account = service_account(self._settings)
        await asyncio.to_thread(kick, self._run_files, account, mailbox_address(address))

    async def renew_certificate(self) -> None:
        """Let new connections see the certificate that its file holds now; open sessions go on with the old.

        DovecotFailed when certificate and key cannot be used: then those before stay. A server that is just
        being restarted reads them by itself.
        """
        async with self._changing:
            pid = self.pid
            if pid is not None:
                account = service_account(self._settings)
                await asyncio.to_thread(write_certificate, self._settings, self._run_files, account)
                os.kill(pid, signal.SIGHUP)

    async def stop(self) -> None:
        """End everything that was started, and nothing else; may be called again, and after a failed start.

        DovecotFailed when a process does not end even by SIGKILL.
        """
        self._stopping.set()
        for doorway in self._doorways:
            await doorway.close()
        self._doorways.clear()
        async with self._changing:
            try:
                if self._files is not None:
                    await self._end_processes(service_account(self._settings))
                    await asyncio.to_thread(shutil.rmtree, self._files.run, ignore_errors=True)
            finally:
                self._files = None
                while self._locks:
                    os.close(self._locks.pop())

    @property
    def _run_files(self) -> RunFiles:
        """The files of this run; DovecotFailed before `start` and after `stop`."""
        if self._files is None:
            raise DovecotFailed("the mailbox server is not started")
        return self._files

    async def _end_stale(self, account: ServiceAccount) -> None:
        """End an instance of ours that a killed owner left, and remove its run directories."""
        await self._end_processes(account)
        await asyncio.to_thread(remove_left_directories, self._settings, account)

    async def _launch(self, account: ServiceAccount) -> None:
        """Write the files of this run, start the master process and wait until it serves."""
        settings, files = self._settings, self._run_files
        installation = find_installation(settings.managesieve_port is not None)
        await asyncio.to_thread(
            write_run_files, settings, files, account, installation, self._master_password
        )
        self._log_start = log_size(settings)
        self._process = spawn(settings, files, account, installation)
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while not await self._answers():
            late = asyncio.get_running_loop().time() > deadline
            if late or self._process.poll() is not None or self._stopping.is_set():
                await self._end_processes(account)
                raise DovecotFailed(f"Dovecot does not start: {last_words(settings, self._log_start)}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _restart(self) -> None:
        """End what is left and launch again, with a possibly renewed certificate."""
        async with self._changing:
            if self._stopping.is_set():
                return
            account = service_account(self._settings)
            await self._end_processes(account)
            await self._launch(account)

    async def _end_processes(self, account: ServiceAccount) -> None:
        """End all processes of the instance and reap the master."""
        gone = await end_instance(self._settings.instance, account.uid, STOP_SECONDS)
        if self._process is not None and gone:
            # a process that is just ending has no command line any more, but is not to be reaped yet either
            await wait_for_exit(self._process.pid)
            self._process.wait()
            self._process = None
        if not gone:
            raise DovecotFailed(f"processes of {self._settings.instance} do not end")

    async def _open_doorways(self) -> None:
        """Lead loopback clients to where Dovecot listens for STARTTLS."""
        settings = self._settings
        inner = listening_address(settings)
        if inner == settings.bind:
            return
        for port in (settings.starttls_port, settings.managesieve_port):
            if port is None:
                continue
            doorway = Doorway(settings.bind, inner, port)
            try:
                await doorway.open()
            except OSError as error:
                raise DovecotFailed(
                    f"cannot listen on {settings.bind} port {port}: {error.strerror}"
                ) from error
            self._doorways.append(doorway)

    async def _answers(self) -> bool:
        """Tell whether IMAP on both ports and LMTP greet."""
        settings = self._settings
        unverified = ssl.create_default_context()
        unverified.check_hostname = False  # this only asks whether the port is served, nothing is sent
        unverified.verify_mode = ssl.CERT_NONE
        connect = asyncio.open_connection
        try:
            async with asyncio.timeout(2.0):
                return (
                    await _greets(connect(listening_address(settings), settings.starttls_port), b"* OK")
                    and await _greets(connect(settings.bind, settings.tls_port, ssl=unverified), b"* OK")
                    and await _greets(asyncio.open_unix_connection(self.lmtp_socket), b"220")
                )
        except (OSError, TimeoutError):
            return False

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait so long and tell whether `stop` was called."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True


async def _greets(
    opening: Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]], greeting: bytes
) -> bool:
    """Open a connection and tell whether the server's first line begins so; OSError when it cannot be
    opened.
    """
    reader, writer = await opening
    try:
        return (await reader.readline()).startswith(greeting)
    finally:
        writer.close()


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when the first of the waits is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
