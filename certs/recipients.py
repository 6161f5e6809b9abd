"""The content key of an envelope for its recipients: given by RSA (RFC 8551 §2.3), agreed by ECDH (RFC 5753,
RFC 8418).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from asn1crypto import pem, x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from certs.algorithms import RSA_BITS
from certs.cms import DECODING_ERRORS
from certs.der import (
    NULL,
    bit_string,
    contents,
    integer,
    object_identifier,
    octet_string,
    sequence,
    tagged,
)
from certs.enveloped import Agreed, Identifier, Transported

__all__ = [
    "Decryptor",
    "DecryptorFault",
    "EncryptionFault",
    "EncryptionTarget",
    "Transport",
    "UnwrapFault",
    "check_target",
    "load_decryptor",
    "load_target",
    "recipient_info",
    "unwrap",
]

DecryptionKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey
EncryptionKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | x25519.X25519PublicKey

_DIGESTS: Mapping[str, type[hashes.HashAlgorithm]] = MappingProxyType(
    {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
)
"""SHA-1, openssl's default, is accepted inside of OAEP and key derivation, where collisions do not matter."""

_X963, _HKDF = "x963", "hkdf"
_SCHEMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # stdDH and cofactorDH are one and the same on curves of cofactor 1 (RFC 5753 §7.1.4)
        "1.3.133.16.840.63.0.2": (_X963, "sha1"),
        "1.3.132.1.11.1": (_X963, "sha256"),
        "1.3.132.1.11.2": (_X963, "sha384"),
        "1.3.132.1.11.3": (_X963, "sha512"),
        "1.3.133.16.840.63.0.3": (_X963, "sha1"),
        "1.3.132.1.14.1": (_X963, "sha256"),
        "1.3.132.1.14.2": (_X963, "sha384"),
        "1.3.132.1.14.3": (_X963, "sha512"),
        "1.2.840.113549.1.9.16.3.19": (_HKDF, "sha256"),
        "1.2.840.113549.1.9.16.3.20": (_HKDF, "sha384"),
        "1.2.840.113549.1.9.16.3.21": (_HKDF, "sha512"),
    }
)
_WRAP_OCTETS = {"2.16.840.1.101.3.4.1.5": 16, "2.16.840.1.101.3.4.1.25": 24, "2.16.840.1.101.3.4.1.45": 32}
_AES_256_WRAP = "2.16.840.1.101.3.4.1.45"
_CURVES = {
    "secp256r1": "1.3.132.1.11.1",
    "secp384r1": "1.3.132.1.11.2",
    "secp521r1": "1.3.132.1.11.3",
}
"""Curves, each with the scheme that we write for it: the digest as strong as the curve."""
_X25519_SCHEME = "1.2.840.113549.1.9.16.3.19"  # HKDF with SHA-256: the MUST of RFC 8551 §2.3
_SUBSTITUTE = b"content key in place of one that RSA did not give"


class DecryptorFault(ValueError):
    """Certificate and key cannot be read, do not belong together or are of a kind that decrypts nothing."""


class EncryptionFault(ValueError):
    """A message cannot be encrypted for these targets: none, too many, or one that must not be used."""


class UnwrapFault(ValueError):
    """There is no content key for us. The text is for tests only, never for a peer."""


class Transport(Enum):
    """How RSA encrypts the content key."""

    BY_CAPABILITY = "by-capability"
    """OAEP where the content is AES-GCM, else PKCS#1 v1.5: readers of one mostly know the other."""
    PKCS1 = "pkcs1"
    OAEP = "oaep"


@dataclass(frozen=True, slots=True)
class Decryptor:
    """A certificate (DER) with its private key: RSA, EC on P-256, P-384 or P-521, or X25519.

    `key_identifier` is empty where the certificate has none. `substitute` keys the content keys that stand in
    for those that RSA did not give. `authenticated_only` pins the key to AES-GCM: whoever sends an AES-GCM
    content anew as AES-CBC, to learn from what becomes of it (RFC 9709 §1), gets nothing opened.
    """

    certificate: bytes
    key: DecryptionKey = field(repr=False)
    issuer: bytes
    serial: int
    key_identifier: bytes
    substitute: bytes = field(repr=False)
    authenticated_only: bool = False

    def is_named(self, identifier: Identifier) -> bool:
        """Whether a recipient's identifier means this certificate (RFC 5652 §6.2.1)."""
        if identifier.key_identifier:
            return identifier.key_identifier == self.key_identifier
        if identifier.serial != self.serial:
            return False
        same: bool = identifier.issuer == self.issuer or (
            x509.Name.load(identifier.issuer) == x509.Name.load(self.issuer)
        )
        return same


@dataclass(frozen=True, slots=True)
class EncryptionTarget:
    """Whom to encrypt for: a certificate (DER) that the caller believes, and whether its owner reads
    AES-GCM.
    """

    certificate: bytes
    gcm: bool = False


def load_decryptor(certificate_pem: bytes, key_pem: bytes, authenticated_only: bool = False) -> Decryptor:
    """Read a certificate and its unencrypted private key from PEM. Raises DecryptorFault."""
    try:
        certificate = x509.Certificate.load(_certificate(certificate_pem), strict=True)
        key = serialization.load_pem_private_key(key_pem, password=None)
        public = certificate.public_key.dump()
        issuer, serial = certificate.issuer.dump(), certificate.serial_number
        identifier = certificate.key_identifier or b""
    except (UnsupportedAlgorithm, *DECODING_ERRORS) as error:
        raise DecryptorFault("certificate or key cannot be read") from error
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if not isinstance(key, DecryptionKey):
        raise DecryptorFault(f"keys of kind {type(key).__name__} decrypt nothing")
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in _CURVES:
        raise DecryptorFault(f"curve {key.curve.name} is not supported")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size not in RSA_BITS:
        raise DecryptorFault(f"RSA of {key.key_size} bits is not supported")
    if key.public_key().public_bytes(encoding, form) != public:
        raise DecryptorFault("the key does not belong to the certificate")
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    substitute = hmac.digest(secret, _SUBSTITUTE, "sha256")
    return Decryptor(certificate.dump(), key, issuer, serial, identifier, substitute, authenticated_only)


def load_target(certificate_pem: bytes, gcm: bool = False) -> EncryptionTarget:
    """Read the certificate of a recipient from PEM. Raises EncryptionFault where it must not be used."""
    try:
        target = EncryptionTarget(_certificate(certificate_pem), gcm)
    except DECODING_ERRORS as error:
        raise EncryptionFault("the certificate cannot be read") from error
    _public_key(target)
    return target


def check_target(target: EncryptionTarget) -> None:
    """Raise EncryptionFault where a certificate must not be encrypted to: its usage or its key."""
    _public_key(target)


def _certificate(text: bytes) -> bytes:
    kind, _, der = pem.unarmor(text)
    if kind != "CERTIFICATE":
        raise ValueError(f"{kind} is not a certificate")
    octets: bytes = der
    return octets


def unwrap(decryptor: Decryptor, given: Transported | Agreed, size: int) -> bytes:
    """Return the content key of `size` octets. Raises UnwrapFault, but never for what RSA makes of a key.

    A key that RSA does not give is replaced by one that follows from the private key and the ciphertext, so
    that whoever sends altered ones learns nothing from the outcome (RFC 3218 §2.3): the same path is taken,
    and the content does not open. The RSA of OpenSSL does likewise inside of its padding check.
    """
    key = decryptor.key
    if isinstance(given, Transported) and isinstance(key, rsa.RSAPrivateKey):
        substitute = hmac.digest(decryptor.substitute, given.encrypted_key, "sha256")[:size]
        try:
            found = key.decrypt(given.encrypted_key, _rsa_padding(given))
        except ValueError:
            found = b""
        return found if len(found) == size else substitute
    if isinstance(given, Agreed) and not isinstance(key, rsa.RSAPrivateKey):
        wrapping = _derived(_shared_secret(key, given.originator), given.scheme, given.wrap_oid, given)
        try:
            found = aes_key_unwrap(wrapping, given.encrypted_key)
        except (InvalidUnwrap, ValueError) as error:
            raise UnwrapFault("the wrapped key is not intact") from error
        if len(found) != size:
            raise UnwrapFault("the key is not of the cipher's length")
        return found
    raise UnwrapFault("the key is not of the algorithm's kind")


def _rsa_padding(given: Transported) -> padding.AsymmetricPadding:
    if not given.digest:
        return padding.PKCS1v15()
    if given.digest not in _DIGESTS or given.mask_digest not in _DIGESTS:
        raise UnwrapFault("OAEP digest")
    mask = padding.MGF1(_DIGESTS[given.mask_digest]())
    return padding.OAEP(mask, _DIGESTS[given.digest](), given.label or None)


def _shared_secret(key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey, originator: bytes) -> bytes:
    """Agree with the sender's ephemeral key; points off the curve and of small order are refused."""
    try:
        if isinstance(key, x25519.X25519PrivateKey):
            return key.exchange(x25519.X25519PublicKey.from_public_bytes(originator))
        point = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, originator)
        return key.exchange(ec.ECDH(), point)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnwrapFault("the ephemeral key is not of our curve") from error


def _derived(secret: bytes, scheme: str, wrap_oid: str, given: Agreed) -> bytes:
    """Derive the wrapping key from the shared secret and ECC-CMS-SharedInfo (RFC 5753 §7.2)."""
    size = _WRAP_OCTETS.get(wrap_oid)
    if size is None or scheme not in _SCHEMES:
        raise UnwrapFault("key agreement is not supported")
    parts = [given.wrap]
    if given.ukm is not None:
        parts.append(tagged(0, octet_string(given.ukm)))
    parts.append(tagged(2, octet_string((size * 8).to_bytes(4))))
    shared = sequence(*parts)
    function, digest = _SCHEMES[scheme]
    algorithm = _DIGESTS[digest]()
    if function == _X963:
        return X963KDF(algorithm, size, shared).derive(secret)
    return HKDF(algorithm, size, None, shared).derive(secret)


# -- writing -------------------------------------------------------------------------------------------


def recipient_info(
    target: EncryptionTarget, content_key: bytes, oaep: bool, entropy: Callable[[int], bytes]
) -> bytes:
    """Return the RecipientInfo (DER) that gives a content key to a target. Raises EncryptionFault.

    RSA by OAEP with SHA-256 or by PKCS#1 v1.5, of which the padding's chance is the library's own; EC and
    X25519 with an ephemeral key from `entropy`, AES-256 key wrap.
    """
    certificate = x509.Certificate.load(target.certificate)
    identifier = sequence(certificate.issuer.dump(), integer(certificate.serial_number))
    key = _public_key(target)
    if isinstance(key, rsa.RSAPublicKey):
        scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        encrypted = key.encrypt(content_key, scheme if oaep else padding.PKCS1v15())
        algorithm = _OAEP_SHA_256 if oaep else sequence(object_identifier("1.2.840.113549.1.1.1"), NULL)
        return sequence(integer(0), identifier, algorithm, octet_string(encrypted))
    scheme_oid, originator, secret, point = _ephemeral(key, entropy)
    wrap = sequence(object_identifier(_AES_256_WRAP))
    agreed = Agreed(b"", scheme_oid, wrap, _AES_256_WRAP, point, None)
    wrapped = aes_key_wrap(_derived(secret, scheme_oid, _AES_256_WRAP, agreed), content_key)
    return tagged(
        1,
        integer(3)
        + tagged(0, tagged(1, contents(originator)))
        + sequence(object_identifier(scheme_oid), wrap)
        + sequence(sequence(identifier, octet_string(wrapped))),
    )


def _ephemeral(
    key: ec.EllipticCurvePublicKey | x25519.X25519PublicKey, entropy: Callable[[int], bytes]
) -> tuple[str, bytes, bytes, bytes]:
    """Make an ephemeral key: scheme, OriginatorPublicKey (DER), shared secret, public key as octets."""
    if isinstance(key, x25519.X25519PublicKey):
        own = x25519.X25519PrivateKey.from_private_bytes(entropy(32))
        point = own.public_key().public_bytes_raw()
        algorithm, scheme, secret = "1.3.101.110", _X25519_SCHEME, own.exchange(key)
    else:
        # 64 bits more than the order's, so that the remainder is even enough (FIPS 186-5 A.2.1)
        chance = int.from_bytes(entropy((key.curve.key_size + 7) // 8 + 8))
        scalar = chance % (key.curve.group_order - 1) + 1
        private = ec.derive_private_key(scalar, key.curve)
        form = serialization.PublicFormat.UncompressedPoint
        point = private.public_key().public_bytes(serialization.Encoding.X962, form)
        algorithm, scheme = "1.2.840.10045.2.1", _CURVES[key.curve.name]
        secret = private.exchange(ec.ECDH(), key)
    return scheme, sequence(sequence(object_identifier(algorithm)), bit_string(point)), secret, point


def _public_key(target: EncryptionTarget) -> EncryptionKey:
    """Load a target's key and refuse what its certificate does not allow (RFC 8550 §4.4.2)."""
    try:
        certificate = x509.Certificate.load(target.certificate, strict=True)
        key = serialization.load_der_public_key(certificate.public_key.dump())
        usage: Any = certificate.key_usage_value
        allowed = None if usage is None else usage.native
        extended: Any = certificate.extended_key_usage_value
        purposes = None if extended is None else set(extended.native)
    except (UnsupportedAlgorithm, *DECODING_ERRORS) as error:
        raise EncryptionFault("the certificate cannot be read") from error
    if isinstance(key, rsa.RSAPublicKey):
        wanted, strong = "key_encipherment", key.key_size in RSA_BITS
    elif isinstance(key, ec.EllipticCurvePublicKey):
        wanted, strong = "key_agreement", key.curve.name in _CURVES
    elif isinstance(key, x25519.X25519PublicKey):
        wanted, strong = "key_agreement", True
    else:
        raise EncryptionFault(f"keys of kind {type(key).__name__} cannot be encrypted for")
    if not strong:
        raise EncryptionFault("the certificate's key is too weak or of an unknown curve")
    if allowed is not None and wanted not in allowed:
        raise EncryptionFault("the certificate's key usage does not allow encryption")
    if purposes is not None and not purposes & {"email_protection", "any_extended_key_usage"}:
        raise EncryptionFault("the certificate is not for mail")
    return key


_SHA_256 = sequence(object_identifier("2.16.840.1.101.3.4.2.1"), NULL)
_OAEP_SHA_256 = sequence(
    object_identifier("1.2.840.113549.1.1.7"),
    sequence(
        tagged(0, _SHA_256),
        tagged(1, sequence(object_identifier("1.2.840.113549.1.1.8"), _SHA_256)),
    ),
)
