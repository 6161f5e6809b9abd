"""What ``gateway smime`` reads and writes: messages as files, certificates and revocation lists by path."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from certs.envelopes import MAXIMUM_MESSAGE
from certs.fields import canonical_lines
from certs.paths import RevocationMode, TrustAnchors, TrustFault, load_anchors
from certs.pki import write_private

__all__ = ["message_file", "read_anchors", "read_message", "read_moment", "write_message"]

_CERTIFICATES = (".pem", ".crt", ".cer", ".der")
_LISTS = (".crl",)
_MAXIMUM_FILE = 16 * 1024 * 1024  # a CRL of a large authority
message_file = click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def read_message(file: Path) -> bytes:
    """A message in CRLF form from a file, ``-`` for standard input. One whose first line ends in LF alone was
    stored so: all its lines get CRLF.

    Raises :class:`click.BadParameter` where it is larger than any mail.
    """
    with click.open_file(str(file), "rb") as stream:
        raw = stream.read(MAXIMUM_MESSAGE + 1)
    if len(raw) > MAXIMUM_MESSAGE:
        raise click.BadParameter(f"larger than {MAXIMUM_MESSAGE // 1024**2} MiB")
    return canonical_lines(raw)


def write_message(octets: bytes, output: Path | None, private: bool = False) -> None:
    """Write octets to a file, or to standard output where there is none; ``private``: for its owner only."""
    if output is None:
        click.echo(octets, nl=False)
        return
    try:
        if private:
            write_private(output, octets)
        else:
            output.write_bytes(octets)
    except OSError as error:
        raise click.BadParameter(f"{output}: {error.strerror}", param_hint="--output") from error


def read_moment(text: str | None, now: datetime) -> datetime:
    """An instant in ISO 8601, UTC where it names no zone; ``now`` where there is none. Raises
    :class:`click.BadParameter`.
    """
    if text is None:
        return now
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is not a time such as 2026-03-02 or 2026-03-02T14:30:00+01:00", param_hint="--at"
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def read_anchors(
    trust: Sequence[Path], lists: Sequence[Path], believed: TrustAnchors | None = None
) -> TrustAnchors:
    """What the options say is believed: every certificate of ``trust``, else what is ``believed`` already.

    With ``lists`` a revocation list is required for every certificate of a path; without, those of
    ``believed`` count as its settings say, and none where there is nothing. Raises
    :class:`click.BadParameter` that names the option.
    """
    crls = [*_contents(lists, _LISTS)]
    mode = RevocationMode.REQUIRE if lists else RevocationMode.WHEN_KNOWN
    try:
        if trust or believed is None:
            roots = b"".join(map(_as_pem, _contents(trust, _CERTIFICATES)))
            return load_anchors(roots, crls=crls, revocation=mode)
        if not lists:
            return believed
        given = load_anchors(_armored(believed.roots), crls=crls)
        return replace(believed, crls=given.crls, revocation=mode)
    except TrustFault as error:
        raise click.BadParameter(str(error), param_hint="--trust or --crl") from error


def _contents(paths: Sequence[Path], suffixes: Iterable[str]) -> Iterator[bytes]:
    """The files named, and those of the folders named that have one of the suffixes, in order of name."""
    for path in paths:
        files = (
            sorted(each for each in path.iterdir() if each.suffix.lower() in suffixes)
            if path.is_dir()
            else [path]
        )
        for file in files:
            try:
                with file.open("rb") as stream:
                    octets = stream.read(_MAXIMUM_FILE + 1)
            except OSError as error:
                raise click.BadParameter(f"{file}: {error.strerror}") from error
            if len(octets) > _MAXIMUM_FILE:
                raise click.BadParameter(f"{file}: larger than {_MAXIMUM_FILE // 1024**2} MiB")
            yield octets


def _as_pem(octets: bytes) -> bytes:
    """The certificates of a file, PEM with whatever else it holds, or one in DER."""
    if b"-----BEGIN" not in octets:
        return _armored([octets])
    blocks = [match.group() for match in _PEM_BLOCK.finditer(octets) if match.group(1) == b"CERTIFICATE"]
    return b"".join(block + b"\n" for block in blocks)


def _armored(certificates: Iterable[bytes]) -> bytes:
    return b"".join(ssl.DER_cert_to_PEM_cert(der).encode("ascii") for der in certificates)
