"""The trust list on disk: the file that is given, the copy of the last good one beside it, and which counts.

::

    trust-list.xml        what an operator, `gateway trust load` or the refresh put there
    trust-list.held.xml   the last list that was accepted, octet for octet; only accepted lists get here

A given list that is broken, unsigned, older or shrunken leaves the held one in force. A given list with the
octets of the held one was accepted before, by whoever wrote the copy, and is not judged again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from certs.listchanges import replacement_fault
from certs.listsignature import ListSigner, signed_list
from certs.names import DistinguishedName, NameFault
from certs.operators import MAXIMUM_SIZE, TrustList, TrustListFault, read_trust_list
from certs.paths import TrustFault, load_anchors
from certs.pki import write_public
from config import Settings
from gateway.errors import DeploymentIncomplete
from gateway.trust.crlfiles import known_crls, pki_anchors

__all__ = [
    "ListInForce",
    "ListRefused",
    "find_list",
    "held_file",
    "judged",
    "keep_copy",
    "keep_list",
    "list_signer",
]


class ListRefused(Exception):
    """An offered list that must not take the place of the one in force; the text says why.

    ``forcible``: it is genuine and whole, only unlikely (older, shrunken), so that an operator may insist.
    """

    def __init__(self, reason: str, *, forcible: bool = False) -> None:
        self.forcible = forcible
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class ListInForce:
    """The list that counts, its octets, and why the given file does not (``fault``, '' where it does)."""

    trusted: TrustList
    document: bytes
    fault: str = ""


def held_file(settings: Settings) -> Path:
    """Where the last accepted list is kept."""
    path = settings.trust.list_file
    return path.with_name(f"{path.stem}.held{path.suffix}")


def list_signer(settings: Settings) -> ListSigner | None:
    """Who must sign the list, ``None`` where no signature is asked for. Raises :class:`DeploymentIncomplete`
    that names the setting.
    """
    trust = settings.trust
    if trust.signer_anchors is None:
        return None
    try:
        name = None if trust.signer is None else DistinguishedName.from_text(trust.signer)
    except NameFault as error:
        raise DeploymentIncomplete(f"trust.signer: {error}") from error
    try:
        own = pki_anchors(settings, tuple(known_crls(settings).values()))
        anchors = load_anchors(
            trust.signer_anchors.read_bytes(),
            crls=[each.der for each in own.crls],
            revocation=own.revocation,
            grace=own.grace,
        )
    except (OSError, TrustFault) as error:
        raise DeploymentIncomplete(f"trust.signer_anchors or pki: {error}") from error
    return ListSigner(anchors, name)


def judged(
    document: bytes, held: TrustList | None, settings: Settings, now: datetime, *, force: bool = False
) -> TrustList:
    """Return the list of ``document`` if it may take the place of ``held``. Raises :class:`ListRefused`.

    ``force`` leaves out the questions that ``held`` asks, never those of form and signature. A list that
    names our own domains alone, as `gateway init` makes it, asks nothing of its successor.
    """
    try:
        signer = list_signer(settings)
        offered = read_trust_list(document if signer is None else signed_list(document, signer, now))
    except TrustListFault as error:
        raise ListRefused(str(error)) from error
    if held is not None and held.domains.keys() <= settings.local_domains:
        held = None
    if not force:
        fault = replacement_fault(held, offered, now, settings.trust.max_removed_percent)
        if fault is not None:
            raise ListRefused(fault, forcible=True)
    return offered


def keep_list(settings: Settings, document: bytes) -> None:
    """Write an accepted list: first the copy, so that whoever sees the file change finds it accepted. Files
    that hold it are left as they are. Raises ``OSError``.
    """
    keep_copy(settings, document)
    _write(settings.trust.list_file, document)


def keep_copy(settings: Settings, document: bytes) -> None:
    """Write the copy of an accepted list alone. Raises ``OSError``."""
    _write(held_file(settings), document)


def _write(path: Path, document: bytes) -> None:
    try:
        if _read(path) == document:
            return
    except OSError:
        pass  # it is written now, or says why not
    write_public(path, document)


def find_list(settings: Settings, now: datetime, held: ListInForce | None = None) -> ListInForce:
    """Return the list in force by the files as they are; writes nothing.

    ``held`` is the one in force until now; absent: the copy on disk. Raises ``TrustListFault`` and
    ``OSError`` where no list can be had at all.
    """
    copy = _copy(settings)
    try:
        document = _read(settings.trust.list_file)
    except OSError as error:
        if held is None and copy is None:
            raise
        known = held or copy
        assert known is not None
        return ListInForce(known.trusted, known.document, f"cannot be read: {error.strerror}")
    if copy is not None and document == copy.document:
        return copy
    known = held or copy
    if known is not None and document == known.document:
        return ListInForce(known.trusted, known.document)
    try:
        trusted = judged(document, known.trusted if known else None, settings, now)
    except ListRefused as refused:
        if known is None:
            raise TrustListFault(str(refused)) from refused
        return ListInForce(known.trusted, known.document, str(refused))
    return ListInForce(trusted, document)


def _copy(settings: Settings) -> ListInForce | None:
    """The held copy. It was judged when it was accepted: a signer's certificate that ended since takes
    nothing back.
    """
    try:
        document = _read(held_file(settings))
        return ListInForce(read_trust_list(document), document)
    except (OSError, TrustListFault):
        return None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAXIMUM_SIZE + 1)  # one octet too many is enough to refuse it
