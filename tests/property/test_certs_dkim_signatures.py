"""DKIM on any mail: what is signed holds, what is altered does not, and no input is slow or raises."""

import re
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.dkim import (
    DkimFault,
    DkimReport,
    KeyKind,
    KeyRecordFault,
    parse_key_record,
    sign_dkim,
    signatures_in,
    verify_dkim,
)
from certs.dkim.canonical import body_hash, canonical_field, read_message
from certs.verdicts import Verdict
from tests.support.dkim import KEY, NOW, Dkimpy, dkim_signer, dkimpy, judged, keys_of, record_text

KEYS = keys_of(record_text())

_OCTETS = st.binary(max_size=30).map(lambda octets: re.sub(rb"[\r\n]", b"", octets))
_BLANKS = st.text(" \t", max_size=3).map(str.encode)
_LINE = st.builds(lambda start, octets, end: start + octets + end, _BLANKS, _OCTETS, _BLANKS)
_BODY = st.builds(
    lambda lines, empty: b"".join(line + b"\r\n" for line in lines) + b"\r\n" * empty,
    st.lists(_LINE, max_size=6),
    st.integers(0, 4),
)
_NAME = st.sampled_from(["To", "Cc", "Subject", "X-TLE-Id", "x-tle-OTHER", "Received", "List-Id", "sUBJECT"])
_VALUE = st.lists(_LINE, min_size=1, max_size=3).map(b"\r\n ".join)
_FIELD = st.builds(
    lambda name, gap, value: name.encode() + gap + b":" + value + b"\r\n", _NAME, _BLANKS, _VALUE
)
_TAGS = ["v", "a", "b", "bh", "c", "d", "h", "i", "l", "q", "s", "t", "x"]
_MAIL = st.builds(
    lambda before, after, body: b"".join((*before, b"From: a@b.example\r\n", *after)) + b"\r\n" + body,
    st.lists(_FIELD, max_size=4),
    st.lists(_FIELD, max_size=4),
    _BODY,
)


@pytest.fixture(scope="module")
def peer() -> Iterator[Dkimpy]:
    with dkimpy() as judge:
        yield judge


@given(_MAIL, st.integers(0, 3))
def test_what_is_signed_holds_with_empty_lines_more_or_less(mail: bytes, lines: int) -> None:
    raw = sign_dkim(mail, dkim_signer(), NOW) + mail
    report = judged(raw)
    assert report.verdict is Verdict.PASSED
    assert report.signatures[0].covers_all("x-tle-")
    assert judged(raw + b"\r\n" * lines if raw.endswith(b"\r\n") else raw).verdict is Verdict.PASSED


def signed_parts(raw: bytes) -> tuple[list[bytes], bytes]:
    """What a signature of ours is over, by its meaning: fields in order without spacing, and the body."""
    message = read_message(raw)
    fields = [
        canonical_field(field.octets, field.value_at, field.name, relaxed=True)
        for field in message.fields
        if field.name not in ("received", "list-id")
    ]
    return sorted(fields), message.raw[message.body_at :].rstrip(b"\r\n")


@given(_MAIL, st.floats(0, 1, exclude_max=True), st.integers(0, 2), st.binary(max_size=3))
def test_any_change_of_what_is_signed_is_noticed(mail: bytes, place: float, cut: int, put: bytes) -> None:
    raw = sign_dkim(mail, dkim_signer(), NOW) + mail
    at = int(place * len(raw))
    altered = raw[:at] + put + raw[at + cut :]
    report = verify_dkim(altered, KEYS, NOW)
    if report.verdict is Verdict.PASSED:  # the change was none, or where nothing is signed
        assert _meant(altered) == _meant(raw)


def _meant(raw: bytes) -> object:
    """As `signed_parts` without the fields of names that h= does not have, its own among them."""
    fields, body = signed_parts(raw)
    names = set(judged(raw).signatures[0].signed)
    kept = [one for one in fields if one.partition(b":")[0].decode() in names]
    return kept, body


@given(_BODY)
def test_relaxed_and_simple_bodies_are_those_of_python3_dkim(peer: Dkimpy, body: bytes) -> None:
    for policy in ("Relaxed", "Simple"):
        mail = b"From: a@b.example\r\n\r\n" + body
        canonical = peer.body(body, policy)
        # The same canonical form is the same hash: a mail signed over one is good for the other.
        other = b"From: a@b.example\r\n\r\n" + canonical
        assert _hash(mail, policy) == _hash(other, policy)
        assert _sha256(canonical) == _hash(mail, policy)


def _hash(mail: bytes, policy: str) -> bytes:
    return body_hash(read_message(mail), relaxed=policy == "Relaxed")


def _sha256(octets: bytes) -> bytes:
    return sha256(octets).digest()


@given(_FIELD)
def test_relaxed_fields_are_those_of_python3_dkim(peer: Dkimpy, field: bytes) -> None:
    if re.search(rb"[\x0b\x0c]", field):
        return  # form feeds are no white space (RFC 6376 §2.8); python3-dkim strips them at the ends
    (read,) = read_message(field + b"\r\n").fields
    ours = canonical_field(read.octets, read.value_at, read.name, relaxed=True) + b"\r\n"
    assert ours == peer.header(field, "Relaxed")


@given(st.binary(max_size=300))
def test_any_octets_give_a_report(raw: bytes) -> None:
    assert verify_dkim(raw, KEYS, NOW).verdict is not Verdict.PASSED
    signatures_in(raw)


@given(st.binary(max_size=200), st.sampled_from([b"", b"v=DKIM1; p=", b"v=DKIM1; k=ed25519; p="]))
def test_any_record_is_a_key_or_a_fault(octets: bytes, start: bytes) -> None:
    try:
        record = parse_key_record(start + octets)
    except KeyRecordFault:
        return
    raw = sign_dkim(b"From: a@b.example\r\n\r\n", dkim_signer(), NOW) + b"From: a@b.example\r\n\r\n"
    assert isinstance(verify_dkim(raw, {KEY: record}, NOW), DkimReport)


@given(st.dictionaries(st.sampled_from(_TAGS), st.text(max_size=12)))
def test_any_tags_give_a_report(tags: dict[str, str]) -> None:
    written = "; ".join(f"{name}={value}" for name, value in tags.items()).encode("utf-8", "replace")
    field = b"DKIM-Signature: " + re.sub(rb"[\r\n]", b"", written) + b"\r\n"
    assert verify_dkim(field + b"From: a@b.example\r\n\r\n", KEYS, NOW).verdict is not Verdict.PASSED


MAIL = b"From: a@b.example\r\n\r\n"
FIELD = sign_dkim(b"From: a@b.example\r\n\r\nx\r\n", dkim_signer(), NOW)
RELAXED = FIELD.replace(b"relaxed/simple", b"relaxed/relaxed")
MANY_FIELDS = b"From: a@b.example\r\n" + b"X-TLE-A: 1\r\n" * 900 + b"\r\n"
HOSTILE = {
    "huge h=": FIELD.replace(b"h=From", b"h=" + b"From:" * 40_000 + b"From") + MAIL,
    "thousands of fields": FIELD + b"X-TLE-A: 1\r\n" * 20_000 + MAIL,
    "names times fields": FIELD.replace(b"h=From", b"h=" + b"x-tle-a:" * 900 + b"From") + MANY_FIELDS,
    "endless folding": FIELD + b"To: x" + b"\r\n " * 80_000 + b"\r\n" + MAIL,
    "blanks": RELAXED + MAIL + b" \t" * 2_000_000,
    "lines of blanks": RELAXED + MAIL + b" \r\n" * 1_000_000,
    "empty lines": FIELD + MAIL + b"\r\n" * 2_000_000,
    "many tags": FIELD.replace(b"v=1;", b"v=1;" + b"z=;" * 60_000) + MAIL,
    "many signatures": FIELD * 400 + MAIL,
    "huge b=": FIELD.replace(b" b=", b" b=" + b"A" * 200_000) + MAIL,
    "colons": FIELD.replace(b"v=1;", b"v=1; i=" + b"@:=" * 60_000 + b";") + MAIL,
    "long domain": FIELD.replace(b"d=", b"d=" + b"a-" * 100_000) + MAIL,
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", HOSTILE)
def test_no_shape_of_a_mail_makes_it_slow(name: str) -> None:
    """All take some hundredths of a second; what grows with the square of the size would not end in time."""
    raw = HOSTILE[name]
    signatures_in(raw)
    for found in verify_dkim(raw, KEYS, NOW).signatures:
        found.covers_all("X-TLE-")
        found.oversigns("From")
    with suppress(DkimFault):
        sign_dkim(raw, dkim_signer(), NOW)


def test_rsa_signs_and_verifies_any_shape_too() -> None:
    mail = b"X: \x00\xff\r\nFrom: a@b.example\r\n\r\n\x00\xff \t\r\n\r\n"
    raw = sign_dkim(mail, dkim_signer(KeyKind.RSA), NOW) + mail
    assert judged(raw, KeyKind.RSA).verdict is Verdict.PASSED
