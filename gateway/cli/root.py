"""The command ``gateway``: its groups, the settings file, and how errors are told."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from config import ConfigError
from gateway.cli.context import Invocation
from gateway.cli.running import check_config, init, run, serve_command
from gateway.deployment import CONFIGURATION
from gateway.errors import GatewayError

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("var") / CONFIGURATION,
    envvar="TLE_CONFIG",
    show_default=True,
    show_envvar=True,
    help="Settings of the deployment to work on.",
)
@click.pass_context
def cli(context: click.Context, path: Path) -> None:
    """Tele-expertise over secure health mail: run the gateway and look into it."""
    context.obj = Invocation(path)


for command in (init, serve_command, run, check_config):
    cli.add_command(command)


def main() -> None:
    """Run the command line and exit with its code; an error is one line, never a traceback."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (GatewayError, ConfigError) as error:
        click.echo(f"gateway: {error}", err=True)
        sys.exit(error.exit_code)
