"""``gateway check-config``: whether settings and rules can be used, and what each setting means."""

from __future__ import annotations

import click

from config import manual
from gateway.cli.context import Invocation, as_json, json_option
from gateway.errors import GatewayError
from gateway.rulebook import load_rulebook
from teleexpertise.errors import RuleError

__all__ = ["check_config"]


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
