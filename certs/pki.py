"""A test PKI on disk: its authorities, the index of what was issued, its CRLs, and the demonstration's one.

Whoever changes an existing one holds its lock (`gateway.pkidesk`); keys are readable by their owner only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.authority import (
    CRL_LIFETIME,
    Authority,
    Revocation,
    SubjectNames,
    create_intermediate,
    create_root,
    issue,
    issue_crl,
    key_pem,
    subject,
)
from certs.ledger import IssuedEntry, Ledger, LedgerFault, read_ledger, write_ledger
from certs.names import DistinguishedName, NameFault
from certs.pkifiles import (
    ROOT,
    DemoPki,
    PkiFault,
    load_certificates,
    load_crl,
    load_key,
    write_leaf,
    write_private,
    write_public,
)
from certs.profiles import ORG_CONF, ORG_SIGN, SERV_SSL, Issuer, Profile

__all__ = [
    "ROOT",
    "DemoPki",
    "PkiFault",
    "authorities_here",
    "create_demo_pki",
    "crl_address",
    "entry_of",
    "load_authority",
    "load_ledger",
    "load_root",
    "make_authorities",
    "persons_authority",
    "renew_crls",
    "save_ledger",
    "write_anchors",
    "write_private",
    "write_public",
]

_LEAST_LEFT = timedelta(days=30)
_COMMON_NAMES = {Issuer.ORGANISATIONS: "ORGANISATIONS", Issuer.PERSONS: "PERSONNES"}


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One certificate of a deployment: what it is and the files it lies in."""

    profile: Profile
    common_name: str
    names: SubjectNames
    certificate: Path
    key: Path
    chained: bool = False


def create_demo_pki(
    directory: Path, domain: str, service_address: str, hostnames: Sequence[str], now: datetime
) -> DemoPki:
    """Make the PKI of an operator of `domain` in `directory`, or load the one that is there.

    `hostnames` are the DNS names and IP addresses of the listeners. On loading, certificates of which neither
    file is there are issued, and CRLs near their end are signed anew with the same entries. Raises PkiFault
    where the directory holds part of a PKI only.
    """
    pki = DemoPki(directory)
    leaves = _leaves(pki, domain, service_address, hostnames)
    if not pki.anchors.exists():  # written last: what lies there without it was never finished
        authorities = make_authorities(pki, now)
        _issue_leaves(pki, domain, leaves, authorities[Issuer.ORGANISATIONS], now)
        write_anchors(pki, authorities[ROOT])
        return pki
    parts = [pki.intermediates, *pki.authority_keys]
    for leaf in leaves:
        if leaf.certificate.exists() or leaf.key.exists():
            parts += [leaf.certificate, leaf.key]
    missing = [part.name for part in parts if not part.exists()]
    if missing:
        raise PkiFault(f"{directory} lacks {', '.join(missing)}")
    absent = [leaf for leaf in leaves if not leaf.key.exists()]
    if absent:
        _issue_leaves(pki, domain, absent, load_authority(pki), now)
    if not pki.smime_chain.exists():
        write_public(pki.smime_chain, load_authority(pki).chain_pem)
    if any(is_due(pki, name, load_ledger(pki), now) for name in pki.authorities):
        renew_crls(pki, load_ledger(pki), now)
    return pki


def _leaves(pki: DemoPki, domain: str, service_address: str, hostnames: Sequence[str]) -> tuple[_Leaf, ...]:
    hosts = SubjectNames(hosts=tuple(dict.fromkeys(hostnames)))
    service = SubjectNames(addresses=(service_address,))
    own = f"teleexpertise.{domain}"
    return (
        _Leaf(SERV_SSL, own, hosts, pki.tls_certificate, pki.tls_key, chained=True),
        _Leaf(ORG_SIGN, f"signature.{own}", service, pki.smime_certificate, pki.smime_key),
        _Leaf(ORG_CONF, f"chiffrement.{own}", service, pki.conf_certificate, pki.conf_key),
    )


def _issue_leaves(
    pki: DemoPki, domain: str, leaves: Sequence[_Leaf], authority: Authority, now: datetime
) -> None:
    # An invented structure identifier: `3` + 14 digits like a SIRET, distinct per domain, stable between
    # runs.
    digits = int.from_bytes(hashlib.sha256(domain.encode()).digest()[:8]) % 10**6
    unit = f"300000000{digits:06d}"
    organisation = f"ORGANISATION DE TEST {domain}"[:64]  # ub-organization-name, RFC 5280 appendix A.1
    ledger = load_ledger(pki)
    issued = []
    for leaf in leaves:
        name = subject(leaf.common_name[:64], unit, organisation, "Haute-Loire (43)")
        made = issue(
            authority, leaf.profile, name, now, leaf.names, crl_url=crl_address(ledger, Issuer.ORGANISATIONS)
        )
        issued.append((leaf, made))
        certificate = x509.load_pem_x509_certificate(made.certificate_pem)
        ledger = ledger.with_entries([entry_of(certificate, Issuer.ORGANISATIONS.value, leaf.profile.name)])
    save_ledger(pki, ledger)  # first: what is out can be revoked
    for leaf, made in issued:
        write_leaf(made, leaf.certificate, leaf.key, chained=leaf.chained)
    write_public(pki.smime_chain, authority.chain_pem)


def make_authorities(
    pki: DemoPki, now: datetime, family: str = "ELEMENTAIRE", crl_base: str = ""
) -> dict[str, Authority]:
    """Make root and intermediate for organisations with their keys, CRLs and index, and write all but the
    anchors.

    The anchors are written last, by `write_anchors`: a folder without them was never finished.
    """
    root = create_root(now, f"TEST AC RACINE {family}")
    below = create_intermediate(
        root, now, _common_name(family, Issuer.ORGANISATIONS), crl_url=_address(crl_base, ROOT)
    )
    pki.directory.mkdir(parents=True, exist_ok=True)
    pki.crl_directory.mkdir(exist_ok=True)
    made = {ROOT: root, Issuer.ORGANISATIONS.value: below}
    ledger = Ledger(crl_base=crl_base).with_entries([entry_of(below.certificate, ROOT, "CA")])
    for name, authority in made.items():
        write_private(pki.authority_key(name), key_pem(authority.key))
    _sign_crls(pki, made, ledger, now, CRL_LIFETIME)
    write_public(pki.intermediates, below.certificate_pem)
    return made


def write_anchors(pki: DemoPki, root: Authority) -> None:
    """Write the anchors: from now on the PKI is there."""
    write_public(pki.anchors, root.certificate_pem)


def persons_authority(pki: DemoPki, now: datetime) -> Authority:
    """Load the authority for persons, or make it below the root: a deployment needs none until it issues one.

    Raises PkiFault.
    """
    if pki.authority_key(Issuer.PERSONS).exists():
        return load_authority(pki, Issuer.PERSONS)
    root = load_root(pki)
    ledger = load_ledger(pki)
    family = _values(root.certificate.subject, "CN")[0].removeprefix("TEST AC RACINE ")
    made = create_intermediate(
        root, now, _common_name(family, Issuer.PERSONS), crl_url=_address(ledger.crl_base, ROOT)
    )
    ledger = ledger.with_entries([entry_of(made.certificate, ROOT, "CA")])
    save_ledger(pki, ledger)
    write_public(pki.intermediates, pki.intermediates.read_bytes() + made.certificate_pem)
    _sign_crls(pki, {Issuer.PERSONS.value: made}, ledger, now, CRL_LIFETIME)
    write_private(pki.authority_key(Issuer.PERSONS), key_pem(made.key))  # last: by it the authority is there
    return made


def load_root(pki: DemoPki) -> Authority:
    """Load the root with its key. Raises PkiFault."""
    return Authority(load_certificates(pki.anchors)[0], load_key(pki.authority_key(ROOT)))


def load_authority(pki: DemoPki, which: Issuer = Issuer.ORGANISATIONS) -> Authority:
    """Load an intermediate CA with its key, to issue further certificates. Raises PkiFault."""
    root = load_certificates(pki.anchors)[0]
    key = load_key(pki.authority_key(which))
    for certificate in reversed(load_certificates(pki.intermediates)):
        # An authority made anew after a crash stands behind the one whose key was never written.
        if certificate.public_key() == key.public_key():
            return Authority(certificate, key, (root,))
    raise PkiFault(f"{pki.intermediates} has no certificate for the key {pki.authority_key(which).name}")


def authorities_here(pki: DemoPki) -> dict[str, Authority]:
    """Load every authority whose key lies here, by short name, root first. Raises PkiFault, also for none."""
    if not pki.authorities:
        raise PkiFault(f"{pki.directory} holds no key of an authority: `gateway pki init` makes a test PKI")
    return {
        name: load_root(pki) if name == ROOT else load_authority(pki, Issuer(name))
        for name in pki.authorities
    }


def load_ledger(pki: DemoPki) -> Ledger:
    """Load the index; a PKI made before there was one gets what its files and CRLs tell. Raises PkiFault."""
    try:
        return read_ledger(pki.index.read_bytes())
    except FileNotFoundError:
        return _gathered(pki)
    except OSError as error:
        raise PkiFault(f"{pki.index}: {error.strerror}") from error
    except LedgerFault as error:
        raise PkiFault(f"{pki.index}: {error}") from error


def save_ledger(pki: DemoPki, ledger: Ledger) -> None:
    """Write the index, complete or not at all; it names persons and is its owner's only."""
    write_private(pki.index, write_ledger(ledger))


def entry_of(certificate: x509.Certificate, authority: str, profile: str) -> IssuedEntry:
    """Describe a certificate for the index. Raises PkiFault where its subject cannot be read."""
    try:
        der = certificate.public_bytes(serialization.Encoding.DER)
        subject = DistinguishedName.from_asn1(asn1_x509.Certificate.load(der).subject).text
    except NameFault as error:
        raise PkiFault(f"subject: {error}") from error
    return IssuedEntry(
        f"{certificate.serial_number:x}",
        authority,
        profile,
        subject,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def renew_crls(
    pki: DemoPki, ledger: Ledger, now: datetime, lifetime: timedelta | None = None
) -> dict[str, x509.CertificateRevocationList]:
    """Sign CRLs anew and save the index: all of them for `lifetime`, or without one those that end within a
    month or lack an entry.

    What stood on a CRL before stays on it, also where the index does not know it. Returns those that were
    signed. Raises PkiFault.
    """
    authorities = {
        name: authority
        for name, authority in authorities_here(pki).items()
        if lifetime is not None or is_due(pki, name, ledger, now)
    }
    if not authorities:
        return {}
    return _sign_crls(pki, authorities, ledger, now, lifetime or CRL_LIFETIME)


def _common_name(family: str, which: Issuer) -> str:
    return f"TEST AC {family} {_COMMON_NAMES[which]}"


def _address(crl_base: str, authority: str) -> str | None:
    return f"{crl_base.rstrip('/')}/{authority}.crl" if crl_base else None


def crl_address(ledger: Ledger, authority: str) -> str | None:
    """Where the CRL of an authority is found, None where the PKI names no address."""
    return _address(ledger.crl_base, authority)


def _values(name: x509.Name, short: str) -> tuple[str, ...]:
    return tuple(str(attribute.value) for attribute in name if attribute.rfc4514_attribute_name == short) or (
        "",
    )


def _lines(crl: x509.CertificateRevocationList | None) -> dict[int, Revocation]:
    found: dict[int, Revocation] = {}
    for line in crl or ():
        try:
            reason = line.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        except x509.ExtensionNotFound:
            reason = ""
        found[line.serial_number] = Revocation(line.serial_number, line.revocation_date_utc, reason)
    return found


def is_due(pki: DemoPki, authority: str, ledger: Ledger, now: datetime) -> bool:
    crl = load_crl(pki, authority)
    if crl is None or crl.next_update_utc is None or crl.next_update_utc - now <= _LEAST_LEFT:
        return True
    # A revocation that was noted before a crash and did not come onto the CRL.
    return not {line.serial for line in ledger.revocations(authority)} <= set(_lines(crl))


def _sign_crls(
    pki: DemoPki, authorities: dict[str, Authority], ledger: Ledger, now: datetime, lifetime: timedelta
) -> dict[str, x509.CertificateRevocationList]:
    signed: dict[str, bytes] = {}
    for name, authority in authorities.items():
        before = load_crl(pki, name)
        if before is not None and not before.is_signature_valid(authority.key.public_key()):
            before = None  # of an authority that was never finished
        lines = {**_lines(before), **{line.serial: line for line in ledger.revocations(name)}}
        number = max(ledger.crl_numbers.get(name, 0), _number(before)) + 1
        signed[name] = issue_crl(authority, now, list(lines.values()), number, lifetime)
        ledger = ledger.with_number(name, number)
    save_ledger(pki, ledger)  # before the lists: a number is never used twice
    for name, der in signed.items():
        write_public(pki.crl(name), der)
    return {name: x509.load_der_x509_crl(der) for name, der in signed.items()}


def _number(crl: x509.CertificateRevocationList | None) -> int:
    if crl is None:
        return 0
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return 0


def _gathered(pki: DemoPki) -> Ledger:
    """Build the index of a PKI that has none: from the certificates that lie here and the lines of its
    CRLs.
    """
    organisations = Issuer.ORGANISATIONS.value
    entries = [entry_of(certificate, ROOT, "CA") for certificate in load_certificates(pki.intermediates)]
    for path, profile in ((pki.tls_certificate, "SERV_SSL"), (pki.smime_certificate, "ORG_SIGN")):
        if path.exists():
            entries.append(entry_of(load_certificates(path)[0], organisations, profile))
    numbers = {}
    for name in (ROOT, organisations):
        crl = load_crl(pki, name)
        numbers[name] = _number(crl)
        known = _lines(crl)
        entries = [
            replace(entry, revoked_at=line.revoked_at, reason=line.reason)
            if entry.authority == name and (line := known.get(int(entry.serial, 16)))
            else entry
            for entry in entries
        ]
    return Ledger(tuple(entries), numbers)
