"""``gateway init``: make a deployment."""

from __future__ import annotations

import asyncio

import click

from gateway.cli.context import Invocation, as_json, example, json_option, now
from gateway.demo.installing import install_demo
from gateway.deployment import NewDeployment, make_deployment

__all__ = ["TRIED_OUT", "init"]

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
