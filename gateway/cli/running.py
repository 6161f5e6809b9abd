"""Commands that make and run a deployment: ``init``, ``serve``, ``run``, ``check-config``."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import structlog
import uvloop

from config import Settings, manual
from gateway.bootstrap import load_rulebook
from gateway.cli.context import Invocation, as_json, example, json_option
from gateway.demo.installing import client_settings, install_demo, is_empty
from gateway.demo.player import play_if_empty
from gateway.demo.steps import load_story, outcome_lines
from gateway.deployment import NewDeployment, make_deployment
from gateway.errors import GatewayError
from gateway.failures import failure_place
from gateway.journal import configure_logging
from gateway.serving import Running, serve
from teleexpertise.rules import RuleError

__all__ = ["check_config", "init", "run", "serve_command"]

#: Who tries a demonstration out, by hand and by `gateway demo`, asks more often than people at work.
_TRIED_OUT = (("conversation", "answers_per_hour", 300),)


def _now() -> datetime:
    return datetime.now(UTC)


@click.command(
    short_help="Make a deployment; what is there is kept.",
    epilog=example(
        'init --domain teleexpertise.mssante.example --organisation "CH LE PUY"',
        "--config /srv/tle/gateway.toml init",
    ),
)
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
    new = NewDeployment(
        folder=folder,
        domain=domain,
        organisation=organisation,
        ports=_TRIED_OUT if demo else (),
        decrypts=True,
        file=invocation.path.name,
    )
    settings = make_deployment(new, _now())
    if demo:
        asyncio.run(install_demo(settings, _now()))
    if json_:
        as_json({"config": str(invocation.path), "domain": settings.service.domain, "demo": demo})
    else:
        click.echo(f"{invocation.path}: deployment for {settings.service.domain} is ready")


@click.command("serve", short_help="Serve until Ctrl-C or SIGTERM.")
@click.pass_obj
def serve_command(invocation: Invocation) -> None:
    """Serve until Ctrl-C or SIGTERM: listeners, mailbox server, queue.

    SIGHUP takes up renewed certificates, keys and authorities without ending a connection.
    """
    settings = invocation.settings()
    _serve(settings, _say_ready, renew=(signal.SIGHUP,))


@click.command(short_help="Make and run the demonstration until Ctrl-C.")
@click.pass_obj
def run(invocation: Invocation) -> None:
    """Run the demonstration: make it if missing, serve, play one conversation, print client settings."""
    folder = invocation.path.parent
    demo = NewDeployment(
        folder=folder,
        domain="demo.mssante.example",
        organisation="Téléexpertise Haute-Loire (démonstration)",
        town="Le Puy-en-Velay",
        finess="439900036",
        practice_setting="ETABLISSEMENT",
        facility_type="SA01",
        ports=_TRIED_OUT,
        decrypts=True,
        file=invocation.path.name,
    )
    settings = make_deployment(demo, _now())
    configure_logging(settings)
    if asyncio.run(is_empty(settings)):
        asyncio.run(install_demo(settings, _now()))

    async def begin(running: Running) -> None:
        await _demonstrate(settings, running, folder / "demo")

    _serve(settings, begin, stop=(signal.SIGHUP,))  # its terminal was closed


def _serve(
    settings: Settings,
    begin: Callable[[Running], Awaitable[None]],
    *,
    stop: Sequence[signal.Signals] = (),
    renew: Sequence[signal.Signals] = (),
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(settings, begin, (signal.SIGINT, signal.SIGTERM, *stop), renew))


async def _until_stopped(
    settings: Settings,
    begin: Callable[[Running], Awaitable[None]],
    stopping: Sequence[signal.Signals],
    renewing: Sequence[signal.Signals],
) -> None:
    """Serve, do what is to be done first, and go on until a signal or the failure of a part."""
    stopped, renewed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for event, signals in ((stopped, stopping), (renewed, renewing)):
        for number in signals:
            loop.add_signal_handler(number, event.set)
    async with serve(settings) as running:
        stop = asyncio.ensure_future(stopped.wait())
        reloading = asyncio.ensure_future(_reload_at(renewed, running))
        beginning = asyncio.ensure_future(begin(running))
        try:
            await asyncio.wait((beginning, stop, running.failed), return_when=asyncio.FIRST_COMPLETED)
            if beginning.done():
                beginning.result()
                await asyncio.wait((stop, running.failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancelled(beginning)
            await _cancelled(reloading)
            await _cancelled(stop)
        if running.failed.done():
            running.failed.result()


async def _reload_at(asked: asyncio.Event, running: Running) -> None:
    """Reload as often as it is asked for; what is asked meanwhile is done once afterwards."""
    while True:
        await asked.wait()
        asked.clear()
        try:
            await running.reload()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end what serves
            structlog.get_logger("reload").error("failed", **failure_place(error))


async def _cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))


async def _say_ready(running: Running) -> None:
    click.echo(f"gateway: serving {running.services.settings.service.domain}", err=True)


async def _demonstrate(settings: Settings, running: Running, out: Path) -> None:
    """Play the first conversation, then tell how to connect; the gateway serves on where it was not seen."""
    words = load_story().words
    try:
        performance = await play_if_empty(
            settings, running.services, out, lambda: click.echo(words["playing"], err=True)
        )
    except GatewayError as error:
        click.echo(f"gateway: {error}", err=True)
    else:
        if performance is not None:
            for line in outcome_lines(performance, words):
                click.echo(line)
    click.echo(client_settings(settings))


@click.command("check-config", short_help="Check settings and rules, or --manual: explain each.")
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
