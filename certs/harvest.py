"""Certificates to encrypt for, found beside a signature that verified (RFC 8551 §2.5.3, §4.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import x509

from certs.cms import DECODING_ERRORS, CmsFault, read_signed_data
from certs.entities import Unsigned, find_signature
from certs.envelopes import EncryptionFault, EncryptionTarget, read_capabilities
from certs.fields import FieldFault, split_message
from certs.names import DistinguishedName, NameFault
from certs.paths import TrustAnchors, validate
from certs.recipients import check_target
from certs.smime import certificate_addresses
from certs.verdicts import SignatureReport, Verdict

__all__ = ["FoundCertificate", "harvest"]

MAXIMUM_LOOKED_AT = 8
"""Enclosed certificates that are judged: a signer has a signing and an encryption one, and their authorities.
"""


@dataclass(frozen=True, slots=True)
class FoundCertificate:
    """A certificate (DER) that belongs to the author, the authorities that came with it, its SHA-256 in hex,
    whether the author reads AES-GCM, and when the mail that brought it was signed.
    """

    certificate: bytes
    issuers: tuple[bytes, ...]
    fingerprint: str
    gcm: bool
    signed_at: datetime


def harvest(
    raw: bytes, report: SignatureReport, address: str, trust: TrustAnchors, now: datetime
) -> tuple[FoundCertificate, ...]:
    """Return what mail for the author (`address`, lower case) can be encrypted to; nothing unless `report`,
    the verdict on this very message, is passed.

    Each allows encryption for mail, has a valid path at `now`, and carries the address or is bound to its
    domain. Total.
    """
    if report.verdict is not Verdict.PASSED or not report.signers:
        return ()
    signer = next((one for one in report.signers if address in one.addresses), report.signers[0])
    gcm = read_capabilities(signer.capabilities).gcm
    leaves, issuers = _enclosed(raw)
    found = []
    for der in leaves:
        certificate = _usable(der, issuers, address, trust, now)
        if certificate is not None:
            signed_at = signer.signing_time or certificate.not_valid_before
            fingerprint = hashlib.sha256(der).hexdigest()
            found.append(FoundCertificate(der, issuers, fingerprint, gcm, signed_at))
    return tuple(found)


def _enclosed(raw: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the certificates beside a signature: those of end entities, and those of authorities."""
    try:
        fields, body = split_message(raw)
        signature = find_signature(raw, fields, body)
        if isinstance(signature, Unsigned):
            return (), ()
        enclosed = read_signed_data(signature.cms).certificates[:MAXIMUM_LOOKED_AT]
        authorities = tuple(der for der in enclosed if x509.Certificate.load(der).ca)
    except (FieldFault, CmsFault, *DECODING_ERRORS):
        return (), ()
    return tuple(der for der in enclosed if der not in authorities), authorities


def _usable(
    der: bytes, issuers: Sequence[bytes], address: str, trust: TrustAnchors, now: datetime
) -> Any | None:
    """Return the certificate where it is the author's and may be encrypted to."""
    try:
        check_target(EncryptionTarget(der))
        certificate = x509.Certificate.load(der)
        named = certificate_addresses(certificate)
        subject, issuer = (
            DistinguishedName.from_asn1(certificate.subject),
            DistinguishedName.from_asn1(certificate.issuer),
        )
    except (EncryptionFault, NameFault, *DECODING_ERRORS):
        return None
    domain = address.rpartition("@")[2]
    if address not in named and (named or domain not in trust.domains_bound_to(issuer, subject)):
        return None
    if validate(der, issuers, trust, None, now).verdict is not Verdict.PASSED:
        return None
    return certificate
