"""The command ``gateway``: its groups, the settings file, and how errors are told."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from gateway.cli.accounts import account
from gateway.cli.archives import open_command
from gateway.cli.audit import audit
from gateway.cli.context import Invocation, errors_in_one_line
from gateway.cli.conversations import conversation
from gateway.cli.database import database
from gateway.cli.delegations import delegation
from gateway.cli.demo import demo
from gateway.cli.directory import directory
from gateway.cli.dkim import dkim
from gateway.cli.documents import document
from gateway.cli.experts import expert
from gateway.cli.explain import explain
from gateway.cli.exports import export
from gateway.cli.patient_mail import exchanges, treating
from gateway.cli.patients import patient
from gateway.cli.pki import pki
from gateway.cli.queue import queue
from gateway.cli.rebuild import rebuild
from gateway.cli.rules import rules
from gateway.cli.running import check_config, init, run, serve_command
from gateway.cli.smime import smime
from gateway.cli.statistics import stats
from gateway.cli.trust import trust
from gateway.deployment import CONFIGURATION

__all__ = ["cli", "main"]

_INTERRUPTED = 130


class _Commands(click.Group):
    """A group whose commands end in one line and an exit code, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        with errors_in_one_line():
            return super().invoke(ctx)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 refused or not valid, 2 wrong use, 3 not available now.",
)
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
    # The path validator logs what hostile certificates do to it, with names and traceback; commands tell
    # the reason themselves.
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL + 1)
    context.obj = Invocation(path)


for command in (
    *(init, serve_command, run, demo, check_config),
    *(account, audit, conversation, database, delegation, directory, dkim, document, expert, explain, export),
    *(patient, pki, queue, rebuild, rules, smime, stats, trust),
):
    cli.add_command(command)
document.add_command(open_command)
patient.add_command(exchanges)
patient.add_command(treating)


def main() -> None:
    """Run the command line and exit with its code; an error is one line, never a traceback."""
    try:
        code = cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
