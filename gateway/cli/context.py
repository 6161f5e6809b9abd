"""What every command needs: the settings, services for the time of the command, output as text or JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from config import Settings, load
from gateway.bootstrap import open_services
from gateway.services import Services
from gateway.store.errors import StoreError
from gateway.errors import NotAvailable

__all__ = ["Invocation", "as_json", "json_option", "show_table"]

_Result = TypeVar("_Result")

json_option = click.option("--json", "json_", is_flag=True, help="Print JSON instead of text.")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the command line."""

    path: Path

    def settings(self) -> Settings:
        """The settings. Raises ``ConfigError``; a missing file says how to make a deployment."""
        if not self.path.exists():
            raise NotAvailable(
                f"{self.path} is not there: `gateway init` makes a deployment, --config names one"
            )
        return load(self.path)

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Services]:
        """The parts of the gateway over the store, without listeners. Raises :class:`NotAvailable` for the store."""
        try:
            async with open_services(self.settings()) as services:
                yield services
        except StoreError as error:
            raise NotAvailable(str(error)) from error

    def run(self, work: Callable[[Services], Awaitable[_Result]]) -> _Result:
        """Do some work on the services and return its result."""

        async def whole() -> _Result:
            async with self.services() as services:
                return await work(services)

        return asyncio.run(whole())


def as_json(value: Any) -> None:
    """Print a JSON document, readable and in UTF-8."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows as a table, or the sentence ``empty`` where there are none."""
    if not rows:
        click.echo(empty)
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(soft_wrap=False).print(table)
