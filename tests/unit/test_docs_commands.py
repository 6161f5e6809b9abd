"""Every call of ``gateway`` that the documentation shows is one that the command line takes."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import click
import pytest

from gateway.cli.root import cli
from tests.conftest import ROOT

_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_CALL = re.compile(r"(?:\$ |\w+=)?(?:\S*/)?gateway\s+(.*)", re.DOTALL)


class Shown(NamedTuple):
    """One call as a page shows it."""

    page: str
    arguments: tuple[str, ...]


def calls(text: str) -> Iterator[tuple[str, ...]]:
    """The arguments of each call of ``gateway`` in the code of a page: lines of blocks, words beside."""
    lines = [line for block in _FENCE.findall(text) for line in block.splitlines()]
    for code in (*lines, *_SPAN.findall(_FENCE.sub("", text))):
        if call := _CALL.fullmatch(code.strip()):
            yield tuple(shlex.split(call[1], comments=True))


def read(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The path of the command that is called. Raises ``click.UsageError`` for a call that is not taken."""
    command: click.Command = cli
    path: tuple[str, ...] = ()
    rest = list(arguments)
    while True:
        context = click.Context(command, info_name="gateway")
        values, rest, _ = command.make_parser(context).parse_args(rest)
        _check_choices(command, values)
        if not isinstance(command, click.Group):
            break
        if not rest:
            return path
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command, path = found, (*path, name)
    if rest:
        raise click.UsageError(f"too many words: {rest}")
    return path


def _check_choices(command: click.Command, values: Mapping[str, object]) -> None:
    for parameter in command.params:
        given = values.get(str(parameter.name))
        for word in given if isinstance(given, list) else [given]:
            if isinstance(parameter.type, click.Choice) and isinstance(word, str):
                parameter.type.convert(word, parameter, None)


SHOWN = [Shown(page.name, call) for page in _PAGES for call in calls(page.read_text("utf-8"))]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.page}: {' '.join(shown.arguments)}")
def test_the_call_is_taken(shown: Shown) -> None:
    read(shown.arguments)


@pytest.mark.parametrize("command", [("explain",), ("queue", "retry"), ("queue", "release"), ("serve",)])
def test_operations_name_the_command(command: tuple[str, ...]) -> None:
    assert command in {read(shown.arguments) for shown in SHOWN if shown.page == "operations.md"}


@pytest.mark.parametrize(
    "arguments",
    ["explian X", "queue lost", "queue list --states held", "queue list --state lost", "explain A B"],
)
def test_a_call_that_is_not_taken_is_found(arguments: str) -> None:
    with pytest.raises(click.UsageError):
        read(tuple(arguments.split()))


def test_calls_are_found_wherever_a_page_shows_code() -> None:
    page = (
        "Say `gateway\nqueue list`, not `gateway` alone or the gateway itself.\n"
        "```\n$ gateway explain ID   # why\ngateway/   a folder\n"
        "ExecStart=/opt/.venv/bin/gateway --config 'a b.toml' serve\n```\n"
    )
    assert list(calls(page)) == [
        ("explain", "ID"),
        ("--config", "a b.toml", "serve"),
        ("queue", "list"),
    ]
