"""The command line as a whole: help, --json, exit codes, one line for an error."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway import __version__
from gateway.cli.root import cli
from gateway.store.migration import SCHEMA_REVISION

#: These make what others look into, or need nothing of it.
FREE = {
    ("init",),
    ("demo",),
    ("document", "check"),
    ("document", "open"),
    ("pki", "init"),
    ("pki", "inspect"),
}

#: These run until they are stopped and have no result to print.
UNENDING = {("serve",), ("run",)}

#: Good arguments of every command that looks into a deployment.
LOOKING = [
    ("account", "add", "a@b.example", "--name", "A"),
    ("account", "change", "a@b.example", "--profession", "Médecin"),
    ("account", "deposit", "a@b.example", "x@y.example"),
    ("account", "list"),
    ("account", "passwd", "a@b.example"),
    ("account", "rpps", "a@b.example"),
    ("account", "notice", "a@b.example", "digest"),
    ("account", "certificate", "list"),
    ("account", "certificate", "add", "a@b.example", "--file", __file__),
    ("account", "certificate", "remove", "a@b.example", "0123456789abcdef"),
    ("account", "administrator", "add", "a@b.example", "430000018"),
    ("account", "administrator", "list"),
    ("account", "administrator", "remove", "a@b.example", "430000018"),
    ("account", "suspend", "a@b.example"),
    ("account", "resume", "a@b.example"),
    ("audit", "list"),
    ("audit", "verify"),
    ("check-config",),
    ("conversation", "list"),
    ("conversation", "show", "TLE-2026-000001"),
    ("database", "copy", "--to", "sqlite:///never.sqlite3"),
    ("database", "status"),
    ("delegation", "add", "a@b.example", "c@b.example"),
    ("delegation", "list"),
    ("delegation", "reading", "a@b.example", "own"),
    ("delegation", "remove", "a@b.example", "c@b.example"),
    ("document", "make", "TLE-2026-000001"),
    ("dkim", "key"),
    ("dkim", "show"),
    ("dkim", "verify", __file__),
    ("directory", "import", __file__),
    ("expert", "absence", "a@b.example", "2026-08-01", "2026-08-15"),
    ("expert", "import", __file__),
    ("expert", "list"),
    ("expert", "list", "dermatologie"),
    ("expert", "set", "a@b.example", "--delay", "3"),
    ("expert", "show", "a@b.example"),
    ("explain", "TLE-2026-000001"),
    ("patient", "add", "--birth-name=A", "--first-names=B", "--birth-date=1957-02-03", "--sex=F"),
    ("patient", "apart", "1", "2", "--why", "papers of both seen"),
    ("patient", "apart"),
    ("patient", "correct", "1", "--sex", "F"),
    ("patient", "doubles"),
    ("patient", "exchanges", "close", "6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11"),
    ("patient", "exchanges", "list"),
    ("patient", "treating", "1"),
    ("patient", "merge", "2", "1", "--yes"),
    ("patient", "search", "dupont"),
    ("patient", "show", "1"),
    ("pki", "crl"),
    ("pki", "issue", "--profile=person-auth", "--cn=x", "--surname=M", "--given-name=J", "--out=x"),
    ("pki", "list"),
    ("pki", "revoke", "ab12"),
    ("export", "--out", "never.csv"),
    ("queue", "list"),
    ("queue", "hold", "6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11"),
    ("queue", "release", "6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11"),
    ("queue", "retry", "6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11"),
    ("rebuild", "--check"),
    ("rules", "check"),
    ("rules", "list"),
    ("stats",),
    ("trust", "crl", "fetch"),
    ("trust", "crl", "list"),
    ("trust", "diff"),
    ("trust", "list"),
    ("trust", "load", __file__),
    ("trust", "show", "x.mssante.example"),
    ("trust", "status"),
    ("smime", "verify", __file__),
    ("smime", "sign", __file__),
    ("smime", "encrypt", __file__, "--to", __file__, "--sign"),
    ("smime", "decrypt", __file__),
    ("trust", "show", "b.example"),
    ("trust", "diff", __file__),
]


def commands(
    group: click.Group, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*above, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))


ALL = dict(commands(cli))
LEAVES = [path for path, command in ALL.items() if not isinstance(command, click.Group)]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_says_what_it_is_for(path: tuple[str, ...]) -> None:
    told = CliRunner().invoke(cli, [*path, "--help"])
    assert told.exit_code == 0
    assert (ALL[path].help or "").strip()
    for parameter in ALL[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path}: {parameter.name}"


def test_the_list_of_commands_is_not_cut_short() -> None:
    told = CliRunner().invoke(cli, ["--help"], terminal_width=80)
    for name in cli.commands:
        (line,) = [each for each in told.output.splitlines() if each.split()[:1] == [name]]
        assert not line.endswith("...")
        assert len(line) <= 80


def test_the_list_of_commands_agrees_with_the_commands() -> None:
    listed = CliRunner().invoke(cli, ["--help"], terminal_width=100).output.split("Commands:")[1]
    for name, command in cli.commands.items():
        assert command.name == name
        assert not command.hidden, "a command that is not to be listed needs a table that can say so"
        assert " ".join([name, command.get_short_help_str(1000)]) in " ".join(listed.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("gateway c", {"check-config", "conversation"}),
        ("gateway --v", {"--version"}),
        ("gateway queue re", {"release", "retry"}),
        ("gateway queue list --st", {"--state"}),
        ("gateway x", set()),
    ],
)
def test_the_shell_completes_commands_and_options(words: str, offered: set[str]) -> None:
    asked = {
        "_GATEWAY_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    told = CliRunner().invoke(cli, prog_name="gateway", env=asked)
    assert {line.partition(",")[2] for line in told.output.split()} == offered


@pytest.mark.parametrize(("arguments", "guess"), [(["quue", "list"], "queue"), (["queue", "lst"], "list")])
def test_a_misspelt_command_is_answered_with_the_nearest(arguments: list[str], guess: str) -> None:
    told = CliRunner().invoke(cli, arguments)
    assert told.exit_code == 2
    assert f"Did you mean '{guess}'?" in told.stderr


def test_the_version_is_told_without_a_deployment(tmp_path: Path) -> None:
    told = CliRunner().invoke(cli, ["--config", str(tmp_path / "no.toml"), "--version"])
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert lines[0] == f"gateway {__version__}"
    assert lines[1] == f"Python {platform.python_version()}"
    assert lines[2].startswith("Dovecot ")
    assert lines[3] == f"database schema {SCHEMA_REVISION}"


@pytest.mark.parametrize("path", [path for path in LEAVES if path not in UNENDING], ids=" ".join)
def test_every_command_can_print_json(path: tuple[str, ...]) -> None:
    assert "--json" in {name for each in ALL[path].params for name in each.opts}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_wrong_use_exits_with_2(path: tuple[str, ...]) -> None:
    assert CliRunner().invoke(cli, [*path, "--no-such-option"]).exit_code == 2


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_without_a_deployment_nothing_is_available(arguments: tuple[str, ...], tmp_path: Path) -> None:
    told = CliRunner().invoke(cli, ["--config", str(tmp_path / "gateway.toml"), *arguments])
    assert told.exit_code == 3
    assert "gateway init" in told.stderr
    assert told.stdout == ""


def test_every_command_that_looks_is_tried() -> None:
    tried = {
        arguments[: len(path)] for path in LEAVES for arguments in LOOKING if arguments[: len(path)] == path
    }
    ending = set(LEAVES) - UNENDING - FREE
    assert ending <= tried


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["account", "list"], 3), (["account", "lst"], 2), (["--help"], 0)],
    ids=["unavailable", "misspelt", "help"],
)
def test_the_process_ends_with_the_code_and_no_traceback(
    arguments: list[str], code: int, root: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from gateway.cli import main; main()",
            "--config",
            tmp_path / "no.toml",
            *arguments,
        ],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_settings_that_are_not_valid_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('[service]\ndomain = "d.example"\nlocal_prt = "x"\n', "utf-8")
    told = CliRunner().invoke(cli, ["--config", str(path), "queue", "list"])
    assert told.exit_code == 1
    assert f"{path}:3: service.local_prt" in told.stderr
