"""Which algorithms a signature may use, and the primitive that checks it (RFC 8551 §2.1-2.2, RFC 5754, RFC
8419).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from certs.verdicts import Reason

__all__ = [
    "DIGESTS",
    "AlgorithmRefused",
    "PrivateKey",
    "PublicKey",
    "SignatureAlgorithm",
    "check_digest",
    "load_public_key",
    "read_algorithm",
    "verify",
]

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
"""Keys that this project signs with."""
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
"""Their public halves."""

DIGESTS: Mapping[str, type[hashes.HashAlgorithm]] = MappingProxyType(
    {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
)
"""Digests that are accepted, by their asn1crypto names."""

_WEAK_DIGESTS = frozenset({"md2", "md5", "sha1", "sha224"})
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
RSA_BITS = range(2048, 8193)
"""RSA below 2048 bits is weak; above 8192 a single verification costs a denial of service its price."""


class AlgorithmRefused(Exception):
    """An algorithm or key that policy does not accept; `reason` says which rule."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep the named reason beside the text."""
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """A signature algorithm bound to one digest; `kind` is `rsa`, `pss`, `ecdsa` or `ed25519`, salt in
    octets.
    """

    kind: str
    digest: str
    salt: int = 0


def check_digest(name: str) -> str:
    """Return `name` when it is accepted. Raises AlgorithmRefused."""
    if name in DIGESTS:
        return name
    weak = name in _WEAK_DIGESTS
    raise AlgorithmRefused(Reason.ALGORITHM_WEAK if weak else Reason.ALGORITHM_UNSUPPORTED, f"digest {name}")


def read_algorithm(signature: Any, digest: str) -> SignatureAlgorithm:
    """Read an `asn1crypto` SignedDigestAlgorithm and hold it against the signer's digest algorithm.

    The digest inside the signature algorithm and the one that hashed the content must be the same: otherwise
    the weaker of the two could be chosen by an attacker (RFC 6211 §1). Raises AlgorithmRefused.
    """
    name = signature["algorithm"].native
    if name == "rsassa_pss":
        return _read_pss(signature["parameters"], digest)
    if name == "ed25519":
        bound, kind = "sha512", "ed25519"  # RFC 8419 §2.3
    elif name == "rsassa_pkcs1v15":
        bound, kind = digest, "rsa"
    elif name.endswith(("_rsa", "_ecdsa")):
        bound, _, kind = name.rpartition("_")
        check_digest(bound)
    else:
        raise AlgorithmRefused(Reason.ALGORITHM_UNSUPPORTED, f"signature algorithm {name}")
    if bound != digest:
        raise AlgorithmRefused(Reason.ALGORITHM_MISMATCH, f"{name} with digest {digest}")
    return SignatureAlgorithm(kind, digest)


def _read_pss(parameters: Any, digest: str) -> SignatureAlgorithm:
    """Read RSASSA-PSS parameters (RFC 4055 §3.1): one digest throughout, MGF1, trailer 1."""
    mask = parameters["mask_gen_algorithm"]
    inner = parameters["hash_algorithm"]["algorithm"].native
    check_digest(inner)
    if (
        mask["algorithm"].native != "mgf1"
        or mask["parameters"]["algorithm"].native != inner
        or parameters["trailer_field"].native != "trailer_field_bc"
        or inner != digest
    ):
        raise AlgorithmRefused(Reason.ALGORITHM_MISMATCH, "RSASSA-PSS parameters")
    salt = parameters["salt_length"].native
    if not 0 <= salt <= 1024:
        raise AlgorithmRefused(Reason.ALGORITHM_MISMATCH, "RSASSA-PSS salt length")
    return SignatureAlgorithm("pss", digest, salt)


def load_public_key(info: bytes) -> PublicKeyTypes:
    """Load a DER SubjectPublicKeyInfo and refuse weak keys. Raises AlgorithmRefused."""
    try:
        key = serialization.load_der_public_key(info)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AlgorithmRefused(Reason.ALGORITHM_UNSUPPORTED, "public key not supported") from error
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in RSA_BITS:
            weak = key.key_size < RSA_BITS.start
            raise AlgorithmRefused(
                Reason.KEY_WEAK if weak else Reason.ALGORITHM_UNSUPPORTED, f"RSA of {key.key_size} bits"
            )
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in _CURVES:
            raise AlgorithmRefused(Reason.ALGORITHM_UNSUPPORTED, f"curve {key.curve.name}")
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise AlgorithmRefused(Reason.ALGORITHM_UNSUPPORTED, type(key).__name__)
    return key


def verify(algorithm: SignatureAlgorithm, key: PublicKeyTypes, signature: bytes, signed: bytes) -> None:
    """Check `signature` over `signed`. Raises AlgorithmRefused (SIGNATURE_WRONG, ALGORITHM_MISMATCH)."""
    digest = DIGESTS[algorithm.digest]()
    try:
        if algorithm.kind == "rsa" and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), digest)
        elif algorithm.kind == "pss" and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PSS(padding.MGF1(digest), algorithm.salt), digest)
        elif algorithm.kind == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(digest))
        elif algorithm.kind == "ed25519" and isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        else:
            raise AlgorithmRefused(Reason.ALGORITHM_MISMATCH, "the key is not of the algorithm's kind")
    except (InvalidSignature, ValueError) as error:
        raise AlgorithmRefused(Reason.SIGNATURE_WRONG, "signature does not verify") from error
