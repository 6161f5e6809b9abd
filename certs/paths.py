"""Certification paths (RFC 5280 §6): chain, usage, validity at signing and now, revocation from CRLs passed
in.

pyhanko-certvalidator decides the path; it is never allowed to fetch. Its coroutines then do no input or
output, so they are run to their end in one step, inside or outside of an event loop.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any

from asn1crypto import crl, pem, x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import (
    CRLValidationError,
    DisallowedAlgorithmError,
    ExpiredError,
    InsufficientRevinfoError,
    InvalidCertificateError,
    NotYetValidError,
    PathBuildingError,
    RevokedError,
    ValidationError,
)
from pyhanko_certvalidator.policy_decl import (
    CertRevTrustPolicy,
    FreshnessReqType,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)

from certs.algorithms import AlgorithmRefused, load_public_key
from certs.cms import DECODING_ERRORS, MAXIMUM_CERTIFICATE
from certs.names import DistinguishedName
from certs.pathcache import REFUSAL_LIFETIME, KnownPath, KnownRefusal, PathCache, path_key
from certs.pathrules import PathRules
from certs.revocations import revoked_ahead
from certs.verdicts import PathResult, Reason, Verdict

__all__ = [
    "PathResult",
    "RevocationList",
    "RevocationMode",
    "TrustAnchors",
    "TrustFault",
    "Usage",
    "is_authority",
    "load_anchors",
    "read_certificates",
    "read_crl",
    "validate",
]

CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far clocks of signers and of certification authorities may be ahead of ours."""
MAXIMUM_INTERMEDIATES = 4
"""CA certificates of a message that are considered; path building tries their orders, so the number is a
bound.
"""


class TrustFault(ValueError):
    """Configured anchors or CRLs cannot be read."""


class RevocationMode(Enum):
    """What it means that no current CRL is known for a certificate."""

    REQUIRE = "require"
    """Indeterminate: the question is asked again later."""
    WHEN_KNOWN = "when_known"
    """Accepted; a CRL that is known still revokes."""


class Usage(Enum):
    """What a certificate is to be used for; the value is the extended key usage that it needs."""

    EMAIL_SIGNATURE = "email_protection"
    TLS_CLIENT = "client_auth"
    TLS_SERVER = "server_auth"


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A CRL in DER and the times of its issue and its nextUpdate."""

    der: bytes
    issued: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """What is believed: roots and helping intermediates in DER, CRLs, and the revocation policy.

    Everything is held as octets: asn1crypto objects change when they are read, so that sharing them between
    threads would give wrong verdicts. `grace` is how long a CRL is still used after its nextUpdate.
    `bindings` say for certificates without mail address which domains they may write for: (issuer, part of
    the subject) -> domains in lower case. `rules` are what every path must satisfy.
    """

    roots: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()
    crls: tuple[RevocationList, ...] = ()
    revocation: RevocationMode = RevocationMode.REQUIRE
    grace: timedelta = timedelta(days=3)
    bindings: Mapping[tuple[DistinguishedName, DistinguishedName], frozenset[str]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    rules: PathRules = field(default_factory=PathRules)

    def domains_bound_to(self, issuer: DistinguishedName, subject: DistinguishedName) -> frozenset[str]:
        """Return the domains that the bindings allow a certificate of these names to write for."""
        allowed = [
            domains
            for (by, part), domains in self.bindings.items()
            if by == issuer and subject.includes(part)
        ]
        return frozenset().union(*allowed)


def load_anchors(
    roots_pem: bytes,
    intermediates_pem: bytes = b"",
    crls: Iterable[bytes] = (),
    revocation: RevocationMode = RevocationMode.REQUIRE,
    grace: timedelta = timedelta(days=3),
    bindings: Mapping[tuple[DistinguishedName, DistinguishedName], frozenset[str]] | None = None,
    rules: PathRules | None = None,
) -> TrustAnchors:
    """Read anchors from PEM and CRLs from DER or PEM. Raises TrustFault.

    Where revocation is required an anchor must be self-signed: the validator finds no issuer for the CRLs of
    another one, so that each certificate below it would be unknown for ever.
    """
    try:
        roots = read_certificates(roots_pem)
        intermediates = read_certificates(intermediates_pem) if intermediates_pem else ()
        lists = tuple(read_crl(encoded) for encoded in crls)
    except DECODING_ERRORS as error:
        raise TrustFault("anchors or CRLs cannot be read") from error
    if not roots:
        raise TrustFault("no trust anchor")
    if revocation is RevocationMode.REQUIRE and any(one.self_signed == "no" for one in _loaded(roots)):
        raise TrustFault("an anchor is not self-signed, so that revocation below it cannot be required")
    frozen = MappingProxyType(dict(bindings or {}))
    return TrustAnchors(roots, intermediates, lists, revocation, grace, frozen, rules or PathRules())


def read_certificates(text: bytes) -> tuple[bytes, ...]:
    """Read the certificates of a PEM text as DER. Raises ValueError for what is none."""
    found = tuple(der for kind, _, der in pem.unarmor(text, multiple=True) if kind == "CERTIFICATE")
    for certificate in _loaded(found):
        _ = certificate.subject.hashable  # decoded at loading, where a fault can be told
    return found


def is_authority(certificate: bytes) -> bool:
    """Tell whether a DER certificate, read before, is a certification authority's."""
    return bool(x509.Certificate.load(certificate).ca)


def read_crl(encoded: bytes) -> RevocationList:
    """Read a CRL in DER or PEM. Raises what asn1crypto raises, `DECODING_ERRORS`."""
    der = pem.unarmor(encoded)[2] if pem.detect(encoded) else encoded
    body = crl.CertificateList.load(der, strict=True)["tbs_cert_list"]
    issued = body["this_update"].native
    # Without nextUpdate (RFC 5280 §5.1.2.5 demands it) the list is current at its issue only.
    return RevocationList(der, issued, body["next_update"].native or issued)


def validate(
    certificate: bytes,
    enclosed: Sequence[bytes],
    trust: TrustAnchors,
    usage: Usage | None,
    now: datetime,
    signed_at: datetime | None = None,
    cache: PathCache | None = None,
) -> PathResult:
    """Judge a DER certificate for `usage` (None: whatever it is used for) at `now` and, where given, at the
    signing time.

    `enclosed` are certificates that came with it: they help to build a path and are never believed. `cache`
    remembers answers under these very anchors. Total: any bytes give a result.
    """
    key = path_key(certificate, enclosed, "" if usage is None else usage.value)
    known = cache.find(trust, key, now) if cache is not None else None
    if known is None:
        try:
            known = _built_path(certificate, enclosed, trust, usage, now)
        except DECODING_ERRORS:
            return PathResult(Verdict.FAILED, Reason.MALFORMED, "a certificate cannot be decoded")
        if cache is not None:
            _remember(cache, trust, key, known, now)
    if isinstance(known, PathResult):
        return _told_with_signing_time(known, signed_at)
    refused = None if signed_at is None else _check_signing_time(known.periods, signed_at, now)
    return refused or PathResult(Verdict.PASSED, Reason.GENUINE)


def _remember(
    cache: PathCache, trust: TrustAnchors, key: bytes, found: KnownPath | PathResult, now: datetime
) -> None:
    """Keep an answer for as long as only other anchors or CRLs could change it."""
    if isinstance(found, KnownPath):
        if found.holds(now):
            cache.keep(trust, key, found)
    elif found.reason is not Reason.NOT_YET_VALID:  # which time alone heals
        until = _until([(now, now + REFUSAL_LIFETIME)], trust, now)
        cache.keep_refusal(trust, key, KnownRefusal(found, now, until))


def _built_path(
    certificate: bytes, enclosed: Sequence[bytes], trust: TrustAnchors, usage: Usage | None, now: datetime
) -> KnownPath | PathResult:
    if max(map(len, (certificate, *enclosed))) > MAXIMUM_CERTIFICATE:
        return PathResult(Verdict.FAILED, Reason.MALFORMED, "a certificate is too large")
    leaf = x509.Certificate.load(certificate, strict=True)
    refused = None if usage is None else _check_usage(leaf, usage)
    if refused is None and trust.rules.modern_algorithms:
        refused = _check_key(leaf)
    if refused is not None:
        return refused
    near = _relevant(leaf, [x509.Certificate.load(other) for other in enclosed])
    # Ours first: of two certificates with one issuer and serial number the validator keeps the first, and
    # an altered copy in the message must not hide the true one.
    candidates = [other for other in (*_loaded(trust.intermediates), *near) if _fits(other, leaf)]
    search = _Search(trust, tuple(candidates), now, _current_crls(trust, now))
    path = _checked_path(leaf, search)
    if isinstance(path, PathResult):
        return path
    periods = tuple((one.not_valid_before, one.not_valid_after) for one in path[1:])
    return KnownPath(periods, now, _until(periods, trust, now))


def _until(periods: Sequence[tuple[datetime, datetime]], trust: TrustAnchors, now: datetime) -> datetime:
    """Return when to ask anew: a certificate ends, or the set of CRLs that count changes."""
    changes = [ends for _, ends in periods]
    for known in trust.crls:
        changes += [
            moment for moment in (known.issued - CLOCK_TOLERANCE, known.ends + trust.grace) if moment > now
        ]
    return min(changes, default=now)


def _told_with_signing_time(refused: PathResult, signed_at: datetime | None) -> PathResult:
    """Say of a revocation that the signature claims to be older; the verdict does not change.

    The signing time is the signer's own word: whoever stole the key would write a time before its revocation
    (RFC 5652 §11.3 gives it no authority). Only a time stamp of a third party could prove it.
    """
    if refused.reason is not Reason.REVOKED or signed_at is None:
        return refused
    claimed = f"{refused.detail}; claims to be signed on {signed_at:%Y-%m-%d %H:%M:%SZ}"
    return PathResult(refused.verdict, refused.reason, claimed)


@dataclass(frozen=True, slots=True)
class _Search:
    """What every question about one certificate shares."""

    trust: TrustAnchors
    candidates: tuple[Any, ...]
    now: datetime
    crls: tuple[Any, ...]


def _loaded(certificates: Iterable[bytes]) -> list[Any]:
    return [x509.Certificate.load(der) for der in certificates]


def _check_usage(certificate: Any, usage: Usage) -> PathResult | None:
    """Check key usage and extended key usage where they are present (RFC 8550 §4.4.2 and §4.4.4).

    The validator refuses a certificate without key usage extension; for mail such a one may sign.
    """
    key_usage = certificate.key_usage_value
    if key_usage is not None:
        allowed = key_usage.native
        wanted = {"digital_signature"}
        if usage is Usage.EMAIL_SIGNATURE:
            wanted.add("non_repudiation")
        if not wanted & allowed:
            return PathResult(Verdict.FAILED, Reason.USAGE, "key usage does not allow it")
    extended = certificate.extended_key_usage_value
    if extended is not None and not {usage.value, "any_extended_key_usage"} & set(extended.native):
        return PathResult(Verdict.FAILED, Reason.USAGE, "extended key usage does not allow it")
    return None


def _fits(authority: Any, certificate: Any) -> bool:
    """Whether an authority of the issuer's name has a key of the kind that signed; others are let through.

    The validator asserts it for the issuers of CRLs instead of comparing, so that an authority which renewed
    its RSA key as one on a curve would break every check of what it signed before.
    """
    if authority.subject.hashable != certificate.issuer.hashable:
        return True
    kind = certificate["signature_algorithm"].signature_algo
    kinds = {"rsassa_pkcs1v15": {"rsa"}, "rsassa_pss": {"rsa", "rsassa_pss"}, "ecdsa": {"ec"}}
    return authority.public_key.algorithm in kinds.get(kind, {kind})


def _check_key(certificate: Any) -> PathResult | None:
    """Hold the certificate's own key to the bounds of `certs.algorithms`; those above are the path's."""
    try:
        load_public_key(certificate.public_key.dump())
    except AlgorithmRefused as refused:
        return PathResult(Verdict.FAILED, refused.reason, str(refused))
    return None


def _relevant(certificate: Any, enclosed: Sequence[Any]) -> list[Any]:
    """Choose the enclosed CA certificates that can stand above `certificate`, nearest first, at most four."""
    chosen: list[Any] = []
    wanted = {certificate.issuer.hashable}
    for _ in range(MAXIMUM_INTERMEDIATES):
        found = [
            other
            for other in enclosed
            if other.subject.hashable in wanted
            and other.ca
            and other.self_signed == "no"
            and other not in chosen
        ]
        if not found:
            break
        chosen.extend(found)
        wanted |= {other.issuer.hashable for other in found}
    return chosen[:MAXIMUM_INTERMEDIATES]


def _checked_path(leaf: Any, search: _Search) -> list[Any] | PathResult:
    """Return the valid path, anchor first, with every certificate below the anchor asked for in the CRLs."""
    required = RevocationCheckingRule.CRL_REQUIRED
    path = _path(leaf, search, required, required)
    if not isinstance(path, PathResult):
        return _revoked_ahead(path, search) or path
    if path.verdict is not Verdict.INDETERMINATE:
        return path
    # Some CRL is missing. Each certificate is asked for by itself: otherwise an intermediate without CRL
    # would hide that the signer's certificate is revoked.
    unchecked = RevocationCheckingRule.NO_CHECK
    unknown = path
    path = _path(leaf, search, unchecked, unchecked)
    if isinstance(path, PathResult):
        return path
    for certificate in path[1:]:
        asked = _path(certificate, search, required, unchecked)
        if isinstance(asked, PathResult) and asked.verdict is Verdict.FAILED:
            return asked
    ahead = _revoked_ahead(path, search)
    if ahead is not None:
        return ahead
    return unknown if search.trust.revocation is RevocationMode.REQUIRE else path


def _revoked_ahead(path: Sequence[Any], search: _Search) -> PathResult | None:
    """Refuse a path of which a certificate is revoked with a date that has not come yet."""
    ahead = revoked_ahead(path, search.crls, search.now)
    if ahead is None:
        return None
    return PathResult(Verdict.FAILED, Reason.REVOKED, f"revoked on {ahead:%Y-%m-%d %H:%M:%SZ}")


def _path(
    certificate: Any, search: _Search, own_rule: RevocationCheckingRule, ca_rule: RevocationCheckingRule
) -> list[Any] | PathResult:
    """Return the certificates of the valid path, anchor first, or why there is none."""
    policy = CertRevTrustPolicy(
        RevocationCheckingPolicy(own_rule, ca_rule),
        # Staleness is judged by `_current_crls`, with our grace; the library must not judge it again.
        freshness=timedelta(days=36500),
        freshness_req_type=FreshnessReqType.MAX_DIFF_REVOCATION_VALIDATION,
    )
    context = ValidationContext(
        trust_roots=_loaded(search.trust.roots),
        other_certs=search.candidates,
        moment=search.now,
        allow_fetching=False,
        crls=search.crls,
        revinfo_policy=policy,
        algorithm_usage_policy=search.trust.rules.algorithms,
    )
    validator = CertificateValidator(
        certificate, validation_context=context, pkix_params=search.trust.rules.parameters()
    )
    try:
        return list(_run(validator.async_validate_path()))
    except RevokedError as error:
        when, why = error.revocation_dt, error.reason.native
        return PathResult(Verdict.FAILED, Reason.REVOKED, f"revoked on {when:%Y-%m-%d %H:%M:%SZ} ({why})")
    except ExpiredError as error:
        return PathResult(Verdict.FAILED, Reason.EXPIRED, f"expired on {error.expired_dt:%Y-%m-%d %H:%M:%SZ}")
    except NotYetValidError as error:
        return PathResult(
            Verdict.FAILED, Reason.NOT_YET_VALID, f"valid from {error.valid_from:%Y-%m-%d %H:%M:%SZ}"
        )
    except InsufficientRevinfoError:
        return PathResult(Verdict.INDETERMINATE, Reason.REVOCATION_UNKNOWN, "no current CRL")
    except (PathBuildingError, InvalidCertificateError):
        return PathResult(Verdict.FAILED, Reason.UNTRUSTED, "no path to a trust anchor")
    except DisallowedAlgorithmError:
        return PathResult(
            Verdict.FAILED, Reason.ALGORITHM_WEAK, "an algorithm or key of the path is too weak"
        )
    except (ValidationError, CRLValidationError, AssertionError):
        # The library's sentences name persons and must not reach a log. It asserts where it should compare
        # (`_fits`).
        return PathResult(Verdict.FAILED, Reason.PATH_INVALID, "the path breaks a rule of RFC 5280")


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits to its end and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value
    coroutine.close()
    raise NotImplementedError("the path validator tried to wait for something")


def _current_crls(trust: TrustAnchors, now: datetime) -> tuple[Any, ...]:
    lists = (
        crl.CertificateList.load(known.der)
        for known in trust.crls
        if known.issued <= now + CLOCK_TOLERANCE and now <= known.ends + trust.grace
    )
    allowed = trust.rules.algorithms.signature_algorithm_allowed
    return tuple(one for one in lists if allowed(one["signature_algorithm"], None, None))


def _check_signing_time(
    periods: Sequence[tuple[datetime, datetime]], signed_at: datetime, now: datetime
) -> PathResult | None:
    """Say what speaks against the claimed signing time, None when nothing does."""
    if signed_at > now + CLOCK_TOLERANCE:
        return PathResult(
            Verdict.FAILED, Reason.SIGNED_IN_FUTURE, f"signing time {signed_at:%Y-%m-%d %H:%M:%SZ}"
        )
    for begins, ends in periods:
        if signed_at < begins - CLOCK_TOLERANCE:
            return PathResult(Verdict.FAILED, Reason.NOT_YET_VALID, "not valid yet at the signing time")
        if signed_at > ends:
            return PathResult(Verdict.FAILED, Reason.EXPIRED, "expired at the signing time")
    return None
