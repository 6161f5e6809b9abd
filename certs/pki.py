"""The demonstration PKI on disk: made once, loaded afterwards, keys readable by their owner only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certs.authority import (
    Authority,
    IssuedCertificate,
    Revocation,
    SubjectNames,
    create_intermediate,
    create_root,
    issue,
    issue_crl,
    key_pem,
    subject,
)
from certs.profiles import ORG_SIGN, SERV_SSL

__all__ = ["DemoPki", "PkiFault", "create_demo_pki", "load_authority", "write_private", "write_public"]


class PkiFault(Exception):
    """The directory holds a PKI that is incomplete or not readable."""


@dataclass(frozen=True, slots=True)
class DemoPki:
    """Where the parts of the demonstration PKI lie; every file is PEM except the CRLs, which are DER.

    `anchors` holds the root alone, `tls_certificate` the server certificate followed by its intermediate,
    `smime_chain` the intermediate alone. The authorities' keys allow `load_authority` to issue more.
    """

    directory: Path

    @property
    def anchors(self) -> Path:
        """Root certificate: the only thing that is believed."""
        return self.directory / "ca.pem"

    @property
    def intermediates(self) -> Path:
        """Intermediate CA certificates, which help to build paths."""
        return self.directory / "intermediates.pem"

    @property
    def tls_certificate(self) -> Path:
        """SERV_SSL certificate and its chain."""
        return self.directory / "tls.pem"

    @property
    def tls_key(self) -> Path:
        """Key of the SERV_SSL certificate, mode 0600."""
        return self.directory / "tls.key"

    @property
    def smime_certificate(self) -> Path:
        """ORG_SIGN certificate with the service address."""
        return self.directory / "smime.pem"

    @property
    def smime_key(self) -> Path:
        """Key of the ORG_SIGN certificate, mode 0600."""
        return self.directory / "smime.key"

    @property
    def smime_chain(self) -> Path:
        """Intermediates above the ORG_SIGN certificate."""
        return self.directory / "smime-chain.pem"

    @property
    def crl_directory(self) -> Path:
        """Folder with one `.crl` (DER) per authority."""
        return self.directory / "crls"

    @property
    def crls(self) -> tuple[Path, ...]:
        """CRLs of root and intermediate."""
        return (self.crl_directory / "EL-TEST.crl", self.crl_directory / "ORG-TEST.crl")

    @property
    def authority_keys(self) -> tuple[Path, ...]:
        """Keys of root and intermediate, mode 0600."""
        return (self.directory / "EL-TEST.key", self.directory / "ORG-TEST.key")


def create_demo_pki(
    directory: Path, domain: str, service_address: str, hostnames: Sequence[str], now: datetime
) -> DemoPki:
    """Make the PKI of an operator of `domain` in `directory`, or load the one that is there.

    `hostnames` are the DNS names and IP addresses of the listeners. CRLs that are near their end are signed
    anew on loading with the same entries. Raises PkiFault where the directory holds part of a PKI only.
    """
    pki = DemoPki(directory)
    parts = [pki.anchors, pki.intermediates, pki.tls_certificate, pki.tls_key, pki.smime_certificate]
    parts += [pki.smime_key, pki.smime_chain, *pki.crls, *pki.authority_keys]
    if not pki.anchors.exists():  # written last: what lies there without it was never finished
        _create(pki, domain, service_address, hostnames, now)
        return pki
    missing = [part.name for part in parts if not part.exists()]
    if missing:
        raise PkiFault(f"{directory} lacks {', '.join(missing)}")
    _refresh_crls(pki, now)
    return pki


def load_authority(pki: DemoPki) -> Authority:
    """Load the intermediate CA with its key, to issue further certificates. Raises PkiFault."""
    return _load_authorities(pki)[1]


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, complete or not at all."""
    _write(path, content, 0o600)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that everybody can read, complete or not at all."""
    _write(path, content, 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _create(pki: DemoPki, domain: str, service_address: str, hostnames: Sequence[str], now: datetime) -> None:
    root = create_root(now)
    organisations = create_intermediate(root, now)
    # An invented structure identifier: `3` + 14 digits like a SIRET, distinct per domain, stable between
    # runs.
    digits = int.from_bytes(hashlib.sha256(domain.encode()).digest()[:8]) % 10**6
    unit = f"300000000{digits:06d}"
    department = "Haute-Loire (43)"
    organisation = f"ORGANISATION DE TEST {domain}"[:64]  # ub-organization-name, RFC 5280 appendix A.1
    tls = issue(
        organisations,
        SERV_SSL,
        subject(f"teleexpertise.{domain}"[:64], unit, organisation, department),
        now,
        SubjectNames(hosts=tuple(dict.fromkeys(hostnames))),
    )
    smime = issue(
        organisations,
        ORG_SIGN,
        subject(f"signature.teleexpertise.{domain}"[:64], unit, organisation, department),
        now,
        SubjectNames(addresses=(service_address,)),
    )
    pki.directory.mkdir(parents=True, exist_ok=True)
    pki.crl_directory.mkdir(exist_ok=True)
    for authority, key, crl in zip((root, organisations), pki.authority_keys, pki.crls, strict=True):
        write_private(key, key_pem(authority.key))
        write_public(crl, issue_crl(authority, now))
    _write_leaves(pki, tls, smime)
    write_public(pki.intermediates, organisations.certificate_pem)
    write_public(pki.anchors, root.certificate_pem)


def _write_leaves(pki: DemoPki, tls: IssuedCertificate, smime: IssuedCertificate) -> None:
    write_private(pki.tls_key, tls.key_pem)
    write_public(pki.tls_certificate, tls.certificate_pem + tls.chain_pem)
    write_private(pki.smime_key, smime.key_pem)
    write_public(pki.smime_certificate, smime.certificate_pem)
    write_public(pki.smime_chain, smime.chain_pem)


def _load_authorities(pki: DemoPki) -> tuple[Authority, Authority]:
    """Load root and intermediate with their keys."""
    try:
        root = x509.load_pem_x509_certificate(pki.anchors.read_bytes())
        organisations = x509.load_pem_x509_certificate(pki.intermediates.read_bytes())
        keys = [
            serialization.load_pem_private_key(path.read_bytes(), password=None)
            for path in pki.authority_keys
        ]
    except (OSError, ValueError) as error:
        raise PkiFault(f"{pki.directory} is not readable as a PKI") from error
    supported = [
        key
        for key in keys
        if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
    ]
    if len(supported) != len(keys):
        raise PkiFault(f"{pki.directory} has an authority key of an unsupported kind")
    return Authority(root, supported[0]), Authority(organisations, supported[1], (root,))


def _refresh_crls(pki: DemoPki, now: datetime) -> None:
    """Sign CRLs anew that end within a month: a demonstration started after a pause still knows its own
    state.
    """
    for path, position in zip(pki.crls, (0, 1), strict=True):
        try:
            crl = x509.load_der_x509_crl(path.read_bytes())
        except (OSError, ValueError) as error:
            raise PkiFault(f"{path} is not readable as a CRL") from error
        if crl.next_update_utc is not None and crl.next_update_utc - now > timedelta(days=30):
            continue
        entries = [Revocation(entry.serial_number, entry.revocation_date_utc) for entry in crl]
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        authority = _load_authorities(pki)[position]
        write_public(path, issue_crl(authority, now, entries, number + 1))
