"""A certification authority for tests and demonstrations: root, intermediate, certificates and CRLs in
memory.

Nothing here decides about trust; keys and serial numbers are random, times are passed in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from certs.algorithms import PrivateKey, PublicKey
from certs.profiles import Profile

__all__ = [
    "CRL_LIFETIME",
    "Authority",
    "IssuedCertificate",
    "PersonNames",
    "Revocation",
    "SubjectNames",
    "create_intermediate",
    "create_root",
    "generate_key",
    "issue",
    "issue_crl",
    "key_pem",
    "sign_certificate",
    "subject",
]

# Peers' clocks differ by minutes; a certificate made now must already be valid for them.
_BACKDATE = timedelta(hours=1)
_AUTHORITY_LIFETIME = timedelta(days=20 * 365)
CRL_LIFETIME = timedelta(days=90)
"""How long a CRL is current unless told otherwise."""
_ANY_POLICY = "2.5.29.32.0"
_KEY_USAGES = (
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


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can issue: its certificate, its key and the CA certificates above it, root last."""

    certificate: x509.Certificate
    key: PrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def certificate_pem(self) -> bytes:
        """The CA certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        """What is sent with a certificate issued here: this CA and those above it, PEM.

        The receiver has the root or has no reason to believe it, so it is left out.
        """
        chain = [ca for ca in (self.certificate, *self.above) if ca.issuer != ca.subject]
        return b"".join(ca.public_bytes(serialization.Encoding.PEM) for ca in chain)


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """An end-entity certificate with its key (PKCS#8, unencrypted) and the intermediates above it, root left
    out.
    """

    certificate_pem: bytes
    key_pem: bytes
    chain_pem: bytes


@dataclass(frozen=True, slots=True)
class SubjectNames:
    """Alternative names: DNS names or IP addresses as text in `hosts`, mail addresses in `addresses`."""

    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Revocation:
    """One line of a CRL; `reason` is a name of RFC 5280 §5.3.1 (`keyCompromise`), empty for none."""

    serial: int
    revoked_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PersonNames:
    """Surname and given name of a person, which stand in the subject beside the common name."""

    surname: str
    given_name: str


def generate_key(kind: str = "rsa") -> PrivateKey:
    """Make a key: `rsa` (2048 bits), `rsa-N`, `p256`, `p384` or `ed25519`. Raises ValueError for another
    kind.
    """
    if kind == "rsa" or kind.startswith("rsa-"):
        return rsa.generate_private_key(65537, int(kind.partition("-")[2] or 2048))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves: dict[str, ec.EllipticCurve] = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}
    if kind not in curves:
        raise ValueError(f"unknown kind of key: {kind}")
    return ec.generate_private_key(curves[kind])


def subject(
    common_name: str, unit: str, organisation: str, department: str, person: PersonNames | None = None
) -> x509.Name:
    """Build a subject in the order of IGC-Santé: C, ST (`Haute-Loire (43)`), O, OU (structure identifier),
    CN, and SN and GN for a person.

    An empty part is left out. Raises ValueError where a part is longer than RFC 5280 appendix A.1 allows.
    """
    parts = [
        (NameOID.COUNTRY_NAME, "FR"),
        (NameOID.STATE_OR_PROVINCE_NAME, department),
        (NameOID.ORGANIZATION_NAME, organisation),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common_name),
    ]
    if person is not None:
        parts += [(NameOID.SURNAME, person.surname), (NameOID.GIVEN_NAME, person.given_name)]
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts if value])


def create_root(
    now: datetime, common_name: str = "TEST AC RACINE ELEMENTAIRE", key: str = "rsa"
) -> Authority:
    """Make a self-signed root (EL-TEST)."""
    private = generate_key(key)
    name = _authority_name(common_name)
    builder = _builder(name, name, private.public_key(), now, _AUTHORITY_LIFETIME)
    builder = _as_authority(builder, path_length=1)
    builder = builder.add_extension(_key_identifier(private.public_key()), critical=False)
    return Authority(_signed(builder, private), private)


def create_intermediate(
    root: Authority,
    now: datetime,
    common_name: str = "TEST AC ELEMENTAIRE ORGANISATIONS",
    key: str = "rsa",
    crl_url: str | None = None,
) -> Authority:
    """Make the CA below `root` that issues to organisations (ORG-TEST)."""
    private = generate_key(key)
    name = _authority_name(common_name)
    builder = _builder(name, root.certificate.subject, private.public_key(), now, _AUTHORITY_LIFETIME)
    builder = _as_authority(builder, path_length=0)
    builder = builder.add_extension(_policies(_ANY_POLICY), critical=False)
    builder = _linked(builder, root, private.public_key(), crl_url)
    return Authority(_signed(builder, root.key), private, (root.certificate, *root.above))


def issue(
    authority: Authority,
    profile: Profile,
    name: x509.Name,
    now: datetime,
    names: SubjectNames = SubjectNames(),
    key: str | PrivateKey = "rsa",
    crl_url: str | None = None,
) -> IssuedCertificate:
    """Issue a certificate of `profile`; `key` is a kind for `generate_key` or an existing key."""
    private = generate_key(key) if isinstance(key, str) else key
    certificate = sign_certificate(authority, profile, name, now, private.public_key(), names, crl_url)
    pem = serialization.Encoding.PEM
    return IssuedCertificate(certificate.public_bytes(pem), key_pem(private), authority.chain_pem)


def sign_certificate(
    authority: Authority,
    profile: Profile,
    name: x509.Name,
    now: datetime,
    public: PublicKey,
    names: SubjectNames = SubjectNames(),
    crl_url: str | None = None,
) -> x509.Certificate:
    """Sign a certificate of `profile` for a public key whose private one need not be here.

    Raises ValueError for a name that cannot stand in a certificate and for a key that cannot do what the
    profile is for.
    """
    builder = _builder(name, authority.certificate.subject, public, now, profile.lifetime)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
    builder = builder.add_extension(_key_usage(_usage_for(profile, public)), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(profile.extended_key_usage), critical=False)
    if profile.policy:
        builder = builder.add_extension(_policies(profile.policy), critical=False)
    builder = _linked(builder, authority, public, crl_url)
    general = _general_names(names)
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return _signed(builder, authority.key)


def _usage_for(profile: Profile, public: PublicKey) -> frozenset[str]:
    if isinstance(public, rsa.RSAPublicKey):
        return profile.key_usage
    usage = profile.agreement_usage or profile.key_usage
    if "key_agreement" in usage and isinstance(public, ed25519.Ed25519PublicKey):
        raise ValueError(f"{profile.name} needs a key that encrypts or agrees: RSA or p256, p384")
    return usage


def _policies(dotted: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(dotted), None)])


def issue_crl(
    authority: Authority,
    now: datetime,
    revoked: Sequence[Revocation] = (),
    number: int = 1,
    lifetime: timedelta = CRL_LIFETIME,
) -> bytes:
    """Sign a CRL (DER) that is current from an hour before `now` for `lifetime`."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - _BACKDATE)
        .next_update(now + lifetime)
        .add_extension(_authority_key_identifier(authority), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for entry in revoked:
        line = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.revoked_at)
        if entry.reason and entry.reason != "unspecified":  # which should be absent (RFC 5280 §5.3.1)
            line = line.add_extension(x509.CRLReason(x509.ReasonFlags(entry.reason)), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    crl = builder.sign(authority.key, _signature_hash(authority.key))
    return crl.public_bytes(serialization.Encoding.DER)


def key_pem(key: PrivateKey) -> bytes:
    """Encode a private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _authority_name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "TELE-EXPERTISE TEST"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "IGC TEST"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    public: PublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now - _BACKDATE + lifetime)
    )


def _as_authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    usage = _key_usage(frozenset({"key_cert_sign", "crl_sign"}))
    return builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True
    ).add_extension(usage, critical=True)


def _linked(
    builder: x509.CertificateBuilder,
    issuer: Authority,
    public: PublicKey,
    crl_url: str | None,
) -> x509.CertificateBuilder:
    """Add key identifiers of subject and issuer and, where given, the place of the CRL."""
    builder = builder.add_extension(_key_identifier(public), critical=False)
    builder = builder.add_extension(_authority_key_identifier(issuer), critical=False)
    if crl_url is None:
        return builder
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
    return builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)


def _key_identifier(
    public: PublicKey,
) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(public)


def _authority_key_identifier(authority: Authority) -> x509.AuthorityKeyIdentifier:
    own = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _key_usage(wanted: frozenset[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in wanted for usage in _KEY_USAGES})


def _general_names(names: SubjectNames) -> list[x509.GeneralName]:
    general: list[x509.GeneralName] = []
    for host in names.hosts:
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            general.append(x509.DNSName(host))
    general.extend(x509.RFC822Name(address) for address in names.addresses)
    return general


def _signature_hash(key: PrivateKey) -> hashes.SHA256 | None:
    # Ed25519 hashes by itself (RFC 8410 §3).
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    return builder.sign(key, _signature_hash(key))
