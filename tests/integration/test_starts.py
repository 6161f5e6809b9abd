"""What a process loads when it starts: no more than what it does needs."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from gateway.workers.printers import Printers
from gateway.workers.printing import print_report
from tests.support.reports import sample

#: What takes long to load or holds much memory, by the work that it is for.
RULES = {"rule_engine"}
PRINTING = {"weasyprint", "fontTools", "PIL", "pydicom"}
NETWORK = {"aiohttp", "dns", "aiosmtpd", "aiosmtplib"}
TABLES = {"openpyxl", "xlsxwriter"}
TRUST = {"cryptography", "pyhanko_certvalidator", "lxml"}
DATABASE = {"sqlalchemy"}
WHOLE = {"gateway.services", "gateway.bootstrap", "gateway.serving"}
ALL = RULES | PRINTING | NETWORK | TABLES | TRUST | DATABASE | WHOLE

_CALL = """
import json, sys
from gateway.cli import main
try:
    main()
finally:
    sys.stderr.write("\\n" + json.dumps(sorted(sys.modules)))
"""
_LOADED = "sorted(__import__('sys').modules)"


def called(root: Path, *arguments: str) -> tuple[int, set[str]]:
    """How a call of the command line in a process of its own ended, and what it had loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _CALL, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_tells_about_the_program_loads_no_command_and_no_settings(root: Path, option: str) -> None:
    code, loaded = called(root, option)
    assert code == 0
    assert not loaded & (ALL | {"pydantic", "structlog", "config"})
    assert {name for name in loaded if name.startswith("gateway.cli.")} <= {
        "gateway.cli.root",
        "gateway.cli.loading",
        "gateway.cli.version",
    }


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (("queue", "list"), ALL - DATABASE),
        (("database", "status"), ALL - DATABASE),
        (("conversation", "list"), ALL - DATABASE),
        (("account", "list"), RULES | PRINTING | NETWORK | TABLES | WHOLE),
        (("pki", "list"), ALL - TRUST),
        (("check-config",), ALL - RULES),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_loads_what_it_works_with(
    root: Path, tmp_path: Path, arguments: tuple[str, ...], unneeded: set[str]
) -> None:
    code, loaded = called(root, "--config", str(tmp_path / "no.toml"), *arguments)
    assert code == 3
    assert not loaded & unneeded


def test_a_process_that_prints_loads_what_printing_needs() -> None:
    printers = Printers(1)
    try:
        assert printers.submit(print_report, sample(), "Europe/Paris").result(60).startswith(b"%PDF")
        loaded: Iterable[str] = printers.submit(eval, _LOADED).result(60)
    finally:
        printers.shutdown()
    assert "weasyprint" in loaded
    assert not set(loaded) & (RULES | NETWORK | TABLES | DATABASE | WHOLE | {"cryptography"})
    ours = {name.split(".")[1] for name in loaded if name.startswith("gateway.")}
    assert ours <= {"workers"}


def test_the_gateway_itself_loads_nothing_that_prints(root: Path) -> None:
    code = "import json, sys, gateway.serving; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert not set(json.loads(done.stdout)) & PRINTING
