"""The demonstration from outside: `gateway run`, stopped as a terminal stops it, and `gateway demo`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.deployment import NewDeployment, make_deployment
from gateway.workers.printers import Printers
from tests.support.dovecot import free_port, require_dovecot

GATEWAY = (sys.executable, "-c", "if __name__ == '__main__': from gateway.cli import main; main()")
STEPS = ["search", "form", "request", "missing", "taken_up", "documents", "advice", "worklist", "closing"]
pytestmark = pytest.mark.timeout(300)


def command(folder: Path, *words: str) -> tuple[str, ...]:
    return (*GATEWAY, "--config", str(folder / "var" / "gateway.toml"), *words)


def finished(folder: Path, *words: str) -> Result:
    """A command of a second terminal; in this process, which has imported all it needs."""
    return CliRunner().invoke(cli, ["--config", str(folder / "var" / "gateway.toml"), *words])


@dataclass
class Run:
    """`gateway run` in a session of its own, as under a terminal."""

    folder: Path
    process: subprocess.Popen[str]
    told: str

    def descendants(self) -> set[int]:
        found = {self.process.pid}
        while True:
            more = {pid for pid, parent in parents().items() if parent in found} - found
            if not more:
                return found
            found |= more

    def press_ctrl_c(self) -> int:
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(60)

    def errors(self) -> str:
        return (self.folder / "stderr").read_text("utf-8")


def parents() -> dict[int, int]:
    """Parent of each living process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in ("Z", "X"):
                    found[int(entry.name)] = int(parent)
    return found


def gone(pids: set[int], seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while pids & parents().keys():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def running(folder: Path) -> Iterator[Run]:
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(
            command(folder, "run"),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if "Ctrl-C" in line:
            break
    run = Run(folder, process, told)
    try:
        yield run
    finally:
        if process.poll() is None:
            left = run.descendants()
            run.press_ctrl_c()
            assert gone(left)
        process.stdout.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    require_dovecot()
    made = Path(tempfile.mkdtemp(prefix="tle-demo-"))
    made.chmod(0o755)  # Dovecot's own account must get through
    keys = (
        ("smtp", ("mx_port", "submission_port", "submissions_port")),
        ("imap", ("starttls_port", "tls_port")),
    )
    ports = tuple((section, key, free_port()) for section, names in keys for key in names)
    new = NewDeployment(
        folder=made / "var", domain="demo.mssante.example", organisation="Démonstration", ports=ports
    )
    make_deployment(new, datetime.now(UTC))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_first_run_plays_a_conversation_and_ends_with_all_it_started(folder: Path) -> None:
    with running(folder) as run:
        accounts = json.loads((folder / "var" / "demo-accounts.json").read_text("utf-8"))
        assert (folder / "var" / "demo-accounts.json").stat().st_mode & 0o777 == 0o600
        assert {account["role"] for account in accounts["accounts"]} == {
            *("requester", "expert", "delegate", "service")
        }
        assert accounts["service_address"] in run.told
        assert accounts["ca_certificate"] in run.told
        requester = next(a for a in accounts["accounts"] if a["address"].startswith("nadege.arsac@"))
        assert requester["password"] in run.told
        assert "TLE-" in run.told, run.told + run.errors()
        started = run.descendants()
        assert run.press_ctrl_c() == 0
        assert gone(started)
        assert "Traceback" not in run.errors()


def test_a_second_run_plays_nothing_but_the_command_does_as_often_as_wanted(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with running(folder) as run:
        assert "TLE-" not in run.told
        shown = finished(folder, "demo", "--out", str(out))
        assert shown.exit_code == 0, shown.output
        assert max(map(len, shown.output.splitlines())) <= 120
        done = finished(folder, "demo", "--json", "--out", str(out))
        assert done.exit_code == 0, done.output
        performance = json.loads(done.stdout)
        assert [step["key"] for step in performance["steps"]] == [*STEPS, "report", "filing"]
        for step in performance["steps"][2:8]:
            assert {sight["side"] for sight in step["seen"]} == {"requester", "expert"}, step["key"]
        check_files(out, performance["reference"])
        printers = kill(run)
    with running(folder) as run:
        assert gone(printers), "a killed gateway leaves no process that makes reports"
        assert "Ctrl-C" in run.told, run.errors()
        taken = subprocess.run(
            command(folder, "run"), capture_output=True, text=True, timeout=100, check=False
        )
        assert taken.returncode == 3
        assert "another gateway" in taken.stderr


def kill(run: Run) -> set[int]:
    """End the gateway without a chance to clean up; the processes that made its reports."""
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in run.descendants()}
    printers = {pid for pid, line in lines.items() if b"spawn_main" in line}
    assert printers
    run.process.kill()
    run.process.wait(30)
    return printers


def check_files(out: Path, reference: str) -> None:
    mails = sorted(out.glob("*.eml"))
    assert len(mails) > 30
    subjects = [str(message_from_bytes(path.read_bytes(), policy=default)["Subject"]) for path in mails]
    assert any(reference in subject for subject in subjects)
    (report,) = out.glob("*.pdf")
    assert report.read_bytes().startswith(b"%PDF-")


def test_without_a_running_gateway_the_command_says_so(folder: Path) -> None:
    done = finished(folder, "demo")
    assert done.exit_code == 3
    assert "is it running?" in done.output


def test_without_accounts_the_command_says_what_makes_them(tmp_path: Path) -> None:
    new = NewDeployment(folder=tmp_path / "var", domain="demo.mssante.example", organisation="x")
    make_deployment(new, datetime.now(UTC))
    done = finished(tmp_path, "demo")
    assert done.exit_code == 1
    assert "gateway init --demo" in done.output


def test_the_process_of_reports_is_replaced_when_it_dies() -> None:
    printers = Printers(1)
    try:
        with pytest.raises(BrokenProcessPool):
            printers.submit(os._exit, 9).result(60)
        assert printers.submit(len, "abc").result(60) == 3
    finally:
        printers.shutdown()
