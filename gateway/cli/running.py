"""Commands that serve: ``serve``, ``run``."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import click
import structlog
import uvloop

from config import Settings
from gateway.cli.context import Invocation, now
from gateway.cli.making import TRIED_OUT
from gateway.demo.installing import client_settings, install_demo, is_empty
from gateway.demo.player import play_if_empty
from gateway.demo.steps import load_story, outcome_lines
from gateway.deployment import NewDeployment, make_deployment
from gateway.errors import GatewayError
from gateway.failures import failure_place
from gateway.journal import configure_logging
from gateway.serving import Running, serve

__all__ = ["run", "serve_command"]


@click.command("serve")
@click.pass_obj
def serve_command(invocation: Invocation) -> None:
    """Serve until Ctrl-C or SIGTERM: listeners, mailbox server, queue.

    SIGHUP takes up renewed certificates, keys and authorities without ending a connection.
    """
    settings = invocation.settings()
    _serve(settings, _say_ready, renew=(signal.SIGHUP,))


@click.command()
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
        ports=TRIED_OUT,
        decrypts=True,
        file=invocation.path.name,
    )
    settings = make_deployment(demo, now())
    configure_logging(settings)
    if asyncio.run(is_empty(settings)):
        asyncio.run(install_demo(settings, now()))

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
