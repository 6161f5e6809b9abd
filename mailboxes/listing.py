"""What a server lists, read: folders with their attributes, from the lines of LIST and LSUB; pure."""

import re
from collections.abc import Iterable
from typing import Final

from imapclient import imap_utf7

from mailboxes.folders import Folder

_LISTED: Final = re.compile(rb'^\(([^)]*)\) (?:"(?:\\?.)"|NIL) (.+)$', re.DOTALL)
_NO_MAILS: Final = (b"\\noselect", b"\\nonexistent")


def listed_folders(lines: Iterable[bytes]) -> list[Folder]:
    """The folders that the lines of a LIST or LSUB answer name (RFC 3501 §7.2.2), in their order."""
    return [folder for folder, _ in _listed(lines)]


def existing_folders(lines: Iterable[bytes]) -> list[Folder]:
    """Those of `listed_folders` that are there and hold mails."""
    return [
        folder for folder, attributes in _listed(lines) if not any(one in attributes for one in _NO_MAILS)
    ]


def _listed(lines: Iterable[bytes]) -> Iterable[tuple[Folder, bytes]]:
    for line in lines:
        match = _LISTED.match(bytes(line))
        if match is None:
            continue
        name = match[2].strip()
        if name.startswith(b'"'):
            name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
        yield tuple(imap_utf7.decode(name).split("/")), match[1].lower()
