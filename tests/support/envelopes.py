"""Recipients of encrypted mail for the tests of `certs`: keys of all kinds, certificates for encryption."""

import base64
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.authority import IssuedCertificate, SubjectNames, issue, subject
from certs.der import integer, object_identifier, octet_string, sequence, set_of, tagged
from certs.envelopes import Decryptor, EncryptionTarget, load_decryptor, load_target
from certs.profiles import Profile
from tests.support.certificates import NOW, space

KINDS = ("rsa", "p256", "p384", "p521", "x25519")
"""Kinds of keys that mail can be encrypted for."""

_CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}


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
    suiting = "key_encipherment" if kind.startswith("rsa") else "key_agreement"
    profile = Profile("ORG_CONF", frozenset({usage or suiting}), (ExtendedKeyUsageOID.EMAIL_PROTECTION,))
    names = SubjectNames(addresses=(f"{who}@demo.mssante.example",))
    name = subject(f"{who}.demo.mssante.example", "300000000000017", "CLINIQUE DE TEST", "Haute-Loire (43)")
    key: Any = _key(kind)  # X25519 among them, which `issue` makes nothing of but a certificate
    return issue(space().organisations, profile, name, NOW, names, key)


@cache
def decryptor(kind: str = "rsa", who: str = "a") -> Decryptor:
    """The owner's side of such a certificate."""
    issued = confidential(kind, who)
    return load_decryptor(issued.certificate_pem, issued.key_pem)


@cache
def target(kind: str = "rsa", who: str = "a", gcm: bool = False) -> EncryptionTarget:
    """The sender's side of such a certificate."""
    return load_target(confidential(kind, who).certificate_pem, gcm)


entropy = os.urandom
"""Chance for encryption, where a test does not need its own."""


def built(
    recipients: Sequence[bytes],
    algorithm: bytes,
    ciphertext: bytes,
    tag: bytes | None = None,
    attributes: bytes = b"",
    content: str = "1.2.840.113549.1.7.1",
    chunk: int = 0,
) -> bytes:
    """Build an envelope of any shape: authenticated where there is a `tag`, with `attributes` as the finished
    contents of a SET OF, and in BER chunks of `chunk` octets where it is given.
    """
    inner = tagged(0, ciphertext, constructed=False)
    if chunk:
        parts = [ciphertext[at : at + chunk] for at in range(0, len(ciphertext), chunk)]
        inner = b"\xa0\x80" + b"".join(map(octet_string, parts)) + b"\x00\x00"
    encrypted = sequence(object_identifier(content), algorithm, inner)
    if tag is None:
        kind, body = "1.2.840.113549.1.7.3", sequence(integer(2), set_of(*recipients), encrypted)
    else:
        kind = "1.2.840.113549.1.9.16.1.23"
        bound = tagged(1, attributes) if attributes else b""
        body = sequence(integer(0), set_of(*recipients), encrypted, bound, octet_string(tag))
    return sequence(object_identifier(kind), tagged(0, body))


def mail(encoded: bytes, smime_type: str = "enveloped-data", media: str = "application/pkcs7-mime") -> bytes:
    """Put a CMS structure into a message as its whole body."""
    return (
        b"From: a@demo.mssante.example\r\nTo: b@demo.mssante.example\r\nSubject: essai\r\n"
        + f"Content-Type: {media}; smime-type={smime_type}\r\n".encode()
        + b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(encoded).replace(b"\n", b"\r\n")
    )


def taken(raw: bytes) -> bytes:
    """The CMS structure of such a message."""
    return base64.b64decode(raw.partition(b"\r\n\r\n")[2])


def rewritten_in_chunks(encoded: bytes) -> bytes:
    """The same envelope as gpgsm and NSS write it: indefinite lengths outside, content in chunks."""
    info = cms.ContentInfo.load(encoded)
    body, content = info["content"], info["content"]["encrypted_content_info"]
    ciphertext: bytes = content["encrypted_content"].native
    parts = [octet_string(ciphertext[at : at + 100]) for at in range(0, len(ciphertext), 100)]
    chunks = b"\xa0\x80" + b"".join(parts) + b"\x00\x00"
    head = content["content_type"].dump() + content["content_encryption_algorithm"].dump()
    inner = b"\x30\x80" + head + chunks + b"\x00\x00"
    outer = b"\x30\x80" + body["version"].dump() + body["recipient_infos"].dump() + inner + b"\x00\x00"
    kind = info["content_type"].dump()
    whole: bytes = b"\x30\x80" + kind + b"\xa0\x80" + outer + b"\x00\x00" * 2
    return whole
