"""``gateway document open``: what is in an archive of documents, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gateway.cli.context import as_json, example, json_option, say, show_table
from gateway.errors import GatewayError
from teleexpertise.archives import (
    ArchiveLimits,
    ArchivePatient,
    Finding,
    OpenedArchive,
    OpenedDocument,
    open_archive,
)
from teleexpertise.texts.words import Words, load_words

__all__ = ["finding_sentence", "open_command", "read_file"]


@click.command(
    "open", epilog=example("document open IHE_XDM.zip", "document open IHE_XDM.zip --patient --json")
)
@click.argument("path", metavar="FILE.zip", type=click.Path(path_type=Path))
@click.option("--patient", is_flag=True, help="Also who the patient is.")
@json_option
def open_command(path: Path, patient: bool, json_: bool) -> int:
    """Show what an archive of documents (IHE_XDM.zip) holds; exit 1 when it is not to be trusted.

    Nothing is unpacked on disk. Faults are told in French, as those who receive the documents read them.
    """
    octets = read_file(path)
    if b"ClinicalDocument" in octets[:4096]:
        raise GatewayError(f"{path}: this is a document, not an archive: `gateway document check` reads it")
    opened = open_archive(octets)
    words = load_words()
    if json_:
        as_json(_described(opened, words, patient))
    else:
        _print(opened, words, patient)
    return 0 if opened.sound else GatewayError.exit_code


def read_file(path: Path) -> bytes:
    """The octets of a file, one more than an archive may have at most. Raises :class:`GatewayError`."""
    try:
        with path.open("rb") as opened:
            return opened.read(ArchiveLimits().archive + 1)
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror or 'cannot be read'}") from error


def finding_sentence(finding: Finding, words: Words) -> str:
    """A finding as its French sentence."""
    return words.of("archive_faults", finding.fault).format(name=finding.name, detail=finding.detail)


def _described(opened: OpenedArchive, words: Words, patient: bool) -> dict[str, Any]:
    return {
        "sound": opened.sound,
        "documents": [_document(document) for document in opened.documents],
        "ins_qualified": opened.patient.qualified,
        "faults": [
            {
                "fault": finding.fault,
                "blocking": finding.blocking,
                "file": finding.name,
                "detail": finding.detail,
                "sentence": finding_sentence(finding, words),
            }
            for finding in opened.findings
        ],
    } | ({"patient": _patient(opened.patient)} if patient else {})


def _patient(patient: ArchivePatient) -> dict[str, Any]:
    born = patient.birth_date
    return asdict(patient) | {"birth_date": born.isoformat() if born else None}


def _document(document: OpenedDocument) -> dict[str, Any]:
    entry, header = document.entry, document.header
    return {
        "file": entry.uri,
        "code": entry.type_code.code if entry.type_code else "",
        "title": entry.title,
        "id": entry.unique_id,
        "set_id": header.set_id if header else "",
        "version": header.version if header else "",
        "replaces": header.replaces if header else "",
        "action": {"": "new", "C": "replace", "D": "delete"}[entry.transfer],
        "created": entry.creation_time,
        "size": len(document.content) if document.content is not None else None,
    }


def _print(opened: OpenedArchive, words: Words, patient: bool) -> None:
    rows = [tuple(_document(document).values()) for document in opened.documents]
    shown = [(*row[:3], row[7], row[8], row[9]) for row in rows]
    show_table(("file", "code", "title", "action", "created (UTC)", "bytes"), shown, "no document")
    click.echo()
    whose = opened.patient
    if patient and not (whose.birth_name or whose.ins):
        say("patient  none named")
    elif patient:
        say(f"patient  {whose.birth_name} {whose.first_names}, {whose.sex}, born {whose.birth_date or '?'}, "
            f"INS {whose.ins or '-'}")  # fmt: skip
    say(f"INS      {'qualified' if whose.qualified else 'not qualified'}")
    for finding in opened.findings:
        say(f"{'fault' if finding.blocking else 'warning':<8} {finding_sentence(finding, words)}")
    say("sound" if opened.sound else "not to be trusted: nothing of it is filed")
