"""The command ``gateway``: its groups, the settings file, and how errors are told."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from gateway import CONFIGURATION
from gateway.cli.loading import LazyGroup, Place
from gateway.cli.version import version_lines

__all__ = ["cli", "main"]

_INTERRUPTED = 130

_COMMANDS = {
    "account": Place(
        "gateway.cli.accounts:account",
        "Accounts: add, change, list, passwd, rpps, notice, certificate, suspend.",
    ),
    "audit": Place("gateway.cli.audit:audit", "The audit trail: who did what, as a chain of hashes."),
    "check-config": Place(
        "gateway.cli.checking:check_config", "Check settings and rules, or --manual: explain each."
    ),
    "conversation": Place(
        "gateway.cli.conversations:conversation", "Conversations: list them, show where one stands."
    ),
    "database": Place("gateway.cli.database:database", "The database: status, copy to another."),
    "delegation": Place(
        "gateway.cli.delegations:delegation", "Who acts for whom: add, list, remove, reading."
    ),
    "demo": Place("gateway.cli.demo:demo", "Play one whole tele-expertise, as mail clients would."),
    "directory": Place("gateway.cli.directory:directory", "The national directory: import its extraction."),
    "dkim": Place("gateway.cli.dkim:dkim", "DKIM: make keys, show what is published, verify."),
    "document": Place("gateway.cli.documents:document", "Documents: make, check, open."),
    "expert": Place("gateway.cli.experts:expert", "Experts: list, show, set, import, absence."),
    "explain": Place("gateway.cli.explain:explain", "Why a message or conversation went as it did."),
    "export": Place("gateway.cli.exports:export", "Write the activity of accounts as XLSX or CSV."),
    "init": Place("gateway.cli.making:init", "Make a deployment; what is there is kept."),
    "patient": Place(
        "gateway.cli.patients:patient", "Patients: enter, search, show, correct, merge, tell apart."
    ),
    "pki": Place("gateway.cli.pki:pki", "A test PKI shaped like IGC-Santé; what a certificate may do here."),
    "queue": Place("gateway.cli.queue:queue", "The queue: list, retry, hold, release."),
    "rebuild": Place("gateway.cli.rebuild:rebuild", "Compute all states anew, or --check them."),
    "rules": Place("gateway.cli.rules:rules", "The rules that decide: check, list."),
    "run": Place("gateway.cli.running:run", "Make and run the demonstration until Ctrl-C."),
    "serve": Place("gateway.cli.running:serve_command", "Serve until Ctrl-C or SIGTERM."),
    "smime": Place(
        "gateway.cli.smime:smime", "Signed and encrypted messages: verify, sign, encrypt, decrypt."
    ),
    "stats": Place("gateway.cli.statistics:stats", "Show delays, volumes and punctuality."),
    "trust": Place("gateway.cli.trust:trust", "The trust space: list, show, load, diff, status, crl."),
}


class _Commands(LazyGroup):
    """A group whose commands end in one line and an exit code, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        # What all commands share reads settings and knows the errors of the rooms: --help needs neither.
        from gateway.cli.context import Invocation, errors_in_one_line

        with errors_in_one_line():
            ctx.obj = Invocation(ctx.params["path"])
            return super().invoke(ctx)


def _tell_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        for line in version_lines():
            click.echo(line)
        context.exit()


@click.group(
    cls=_Commands,
    places=_COMMANDS,
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
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Print the versions of the program and of what it stands on, and exit.",
)
def cli(path: Path) -> None:  # noqa: ARG001 - each command finds it in its Invocation
    """Tele-expertise over secure health mail: run the gateway and look into it."""
    # The path validator logs what hostile certificates do to it, with names and traceback; commands tell
    # the reason themselves.
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL + 1)


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
