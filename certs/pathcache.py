"""What was found about paths, kept so that the next mail of the same signer costs no path validation.

What is kept holds for one set of anchors and CRLs, and within the time in which nothing of it ends; the
moments themselves are judged anew each time. Refusals (a revoked signer, a list that lacks) are kept for a
minute and in a place of their own: whoever sends many that fail pushes out nobody's valid path.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import TypeVar

from certs.verdicts import PathResult

__all__ = ["REFUSAL_LIFETIME", "CertificateNames", "KnownPath", "KnownRefusal", "PathCache", "path_key"]

Kept = TypeVar("Kept")

MAXIMUM_AGE = timedelta(hours=1)
"""How long a path is believed without being built again, whatever its certificates and CRLs say."""
REFUSAL_LIFETIME = timedelta(minutes=1)
"""How long a refusal is given again without a look at the certificates."""
MAXIMUM_PATHS = 1024
"""Paths, refusals and certificates kept: 300, 300 and 3,000 octets each. The oldest are forgotten first."""


@dataclass(frozen=True, slots=True)
class KnownPath:
    """A valid path: the validity of each certificate below the anchor, and when the whole was true.

    `since` is when it was built, `until` the earliest moment at which a certificate or a CRL that it rests on
    ends or another CRL begins to count.
    """

    periods: tuple[tuple[datetime, datetime], ...]
    since: datetime
    until: datetime

    def holds(self, now: datetime) -> bool:
        """Tell whether nothing that the path rests on has ended or begun since it was built."""
        return self.since <= now < min(self.until, self.since + MAXIMUM_AGE) and all(
            begins <= now <= ends for begins, ends in self.periods
        )


@dataclass(frozen=True, slots=True)
class KnownRefusal:
    """Why there is no valid path, as found at `since`; it holds before `until`."""

    result: PathResult
    since: datetime
    until: datetime


def path_key(certificate: bytes, enclosed: Sequence[bytes], usage: str) -> bytes:
    """Return what identifies a question: SHA-256 over usage and DER certificates, lengths included."""
    digest = hashlib.sha256(usage.encode())
    for der in (certificate, *enclosed):
        digest.update(len(der).to_bytes(4))
        digest.update(der)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """What a certificate says of its holder: RFC 4514 texts, serial number, mail addresses in lower case, and
    its SHA-256 in lower-case hex.
    """

    subject: str
    issuer: str
    serial: int
    addresses: tuple[str, ...]
    fingerprint: str


class PathCache:
    """A bounded memory of answers for one generation of anchors; safe to share between threads.

    The generation is the anchors' object itself: other anchors, or the same ones with other CRLs, are another
    object, and everything that was kept under the former is dropped at the first question under the new one.
    The names in a certificate depend on its octets alone, and stay.
    """

    def __init__(self, maximum: int = MAXIMUM_PATHS) -> None:
        """Keep up to `maximum` paths."""
        self._maximum = maximum
        self._generation: object = None
        self._paths: OrderedDict[bytes, KnownPath] = OrderedDict()
        self._refusals: OrderedDict[bytes, KnownRefusal] = OrderedDict()
        self._names: OrderedDict[bytes, CertificateNames] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many valid paths are kept."""
        return len(self._paths)

    def find(self, generation: object, key: bytes, now: datetime) -> KnownPath | PathResult | None:
        """Return the path or the refusal kept under `key` if it holds at `now`; what does not hold any more
        is dropped.
        """
        with self._lock:
            if generation is not self._generation:
                self._paths.clear()
                self._refusals.clear()
                self._generation = generation
                return None
            known = self._paths.get(key)
            if known is not None and known.holds(now):
                self._paths.move_to_end(key)
                return known
            self._paths.pop(key, None)
            refusal = self._refusals.get(key)
            if refusal is not None and refusal.since <= now < refusal.until:
                return refusal.result
            self._refusals.pop(key, None)
            return None

    def keep(self, generation: object, key: bytes, path: KnownPath) -> None:
        """Remember a valid path, unless the anchors have been replaced since the question was asked."""
        with self._lock:
            if generation is self._generation:
                self._put(self._paths, key, path)

    def keep_refusal(self, generation: object, key: bytes, refusal: KnownRefusal) -> None:
        """Remember that there is no valid path, unless the anchors have been replaced meanwhile."""
        with self._lock:
            if generation is self._generation:
                self._put(self._refusals, key, refusal)

    def _put(self, kept: OrderedDict[bytes, Kept], key: bytes, value: Kept) -> None:
        kept[key] = value
        kept.move_to_end(key)
        while len(kept) > self._maximum:
            kept.popitem(last=False)

    def names(self, certificate: bytes, read: Callable[[bytes], CertificateNames]) -> CertificateNames:
        """Return what `read` finds in a certificate, found once; what `read` raises is not kept."""
        known = self._names.get(certificate)
        if known is None:
            known = read(certificate)
            with self._lock:
                self._put(self._names, certificate, known)
        return known
