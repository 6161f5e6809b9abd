"""``gateway directory``: the national directory's people and services, beside our own experts."""

from __future__ import annotations

import secrets
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

import click

from gateway.cli.context import Failure, Invocation, as_json, example, json_option, now, operator, say
from gateway.errors import GatewayError
from gateway.store import Store
from teleexpertise.contacts import LONGEST_LINE, Contact, NotAnExtraction, Rejected, read_extraction

__all__ = ["directory"]

#: The real file has some 200 MB; more than this is not looked at, whatever a ZIP says of itself.
_MOST_OCTETS = 4 * 1024**3
#: Rows of one transaction: mail is accepted between two of them.
_CHUNK = 1000


@click.group()
def directory() -> None:
    """The national directory: import its extraction, so that mails find its people."""


@dataclass(slots=True)
class _Import:
    """What an import has done so far; ``rejected`` counts rows by reason."""

    taken: int = 0
    removed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    red: list[str] = field(default_factory=list)


@directory.command("import", epilog=example("directory import Extraction_Correspondance_MSSante.zip"))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--shrink", is_flag=True, help="Take out also where more goes than stays.")
@json_option
@click.pass_obj
def import_extraction(invocation: Invocation, file: Path, shrink: bool, json_: bool) -> None:
    """Take over the people and services of an extraction of the national directory: the text FILE (31 columns
    between `|`), or a ZIP file with one such text.

    Each line that is not taken is named on standard error with its number and the reason. Afterwards the
    directory holds what FILE holds: who is no longer in it, or on the red list, is not shown any more. A file
    that would take out more than it brings is probably cut, and takes out nothing without --shrink.
    """

    async def work(store: Store) -> _Import:
        done, seen = _Import(), secrets.token_hex(8)
        with _opened(file) as stream:
            contacts = _reported(read_extraction(_lines(stream)), done)
            while chunk := list(islice(contacts, _CHUNK)):
                async with store.transaction() as tx:
                    await tx.contacts.put(chunk, seen)
                done.taken += len(chunk)
        await _finish(store, file, done, seen, shrink=shrink)
        return done

    try:
        done = invocation.run_on_store(work)
    except NotAnExtraction as error:
        raise GatewayError(f"{file.name}: {error}") from error
    # A RuntimeError is zipfile's word for an encrypted file, or for a compression that it does not know.
    except (OSError, EOFError, zipfile.BadZipFile, RuntimeError) as error:
        raise GatewayError(f"{file.name}: cannot be read: {error}") from error
    if json_:
        as_json({"taken": done.taken, "removed": done.removed, "rejected": dict(done.rejected)})
        return
    say(f"{done.taken} contacts taken, {done.removed} taken out, {done.rejected.total()} lines rejected")
    for reason, count in done.rejected.most_common():
        say(f"{reason}: {count}")


async def _finish(store: Store, file: Path, done: _Import, seen: str, *, shrink: bool) -> None:
    """Take out what the file lacks, and make the indexes new, in one transaction."""
    async with store.transaction() as tx:
        older = await tx.contacts.older_than(seen)
        cut = older > done.taken and not shrink
        if not cut:
            done.removed = await tx.contacts.remove_older(seen)
        done.removed += await tx.contacts.remove(done.red)  # also where another row of the file showed one
        await tx.contacts.changed()
        counts = {"taken": done.taken, "removed": done.removed, "rejected": done.rejected.total()}
        result = "nothing taken out" if cut else "imported"
        await tx.audit.write(now(), operator(), "directory import", file.name[:200], result, counts)
    if cut:
        raise Failure(
            f"{done.taken} contacts taken; {older} others are not in the file, which may be cut: "
            "nothing was taken out (--shrink takes them out)"
        )


def _reported(rows: Iterator[Contact | Rejected], done: _Import) -> Iterator[Contact]:
    """The contacts among the rows; the others are told and counted."""
    for row in rows:
        if isinstance(row, Rejected):
            done.rejected[str(row.fault)] += 1
            done.red += [row.red] if row.red else []
            click.echo(f"line {row.line}: {row.fault}", err=True)
        else:
            yield row


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """The text of the file, or of the one text in it. Raises :class:`GatewayError` for a ZIP with none or
    several.
    """
    if not zipfile.is_zipfile(file):
        with file.open("rb") as stream:
            yield stream
        return
    with zipfile.ZipFile(file) as archive:
        texts = [name for name in archive.namelist() if name.lower().endswith((".txt", ".csv"))]
        if len(texts) != 1:
            raise GatewayError(f"{file.name}: holds {len(texts)} texts, not one")
        with archive.open(texts[0]) as stream:
            yield stream


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines, each of at most one octet more than is ever taken, whatever their length in the file.

    Raises :class:`GatewayError` for a file without end.
    """
    left = _MOST_OCTETS
    while line := stream.readline(LONGEST_LINE + 1):
        left -= len(line)
        piece = line
        while piece and not piece.endswith(b"\n"):
            piece = stream.readline(LONGEST_LINE + 1)
            left -= len(piece)
            if left < 0:
                break
        if left < 0:
            raise GatewayError(f"more than {_MOST_OCTETS // 1024**3} GiB of text")
        yield line
