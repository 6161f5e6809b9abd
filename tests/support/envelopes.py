"""Recipients of encrypted mail for the tests of `certs`: keys of all kinds, certificates for encryption."""

import os
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.authority import IssuedCertificate, subject
from certs.envelopes import Decryptor, EncryptionTarget, load_decryptor, load_target
from tests.support.certificates import NOW, space

KINDS = ("rsa", "p256", "p384", "p521", "x25519")
"""Kinds of keys that mail can be encrypted for."""

_CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _key(kind: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey:
    if kind == "x25519":
        return x25519.X25519PrivateKey.generate()
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    return rsa.generate_private_key(65537, int(kind.partition("-")[2] or 2048))


def confidential(kind: str = "rsa", who: str = "a", usage: str | None = None) -> IssuedCertificate:
    """Issue a certificate for encryption (shaped like ORG_CONF) once per run, kind of key and owner.

    `usage` replaces the key usage that suits the kind.
    """
    return _confidential(kind, who, usage)


@cache
def _confidential(kind: str, who: str, usage: str | None) -> IssuedCertificate:
    key, authority = _key(kind), space().organisations
    chosen = usage or ("key_encipherment" if kind.startswith("rsa") else "key_agreement")
    builder = (
        x509.CertificateBuilder()
        .subject_name(
            subject(f"{who}.demo.mssante.example", "300000000000017", "CLINIQUE", "Haute-Loire (43)")
        )
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW.replace(year=NOW.year - 1))
        .not_valid_after(NOW.replace(year=NOW.year + 1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(x509.KeyUsage(**{name: name == chosen for name in _USAGES}), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(f"{who}@demo.mssante.example")]), False)
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate = builder.sign(authority.key, hashes.SHA256()).public_bytes(pem)
    return IssuedCertificate(certificate, private, authority.certificate_pem)


def decryptor(kind: str = "rsa", who: str = "a") -> Decryptor:
    """The owner's side of such a certificate."""
    issued = confidential(kind, who)
    return load_decryptor(issued.certificate_pem, issued.key_pem)


def target(kind: str = "rsa", who: str = "a", gcm: bool = False) -> EncryptionTarget:
    """The sender's side of such a certificate."""
    return load_target(confidential(kind, who).certificate_pem, gcm)


entropy = os.urandom
"""Chance for encryption, where a test does not need its own."""
