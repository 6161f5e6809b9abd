"""The desk of a test PKI: what the command line may have made, issued, revoked and renewed, one at a time.

Every change holds the lock of the folder: two commands at once wait for each other and lose nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from certs.algorithms import AlgorithmRefused, PublicKey, load_public_key
from certs.authority import (
    CRL_LIFETIME,
    Authority,
    PersonNames,
    SubjectNames,
    generate_key,
    key_pem,
    sign_certificate,
    subject,
)
from certs.ledger import IssuedEntry, Ledger, LedgerFault
from certs.pki import (
    authorities_here,
    crl_address,
    entry_of,
    load_authority,
    load_ledger,
    make_authorities,
    persons_authority,
    renew_crls,
    save_ledger,
    write_anchors,
)
from certs.pkifiles import ROOT, DemoPki, PkiFault, write_private, write_public
from certs.profiles import Issuer, Profile
from gateway.errors import GatewayError, NotAvailable

__all__ = [
    "CertificateOrder",
    "IssuedFiles",
    "PkiRefused",
    "RenewedList",
    "issue_certificate",
    "issued_certificates",
    "make_pki",
    "pki_locked",
    "renew_lists",
    "revoke_certificate",
]

_PATIENCE = 30.0
"""Seconds that a command waits for another one at the same PKI; issuing takes under one."""
_PAUSE = 0.05
_MOST_OCTETS = 64 * 1024


class PkiRefused(GatewayError):
    """What was asked of the PKI cannot be done, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateOrder:
    """What is to be issued: `key` is a kind for `generate_key`, `request` a PKCS#10 that brings a key
    instead.

    `prefix` names the files: `PREFIX.pem`, `PREFIX-chain.pem`, `PREFIX-full.pem`, `PREFIX.key`. `crl_url`
    stands for the PKI's own address of the CRL.
    """

    profile: Profile
    common_name: str
    unit: str
    organisation: str
    department: str
    names: SubjectNames
    prefix: Path
    person: PersonNames | None = None
    lifetime: timedelta | None = None
    key: str = "rsa"
    request: bytes | None = None
    crl_url: str | None = None


@dataclass(frozen=True, slots=True)
class IssuedFiles:
    """A certificate that was issued and its files; `key` is None where a request brought the key."""

    entry: IssuedEntry
    certificate: Path
    chain: Path
    full: Path
    key: Path | None


@dataclass(frozen=True, slots=True)
class RenewedList:
    """A CRL that was signed: its authority, file, number, entries and the time until it is current."""

    authority: str
    path: Path
    number: int
    revoked: int
    next_update: datetime | None


@contextmanager
def pki_locked(pki: DemoPki) -> Iterator[None]:
    """Hold the lock of a PKI folder that is there. Raises NotAvailable where another command keeps it."""
    with _told():
        descriptor = os.open(pki.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise NotAvailable(f"{pki.directory}: another command works on this PKI") from None
                time.sleep(_PAUSE)
        with _told():
            _clear(pki)
            yield
    finally:
        os.close(descriptor)


def _clear(pki: DemoPki) -> None:
    """Remove what a killed command had begun to write: whoever holds the lock is the only writer."""
    for folder in (pki.directory, pki.crl_directory):
        for path in folder.glob(".*.*.[0-9]*"):
            path.unlink()


@contextmanager
def _told() -> Iterator[None]:
    """Tell the faults of files and index as a refusal of one line."""
    try:
        yield
    except (PkiFault, LedgerFault) as error:
        raise PkiRefused(str(error)) from error
    except OSError as error:
        raise PkiRefused(f"{error.filename or 'PKI'}: {error.strerror}") from error


def make_pki(directory: Path, family: str, crl_base: str, now: datetime) -> DemoPki:
    """Make root, authorities for organisations and persons, and empty CRLs in a folder that is empty or not
    there.

    Raises PkiRefused for a folder in which something lies.
    """
    pki = DemoPki(directory)
    with _told():
        directory.mkdir(parents=True, exist_ok=True)
    with pki_locked(pki):
        if any(path.name != ".lock" for path in directory.iterdir()):
            raise PkiRefused(f"{directory} is not empty: nothing is overwritten")
        try:
            root = make_authorities(pki, now, family, crl_base)[ROOT]
        except ValueError as error:
            raise PkiRefused(f"name of the authorities: {error}") from error
        write_anchors(pki, root)
        persons_authority(pki, now)
    return pki


def issue_certificate(pki: DemoPki, order: CertificateOrder, now: datetime) -> IssuedFiles:
    """Issue what is ordered and write its files; none that exists is overwritten. Raises PkiRefused."""
    if order.request is None:
        private = generate_key(order.key)
        public: PublicKey = private.public_key()
    else:
        private, public = None, _requested_key(order.request)
    with pki_locked(_here(pki)):
        files = _free_files(order.prefix, with_key=private is not None)
        authority = _authority_for(pki, order.profile, now)
        ledger = load_ledger(pki)
        certificate = _signed(order, authority, public, ledger, now)
        entry = entry_of(certificate, order.profile.issuer.value, order.profile.name)
        save_ledger(pki, ledger.with_entries([entry]))  # first: what is out can be revoked
        encoded = certificate.public_bytes(serialization.Encoding.PEM)
        if private is not None:
            write_private(files[3], key_pem(private))
        write_public(files[1], authority.chain_pem)
        write_public(files[2], encoded + authority.chain_pem)
        write_public(files[0], encoded)
    return IssuedFiles(entry, files[0], files[1], files[2], files[3] if private is not None else None)


def revoke_certificate(
    pki: DemoPki, certificate: bytes | str, reason: str, moment: datetime, now: datetime
) -> tuple[IssuedEntry, RenewedList]:
    """Revoke a certificate (PEM or DER) or a serial number (hex) from `moment` on and sign the CRL anew.

    Raises PkiRefused for one that was not issued here and for one that is revoked already.
    """
    if moment > now:
        raise PkiRefused("a revocation cannot begin in the future")
    with pki_locked(_here(pki)):
        ledger = load_ledger(pki)
        if isinstance(certificate, str):
            entry = ledger.found(certificate)
        else:
            ledger, entry = _entry_of_file(pki, ledger, certificate)
        if entry.authority not in pki.authorities:
            raise PkiRefused(f"the key of {entry.authority} is not here: its CRL cannot be signed")
        ledger = ledger.revoked(entry, moment, "" if reason == "unspecified" else reason)
        save_ledger(pki, ledger)
        signed = renew_crls(pki, ledger, now, None)
        if entry.authority not in signed:  # the CRL had the line already: the index did not know
            signed = renew_crls(pki, ledger, now, CRL_LIFETIME)
    return replace(entry, revoked_at=moment, reason=reason), _renewed(pki, entry.authority, signed)


def renew_lists(pki: DemoPki, lifetime: timedelta, now: datetime) -> list[RenewedList]:
    """Sign the CRLs of all authorities whose key is here anew. Raises PkiRefused."""
    with pki_locked(_here(pki)):
        signed = renew_crls(pki, load_ledger(pki), now, lifetime)
    return [_renewed(pki, name, signed) for name in signed]


def issued_certificates(pki: DemoPki) -> tuple[IssuedEntry, ...]:
    """What the index of a PKI holds. Raises PkiRefused."""
    with _told():
        return load_ledger(_here(pki)).entries


def _here(pki: DemoPki) -> DemoPki:
    if not pki.anchors.exists() or not pki.authorities:
        raise PkiRefused(
            f"{pki.directory} holds no test PKI: `gateway pki init` makes one, --pki names another"
        )
    return pki


def _authority_for(pki: DemoPki, profile: Profile, now: datetime) -> Authority:
    if profile.issuer is Issuer.PERSONS:
        return persons_authority(pki, now)
    return load_authority(pki, profile.issuer)


def _free_files(prefix: Path, *, with_key: bool) -> list[Path]:
    names = (".pem", "-chain.pem", "-full.pem", ".key")
    files = [prefix.with_name(prefix.name + ending) for ending in names]
    for file in files if with_key else files[:3]:
        if os.path.lexists(file):
            raise PkiRefused(f"{file} exists: nothing is overwritten")
    if not prefix.parent.is_dir():
        raise PkiRefused(f"{prefix.parent} is no folder")
    return files


def _signed(
    order: CertificateOrder, authority: Authority, public: PublicKey, ledger: Ledger, now: datetime
) -> x509.Certificate:
    profile = order.profile if order.lifetime is None else replace(order.profile, lifetime=order.lifetime)
    if now + profile.lifetime > authority.certificate.not_valid_after_utc:
        ends = f"{authority.certificate.not_valid_after_utc:%Y-%m-%d}"
        raise PkiRefused(f"the certificate would outlive its authority, which ends on {ends}")
    try:
        name = subject(order.common_name, order.unit, order.organisation, order.department, order.person)
        url = order.crl_url or crl_address(ledger, order.profile.issuer)
        return sign_certificate(authority, profile, name, now, public, order.names, url)
    except (ValueError, UnicodeError) as error:
        raise PkiRefused(f"this cannot stand in a certificate: {error}") from error


def _requested_key(request: bytes) -> PublicKey:
    """Return the key of a PKCS#10 (PEM or DER) that proves to have the private one. Raises PkiRefused."""
    if len(request) > _MOST_OCTETS:
        raise PkiRefused("the request is too large")
    load = x509.load_pem_x509_csr if b"-----BEGIN" in request else x509.load_der_x509_csr
    try:
        found = load(request)
        proved = found.is_signature_valid
        info = found.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        key = load_public_key(info)
    except AlgorithmRefused as error:
        raise PkiRefused(f"the key of the request: {error}") from error
    except (ValueError, TypeError, InvalidSignature) as error:
        raise PkiRefused("the request cannot be read as PKCS#10") from error
    if not proved:
        raise PkiRefused("the request's own signature is wrong: it does not prove its key")
    if not isinstance(key, PublicKey):
        raise PkiRefused("the key of the request is of an unsupported kind")
    return key


def _entry_of_file(pki: DemoPki, ledger: Ledger, encoded: bytes) -> tuple[Ledger, IssuedEntry]:
    """Find the entry of a certificate; one of ours that the index does not know is added to it."""
    if len(encoded) > _MOST_OCTETS:
        raise PkiRefused("the file is too large for a certificate")
    load = x509.load_pem_x509_certificate if b"-----BEGIN" in encoded else x509.load_der_x509_certificate
    try:
        certificate = load(encoded)
    except ValueError as error:
        raise PkiRefused("the file is not readable as a certificate") from error
    for name, authority in authorities_here(pki).items():
        try:
            certificate.verify_directly_issued_by(authority.certificate)
        except (ValueError, TypeError, InvalidSignature):
            continue
        if certificate.subject == certificate.issuer:
            raise PkiRefused("a root is not revoked by its own list: whoever believes it takes it out")
        entry = entry_of(certificate, name, "")
        ledger = ledger.with_entries([entry])
        return ledger, ledger.found(entry.serial, name)
    raise PkiRefused("this certificate was not issued by an authority of this PKI")


def _renewed(pki: DemoPki, authority: str, signed: dict[str, x509.CertificateRevocationList]) -> RenewedList:
    crl = signed[authority]
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return RenewedList(authority, pki.crl(authority), number, len(crl), crl.next_update_utc)
