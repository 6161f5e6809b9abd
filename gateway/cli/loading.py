"""Commands that are loaded when they are called, so that a call costs what its own command needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

__all__ = ["LazyGroup", "Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is, as ``module:attribute``, and its line in the list of commands."""

    where: str
    short_help: str

    def load(self) -> click.Command:
        """The command, which lists itself by that line from then on."""
        module, _, attribute = self.where.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        command.short_help = self.short_help
        return command


class _Commands(MutableMapping[str, click.Command]):
    """Commands by name. Their names cost nothing; a command is loaded when it is asked for."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self.places = dict(places)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            self._loaded[name] = self.places[name].load()
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self.places

    def __setitem__(self, name: str, command: click.Command) -> None:
        raise TypeError("a command of this group is entered in its table")

    def __delitem__(self, name: str) -> None:
        raise TypeError("a command of this group is entered in its table")

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


class LazyGroup(click.Group):
    """A group of commands that are loaded when they are called; lists and completions are made without."""

    def __init__(self, name: str | None = None, *, places: Mapping[str, Place], **attributes: Any) -> None:
        self._places = places
        super().__init__(name, commands=_Commands(places), **attributes)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._places[name].short_help) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What the shell may put for a word begun: commands, from the table alone, and options."""
        commands = [
            CompletionItem(name, help=self._places[name].short_help)
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]
