"""Revocations that the path validator lets pass: those with a date that has not come yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

__all__ = ["revoked_ahead"]

_VALIDATOR_TOLERANCE = timedelta(seconds=1)
"""The validator judges dates strictly before its moment; those around it are judged here."""


def revoked_ahead(path: Sequence[Any], crls: Sequence[Any], now: datetime) -> datetime | None:
    """Return the date of the first revocation ahead of `now` in a valid path, anchor first (asn1crypto).

    Its authority has withdrawn the certificate already; clocks differ, and nobody dates a revocation ahead to
    allow use until then (RFC 5280 §5.3 knows no such thing).
    """
    for issuer, certificate in pairwise(path):
        for known in crls:
            ahead = _dated_ahead(known, issuer, certificate, now)
            if ahead is not None:
                return ahead
    return None


def _dated_ahead(known: Any, issuer: Any, certificate: Any, now: datetime) -> datetime | None:
    scope = known.issuing_distribution_point_value
    if known.issuer != certificate.issuer or (scope is not None and scope["indirect_crl"].native):
        return None  # its lines belong to other issuers
    try:
        lines = x509.load_der_x509_crl(known.dump())
        line = lines.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if line is None or line.revocation_date_utc < now - _VALIDATOR_TOLERANCE:
            return None
        return line.revocation_date_utc if lines.is_signature_valid(_key(issuer)) else None
    except (ValueError, UnsupportedAlgorithm):
        return None  # a stricter reader than the validator, whose word stands then


def _key(issuer: Any) -> CertificateIssuerPublicKeyTypes:
    key = x509.load_der_x509_certificate(issuer.dump()).public_key()
    return cast(CertificateIssuerPublicKeyTypes, key)  # it has verified a certificate already
