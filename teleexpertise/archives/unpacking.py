"""The files of a hostile ZIP: bounded before they are read, never written anywhere (CWE-22, CWE-409)."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from teleexpertise.archives.faults import ArchiveFault, Finding

__all__ = ["ArchiveLimits", "Unpacked", "unpack"]


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """The bounds of what is unpacked, in bytes; ``ratio`` counts for files above ``ratio_from``."""

    archive: int = 64 * 1024 * 1024
    files: int = 500
    file: int = 64 * 1024 * 1024
    total: int = 128 * 1024 * 1024
    ratio: int = 200
    ratio_from: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Files by their names in upper case with ``/``; ``findings`` say what was wrong with the ZIP itself.

    Names as they were come in ``names``. After a blocking fault no file is given.
    """

    files: Mapping[str, bytes]
    names: Mapping[str, str]
    findings: tuple[Finding, ...]


_NAME = re.compile(r"[A-Z0-9_]{1,8}(\.[A-Z0-9_]{1,3})?")
_LONGEST_NAME = 200
#: The fixed part of a file's own header (APPNOTE 4.3.7); names and further fields come behind it.
_LOCAL_HEADER = 30
#: What ``zipfile`` raises for octets of strangers.
_UNZIPPING = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    IndexError,
    OverflowError,
)


def unpack(octets: bytes, limits: ArchiveLimits) -> Unpacked:
    """All files of a ZIP, or the faults for which none is read. Total: any octets give an answer."""
    if len(octets) > limits.archive:
        return _nothing(Finding(ArchiveFault.TOO_LARGE))
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            entries = archive.infolist()
            faults = _faults(entries, limits) or _overlaps(entries, archive.start_dir)
            if faults:
                return _nothing(*faults)
            if entries and min(each.header_offset for each in entries) != 0:
                # What stands before is another file, or another archive, to who reads from the start.
                return _nothing(Finding(ArchiveFault.NOT_A_ZIP))
            return _read(archive, [entry for entry in entries if not entry.is_dir()], limits)
    except _UNZIPPING:
        return _nothing(Finding(ArchiveFault.NOT_A_ZIP))


def _nothing(*findings: Finding) -> Unpacked:
    return Unpacked({}, {}, findings)


def _shown(name: str) -> str:
    """A name of a stranger as one short printable line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)[:80]


def _path(entry: zipfile.ZipInfo) -> str:
    return entry.filename.replace("\\", "/")


def _unsafe(entry: zipfile.ZipInfo) -> bool:
    """Names that lead out of the folder, or say one thing to one program and another to the next."""
    path = _path(entry)
    parts = path.rstrip("/").split("/")
    return (
        entry.orig_filename != entry.filename
        or len(path) > _LONGEST_NAME
        or path.startswith("/")
        or ":" in path
        or not path.isprintable()
        or any(part in ("", ".", "..") for part in parts)
    )


def _faults(entries: list[zipfile.ZipInfo], limits: ArchiveLimits) -> list[Finding]:
    """The faults that the directory of the ZIP tells already; nothing has been unpacked yet."""
    if len(entries) > limits.files:
        return [Finding(ArchiveFault.TOO_MANY_FILES, detail=str(len(entries)))]
    found = []
    seen: set[str] = set()
    for entry in entries:
        name = _shown(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if _unsafe(entry):
            found.append(Finding(ArchiveFault.UNSAFE_NAME, name))
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            found.append(Finding(ArchiveFault.LINK, name))
        if entry.flag_bits & 0x2041:  # encrypted, strongly encrypted, directory masked
            found.append(Finding(ArchiveFault.ENCRYPTED, name))
        if entry.file_size > limits.file:
            found.append(Finding(ArchiveFault.FILE_TOO_LARGE, name))
        elif entry.file_size > max(limits.ratio_from, entry.compress_size * limits.ratio):
            found.append(Finding(ArchiveFault.BOMB, name))
        if _path(entry).upper() in seen:
            found.append(Finding(ArchiveFault.DOUBLE_NAME, name))
        seen.add(_path(entry).upper())
    if sum(entry.file_size for entry in entries) > limits.total:
        found.append(Finding(ArchiveFault.BOMB))
    return found


def _overlaps(entries: list[zipfile.ZipInfo], directory: int) -> list[Finding]:
    """Files that share octets unpack to far more than the archive holds, and claims of more octets than there
    are outwit the ratio: the data of each must end before those of the next, all before the directory.
    """
    starts = sorted(entry.header_offset for entry in entries)
    for entry in entries:
        after = bisect_right(starts, entry.header_offset)
        end = entry.header_offset + _LOCAL_HEADER + len(entry.orig_filename) + entry.compress_size
        if starts[after - 2 : after].count(entry.header_offset) > 1 or end > [*starts, directory][after]:
            return [Finding(ArchiveFault.BOMB, _shown(entry.filename))]
    return []


def _read(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], limits: ArchiveLimits) -> Unpacked:
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}
    findings = []
    total = 0
    for entry in entries:
        path = _path(entry)
        try:
            with archive.open(entry) as stream:
                content = stream.read(min(entry.file_size, limits.file) + 1)
        except _UNZIPPING:
            return _nothing(Finding(ArchiveFault.DAMAGED_FILE, _shown(path)))
        total += len(content)
        if len(content) != entry.file_size or total > limits.total:
            return _nothing(Finding(ArchiveFault.DAMAGED_FILE, _shown(path)))
        files[path.upper()], names[path.upper()] = content, path
        if path != path.upper():
            findings.append(Finding(ArchiveFault.LOWER_CASE, _shown(path)))
        if not all(_NAME.fullmatch(part) for part in path.upper().split("/")):
            findings.append(Finding(ArchiveFault.LONG_NAME, _shown(path)))
    return Unpacked(files, names, tuple(findings))
