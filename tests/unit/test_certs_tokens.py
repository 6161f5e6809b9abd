"""What makes an access token believed, and every way in which one is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from certs.tokens import (
    MAXIMUM_TOKEN,
    KeySetFault,
    TokenKeys,
    TokenPolicy,
    TokenReason,
    TokenVerdict,
    judge_token,
    read_keys,
)
from certs.verdicts import Verdict
from tests.support.prosante import CLIENT, ISSUER, ProSante, claims_of, encoded

RPPS = "10100000017"
PSC = ProSante()
CURVE = ECKey.generate_key("P-256", {"kid": "ec-1"}, auto_kid=False)
POLICY = TokenPolicy(issuer=ISSUER, audiences=frozenset({CLIENT}))


def keys() -> TokenKeys:
    return read_keys(PSC.key_set({**CURVE.as_dict(private=False), "kid": "ec-1"}))


def judged(token: str, policy: TokenPolicy = POLICY, now: datetime | None = None) -> TokenVerdict:
    return judge_token(token, keys(), policy, now or datetime.now(UTC))


def test_a_good_token_names_the_person() -> None:
    found = judged(PSC.token(RPPS))
    assert (found.verdict, found.reason, found.rpps) == (Verdict.PASSED, TokenReason.GENUINE, RPPS)
    assert found.expires is not None


@pytest.mark.parametrize("algorithm", ["PS256", "ES256"])
def test_the_other_allowed_algorithms(algorithm: str) -> None:
    payload = json.dumps(claims_of(RPPS)).encode()
    if algorithm == "ES256":
        token = PSC.signed({"alg": algorithm, "kid": "ec-1"}, payload, CURVE)
        assert judged(token).verdict is Verdict.PASSED
        return
    unbound = read_keys(json.dumps({"keys": [{**PSC.key().as_dict(private=False), "kid": "psc-1"}]}).encode())
    token = PSC.signed({"alg": algorithm, "kid": "psc-1"}, payload, PSC.key())
    assert judge_token(token, unbound, POLICY, datetime.now(UTC)).verdict is Verdict.PASSED
    assert judged(token).reason is TokenReason.KEY_UNSUITABLE  # this set binds the key to RS256


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": ISSUER + "/"}, TokenReason.ISSUER),
        ({"iss": None}, TokenReason.ISSUER),
        ({"iss": [ISSUER]}, TokenReason.ISSUER),
        ({"azp": "autre-logiciel"}, TokenReason.AUDIENCE),
        ({"azp": None, "aud": ["a", {"b": 1}]}, TokenReason.AUDIENCE),
        ({"exp": 1_700_000_000}, TokenReason.EXPIRED),
        ({"exp": None}, TokenReason.MALFORMED),
        ({"exp": "4000000000"}, TokenReason.MALFORMED),
        ({"exp": True}, TokenReason.MALFORMED),
        ({"exp": 1e300}, TokenReason.MALFORMED),
        ({"nbf": 4_000_000_000}, TokenReason.NOT_YET_VALID),
        ({"iat": 4_000_000_000}, TokenReason.NOT_YET_VALID),
        ({"typ": "ID"}, TokenReason.KIND),
        ({"SubjectNameID": None}, TokenReason.IDENTITY),
        ({"SubjectNameID": f"0{RPPS}"}, TokenReason.IDENTITY),
        ({"SubjectNameID": f"8{RPPS}0"}, TokenReason.IDENTITY),
        ({"SubjectNameID": f"8{RPPS}\n"}, TokenReason.IDENTITY),
        ({"SubjectNameID": "8１０１０００００１７0"}, TokenReason.IDENTITY),
        ({"SubjectNameID": int(f"8{RPPS}")}, TokenReason.IDENTITY),
    ],
)
def test_claims_that_are_refused(changes: dict[str, Any], reason: TokenReason) -> None:
    found = judged(PSC.token(RPPS, **changes))
    assert (found.verdict, found.reason, found.rpps) == (Verdict.FAILED, reason, "")


def test_audience_assurance_and_leeway() -> None:
    assert judged(PSC.token(RPPS, azp=None, aud=["x", CLIENT])).verdict is Verdict.PASSED
    strict = TokenPolicy(ISSUER, frozenset({CLIENT}), assurance=frozenset({"eidas2"}))
    assert judged(PSC.token(RPPS), strict).reason is TokenReason.ASSURANCE
    assert judged(PSC.token(RPPS, acr="eidas2"), strict).verdict is Verdict.PASSED
    now = datetime.now(UTC)
    token = PSC.token(RPPS, exp=int(now.timestamp()))
    assert judged(token, now=now + timedelta(seconds=20)).verdict is Verdict.PASSED
    assert judged(token, now=now + timedelta(seconds=31)).reason is TokenReason.EXPIRED


def _altered(token: str) -> str:
    head, _, signature = token.split(".")
    claims = claims_of("10100000025")
    return f"{head}.{encoded(claims)}.{signature}"


def _by_header() -> dict[str, tuple[str, TokenReason]]:
    """Tokens whose header wants to choose what is believed."""
    payload = json.dumps(claims_of(RPPS)).encode()
    foreign = {"alg": "RS256", "kid": "psc-1", "jku": "https://thief.example/k"}
    crit = {"alg": "RS256", "kid": "psc-1", "crit": ["x"]}
    return {
        "alg none": (PSC.forged({"alg": "none", "kid": "psc-1"}, RPPS, b"x"), TokenReason.ALGORITHM),
        "none unsigned": (PSC.forged({"alg": "none", "kid": "psc-1"}, RPPS), TokenReason.MALFORMED),
        "alg in a list": (PSC.forged({"alg": ["RS256"], "kid": "psc-1"}, RPPS, b"x"), TokenReason.ALGORITHM),
        "HS256 by the public key": (PSC.confused(RPPS), TokenReason.ALGORITHM),
        "kid as a path": (PSC.token(RPPS, {"kid": "../../../dev/null"}), TokenReason.KEY_UNKNOWN),
        "no kid": (PSC.token(RPPS, {"kid": ""}), TokenReason.KEY_UNNAMED),
        "kid no text": (PSC.forged({"alg": "RS256", "kid": {"a": 1}}, RPPS, b"x"), TokenReason.KEY_UNNAMED),
        "own key in the header": (
            PSC.token(RPPS, {"jwk": PSC.key("thief").as_dict(private=False)}, kid="thief"),
            TokenReason.KEY_UNKNOWN,
        ),
        "jku": (PSC.signed(foreign, payload, PSC.key("thief")), TokenReason.SIGNATURE),
        "curve for RSA": (
            PSC.signed({"alg": "ES256", "kid": "psc-1"}, payload, CURVE),
            TokenReason.KEY_UNSUITABLE,
        ),
        "crit": (PSC.forged(crit, RPPS, b"x"), TokenReason.CRITICAL_HEADER),
        "not encoded payload": (
            PSC.forged({"alg": "RS256", "kid": "psc-1", "b64": False}, RPPS, b"x"),
            TokenReason.CRITICAL_HEADER,
        ),
        "header kind": (PSC.token(RPPS, {"typ": "logout+jwt"}), TokenReason.KIND),
    }


def _by_form() -> dict[str, tuple[str, TokenReason]]:
    """Tokens that are none, or not whole, or say two things."""
    good = PSC.token(RPPS)
    head, _, signature = good.split(".")
    header = {"alg": "RS256", "kid": "psc-1"}
    twice = json.dumps(claims_of(RPPS)).encode()[:-1] + b',"iss":"x"}'
    nested = b'{"a":' * 800 + b"1" + b"}" * 800
    return {
        "a megabyte": (good + "A" * 1_000_000, TokenReason.TOO_LONG),
        "cut": (good[: len(good) // 2], TokenReason.MALFORMED),
        "cut in the signature": (good[:-40], TokenReason.SIGNATURE),
        "other claims": (_altered(good), TokenReason.SIGNATURE),
        "nested": (PSC.signed(header, nested, PSC.key()), TokenReason.ISSUER),
        "nested too deep": (PSC.signed(header, b"[" * 3000, PSC.key()), TokenReason.MALFORMED),
        "nested header": (f"{encoded(b'[' * 2500)}.e30.{signature}", TokenReason.MALFORMED),
        "claim twice": (PSC.signed(header, twice, PSC.key()), TokenReason.MALFORMED),
        "no object": (PSC.signed(header, b"[]", PSC.key()), TokenReason.MALFORMED),
        "not a number": (PSC.signed(header, b'{"exp":NaN}', PSC.key()), TokenReason.MALFORMED),
        "refresh token": (PSC.token(RPPS, typ="Refresh"), TokenReason.KIND),
        "encrypted": (f"{good}.AA.AA", TokenReason.MALFORMED),
        "empty": ("", TokenReason.MALFORMED),
        "line feed": (good + "\n", TokenReason.MALFORMED),
        "three dots": ("..", TokenReason.MALFORMED),
        "no signature": (f"{head}.{encoded(claims_of(RPPS))}.", TokenReason.MALFORMED),
    }


HOSTILE = {**_by_header(), **_by_form()}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_tokens_are_refused_by_a_named_reason(name: str) -> None:
    token, reason = HOSTILE[name]
    found = judged(token)
    assert (found.verdict, found.reason) == (Verdict.FAILED, reason)


@settings(max_examples=150)
@given(
    st.one_of(st.text(max_size=200), st.binary(max_size=300).map(lambda b: f"{encoded(b)}.{encoded(b)}.AA"))
)
def test_any_text_gives_a_verdict(text: str) -> None:
    assert judged(text).verdict is Verdict.FAILED


@settings(max_examples=100)
@given(st.data())
def test_no_change_of_one_character_is_believed(data: st.DataObject) -> None:
    token = PSC.token(RPPS)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_."))
    changed = token[:place] + other + token[place + 1 :]
    assert changed == token or judged(changed).verdict is Verdict.FAILED


def _set(*members: object) -> bytes:
    return json.dumps({"keys": members}).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        _set(),
        _set({"kty": "oct", "k": "AAAA", "kid": "a"}),
        _set({**PSC.key().as_dict(private=False), "kid": "a", "use": "enc"}),
        _set({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak"}),
        _set({"kty": "RSA", "n": encoded(b"\xff" * 128), "e": "AQAB", "kid": "1024 bits"}),
        _set({"kty": "RSA", "n": encoded(b"\xff" * 2048), "e": "AQAB", "kid": "16384 bits"}),
        _set({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "off the curve"}),
        _set({"kty": "RSA", "n": 3, "e": "AQAB", "kid": "a"}),
        _set(*[{**PSC.key().as_dict(private=False), "kid": "a"}] * 2),
        b'{"keys":' + b"[" * 100_000,
        b" " * 300_000,
    ],
    ids=range(15),
)
def test_key_sets_that_are_refused(text: bytes) -> None:
    with pytest.raises(KeySetFault):
        read_keys(text)


def test_a_key_of_no_use_does_not_spoil_the_set() -> None:
    strange = {"kty": "XYZ", "kid": "new"}
    assert set(read_keys(PSC.key_set(strange, {"kty": "oct", "k": "AA", "kid": "o"})).keys) == {"psc-1"}


def test_the_longest_token_fits_an_auth_line() -> None:
    assert MAXIMUM_TOKEN * 4 / 3 + 200 < 12288
