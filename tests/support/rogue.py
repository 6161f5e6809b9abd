"""What no honest client writes: signed-data with parts exchanged, certificates and lists that break a rule.

Signatures are true unless a test breaks them, so that each refusal is for the rule and not for the signature.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import algos, cms, core, crl
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from certs.protection import protect
from certs.signing import Signer
from tests.support import certificates

__all__ = ["Issuer", "Signature", "ca", "list_resigned_with_sha1", "mail", "resigned_with_sha1", "structure"]


@dataclass(frozen=True)
class Signature:
    """One signer of a structure; what a test does not change is as an honest client writes it.

    `digest` hashes the content, `hash_inside` the attributes, `algorithm` is what the SignerInfo says.
    """

    signer: Signer
    digest: str = "sha256"
    hash_inside: str = "sha256"
    algorithm: Any = None
    padding: Any = field(default_factory=padding.PKCS1v15)
    attributes: bool = True
    without: frozenset[str] = frozenset()
    extra: tuple[tuple[str, Sequence[Any]], ...] = ()
    content_type: str = "data"
    unsigned: tuple[tuple[str, Sequence[Any]], ...] = ()


def structure(
    content: bytes,
    *signatures: Signature,
    encapsulated: bytes | None = None,
    certificates_too: Sequence[bytes] | None = None,
    kind: str = "data",
    at: datetime = certificates.NOW,
) -> bytes:
    """Return the DER signed-data over `content`, which is inside only where `encapsulated` is given."""
    enclosed = {der for one in signatures for der in (one.signer.certificate, *one.signer.chain)}
    chosen = sorted(enclosed) if certificates_too is None else certificates_too
    inner: dict[str, Any] = {"content_type": kind}
    if encapsulated is not None:
        inner["content"] = encapsulated
    signed = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [{"algorithm": one.digest} for one in signatures],
            "encap_content_info": inner,
            "certificates": [
                cms.CertificateChoices("certificate", asn1.Certificate.load(der)) for der in chosen
            ],
            "signer_infos": [_signer_info(content, one, at) for one in signatures],
        }
    )
    encoded: bytes = cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()
    return encoded


def _signer_info(content: bytes, one: Signature, at: datetime) -> cms.SignerInfo:
    leaf = asn1.Certificate.load(one.signer.certificate)
    digest = hashlib.new(one.digest, content).digest()
    found = {
        "content_type": [one.content_type],
        "message_digest": [digest],
        "signing_time": [cms.Time({"utc_time": at})],
    }
    pairs = [(name, values) for name, values in found.items() if name not in one.without]
    attributes = cms.CMSAttributes(
        [{"type": name, "values": values} for name, values in (*pairs, *one.extra)]
    )
    info: dict[str, Any] = {
        "version": "v1",
        "sid": cms.SignerIdentifier(
            "issuer_and_serial_number", {"issuer": leaf.issuer, "serial_number": leaf.serial_number}
        ),
        "digest_algorithm": {"algorithm": one.digest},
        "signature_algorithm": one.algorithm or _algorithm(one),
        "signature": _sign(one, attributes.untag().dump() if one.attributes else content),
    }
    if one.attributes:
        info["signed_attrs"] = attributes
    if one.unsigned:
        info["unsigned_attrs"] = [{"type": name, "values": values} for name, values in one.unsigned]
    return cms.SignerInfo(info)


def _algorithm(one: Signature) -> algos.SignedDigestAlgorithm:
    key = one.signer.key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return algos.SignedDigestAlgorithm({"algorithm": f"{one.hash_inside}_ecdsa"})
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return algos.SignedDigestAlgorithm({"algorithm": "ed25519"})
    return algos.SignedDigestAlgorithm({"algorithm": "rsassa_pkcs1v15"})


def _sign(one: Signature, octets: bytes) -> bytes:
    key = one.signer.key
    known: dict[str, Callable[[], hashes.HashAlgorithm]] = {
        "md5": hashes.MD5, "sha1": hashes.SHA1, "sha224": hashes.SHA224,
        "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512,
    }  # fmt: skip
    algorithm = known[one.hash_inside]()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(octets)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(octets, ec.ECDSA(algorithm))
    return key.sign(octets, one.padding, algorithm)


def mail(
    cms_octets: bytes, entity: bytes | None = None, headers: Sequence[tuple[str, str]] | None = None
) -> bytes:
    """Put a detached structure beside the entity that it signs; both in one multipart/signed."""
    top = "".join(f"{name}: {value}\r\n" for name, value in headers or certificates.headers())
    part = signed_entity() if entity is None else entity
    encoded = base64.encodebytes(cms_octets).replace(b"\n", b"\r\n")
    return (
        top.encode()
        + b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary="b"\r\n'
        + b"\r\n--b\r\n"
        + part
        + b"\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encoded
        + b"--b--\r\n"
    )


def signed_entity(headers: Sequence[tuple[str, str]] | None = None) -> bytes:
    """The entity of the tests with its header protected."""
    return protect(headers or certificates.headers(), certificates.ENTITY)


@dataclass(frozen=True)
class Issuer:
    """An authority of a test: its certificate and key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    above: tuple[x509.Certificate, ...] = ()

    def issue(
        self,
        name: str = "feuille",
        key: rsa.RSAPrivateKey | None = None,
        address: str | None = certificates.ADDRESS,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        lifetime: timedelta = timedelta(days=300),
    ) -> Signer:
        """A signer below this authority; its certificate has the given extensions and an address."""
        own = key or rsa.generate_private_key(65537, 2048)
        builder = _builder(name, self.certificate.subject, own, lifetime)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        if address is not None:
            names = x509.SubjectAlternativeName([x509.RFC822Name(address)])
            builder = builder.add_extension(names, critical=False)
        return signer_of(builder.sign(self.key, hashes.SHA256()), own, (self.certificate, *self.above))

    def revocations(self, *lines: tuple[int, datetime], signed_by: rsa.RSAPrivateKey | None = None,
                    scope: x509.IssuingDistributionPoint | None = None) -> bytes:  # fmt: skip
        """A current list of this authority, DER."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(certificates.NOW - timedelta(hours=1))
            .next_update(certificates.NOW + timedelta(days=7))
        )
        for serial, moment in lines:
            line = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment).build()
            builder = builder.add_revoked_certificate(line)
        if scope is not None:
            builder = builder.add_extension(scope, critical=True)
        made = builder.sign(signed_by or self.key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def ca(
    name: str,
    issuer: Issuer | None = None,
    bits: int = 2048,
    path_length: int | None = None,
    is_ca: bool = True,
    usage: str = "key_cert_sign",
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Issuer:
    """Make an authority, self-signed without `issuer`."""
    key = rsa.generate_private_key(65537, bits)
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    usages = x509.KeyUsage(**{one: one in (usage, "crl_sign") for one in names})
    above = _name(name) if issuer is None else issuer.certificate.subject
    builder = _builder(name, above, key, timedelta(days=3650))
    builder = builder.add_extension(x509.BasicConstraints(is_ca, path_length if is_ca else None), True)
    builder = builder.add_extension(usages, True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(key if issuer is None else issuer.key, hashes.SHA256())
    return Issuer(made, key, () if issuer is None else (issuer.certificate, *issuer.above))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _builder(
    name: str, issuer: x509.Name, key: rsa.RSAPrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(certificates.NOW - timedelta(days=30))
        .not_valid_after(certificates.NOW - timedelta(days=30) + lifetime)
    )


def signer_of(leaf: x509.Certificate, key: Any, chain: Sequence[x509.Certificate]) -> Signer:
    """A signer as the tests sign with it; nothing about the certificate is checked."""
    der = serialization.Encoding.DER
    return Signer(
        leaf.public_bytes(der), key, tuple(one.public_bytes(der) for one in chain), "rsa", "sha256", b""
    )


def list_resigned_with_sha1(octets: bytes, by: Issuer) -> bytes:
    """The same revocation list, signed with SHA-1."""
    loaded = crl.CertificateList.load(octets)
    algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha1_rsa", "parameters": core.Null()})
    loaded["tbs_cert_list"]["signature"] = algorithm
    loaded["signature_algorithm"] = algorithm
    body = loaded["tbs_cert_list"].dump(force=True)
    loaded["signature"] = by.key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    encoded: bytes = loaded.dump(force=True)
    return encoded


def resigned_with_sha1(issuer: Issuer, by: Issuer) -> Issuer:
    """The same authority, its certificate signed with SHA-1 by the one above."""
    loaded = asn1.Certificate.load(issuer.certificate.public_bytes(serialization.Encoding.DER))
    algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha1_rsa", "parameters": core.Null()})
    loaded["tbs_certificate"]["signature"] = algorithm
    loaded["signature_algorithm"] = algorithm
    octets = loaded["tbs_certificate"].dump(force=True)
    loaded["signature_value"] = by.key.sign(octets, padding.PKCS1v15(), hashes.SHA1())
    return replace(issuer, certificate=x509.load_der_x509_certificate(loaded.dump(force=True)))
