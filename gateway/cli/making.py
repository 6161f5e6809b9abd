"""Commands that make a deployment and check its settings: ``init``, ``check-config``."""

from __future__ import annotations

import asyncio

import click

from config import manual
from gateway.cli.context import Invocation, as_json, example, json_option, now
from gateway.demo.installing import install_demo
from gateway.deployment import NewDeployment, make_deployment
from gateway.errors import GatewayError
from gateway.rulebook import load_rulebook
from teleexpertise.errors import RuleError

__all__ = ["TRIED_OUT", "check_config", "init"]

#: Who tries a demonstration out, by hand and by `gateway demo`, asks more often than people at work.
TRIED_OUT = (("conversation", "answers_per_hour", 300),)


@click.command(
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
        ports=TRIED_OUT if demo else (),
        decrypts=True,
        file=invocation.path.name,
    )
    settings = make_deployment(new, now())
    if demo:
        asyncio.run(install_demo(settings, now()))
    if json_:
        as_json({"config": str(invocation.path), "domain": settings.service.domain, "demo": demo})
    else:
        click.echo(f"{invocation.path}: deployment for {settings.service.domain} is ready")


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
