"""``gateway document``: reports as national documents, made and judged at the command line."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import click

from gateway.cli.context import (
    Invocation,
    as_json,
    conversation_of,
    example,
    json_option,
    now,
    operator,
    say,
)
from gateway.errors import GatewayError
from gateway.services import Services
from gateway.workers.printers import Printers
from gateway.workers.reporting import ReportWork
from teleexpertise.documents.checks import check_document
from teleexpertise.documents.facts import MissingFields
from teleexpertise.documents.parsing import MAX_OCTETS
from teleexpertise.documents.sentences import sentence, sentences

__all__ = ["document"]

_SUFFIXES = {"pdf": "pdf", "cda": "xml", "request": "xml", "xdm": "zip"}


@click.group(short_help="Documents: make, check.")
def document() -> None:
    """Documents: make the report of a conversation as PDF or CDA, check a file."""


@document.command(
    epilog=example(
        "document make TLE-2026-000123 --kind cda --output report.xml",
        "document make TLE-2026-000123 --kind pdf",
    )
)
@click.argument("name", metavar="REF|ID")
@click.option(
    "--kind",
    type=click.Choice(tuple(_SUFFIXES)),
    default="pdf",
    show_default=True,
    help="The report as PDF/A, the same in a CDA (TLM-CR), that in an archive, or the request (TLM-DA).",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, which must not exist; by default named after the conversation, in this folder.",
)
@json_option
@click.pass_obj
def make(invocation: Invocation, name: str, kind: str, output: Path | None, json_: bool) -> None:
    """Make a document of a conversation, from what is recorded of it; the audit trail notes it.

    A report needs a finalisation. Where a CDA lacks something, each field is named.
    """

    if output is not None and output.exists():
        raise GatewayError(f"{output} is there already")

    async def work(services: Services) -> tuple[str, bytes | MissingFields]:
        async with services.store.reading() as tx:
            row = await conversation_of(tx, name)
        printers = Printers(1)
        try:
            octets = await ReportWork(services, printers).remake(row.id, kind)
        finally:
            printers.shutdown()
        async with services.store.transaction() as tx:
            result = "made" if isinstance(octets, bytes) else "refused"
            await tx.audit.write(now(), operator(), f"document make {kind}", str(row.id), result)
        return row.ref, octets

    reference, octets = invocation.run(work)
    if isinstance(octets, MissingFields):
        for reason in octets.fields:
            say(f"{reason}: {sentence(reason)} / {sentence(reason, 'en')}")
        raise GatewayError(f"{reference}: no document, {len(octets.fields)} fields are missing or wrong")
    path = output or Path(f"{reference}-{kind}.{_SUFFIXES[kind]}")
    _write(path, octets)
    if json_:
        as_json({"file": str(path), "bytes": len(octets), "sha256": sha256(octets).hexdigest()})
    else:
        say(f"{path}: {len(octets)} bytes, SHA-256 {sha256(octets).hexdigest()}")


def _write(path: Path, octets: bytes) -> None:
    """Write a new file that only its owner reads. Raises :class:`GatewayError`."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(octets)
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror}") from error


@document.command(epilog=example("document check report.xml"))
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def check(invocation: Invocation, file: Path, json_: bool) -> None:
    """Check a CDA document (report or request) by our own rules: exit 0 if nothing is wrong, 1 otherwise.

    These are the rules by which nothing wrong leaves; they see what the agency's schematrons let pass.
    """
    # Without a deployment there is nothing to say which INS are right: both kinds pass.
    test = invocation.settings().service.test_identifiers if invocation.path.exists() else None
    faults = check_document(_read(file), test_identifiers=test)
    if json_:
        as_json(
            [
                {
                    "reason": fault.reason,
                    "place": fault.place,
                    **dict(zip(("fr", "en"), _both(fault.reason), strict=True)),
                }
                for fault in faults
            ]
        )
    for fault in () if json_ else faults:
        french, english = _both(fault.reason)
        say(f"{fault.reason} ({fault.place or 'ClinicalDocument'}): {french} / {english}")
    if faults:
        raise GatewayError(f"{file}: {len(faults)} faults")
    if not json_:
        say(f"{file}: no fault found")


def _both(reason: str) -> tuple[str, str]:
    return sentences([reason])[0], sentences([reason], "en")[0]


def _read(file: Path) -> bytes:
    """The octets of a file, one more than are allowed at most. Raises :class:`GatewayError`."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_OCTETS + 1)
    except OSError as error:
        raise GatewayError(f"{file}: {error.strerror}") from error
