"""What every command needs: the settings, the store for the time of the command, output as text or JSON."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config import ConfigError, Settings, load
from gateway.errors import GatewayError, NotAvailable, ToldInOneLine
from gateway.journal import configure_logging
from mailboxes.errors import MailboxError
from teleexpertise.errors import RuleError
from teleexpertise.patient_mail import masked

if TYPE_CHECKING:
    # Loaded where a command opens them: many need no database, and most no more than that.
    from gateway.services import Services
    from gateway.store import ConversationRow, Store, Transaction

__all__ = [
    "Failure",
    "Invocation",
    "Unavailable",
    "as_json",
    "conversation_of",
    "errors_in_one_line",
    "example",
    "json_option",
    "now",
    "operator",
    "plain",
    "say",
    "show_table",
    "stamp",
]

_Result = TypeVar("_Result")

#: What is written to a pipe is not folded: each row stays one line for grep and awk.
_ENDLESS = 10_000
_BREAK = re.compile(r"\s*[\t\n\v\f\r]\s*")
_REFERENCE = re.compile(r"TLE-\d{4}-\d{6,}")

json_option = click.option("--json", "json_", is_flag=True, help="Print JSON instead of text.")


class Failure(click.ClickException):
    """A command that was refused, in one line on standard error."""

    exit_code: ClassVar[int] = GatewayError.exit_code

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.echo(f"gateway: {plain(self.message)}", err=True)


class Unavailable(Failure):
    """A command that cannot be done now."""

    exit_code: ClassVar[int] = NotAvailable.exit_code


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn the errors that operators are meant to see into a :class:`Failure` of their exit code."""
    try:
        yield
    except MailboxError as error:
        raise Unavailable(str(error)) from error
    except (ToldInOneLine, ConfigError, RuleError) as error:
        failure = Unavailable if error.exit_code == Unavailable.exit_code else Failure
        raise failure(str(error)) from error


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the command line."""

    path: Path

    def settings(self) -> Settings:
        """The settings. Raises ``ConfigError``; a missing file says how to make a deployment.

        Events go to standard error from here on: standard output is the command's answer alone.
        """
        if not self.path.exists():
            raise NotAvailable(
                f"{self.path} is not there: `gateway init` makes a deployment, --config names one"
            )
        settings = load(self.path)
        configure_logging(settings)
        return settings

    def run(self, work: Callable[[Services], Awaitable[_Result]]) -> _Result:
        """Do some work on the parts of the gateway, without listeners, and return its result."""
        from gateway.bootstrap import open_services

        async def whole() -> _Result:
            async with open_services(self.settings()) as services:
                return await work(services)

        return asyncio.run(whole())

    def run_on_store(self, work: Callable[[Store], Awaitable[_Result]], url: str = "") -> _Result:
        """Do some work on the store alone: it can be done while certificates or rules are being mended.
        ``url`` is another database than that of the settings.
        """
        from gateway.store import Store

        async def whole() -> _Result:
            async with Store.open(url or self.settings().database.url.get_secret_value()) as store:
                return await work(store)

        return asyncio.run(whole())


def now() -> datetime:
    """The instant of the command, UTC."""
    return datetime.now(UTC)


def operator() -> str:
    """Who works at the command line, as the audit trail names them: ``operator root``."""
    try:
        return f"operator {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"operator {os.getuid()}"


async def conversation_of(tx: Transaction, name: str) -> ConversationRow:
    """The conversation of a reference or identifier. Raises :class:`click.BadParameter` for a text that is
    neither,
    :class:`GatewayError` where there is none.
    """
    text = name.strip()
    if _REFERENCE.fullmatch(text.upper()):
        found = await tx.conversations.by_ref(text.upper())
    else:
        try:
            found = await tx.conversations.get(UUID(text))
        except ValueError as error:
            raise click.BadParameter(
                f"{name!r} is neither a reference (TLE-2026-000123) nor an identifier"
            ) from error
    if found is None:
        raise GatewayError(f"there is no conversation {text}")
    return found


# -- output --------------------------------------------------------------------------------------------


def example(*lines: str) -> str:
    """An epilog that shows how a command is called; click must not fold it."""
    return "\b\nExamples:\n" + "\n".join(f"  gateway {line}" for line in lines)


def plain(value: object) -> str:
    """A value as one line of text that is safe to print: no control characters, no patient's identifier.

    A patient's mailbox is named by the INS (``<INS>@patient.<domain>``); only its domain is shown.
    """
    line = _BREAK.sub(" ", str(value))
    return masked("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line))


def stamp(moment: datetime | None) -> str:
    """An instant for people, UTC to the second; '-' where there is none."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def say(text: str) -> None:
    """Print one line."""
    click.echo(plain(text))


def as_json(value: Any) -> None:
    """Print a JSON document, readable and in UTF-8; instants are ISO 8601, patients' identifiers are
    masked.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2, default=_json_of)
    click.echo(masked(text).encode("utf-8", "replace").decode("utf-8"))


def _json_of(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset | set):
        return sorted(value)
    return str(value)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows as a table, or the sentence ``empty`` where there are none."""
    if not rows:
        click.echo(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _ENDLESS
    console.print(table, soft_wrap=False)
