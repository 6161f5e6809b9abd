"""A gateway in a process of its own, which can be killed at any instant and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from certs.tls import submission_client_context
from gateway.smtp.dialogue import ListenerKind
from tests.support.dovecot import require_dovecot
from tests.support.gateway import TestGateway, eventually, made_deployment

_COMMAND = "from gateway.cli import main; main()"


@dataclass(slots=True)
class GatewayProcess(TestGateway):
    """``gateway serve`` on a deployment. What belongs to its event loop (``ask``) is out of reach here."""

    __test__ = False
    _process: subprocess.Popen[bytes] | None = None
    left_behind: set[int] = field(default_factory=set)

    @property
    def _ports(self) -> Mapping[ListenerKind, int]:
        smtp = self.settings.smtp
        return {
            ListenerKind.MX: smtp.mx_port,
            ListenerKind.SUBMISSION: smtp.submission_port,
            ListenerKind.SUBMISSIONS: smtp.submissions_port,
        }

    @property
    def configuration(self) -> Path:
        """Its settings file."""
        return self.settings.files.mac_key_file.parent / "gateway.toml"

    def start(self) -> None:
        """Start it and return when its doors are open."""
        log = (self.configuration.parent / "serve.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, "--config", str(self.configuration), "serve"],
                stdout=log,
                stderr=log,
            )
        eventually(self._listens, "an open submission port")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the gateway has ended"
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.submission_port)) == 0

    def kill(self) -> None:
        """End it as a power cut does; its sessions are gone."""
        assert self._process is not None
        self.left_behind |= _descendants(self._process.pid)
        self._process.kill()
        self._process.wait(30)
        for client in self._clients.values():
            client.close()

    def hang_up(self) -> None:
        """Tell it to read its certificates again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it as an operator does."""
        for client in self._clients.values():
            client.close()
        if self._process is not None and self._process.poll() is None:
            self.left_behind |= _descendants(self._process.pid)
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)

    def settled(self) -> None:
        """Wait until nothing is left to be done."""
        eventually(lambda: self._pending() == 0, "an empty queue")

    def _pending(self) -> int:
        path = self.settings.database.url.get_secret_value().partition(":///")[2]
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM outbox WHERE state = 'pending'").fetchone()
        assert isinstance(count, int)
        return count


def _descendants(pid: int) -> set[int]:
    """Processes below one, as Linux tells them; one that ends while it is asked has none."""
    found: set[int] = set()
    try:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, task.read_text().split()):
                found |= {child, *_descendants(child)}
    except (FileNotFoundError, ProcessLookupError):
        return found
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (one that only waits to be reaped does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def gateway_process(extra_toml: str = "") -> Iterator[GatewayProcess]:
    """A started gateway process on a deployment of its own; nothing of it is left afterwards."""
    require_dovecot()
    folder = Path(tempfile.mkdtemp(prefix="tle-crash-"))
    folder.chmod(0o755)  # Dovecot's own account must get through
    try:
        settings = made_deployment(folder / "var", extra_toml, fixed_ports=True)
        made = GatewayProcess(settings, submission_client_context(settings.pki.anchors))
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
