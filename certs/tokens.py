"""Access tokens of an identity provider such as Pro Santé Connect: a JWT (RFC 7519), its signature by a key
set (RFC 7515, RFC 7517) and its claims, judged as RFC 8725 advises.

Nothing of a token's header chooses what is believed: the algorithm must be one of three, the key is looked up
by name in the key set that was passed in, and `jku`, `jwk`, `x5u` and `x5c` are not read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode

from certs.verdicts import Verdict

__all__ = [
    "MAXIMUM_KEY_SET",
    "MAXIMUM_TOKEN",
    "KeySetFault",
    "TokenKeys",
    "TokenPolicy",
    "TokenReason",
    "TokenVerdict",
    "judge_token",
    "read_keys",
]

MAXIMUM_TOKEN: Final = 8192
"""Longest token that is read, in characters: in base64 it still fits the longest AUTH line (RFC 4954 §4)."""
MAXIMUM_KEY_SET: Final = 256 * 1024
"""Longest key set that is read, in octets."""
_MOST_KEYS: Final = 32
_LEAST_RSA_BITS: Final = 2048
_MOST_RSA_BITS: Final = 8192
_ALGORITHMS: Final[Mapping[str, type[RSAKey] | type[ECKey]]] = MappingProxyType(
    {"RS256": RSAKey, "PS256": RSAKey, "ES256": ECKey}
)
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_DIGITS: Final = re.compile(r"[0-9]{11}")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
# what decoding and verifying raise for octets of any kind; RecursionError: lists nested a thousand deep
_FAULTS: Final = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    OverflowError,
    JoseError,
)


class TokenReason(StrEnum):
    """Why a token is believed or not. Each member has one meaning and is stable: it is logged."""

    GENUINE = "genuine"
    TOO_LONG = "too-long"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm-not-allowed"
    CRITICAL_HEADER = "critical-header"
    KEY_UNNAMED = "key-unnamed"
    KEY_UNKNOWN = "key-unknown"
    """No key of the set has this name: the set may be out of date."""
    KEYS_UNAVAILABLE = "keys-unavailable"
    """There is no key set to judge by; said by who keeps the keys."""
    KEY_UNSUITABLE = "key-unsuitable"
    SIGNATURE = "signature-wrong"
    ISSUER = "issuer-wrong"
    AUDIENCE = "audience-wrong"
    KIND = "not-an-access-token"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    ASSURANCE = "assurance-too-low"
    IDENTITY = "identity-missing"


class KeySetFault(ValueError):
    """A key set that cannot be read or holds no key of use."""


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """Whose tokens are believed, and for whom.

    `audiences` are the client identifiers of which one must stand in `aud` or be `azp`; `assurance` the
    allowed values of `acr`, empty for any. `identity_claim` holds `identity_prefix` and the RPPS number.
    """

    issuer: str
    audiences: frozenset[str]
    identity_claim: str = "SubjectNameID"
    identity_prefix: str = "8"
    assurance: frozenset[str] = frozenset()
    leeway: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The public keys of an issuer by their name (`kid`), and the algorithm that each is bound to ('' for
    any).
    """

    keys: Mapping[str, tuple[RSAKey | ECKey, str]]


@dataclass(frozen=True, slots=True)
class TokenVerdict:
    """Verdict on a token. `rpps` (11 digits) and `expires` are given only when it passed."""

    verdict: Verdict
    reason: TokenReason
    rpps: str = ""
    expires: datetime | None = None


class _Refused(Exception):
    """A token is refused for one reason."""

    def __init__(self, reason: TokenReason) -> None:
        self.reason = reason
        super().__init__(reason)


def read_keys(text: bytes) -> TokenKeys:
    """Read a JWK set (RFC 7517 §5). Raises KeySetFault.

    Keys that are of no use here (secret ones, for encryption, without name, of a weak or foreign kind) are
    left out, as the RFC asks.
    """
    if len(text) > MAXIMUM_KEY_SET:
        raise KeySetFault("the key set is too long")
    try:
        members = _object(text)["keys"]
    except _FAULTS as error:
        raise KeySetFault("the key set cannot be read") from error
    if not isinstance(members, list) or len(members) > _MOST_KEYS:
        raise KeySetFault("the key set is no list of keys, or too long a one")
    found: dict[str, tuple[RSAKey | ECKey, str]] = {}
    for member in members:
        key = _usable_key(member) if isinstance(member, dict) else None
        if key is None:
            continue
        if member["kid"] in found:
            raise KeySetFault("two keys of the set have one name")
        found[member["kid"]] = (key, member.get("alg", ""))
    if not found:
        raise KeySetFault("the key set holds no key of use")
    return TokenKeys(MappingProxyType(found))


def _usable_key(member: dict[str, Any]) -> RSAKey | ECKey | None:
    """Return the public key of one entry; None where it is of no use here."""
    name, algorithm = member.get("kid"), member.get("alg", "")
    if not isinstance(name, str) or not 0 < len(name) <= 255 or member.get("use", "sig") != "sig":
        return None
    if algorithm and algorithm not in _ALGORITHMS:
        return None
    public = {key: value for key, value in member.items() if key in ("kty", "n", "e", "crv", "x", "y")}
    try:
        if public.get("kty") == "RSA":
            bits = int.from_bytes(urlsafe_b64decode(public["n"].encode("ascii"))).bit_length()
            return RSAKey.import_key(public) if _LEAST_RSA_BITS <= bits <= _MOST_RSA_BITS else None
        if public.get("kty") == "EC" and public.get("crv") == "P-256":
            return ECKey.import_key(public)
    except _FAULTS:
        return None
    return None


def judge_token(token: str, keys: TokenKeys, policy: TokenPolicy, now: datetime) -> TokenVerdict:
    """Judge an access token at `now` (aware). Total: any text gives a verdict, passed or failed."""
    try:
        if len(token) > MAXIMUM_TOKEN:
            raise _Refused(TokenReason.TOO_LONG)
        matched = _COMPACT.fullmatch(token)
        if matched is None:
            raise _Refused(TokenReason.MALFORMED)
        header = _object(_decoded(matched[1]))
        _verify(token, header, keys)
        claims = _object(_decoded(matched[2]))
        expires = _check_claims(claims, policy, now)
        rpps = _identity(claims, policy)
    except _Refused as refused:
        return TokenVerdict(Verdict.FAILED, refused.reason)
    except _FAULTS:
        return TokenVerdict(Verdict.FAILED, TokenReason.MALFORMED)
    return TokenVerdict(Verdict.PASSED, TokenReason.GENUINE, rpps, expires)


def _verify(token: str, header: dict[str, Any], keys: TokenKeys) -> None:
    """Verify the signature by the key that the header names (RFC 7515 §5.2, RFC 8725 §3.1)."""
    algorithm, name, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise _Refused(TokenReason.ALGORITHM)
    if "crit" in header or "b64" in header:
        raise _Refused(TokenReason.CRITICAL_HEADER)
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise _Refused(TokenReason.KIND)
    if not isinstance(name, str) or not name:
        raise _Refused(TokenReason.KEY_UNNAMED)
    key, bound = keys.keys.get(name, (None, ""))
    if key is None:
        raise _Refused(TokenReason.KEY_UNKNOWN)
    if not isinstance(key, _ALGORITHMS[algorithm]) or bound not in ("", algorithm):
        raise _Refused(TokenReason.KEY_UNSUITABLE)
    # joserfc looks at the header only for what was checked here already: it gets the key, not a choice
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    try:
        jws.deserialize_compact(token, key, algorithms=[algorithm], registry=registry)
    except JoseError as error:
        raise _Refused(TokenReason.SIGNATURE) from error


def _check_claims(claims: dict[str, Any], policy: TokenPolicy, now: datetime) -> datetime:
    """Check issuer, audience, kind, assurance and times (RFC 7519 §4.1); return when the token ends."""
    if claims.get("iss") != policy.issuer:
        raise _Refused(TokenReason.ISSUER)
    named = claims.get("aud", [])
    audiences = {value for value in (named if isinstance(named, list) else [named]) if isinstance(value, str)}
    party = claims.get("azp")
    if isinstance(party, str):
        audiences.add(party)
    if not audiences & policy.audiences:
        raise _Refused(TokenReason.AUDIENCE)
    # Keycloak, which Pro Santé Connect is made of, signs identity tokens with the same key: they are for the
    # client and no key to a mailbox.
    if claims.get("typ", "Bearer") != "Bearer":
        raise _Refused(TokenReason.KIND)
    if policy.assurance and claims.get("acr") not in policy.assurance:
        raise _Refused(TokenReason.ASSURANCE)
    moment, leeway = now.timestamp(), policy.leeway.total_seconds()
    expires = _time(claims["exp"])
    if moment >= expires + leeway:
        raise _Refused(TokenReason.EXPIRED)
    for claim in ("nbf", "iat"):
        if claim in claims and moment < _time(claims[claim]) - leeway:
            raise _Refused(TokenReason.NOT_YET_VALID)
    return datetime.fromtimestamp(expires, tz=now.tzinfo)


def _identity(claims: dict[str, Any], policy: TokenPolicy) -> str:
    """Return the RPPS number of the identity claim: IDNPS is `8` and the number."""
    claimed = claims.get(policy.identity_claim)
    if not isinstance(claimed, str) or not claimed.startswith(policy.identity_prefix):
        raise _Refused(TokenReason.IDENTITY)
    number = claimed[len(policy.identity_prefix) :]
    if _DIGITS.fullmatch(number) is None:
        raise _Refused(TokenReason.IDENTITY)
    return number


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Refused(TokenReason.MALFORMED)
    return float(value)


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment.encode("ascii"))


def _object(text: bytes) -> dict[str, Any]:
    """Read one JSON object whose names are distinct: two readers of doubled names could differ. Raises
    ValueError, RecursionError.
    """
    found = json.loads(text.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_no_constant)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
