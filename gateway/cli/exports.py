"""``gateway export``: activity of accounts or establishments as XLSX or CSV (A.37-A.41)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import mkstemp

import click
from rich.console import Console
from rich.progress import Progress

from gateway.cli.context import Failure, Invocation, as_json, example, json_option, now, operator, say
from gateway.exports.files import write_export
from gateway.exports.gathering import addresses_of, gather
from gateway.exports.kinds import FileKind
from gateway.services import Services
from gateway.store import Transaction
from teleexpertise.billing.exports import ExportTable, Selection
from teleexpertise.billing.tariffs import Role, TariffFault

__all__ = ["DAY", "accounts_wanted", "export", "new_file"]

DAY = click.DateTime(["%Y-%m-%d", "%d/%m/%Y"])


@click.command(
    epilog=example(
        "export --from 2026-01-01 --to 2026-03-31 --out t1.xlsx",
        "export --account avis.dermatologie@ch.mssante.example --role expert --out dermatologie.csv",
        "export --establishment 430000018 --pending --out en-cours.xlsx",
    ),
)
@click.option(
    "--account", "accounts", multiple=True, metavar="ADDRESS", help="Only of ADDRESS; may be repeated."
)
@click.option("--establishment", metavar="FINESS", help="Only of the accounts of this establishment.")
@click.option("--role", type=click.Choice(["expert", "requester"]), help="Only as expert, or as requester.")
@click.option("--from", "first", type=DAY, help="First day, by finalisation (by request with --pending).")
@click.option("--to", "last", type=DAY, help="Last day.")
@click.option("--pending", is_flag=True, help="What is still open, in place of what is finalised.")
@click.option(
    "--format",
    "kind",
    type=click.Choice([str(kind) for kind in FileKind]),
    help="Default: as FILE ends, or xlsx.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write; must not exist.",
)
@json_option
@click.pass_obj
def export(
    invocation: Invocation,
    accounts: tuple[str, ...],
    establishment: str | None,
    role: str | None,
    first: datetime | None,
    last: datetime | None,
    pending: bool,
    kind: str | None,
    out: Path,
    json_: bool,
) -> None:
    """Write activity with its billing lines: one row for each side of a conversation.

    The file holds patients' identities: it is readable by its owner only, and the audit trail notes it.
    """
    chosen = FileKind(
        kind or (out.suffix.lstrip(".") if out.suffix.lstrip(".") in list(FileKind) else "xlsx")
    )
    begins, ends = first.date() if first else None, last.date() if last else None
    if begins and ends and ends < begins:
        raise click.UsageError("--to is before --from")
    roles = (Role(role),) if role else tuple(Role)

    async def work(services: Services) -> int:
        async with services.store.reading() as tx:
            addresses = await accounts_wanted(tx, accounts, establishment)
        selection = Selection(
            addresses=addresses,
            asked_of=addresses if establishment and addresses else (),
            roles=roles,
            first=begins,
            last=ends,
            pending=pending,
        )
        rows, table = await _written(services, selection, out, chosen)
        async with services.store.transaction() as tx:
            target = establishment or ",".join(accounts) or "all"
            await tx.audit.write(now(), operator(), "export", target, "done", {"rows": rows})
            await tx.exported.note(table.exported, now())
        return rows

    rows = invocation.run(work)
    if json_:
        as_json({"file": str(out), "rows": rows, "format": str(chosen)})
    else:
        say(f"{out}: {rows} rows")


async def accounts_wanted(
    tx: Transaction, accounts: Collection[str], establishment: str | None
) -> frozenset[str] | None:
    """Whose activity it is, None for everybody's. Raises :class:`Failure` for who is unknown."""
    if not accounts and establishment is None:
        return None
    known = await tx.accounts.list()
    wanted = frozenset(address.strip().lower() for address in accounts)
    unknown = wanted - {account.address for account in known}
    if unknown:
        raise Failure(f"no account {', '.join(sorted(unknown))}")
    if establishment is None:
        return wanted
    there = addresses_of(known, establishment)
    if not there:
        raise Failure(f"no account of establishment {establishment}")
    return there & wanted if wanted else there


async def _written(
    services: Services, selection: Selection, out: Path, kind: FileKind
) -> tuple[int, ExportTable]:
    """Write the file and return its rows' number and the table, with a progress bar on a terminal. The
    database is read first and let go: while the file is written nothing is held. Raises :class:`Failure`.
    """
    terminal = Console(stderr=True)
    with (
        new_file(out) as part,
        Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar,
    ):
        task = bar.add_task("reading", total=None)
        try:
            async with services.store.reading() as tx:
                table = await gather(services, tx, selection)
        except TariffFault as error:
            raise Failure(f"tariffs: {error}") from error
        bar.update(task, description="writing")
        total = services.texts.words.of("export_words", "total")
        rows = write_export(
            table, part, kind, total, services.clock(), lambda count: bar.update(task, completed=count)
        )
    return rows, table


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """The path to write a new file under: only its owner can read it from its first octet on, it becomes
    ``out`` when it is complete and is gone again after a failure.

    Who is killed in the middle leaves ``out`` empty and a ``.part`` beside it: half an activity would look
    like a whole one. Raises :class:`Failure`.
    """
    with _refused(out):
        os.close(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    part = out
    try:
        with _refused(out):
            number, name = mkstemp(prefix=f"{out.name}.", suffix=".part", dir=out.parent)
        os.close(number)
        part = Path(name)
        yield part
        with _refused(out):
            part.replace(out)
    except BaseException:
        part.unlink(missing_ok=True)
        out.unlink(missing_ok=True)
        raise


@contextmanager
def _refused(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(f"{out}: {error.strerror}") from error
