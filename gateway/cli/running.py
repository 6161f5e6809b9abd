"""Commands that make and run a deployment: ``init``, ``serve``, ``run``, ``check-config``."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path

import click

from config import Settings, manual
from gateway.bootstrap import load_rulebook
from gateway.cli.context import Invocation, as_json, json_option
from gateway.demo.installing import client_settings, install_demo, is_empty
from gateway.deployment import NewDeployment, make_deployment
from gateway.errors import GatewayError
from gateway.journal import configure_logging
from gateway.serving import Running, serve
from mailboxes.errors import MailboxError
from teleexpertise.rules import RuleError

__all__ = ["check_config", "init", "run", "serve_command"]


def _now() -> datetime:
    return datetime.now(UTC)


@click.command()
@click.option(
    "--domain", default="demo.mssante.example", show_default=True, help="Mail domain of the service."
)
@click.option(
    "--organisation", default="Téléexpertise", show_default=True, help="Name shown in mails and reports."
)
@click.option("--demo/--no-demo", default=False, help="Add demonstration accounts and experts.")
@json_option
@click.pass_obj
def init(invocation: Invocation, domain: str, organisation: str, demo: bool, json_: bool) -> None:
    """Make a deployment: settings, key, test PKI, trust list, database. What is there is kept."""
    folder = invocation.path.parent
    new = NewDeployment(folder=folder, domain=domain, organisation=organisation)
    settings = make_deployment(new, _now())
    if demo:
        asyncio.run(install_demo(settings, _now()))
    if json_:
        as_json({"config": str(invocation.path), "domain": settings.service.domain, "demo": demo})
    else:
        click.echo(f"{invocation.path}: deployment for {settings.service.domain} is ready")


@click.command("serve")
@click.pass_obj
def serve_command(invocation: Invocation) -> None:
    """Serve until Ctrl-C or SIGTERM: listeners, mailbox server, queue."""
    settings = invocation.settings()
    configure_logging(settings)
    _serve(settings)


@click.command()
@click.pass_obj
def run(invocation: Invocation) -> None:
    """Start the demonstration: make it where it is missing, serve, play one conversation, print client settings."""
    folder = invocation.path.parent
    demo = NewDeployment(
        folder=folder,
        domain="demo.mssante.example",
        organisation="Téléexpertise Haute-Loire (démonstration)",
        town="Le Puy-en-Velay",
    )
    fresh = not invocation.path.exists()
    settings = make_deployment(demo, _now())
    configure_logging(settings)
    if fresh or asyncio.run(is_empty(settings)):
        asyncio.run(install_demo(settings, _now()))
    _serve(settings, demonstration=True, out=folder / "demo")


def _serve(settings: Settings, *, demonstration: bool = False, out: Path | None = None) -> None:
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_until_stopped(settings, demonstration, out))
    except MailboxError as error:
        raise GatewayError(str(error)) from error


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


async def _until_stopped(settings: Settings, demonstration: bool, out: Path | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with serve(settings) as running:
        if demonstration and out is not None:
            await _demonstrate(settings, running, out)
        else:
            click.echo(f"gateway: serving {settings.service.domain}", err=True)
        stop = asyncio.create_task(stopped.wait())
        await asyncio.wait((stop, running.failed), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if running.failed.done():
            running.failed.result()


async def _demonstrate(settings: Settings, running: Running, out: Path) -> None:
    from gateway.demo.player import play_if_empty

    await play_if_empty(settings, running.services, out)
    click.echo(client_settings(settings))


@click.command("check-config")
@click.option("--manual", "manual_", is_flag=True, help="Print every setting with its meaning and default.")
@json_option
@click.pass_obj
def check_config(invocation: Invocation, manual_: bool, json_: bool) -> None:
    """Check settings and rules; each error names file, line and the nearest known key."""
    if manual_:
        click.echo(manual())
        return
    settings = invocation.settings()
    try:
        book = load_rulebook(settings)
    except RuleError as error:
        raise GatewayError(str(error)) from error
    if json_:
        as_json({"config": str(invocation.path), "rules": len(book.rules), "rules_version": book.version})
    else:
        click.echo(f"{invocation.path}: valid; {len(book.rules)} rules, version {book.version}")
