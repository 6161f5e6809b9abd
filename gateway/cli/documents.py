"""``gateway document``: reports as national documents, made and judged at the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import click

from gateway.cli.archives import finding_sentence, open_command, read_file
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
from teleexpertise.archives import open_archive
from teleexpertise.archives.faults import english_sentence
from teleexpertise.documents.checks import check_document
from teleexpertise.documents.facts import MissingFields
from teleexpertise.documents.sentences import sentence, sentences
from teleexpertise.texts.words import load_words

__all__ = ["document"]

_SUFFIXES = {"pdf": "pdf", "cda": "xml", "request": "xml", "xdm": "zip"}


@click.group()
def document() -> None:
    """Documents: make those of a conversation, check a file, open an archive."""


document.add_command(open_command)


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
        # Whoever checks or opens files needs no part of the gateway.
        from gateway.workers.reporting import ReportWork

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
            say(f"[{reason}]")
            say(f"  fr: {sentence(reason)}")
            say(f"  en: {sentence(reason, 'en')}")
        count = len(octets.fields)
        are = "field is" if count == 1 else "fields are"
        raise GatewayError(f"{reference}: no document, {count} {are} missing or wrong")
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


@dataclass(frozen=True, slots=True)
class _Told:
    """One thing that is wrong with a file; ``place`` is an element of it, or a file of an archive."""

    reason: str
    place: str
    french: str
    english: str


@document.command(epilog=example("document check report.xml", "document check IHE_XDM.zip --json"))
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def check(invocation: Invocation, file: Path, json_: bool) -> None:
    """Check a CDA document, or all in an archive, by our own rules: exit 0 if nothing is wrong, 1 otherwise.

    These are the rules by which nothing wrong leaves; they see what the agency's schematrons let pass.
    """
    # Without a deployment there is nothing to say which INS are right: both kinds pass.
    test = invocation.settings().service.test_identifiers if invocation.path.exists() else None
    octets = read_file(file)
    told = list(_of_archive(octets, test) if octets.startswith(b"PK") else _of_document(octets, test, ""))
    if json_:
        as_json([{"reason": t.reason, "place": t.place, "fr": t.french, "en": t.english} for t in told])
    for each in () if json_ else told:
        say(f"{each.place or 'ClinicalDocument'} [{each.reason}]")
        say(f"  fr: {each.french}")
        say(f"  en: {each.english}")
    if told:
        raise GatewayError(f"{file}: {len(told)} fault{'s' if len(told) > 1 else ''}")
    if not json_:
        say(f"{file}: no fault found")


def _of_document(octets: bytes, test: bool | None, within: str) -> Iterator[_Told]:
    """The faults of one document; ``within`` names its file in an archive, '' outside of one."""
    for fault in check_document(octets, test_identifiers=test):
        place = fault.place or "ClinicalDocument"
        yield _Told(fault.reason, f"{within}: {place}" if within else place, *_both(fault.reason))


def _of_archive(octets: bytes, test: bool | None) -> Iterator[_Told]:
    """The faults of an archive, sound or not, and of each document in it."""
    opened, words = open_archive(octets), load_words()
    for finding in opened.findings:
        place = finding.name or "IHE_XDM.zip"
        said = finding_sentence(finding, words), english_sentence(finding)
        yield _Told(f"archive.{finding.fault}", place, *said)
    for document in opened.documents:
        if document.content is not None and document.header is not None:
            yield from _of_document(document.content, test, document.entry.uri)


def _both(reason: str) -> tuple[str, str]:
    return sentences([reason])[0], sentences([reason], "en")[0]
