"""Where the parts of a test PKI lie on disk, and reading and writing them whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certs.algorithms import PrivateKey
from certs.authority import IssuedCertificate
from certs.profiles import Issuer

__all__ = [
    "ROOT",
    "DemoPki",
    "PkiFault",
    "load_certificates",
    "load_crl",
    "load_key",
    "write_leaf",
    "write_private",
    "write_public",
]

ROOT = "EL-TEST"
"""Short name of the root; those of the authorities below it are the values of `Issuer`."""


class PkiFault(Exception):
    """The directory holds a PKI that is incomplete or not readable; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class DemoPki:
    """Where the parts of a test PKI lie; every file is PEM except the CRLs (DER) and the index (JSON).

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
        """Intermediate CA certificates, which help to build paths: that for organisations first."""
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
    def conf_certificate(self) -> Path:
        """ORG_CONF certificate with the service address: what others encrypt to."""
        return self.directory / "conf.pem"

    @property
    def conf_key(self) -> Path:
        """Key of the ORG_CONF certificate, mode 0600."""
        return self.directory / "conf.key"

    @property
    def index(self) -> Path:
        """What was issued and revoked (`certs.ledger`)."""
        return self.directory / "index.json"

    @property
    def crl_directory(self) -> Path:
        """Folder with one `.crl` (DER) per authority."""
        return self.directory / "crls"

    @property
    def crls(self) -> tuple[Path, ...]:
        """CRLs of root and intermediate for organisations."""
        return (self.crl(ROOT), self.crl(Issuer.ORGANISATIONS))

    @property
    def authority_keys(self) -> tuple[Path, ...]:
        """Keys of root and intermediate for organisations, mode 0600."""
        return (self.authority_key(ROOT), self.authority_key(Issuer.ORGANISATIONS))

    @property
    def authorities(self) -> tuple[str, ...]:
        """Short names of the authorities whose key lies here, root first."""
        return tuple(name for name in (ROOT, *Issuer) if self.authority_key(name).exists())

    def crl(self, authority: str) -> Path:
        """The CRL of an authority by its short name."""
        return self.crl_directory / f"{authority}.crl"

    def authority_key(self, authority: str) -> Path:
        """The key of an authority by its short name."""
        return self.directory / f"{authority}.key"


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


def write_leaf(issued: IssuedCertificate, certificate: Path, key: Path, *, chained: bool) -> None:
    """Write the key and then the certificate of a leaf, with its chain behind it where `chained`."""
    write_private(key, issued.key_pem)
    write_public(certificate, issued.certificate_pem + (issued.chain_pem if chained else b""))


def load_certificates(path: Path) -> list[x509.Certificate]:
    """Read the certificates of a PEM file, at least one. Raises PkiFault."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise PkiFault(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise PkiFault(f"{path} is not readable as certificates") from error


def load_key(path: Path) -> PrivateKey:
    """Read a private key of a PEM file. Raises PkiFault."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise PkiFault(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise PkiFault(f"{path} is not readable as a key") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise PkiFault(f"{path} is a key of an unsupported kind")
    return key


def load_crl(pki: DemoPki, authority: str) -> x509.CertificateRevocationList | None:
    """Read the CRL of an authority, None where there is none. Raises PkiFault."""
    path = pki.crl(authority)
    try:
        return x509.load_der_x509_crl(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PkiFault(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise PkiFault(f"{path} is not readable as a CRL") from error
