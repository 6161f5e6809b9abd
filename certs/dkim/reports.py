"""What was found about the DKIM signatures of a mail, and which fields each of them covers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from certs.verdicts import Verdict

__all__ = ["DkimReason", "DkimReport", "DkimSignature", "KeyName"]

KeyName = tuple[str, str]
"""Where a key is published: the domain (d=) and the selector (s=), both in lower case."""


class DkimReason(StrEnum):
    """Why a verdict is what it is. Each member has one meaning and is stable: it is stored and logged."""

    GENUINE = "genuine"

    # the mail
    MESSAGE_MALFORMED = "message-malformed"
    """Line ends other than CRLF, or a header that is none: verifiers disagree about what was signed."""
    FROM_MISSING = "from-missing"
    FROM_AMBIGUOUS = "from-ambiguous"
    """More than one From field: which of them a reader shows is not what was signed."""

    # the signature field
    MALFORMED = "signature-malformed"
    TAG_TWICE = "tag-twice"
    TAG_MISSING = "tag-missing"
    VERSION = "version-unsupported"
    ALGORITHM_WEAK = "algorithm-weak"
    """rsa-sha1, which must not be verified (RFC 8301 §3.1)."""
    ALGORITHM_UNSUPPORTED = "algorithm-unsupported"
    CANONICALIZATION_UNSUPPORTED = "canonicalization-unsupported"
    QUERY_UNSUPPORTED = "query-unsupported"
    BODY_LENGTH = "body-length-limited"
    """l= lets anybody append to the body (RFC 6376 §8.2)."""
    FROM_UNSIGNED = "from-unsigned"
    IDENTITY_FOREIGN = "identity-foreign"
    """i= is not within d=."""
    EXPIRED = "expired"
    SIGNED_IN_FUTURE = "signed-in-future"

    # the key
    KEY_UNAVAILABLE = "key-unavailable"
    """The lookup failed; another attempt may find it. The only reason that is indeterminate."""
    KEY_MISSING = "key-missing"
    KEY_MALFORMED = "key-malformed"
    KEY_REVOKED = "key-revoked"
    KEY_MISMATCH = "key-mismatch"
    """The record does not allow this algorithm, this use or this identity."""
    KEY_TESTING = "key-testing"
    """t=y: such a signature counts as none (RFC 6376 §3.6.1)."""
    KEY_SHORT = "key-short"
    """RSA below 1024 bits, which must not be verified (RFC 8301 §3.2)."""
    KEY_WEAK = "key-weak"
    """RSA below 2048 bits: the signature holds, our policy does not take it."""

    # the cryptography
    BODY_CHANGED = "body-changed"
    SIGNATURE_WRONG = "signature-wrong"


@dataclass(frozen=True, slots=True)
class DkimSignature:
    """One signature. `domain` (d=), `selector` (s=) and `identity` (i=) are '' where they could not be read.

    `signed` are the names in h= and `present` the names of the mail's header fields, both in lower case, in
    order, repeated as they occur. `digits` are the first eight characters of b= (RFC 6008 §4).
    """

    verdict: Verdict
    reason: DkimReason
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    digits: str = ""
    signed: tuple[str, ...] = ()
    present: tuple[str, ...] = ()

    def names(self, field: str) -> bool:
        """Whether h= names a field, that is: at least one occurrence of it, or its absence, is signed."""
        return field.lower() in self.signed

    def oversigns(self, field: str) -> bool:
        """Whether h= names a field once more often than it occurs: all are signed and none can be added
        (RFC 6376 §8.15).
        """
        key = field.lower()
        return self.signed.count(key) > self.present.count(key)

    def covers_all(self, prefix: str) -> bool:
        """Whether every field present whose name starts with `prefix` is signed and oversigned.

        True where no such field is present: then there is nothing to believe.
        """
        start = prefix.lower()
        signed = Counter(self.signed)
        return all(
            signed[name] > count for name, count in Counter(self.present).items() if name.startswith(start)
        )


_ORDER = (Verdict.PASSED, Verdict.INDETERMINATE, Verdict.FAILED)


@dataclass(frozen=True, slots=True)
class DkimReport:
    """The signatures of a mail, topmost first; `fault` where the mail could not be read at all."""

    signatures: tuple[DkimSignature, ...] = ()
    fault: DkimReason | None = None

    @property
    def verdict(self) -> Verdict:
        """The best of the signatures: a failed one says no more than none would (RFC 6376 §6.1)."""
        if self.fault is not None:
            return Verdict.FAILED
        found = {signature.verdict for signature in self.signatures}
        return next((verdict for verdict in _ORDER if verdict in found), Verdict.NONE)

    @property
    def passed(self) -> tuple[DkimSignature, ...]:
        """The signatures that hold."""
        return tuple(one for one in self.signatures if one.verdict is Verdict.PASSED)
