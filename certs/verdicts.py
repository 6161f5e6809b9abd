"""What was found about a signature: a three-valued verdict, a named reason and who signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Note", "PathResult", "Reason", "SignatureReport", "SignerReport", "Verdict", "worst"]


class Verdict(StrEnum):
    """Outcome of a trust question. Indeterminate is answered 4xx and never treated as passed."""

    PASSED = "passed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"
    NONE = "none"
    """There was nothing to judge: the message carries no signature over its whole body."""


class Reason(StrEnum):
    """Why a verdict is what it is. Each member has one meaning and is stable: it is stored and logged."""

    GENUINE = "genuine"
    """Signature, certificate path and author all hold."""

    # verdict none
    UNSIGNED = "unsigned"
    PARTLY_SIGNED = "partly-signed"
    """A signed part exists but is not the whole body, so what is shown is not what was signed."""
    ENCRYPTED = "encrypted"
    CERTIFICATES_ONLY = "certificates-only"

    # the message cannot be read as a signed one
    MALFORMED = "malformed"
    CONTENT_TWICE = "content-twice"
    """A detached signature that also encapsulates content (CVE-2018-18509)."""
    CONTENT_MISSING = "content-missing"
    COMPRESSED = "compressed"
    """compressed-data is refused: its expansion is unbounded."""

    # the signature itself
    TOO_MANY_SIGNERS = "too-many-signers"
    CERTIFICATE_MISSING = "certificate-missing"
    ATTRIBUTES_MISSING = "attributes-missing"
    ATTRIBUTES_WRONG = "attributes-wrong"
    DIGEST_WRONG = "digest-wrong"
    SIGNATURE_WRONG = "signature-wrong"
    ALGORITHM_MISMATCH = "algorithm-mismatch"
    ALGORITHM_WEAK = "algorithm-weak"
    ALGORITHM_UNSUPPORTED = "algorithm-unsupported"
    KEY_WEAK = "key-weak"

    # the certificate
    UNTRUSTED = "untrusted-issuer"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    REVOKED = "revoked"
    REVOCATION_UNKNOWN = "revocation-unknown"
    USAGE = "usage-not-allowed"
    PATH_INVALID = "path-invalid"

    # time and author
    SIGNED_IN_FUTURE = "signed-in-future"
    DATE_DIFFERS = "date-differs"
    """The Date field is more than an hour from the signing time: a replayed or re-dated message."""
    FROM_MISSING = "from-missing"
    FROM_AMBIGUOUS = "from-ambiguous"
    FROM_DIFFERS = "from-differs"
    """The From shown is not the protected From, or no signer's certificate carries its address."""
    SENDER_UNBOUND = "sender-unbound"
    """The certificate has no address and no configured rule binds it to the From domain."""


class Note(StrEnum):
    """An observation that does not change the verdict but must be shown."""

    HEADERS_DIFFER = "headers-differ"
    """A protected header field differs from the outer one; the protected one is believed (RFC 9788 §4)."""
    DISPLAY_NAME_ADDRESS = "display-name-address"
    """The display name of From shows an address that is not the sender's."""
    SENDER_DIFFERS = "sender-differs"
    """A Sender field names somebody else than From, whom the signature does not speak for."""
    MEANT_TO_BE_ENCRYPTED = "meant-to-be-encrypted"
    """The sender protected the headers as of an encrypted message (`hp="cipher"`), and it came in clear: the
    secret was lost on the way, or somebody passes on what was written to others (RFC 9788 §4.7)."""


@dataclass(frozen=True, slots=True)
class PathResult:
    """Verdict on a certificate for one usage; `detail` is an English phrase that names nobody."""

    verdict: Verdict
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SignerReport:
    """One signer: who the certificate names and whether this signature and its path hold.

    `subject` and `issuer` are RFC 4514 texts, `fingerprint` is the SHA-256 of the certificate in lower-case
    hex, `addresses` are the mail addresses of the certificate in lower case. They are empty where no
    certificate was found. `capabilities` is the signed attribute smimeCapabilities, for
    `envelopes.read_capabilities`, given only when the verdict is passed.
    """

    verdict: Verdict
    reason: Reason
    detail: str = ""
    subject: str = ""
    issuer: str = ""
    serial: int = 0
    addresses: tuple[str, ...] = ()
    signing_time: datetime | None = None
    fingerprint: str = ""
    capabilities: bytes = b""


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """The verdict on a whole message.

    `protected_headers` are the fields of the signed part under RFC 9788 (name, unfolded value), in order;
    they are given only when the verdict is passed. `differing_headers` names those that the outer header
    contradicts. `entity` is the signed MIME entity, byte for byte, whatever the verdict, None when nothing
    was signed.
    """

    verdict: Verdict
    reason: Reason
    detail: str = ""
    signers: tuple[SignerReport, ...] = ()
    protected_headers: tuple[tuple[str, str], ...] = ()
    differing_headers: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    entity: bytes | None = None


_SEVERITY = {Verdict.NONE: 0, Verdict.PASSED: 1, Verdict.INDETERMINATE: 2, Verdict.FAILED: 3}


def worst(signers: tuple[SignerReport, ...]) -> SignerReport:
    """Return the signer that decides: failed before indeterminate before passed; the first of equals.

    Raises ValueError for no signers: the caller has to say what that means.
    """
    return max(signers, key=lambda signer: _SEVERITY[signer.verdict])
