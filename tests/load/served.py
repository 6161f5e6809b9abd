"""A gateway in a process of its own, so that its processor time and that of the clients stay apart."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from certs.tls import submission_client_context
from config import Settings
from gateway import CONFIGURATION
from gateway.bootstrap import open_services
from gateway.deployment import NewDeployment, make_deployment
from gateway.logins.passwords import password_hasher
from tests.load.plan import DOMAIN, Plan
from tests.support.dovecot import free_port
from tests.support.region import PASSWORD

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ENDLESS = 1_000_000
_PORTS = (
    ("smtp", "mx_port"),
    ("smtp", "submission_port"),
    ("smtp", "submissions_port"),
    ("imap", "starttls_port"),
    ("imap", "tls_port"),
)


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that serves. ``tls`` verifies it; ``log`` is what it writes."""

    settings: Settings
    tls: ssl.SSLContext
    pid: int
    log: Path

    @property
    def database(self) -> Path:
        """The file of its database."""
        return Path(self.settings.database.url.get_secret_value().partition(":///")[2])


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that Dovecot's own account may pass, gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="tle-load-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def deployment(path: Path, plan: Plan) -> Settings:
    """A deployment with the accounts and experts of a plan, on free ports, without a limit of answers."""
    new = NewDeployment(
        folder=path,
        domain=DOMAIN,
        organisation="Téléexpertise en charge",
        ports=(
            *((section, key, free_port()) for section, key in _PORTS),
            ("conversation", "answers_per_hour", _ENDLESS),
        ),
    )
    settings = make_deployment(new, datetime.now(UTC))
    asyncio.run(_fill(settings, plan))
    return settings


async def _fill(settings: Settings, plan: Plan) -> None:
    hash_ = password_hasher().hash(PASSWORD)
    async with open_services(settings) as services, services.store.transaction() as tx:
        now = services.clock()
        for account in plan.accounts:
            await tx.accounts.add(account, hash_, now)
        for expert in plan.experts:
            await tx.experts.put(expert)


@contextmanager
def served(path: Path, settings: Settings, profile: Path | None = None) -> Iterator[Served]:
    """``gateway serve`` for a deployment, stopped by SIGTERM afterwards; ``profile``: a file for cProfile."""
    log = path / "gateway.log"
    command = [sys.executable, *_profiled(profile), *_serve(path / CONFIGURATION)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        _wait_for(settings.smtp.submissions_port, process, log)
        yield Served(settings, submission_client_context(settings.pki.anchors), process.pid, log)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serve(configuration: Path) -> list[str]:
    entry = Path(sys.executable).with_name("gateway")
    return [str(entry), "--config", str(configuration), "serve"]


def _profiled(profile: Path | None) -> list[str]:
    return ["-m", "cProfile", "-o", str(profile)] if profile else []


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                text = log.read_text("utf-8", "replace")
                raise RuntimeError(f"the gateway does not start:\n{text[-2000:]}") from None
            time.sleep(0.05)
        else:
            return


@dataclass(frozen=True, slots=True)
class Processes:
    """All processes of this moment: ``below[pid]`` are the children, ``seconds`` what each used itself."""

    below: dict[int, list[int]]
    names: dict[int, str]
    seconds: dict[int, float]

    @classmethod
    def now(cls) -> Processes:
        """Read them."""
        found = cls({}, {}, {})
        for entry in Path("/proc").iterdir():
            read = _read_stat(entry) if entry.name.isdigit() else None
            if read is not None:
                pid, (name, parent, ticks) = int(entry.name), read
                found.below.setdefault(parent, []).append(pid)
                found.names[pid] = name
                found.seconds[pid] = ticks / os.sysconf("SC_CLK_TCK")
        return found

    def tree(self, pid: int) -> float:
        """Processor time of a process and all below it, ended children included."""
        return self.seconds.get(pid, 0.0) + sum(map(self.tree, self.below.get(pid, [])))

    def children(self, pid: int) -> tuple[float, float]:
        """Processor time of Dovecot below a process, and of all else below it."""
        dovecot = [child for child in self.below.get(pid, []) if self.names[child] == "dovecot"]
        others = [child for child in self.below.get(pid, []) if child not in dovecot]
        return sum(map(self.tree, dovecot)), sum(map(self.tree, others))


def _read_stat(entry: Path) -> tuple[str, int, float] | None:
    """Name, parent and ticks of a process (``proc(5)``), ``None`` when it has just ended."""
    try:
        text = (entry / "stat").read_text()
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    values = rest.split()
    return name, int(values[1]), float(sum(map(int, values[11:15])))
