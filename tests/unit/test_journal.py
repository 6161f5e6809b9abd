"""The log: what cannot be written is lost and told, and never ends what wrote it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import structlog
from click.testing import CliRunner

from config import Settings, load_mapping
from gateway.journal import configure_logging


class Disk(io.StringIO):
    """A log file whose disk may be full."""

    full = False

    def flush(self) -> None:
        if self.full:
            raise OSError(28, "No space left on device")

    def write(self, text: str) -> int:
        self.flush()
        return super().write(text)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    before = structlog.get_config()
    given = {"service": {"domain": "gateway.mssante.example"}, "logging": {"format": "json"}}
    yield load_mapping(given, tmp_path)
    structlog.configure(**before)


def test_a_full_disk_loses_lines_and_ends_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    monkeypatch.setattr(sys, "stderr", disk)
    configure_logging(settings)
    log = structlog.get_logger("worker")
    log.info("one")
    disk.full = True
    for _ in range(3):
        log.error("lost")
    disk.full = False
    log.info("two")
    log.info("three")
    told = [json.loads(line) for line in disk.getvalue().splitlines()]
    assert [(line["event"], line.get("lines_lost")) for line in told] == [
        ("one", None),
        ("two", 3),
        ("three", None),
    ]


def test_the_kernel_says_the_same_of_a_full_device(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full").open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 - it cannot be closed well
    monkeypatch.setattr(sys, "stderr", full)
    configure_logging(settings)
    for _ in range(1000):
        structlog.get_logger("worker").error("lost")
    with pytest.raises(OSError, match="No space"):
        full.close()


def test_what_is_logged_while_a_command_runs_is_no_part_of_its_answer(settings: Settings) -> None:
    """A gateway served in the same process goes on logging, by loggers made before and after."""
    configure_logging(settings)
    before = structlog.get_logger("worker").bind(action="deliver")

    @click.command()
    def answer() -> None:
        before.info("done")
        structlog.get_logger("worker").info("accepted")
        click.echo('{"rows": 2}')

    for _ in range(2):  # what the first run had for standard error is closed by now
        found = CliRunner().invoke(answer)
        assert found.exception is None
        assert found.stdout == '{"rows": 2}\n'
        assert [json.loads(line)["event"] for line in found.stderr.splitlines()] == ["done", "accepted"]
