"""Make a detached CMS signature (RFC 5652 §5, RFC 8551 §2): DER, deterministic except for the signature
itself.

The structure is emitted octet by octet because building it through the ASN.1 library takes 6 ms, five times
the cost of the RSA operation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import pem, x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from certs.algorithms import DIGESTS, AlgorithmRefused, PrivateKey, load_public_key
from certs.cms import DECODING_ERRORS
from certs.der import (
    NULL,
    contents,
    integer,
    object_identifier,
    octet_string,
    primitive,
    sequence,
    set_of,
    tagged,
)

__all__ = ["Signer", "SigningFault", "load_signer", "sign_detached"]


class SigningFault(ValueError):
    """What was given cannot be signed, or not signed with."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key with its certificate and the chain above it (DER, root left out).

    `scheme` is `rsa` (PKCS#1 v1.5), `pss` (salt as long as the digest), `ecdsa` or `ed25519`; `digest` is
    `sha256`, `sha384` or `sha512` and belongs to the key. `micalg` is the name of the digest in
    multipart/signed.
    """

    certificate: bytes
    key: PrivateKey
    chain: tuple[bytes, ...]
    scheme: str
    digest: str
    issuer_and_serial: bytes

    @property
    def micalg(self) -> str:
        """The `micalg` parameter, for example `sha-256` (RFC 8551 §3.5.3.2)."""
        return f"sha-{self.digest.removeprefix('sha')}"


def load_signer(certificate_pem: bytes, key_pem: bytes, chain_pem: bytes = b"", pss: bool = False) -> Signer:
    """Read a signer from PEM; a self-signed certificate in the chain is left out. A key that no receiver of
    ours would believe, such as RSA of 1024 bits, is refused. Raises SigningFault.
    """
    try:
        certificate = _certificates(certificate_pem)[0]
        chain = [other for other in _certificates(chain_pem) if other.self_issued is False]
        key = serialization.load_pem_private_key(key_pem, password=None)
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if certificate.public_key.dump() != spki:
            raise SigningFault("the key does not belong to the certificate")
        identifier = sequence(certificate.issuer.dump(), integer(certificate.serial_number))
    except DECODING_ERRORS as error:
        if isinstance(error, SigningFault):
            raise
        raise SigningFault("certificate, key or chain cannot be read") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise SigningFault(f"keys of kind {type(key).__name__} are not supported")
    try:
        load_public_key(spki)
    except AlgorithmRefused as refused:
        raise SigningFault(f"the key is not accepted: {refused}") from refused
    scheme, digest = _scheme(key, pss)
    return Signer(certificate.dump(), key, tuple(other.dump() for other in chain), scheme, digest, identifier)


def _certificates(text: bytes) -> list[Any]:
    if not text:
        return []
    blocks = pem.unarmor(text, multiple=True)
    return [x509.Certificate.load(der) for kind, _, der in blocks if kind == "CERTIFICATE"]


def _scheme(key: PrivateKey, pss: bool) -> tuple[str, str]:
    """Choose scheme and digest: the digest as strong as the curve (RFC 5754 §3.3, RFC 8419 §2.3)."""
    if isinstance(key, rsa.RSAPrivateKey):
        return ("pss" if pss else "rsa"), "sha256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519", "sha512"
    by_bits = {256: "sha256", 384: "sha384", 521: "sha512"}
    if key.curve.key_size not in by_bits or not key.curve.name.startswith("secp"):
        raise SigningFault(f"curve {key.curve.name} is not supported")
    return "ecdsa", by_bits[key.curve.key_size]


def sign_detached(content: bytes, signers: Sequence[Signer], now: datetime) -> bytes:
    """Return the DER ContentInfo with one SignerInfo per signer over `content`. Raises SigningFault for no
    signer.
    """
    if not signers:
        raise SigningFault("no signer")
    certificates = {der for signer in signers for der in (signer.certificate, *signer.chain)}
    signed_data = sequence(
        integer(1),
        set_of(*{_digest_algorithm(signer.digest) for signer in signers}),
        sequence(_ID_DATA),
        tagged(0, b"".join(sorted(certificates))),
        set_of(*(_signer_info(signer, content, now) for signer in signers)),
    )
    return sequence(object_identifier("1.2.840.113549.1.7.2"), tagged(0, signed_data))


def _signer_info(signer: Signer, content: bytes, now: datetime) -> bytes:
    digest_algorithm, signature_algorithm = _digest_algorithm(signer.digest), _signature_algorithm(signer)
    protection = sequence(digest_algorithm, tagged(1, contents(signature_algorithm)))
    attributes = set_of(
        _attribute("1.2.840.113549.1.9.3", _ID_DATA),
        _attribute("1.2.840.113549.1.9.4", octet_string(hashlib.new(signer.digest, content).digest())),
        _attribute("1.2.840.113549.1.9.5", _time(now)),
        _attribute("1.2.840.113549.1.9.15", _CAPABILITIES),
        _attribute("1.2.840.113549.1.9.16.2.47", _signing_certificate(signer)),
        _attribute("1.2.840.113549.1.9.52", protection),
    )
    return sequence(
        integer(1),
        signer.issuer_and_serial,
        digest_algorithm,
        tagged(0, contents(attributes)),
        signature_algorithm,
        octet_string(_signature(signer, attributes)),
    )


def _signature(signer: Signer, attributes: bytes) -> bytes:
    key, digest = signer.key, DIGESTS[signer.digest]()
    if isinstance(key, rsa.RSAPrivateKey):
        if signer.scheme == "pss":
            # Salt of the digest's length: the longest possible salt crashes gpgsm 2.2 (double free).
            pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
            return key.sign(attributes, pss, digest)
        return key.sign(attributes, padding.PKCS1v15(), digest)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(attributes)
    return key.sign(attributes, ec.ECDSA(digest))


def _signing_certificate(signer: Signer) -> bytes:
    """SigningCertificateV2 (RFC 5035 §3) with the default digest SHA-256, which DER leaves out."""
    certificate_id = sequence(octet_string(hashlib.sha256(signer.certificate).digest()))
    return sequence(sequence(certificate_id))


def _digest_algorithm(digest: str) -> bytes:
    # RFC 5754 §2: parameters absent.
    return sequence(object_identifier(_DIGEST_OIDS[digest]))


def _signature_algorithm(signer: Signer) -> bytes:
    if signer.scheme == "rsa":
        return sequence(object_identifier("1.2.840.113549.1.1.1"), NULL)  # RFC 5754 §3.2
    if signer.scheme == "ed25519":
        return sequence(object_identifier("1.3.101.112"))
    if signer.scheme == "ecdsa":
        suffix = {"sha256": 2, "sha384": 3, "sha512": 4}[signer.digest]
        return sequence(object_identifier(f"1.2.840.10045.4.3.{suffix}"))
    digest = _digest_algorithm(signer.digest)
    parameters = sequence(
        tagged(0, digest),
        tagged(1, sequence(object_identifier("1.2.840.113549.1.1.8"), digest)),
        tagged(2, integer(DIGESTS[signer.digest]().digest_size)),
    )
    return sequence(object_identifier("1.2.840.113549.1.1.10"), parameters)


def _time(now: datetime) -> bytes:
    """Encode the signing time: UTCTime until 2049, GeneralizedTime afterwards (RFC 5652 §11.3)."""
    moment = now.astimezone(UTC)
    if moment.year < 2050:
        return primitive(23, moment.strftime("%y%m%d%H%M%SZ").encode())
    return primitive(24, moment.strftime("%Y%m%d%H%M%SZ").encode())


def _attribute(oid: str, value: bytes) -> bytes:
    return sequence(object_identifier(oid), set_of(value))


_DIGEST_OIDS = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_ID_DATA = object_identifier("1.2.840.113549.1.7.1")
# What may be sent back encrypted, best first (RFC 8551 §2.5.2): AES-GCM, then CBC for older clients.
_CAPABILITIES = sequence(
    *(sequence(object_identifier(f"2.16.840.1.101.3.4.1.{arc}")) for arc in (46, 6, 42, 2))
)
