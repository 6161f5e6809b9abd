"""Judging DKIM signatures: which keys are wanted, and whether each signature holds (RFC 6376 §6.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from quopri import decodestring

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from certs.dkim.canonical import SIGNATURE_FIELD, RawField, RawMessage, body_hash, read_message, signed_octets
from certs.dkim.keys import KeyKind, KeyRecord, KeyRecordFault, PublicKey, Unavailable, load_public_key
from certs.dkim.reports import DkimReason, DkimReport, DkimSignature, KeyName
from certs.dkim.tags import TagFault, base64_value, read_tags, words
from certs.fields import MAXIMUM_FIELDS, FieldFault
from certs.verdicts import Verdict

__all__ = ["MAXIMUM_SIGNATURES", "signatures_in", "verify_dkim"]

MAXIMUM_SIGNATURES = 4
"""Signatures that are looked at, from the top: each costs a lookup and a public-key operation."""

LEAST_BITS = 1024
"""RSA keys below are refused by RFC 8301 §3.2."""
OUR_LEAST_BITS = 2048
"""RSA keys below are refused by our policy, as they are for S/MIME."""

_SKEW = timedelta(minutes=5)
_REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")
_ALGORITHMS = {"rsa-sha256": KeyKind.RSA, "ed25519-sha256": KeyKind.ED25519}
_CANONICALIZATIONS = {"simple": False, "relaxed": True}
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]{1,12}")
_FIELD_NAME = re.compile(r"[!-9<-~]+")


class _Refused(Exception):
    """A signature that does not hold, and why."""

    def __init__(self, reason: DkimReason) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A signature field that is well formed: what it says is signed, and how."""

    kind: KeyKind
    relaxed_header: bool
    relaxed_body: bool
    body_hash: bytes
    signature: bytes


def signatures_in(raw: bytes) -> tuple[KeyName, ...]:
    """Tell the keys that verifying this mail wants, each once, as (domain, selector) in lower case.

    At most four signatures are looked at; one whose d= or s= cannot be read wants none.
    """
    try:
        message = read_message(raw)
    except FieldFault:
        return ()
    wanted = []
    for field in _signature_fields(message):
        tags = _tags(field)
        if isinstance(tags, dict):
            name = (_host(tags.get("d", "")), _host(tags.get("s", "")))
            if all(name):
                wanted.append(name)
    return tuple(dict.fromkeys(wanted))


def verify_dkim(raw: bytes, keys: Mapping[KeyName, KeyRecord | Unavailable], now: datetime) -> DkimReport:
    """Judge the DKIM signatures of a mail; never raises. `keys` holds what was found for `signatures_in`.

    A key that is not in `keys` was not looked up: its signature is indeterminate.
    """
    try:
        message = read_message(raw)
    except FieldFault:
        return DkimReport(fault=DkimReason.MESSAGE_MALFORMED)

    @cache
    def hashed(relaxed: bool) -> bytes:
        return body_hash(message, relaxed=relaxed)

    return DkimReport(
        tuple(_verify(message, field, keys, hashed, now) for field in _signature_fields(message))
    )


def _signature_fields(message: RawMessage) -> list[RawField]:
    return [field for field in message.fields if field.name == SIGNATURE_FIELD][:MAXIMUM_SIGNATURES]


def _verify(
    message: RawMessage,
    field: RawField,
    keys: Mapping[KeyName, KeyRecord | Unavailable],
    hashed: Callable[[bool], bytes],
    now: datetime,
) -> DkimSignature:
    others = tuple(other for other in message.fields if other is not field)
    found = DkimSignature(Verdict.FAILED, DkimReason.MALFORMED, present=tuple(other.name for other in others))
    tags = _tags(field)
    if isinstance(tags, DkimReason):
        return replace(found, reason=tags)
    found = _described(found, tags)
    try:
        claim = _claim(tags, found)
        _check_from(found)
        _check_time(tags, now)
        record = _usable(keys.get((found.domain, found.selector), Unavailable.UNKNOWN), claim, found)
        if hashed(claim.relaxed_body) != claim.body_hash:
            raise _Refused(DkimReason.BODY_CHANGED)
        octets = signed_octets(others, found.signed, field, relaxed=claim.relaxed_header)
        _check_signature(record, claim, octets)
    except _Refused as refused:
        unknown = refused.reason is DkimReason.KEY_UNAVAILABLE
        verdict = Verdict.INDETERMINATE if unknown else Verdict.FAILED
        return replace(found, verdict=verdict, reason=refused.reason)
    return replace(found, verdict=Verdict.PASSED, reason=DkimReason.GENUINE)


def _tags(field: RawField) -> dict[str, str] | DkimReason:
    try:
        return read_tags(field.value)
    except TagFault as fault:
        return DkimReason.TAG_TWICE if fault.twice else DkimReason.MALFORMED


def _host(value: str) -> str:
    """Return a domain or selector in lower case, '' for what is none."""
    lower = value.lower()
    return lower if _DOMAIN.fullmatch(lower) else ""


def _described(found: DkimSignature, tags: Mapping[str, str]) -> DkimSignature:
    """Fill in what the signature says of itself, before it is known to be true."""
    domain = _host(tags.get("d", ""))
    return replace(
        found,
        domain=domain,
        selector=_host(tags.get("s", "")),
        identity=_identity(tags.get("i", f"@{domain}")),
        algorithm="".join(tags.get("a", "").split()).lower()[:32],
        digits="".join(tags.get("b", "").split())[:8],
        signed=_names(tags.get("h", "")),
    )


def _identity(value: str) -> str:
    """Return i= with its local part decoded (RFC 6376 §2.11), its domain in lower case; '' for what is none.

    The domain is found before decoding: an encoded `@` belongs to the local part.
    """
    local, at, domain = "".join(value.split()).rpartition("@")
    host = _host(domain)
    if not at or not host:
        return ""
    return f"{decodestring(local.encode('ascii')).decode('utf-8', 'replace')}@{host}"


def _names(value: str) -> tuple[str, ...]:
    """Return the names in h=, none where one is no field name or there are more than a header can hold."""
    names = words(value) if value.count(":") < MAXIMUM_FIELDS else ()
    return names if all(map(_FIELD_NAME.fullmatch, names)) else ()


def _claim(tags: Mapping[str, str], found: DkimSignature) -> _Claim:
    """Check the form of a signature and its identity (RFC 6376 §3.5, §6.1.1)."""
    if any(not tags.get(name) for name in _REQUIRED):
        raise _Refused(DkimReason.TAG_MISSING)
    if tags["v"] != "1":
        raise _Refused(DkimReason.VERSION)
    if "l" in tags:
        raise _Refused(DkimReason.BODY_LENGTH)
    if found.algorithm not in _ALGORITHMS:
        weak = found.algorithm == "rsa-sha1"
        raise _Refused(DkimReason.ALGORITHM_WEAK if weak else DkimReason.ALGORITHM_UNSUPPORTED)
    if "dns/txt" not in words(tags.get("q", "dns/txt")):
        raise _Refused(DkimReason.QUERY_UNSUPPORTED)
    header, _, body = tags.get("c", "simple/simple").lower().partition("/")
    if not {header, body or "simple"} <= _CANONICALIZATIONS.keys():
        raise _Refused(DkimReason.CANONICALIZATION_UNSUPPORTED)
    if not found.domain or not found.selector or not found.signed:
        raise _Refused(DkimReason.MALFORMED)
    try:
        digest, signature = base64_value(tags["bh"]), base64_value(tags["b"])
    except TagFault as fault:
        raise _Refused(DkimReason.MALFORMED) from fault
    _check_identity(found)
    return _Claim(
        kind=_ALGORITHMS[found.algorithm],
        relaxed_header=_CANONICALIZATIONS[header],
        relaxed_body=_CANONICALIZATIONS[body or "simple"],
        body_hash=digest,
        signature=signature,
    )


def _check_identity(found: DkimSignature) -> None:
    host = found.identity.rpartition("@")[2]
    if host != found.domain and not host.endswith(f".{found.domain}"):
        raise _Refused(DkimReason.IDENTITY_FOREIGN)


def _check_from(found: DkimSignature) -> None:
    """Exactly one From, and signed (RFC 6376 §5.4, §8.15)."""
    if "from" not in found.signed:
        raise _Refused(DkimReason.FROM_UNSIGNED)
    count = found.present.count("from")
    if count != 1:
        raise _Refused(DkimReason.FROM_AMBIGUOUS if count else DkimReason.FROM_MISSING)


def _check_time(tags: Mapping[str, str], now: datetime) -> None:
    """Check t= and x= in whole seconds since 1970 (RFC 6376 §3.5); clocks may differ by five minutes."""
    times = [tags.get(name) for name in ("t", "x")]
    if any(value is not None and _NUMBER.fullmatch(value) is None for value in times):
        raise _Refused(DkimReason.MALFORMED)
    signed, expires = (None if value is None else int(value) for value in times)
    if signed is not None and signed > (now + _SKEW).timestamp():
        raise _Refused(DkimReason.SIGNED_IN_FUTURE)
    if expires is not None and signed is not None and expires <= signed:
        raise _Refused(DkimReason.MALFORMED)
    if expires is not None and expires < now.timestamp():
        raise _Refused(DkimReason.EXPIRED)


_WITHOUT_KEY = {
    Unavailable.MISSING: DkimReason.KEY_MISSING,
    Unavailable.MALFORMED: DkimReason.KEY_MALFORMED,
    Unavailable.UNKNOWN: DkimReason.KEY_UNAVAILABLE,
}


def _usable(record: KeyRecord | Unavailable, claim: _Claim, found: DkimSignature) -> KeyRecord:
    """Check that the published key may be used for this signature (RFC 6376 §3.6.1, §6.1.2)."""
    if isinstance(record, Unavailable):
        raise _Refused(_WITHOUT_KEY[record])
    if not record.public:
        raise _Refused(DkimReason.KEY_REVOKED)
    allowed = record.hashes is None or "sha256" in record.hashes
    exact = not record.strict or found.identity.endswith(f"@{found.domain}")
    if record.kind is not claim.kind or not allowed or not record.for_mail or not exact:
        raise _Refused(DkimReason.KEY_MISMATCH)
    return record


def _check_signature(record: KeyRecord, claim: _Claim, octets: bytes) -> None:
    try:
        key: PublicKey = load_public_key(record)
    except KeyRecordFault as fault:
        raise _Refused(DkimReason.KEY_MALFORMED) from fault
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(claim.signature, sha256(octets).digest())  # RFC 8463 §3: of the hash
        elif key.key_size < LEAST_BITS:
            raise _Refused(DkimReason.KEY_SHORT)
        else:
            key.verify(claim.signature, octets, PKCS1v15(), SHA256())
            if key.key_size < OUR_LEAST_BITS:
                raise _Refused(DkimReason.KEY_WEAK)
    except InvalidSignature as error:
        raise _Refused(DkimReason.SIGNATURE_WRONG) from error
    if record.testing:
        raise _Refused(DkimReason.KEY_TESTING)
