"""Certificate revocation lists that were fetched: read, verified against configured authorities, and compared
with the one that is held (RFC 5280 §5).

Only complete lists of an authority about its own certificates are taken. Delta CRLs and indirect CRLs are
refused: nothing in the trust space needs them, and a list that speaks for another authority is a door.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import core, crl, pem
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from certs.cms import DECODING_ERRORS
from certs.names import DistinguishedName, NameFault
from certs.paths import CLOCK_TOLERANCE

__all__ = ["CrlFacts", "CrlFault", "crl_facts", "newest", "verified_crl"]

_WEAK = (hashes.MD5, hashes.SHA1)


class CrlFault(ValueError):
    """A list that must not be used; the text is one English phrase."""


@dataclass(frozen=True, slots=True)
class CrlFacts:
    """What a CRL says of itself. Nothing of it is verified unless it comes from `verified_crl`.

    `scope` names issuer, key and distribution point: of two lists of one scope the newer one counts.
    `revoked` is the number of entries; `ends` its nextUpdate, without one its issue.
    """

    der: bytes
    issuer: str
    scope: str
    issued: datetime
    ends: datetime
    revoked: int


def crl_facts(encoded: bytes) -> CrlFacts:
    """Read a CRL (DER or PEM). Raises CrlFault for what is none, for delta and for indirect ones."""
    try:
        der = pem.unarmor(encoded)[2] if pem.detect(encoded) else encoded
        parsed = crl.CertificateList.load(der, strict=True)
        body = parsed["tbs_cert_list"]
        issued = body["this_update"].native
        entries = body["revoked_certificates"]
        if parsed.delta_crl_indicator_value is not None:
            raise CrlFault("a delta CRL")
        _refuse_indirect(parsed)
        return CrlFacts(
            der,
            DistinguishedName.from_asn1(parsed.issuer).text,
            _scope(parsed),
            issued,
            body["next_update"].native or issued,
            0 if isinstance(entries, core.Void) else len(entries),
        )
    except CrlFault:
        raise
    except (NameFault, *DECODING_ERRORS) as error:
        raise CrlFault("not a CRL") from error


def _refuse_indirect(parsed: Any) -> None:
    point = parsed.issuing_distribution_point_value
    if point is not None and (point["indirect_crl"].native or point["only_some_reasons"].native):
        raise CrlFault("an indirect CRL, or one for some reasons only")


def _scope(parsed: Any) -> str:
    key = parsed.authority_key_identifier
    point = parsed.issuing_distribution_point_value
    parts = (parsed.issuer.dump(), key or b"", point.dump() if point is not None else b"")
    return hashlib.sha256(b"".join(len(part).to_bytes(4) + part for part in parts)).hexdigest()


def verified_crl(encoded: bytes, authorities: Iterable[bytes], now: datetime, grace: timedelta) -> CrlFacts:
    """Return the facts of a CRL that one of the `authorities` (DER certificates that we configured) signed.

    Raises CrlFault: not a CRL, of another issuer, signature wrong or weak, from the future, over for longer
    than `grace`.
    """
    facts = crl_facts(encoded)
    try:
        signed = x509.load_der_x509_crl(facts.der)
        issuers = [x509.load_der_x509_certificate(der) for der in authorities]
        issuers = [ca for ca in issuers if ca.subject == signed.issuer]
        if not issuers:
            raise CrlFault("of an issuer that is not configured")
        if isinstance(signed.signature_hash_algorithm, _WEAK):
            raise CrlFault("signed with a weak algorithm")
        if not any(_signed_by(signed, ca) for ca in issuers):
            raise CrlFault("the signature does not hold")
    except CrlFault:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise CrlFault("cannot be verified") from error
    if facts.issued > now + CLOCK_TOLERANCE:
        raise CrlFault(f"issued in the future ({facts.issued:%Y-%m-%dT%H:%M:%SZ})")
    if facts.ends + grace < now:
        raise CrlFault(f"over since {facts.ends:%Y-%m-%dT%H:%M:%SZ}")
    return facts


def _signed_by(signed: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    """Tell whether the authority's key made the signature and may do so (RFC 5280 §4.2.1.3)."""
    try:
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.crl_sign:
            return False
    except x509.ExtensionNotFound:
        pass  # a root without the extension may sign anything
    key = authority.public_key()
    if not isinstance(
        key,
        rsa.RSAPublicKey
        | ec.EllipticCurvePublicKey
        | ed25519.Ed25519PublicKey
        | ed448.Ed448PublicKey
        | dsa.DSAPublicKey,
    ):
        return False
    try:
        return signed.is_signature_valid(key)
    except InvalidSignature:
        return False


def newest(lists: Sequence[CrlFacts]) -> tuple[CrlFacts, ...]:
    """Keep of each scope the list that was issued last: an older one could hide a revocation or be taken for
    current.
    """
    found: dict[str, CrlFacts] = {}
    for facts in lists:
        held = found.get(facts.scope)
        if held is None or held.issued < facts.issued:
            found[facts.scope] = facts
    return tuple(found.values())
