"""The memory of paths: it saves work and changes no answer, whatever ends or is replaced meanwhile."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from asn1crypto import x509

from certs.pathcache import MAXIMUM_AGE, REFUSAL_LIFETIME, KnownPath, PathCache, path_key
from certs.paths import PathResult, RevocationMode, TrustAnchors, Usage, read_certificates, validate
from certs.smime import sign_message, verify_message
from certs.verdicts import Reason, Verdict
from tests.support.certificates import ENTITY, NOW, certificate, headers, signer, trust

LEAF = read_certificates(certificate().certificate_pem)[0]
CHAIN = read_certificates(certificate().chain_pem)
SERIAL = x509.Certificate.load(LEAF).serial_number


def asked(
    cache: PathCache | None,
    believed: TrustAnchors,
    now: datetime = NOW,
    signed_at: datetime | None = None,
    usage: Usage = Usage.EMAIL_SIGNATURE,
) -> PathResult:
    return validate(LEAF, CHAIN, believed, usage, now, signed_at, cache)


def test_a_valid_path_is_kept_and_found_again_with_the_same_answer() -> None:
    cache, believed = PathCache(), trust()
    first = asked(cache, believed)
    assert len(cache) == 1
    assert asked(cache, believed) == first == asked(None, believed)
    assert first.verdict is Verdict.PASSED
    assert len(cache) == 1


@pytest.mark.parametrize(
    ("believed", "reason"),
    [
        (trust(revoked=(SERIAL,)), Reason.REVOKED),
        (trust(crls=("root",)), Reason.REVOCATION_UNKNOWN),
        (trust(), Reason.GENUINE),
    ],
)
def test_only_what_is_valid_is_kept_as_valid(believed: TrustAnchors, reason: Reason) -> None:
    cache = PathCache()
    assert asked(cache, believed).reason is reason
    assert len(cache) == (1 if reason is Reason.GENUINE else 0)


def test_new_lists_or_anchors_are_asked_at_once() -> None:
    cache = PathCache()
    assert asked(cache, trust()).verdict is Verdict.PASSED
    assert asked(cache, trust(revoked=(SERIAL,))).reason is Reason.REVOKED
    assert len(cache) == 0
    assert asked(cache, trust(crls=("root",))).verdict is Verdict.INDETERMINATE
    assert asked(cache, trust()).verdict is Verdict.PASSED


def test_a_path_that_was_built_under_replaced_anchors_is_not_kept() -> None:
    """The lists change while a mail is judged: its answer was right, the next must not follow from it."""
    cache, before, after = PathCache(), trust(), trust(revoked=(SERIAL,))
    assert cache.find(before, b"key", NOW) is None
    assert asked(cache, after).reason is Reason.REVOKED
    known_before = PathCache()
    asked(known_before, before)
    [path] = known_before._paths.values()
    cache.keep(before, b"key", path)
    assert len(cache) == 0


def test_the_lists_end_and_so_does_the_answer() -> None:
    believed = trust(lifetime=timedelta(minutes=20), grace=timedelta(minutes=5))
    cache = PathCache()
    for minutes, verdict in (
        (0, Verdict.PASSED),
        (19, Verdict.PASSED),
        (24, Verdict.PASSED),
        (26, Verdict.INDETERMINATE),
    ):
        now = NOW + timedelta(minutes=minutes)
        assert asked(cache, believed, now) == asked(None, believed, now)
        assert asked(cache, believed, now).verdict is verdict
    assert len(cache) == 0


def test_the_certificate_ends_and_so_does_the_answer() -> None:
    ends = x509.Certificate.load(LEAF).not_valid_after
    believed = trust(crls=(), revocation=RevocationMode.WHEN_KNOWN)
    cache = PathCache()
    assert asked(cache, believed, ends - timedelta(seconds=5)).verdict is Verdict.PASSED
    assert asked(cache, believed, ends + timedelta(seconds=5)).reason is Reason.EXPIRED


def test_a_list_that_begins_to_count_is_asked() -> None:
    """A list issued ahead of our clock is known already and counts from its time on."""
    ahead = NOW + timedelta(minutes=90)  # its thisUpdate is an hour before
    now_clear, later_revoked = trust(), trust(revoked=(SERIAL,), issued=ahead)
    believed = replace(now_clear, crls=(*now_clear.crls, *later_revoked.crls))
    cache = PathCache()
    assert asked(cache, believed).verdict is Verdict.PASSED
    assert asked(cache, believed, NOW + timedelta(minutes=21)).reason is Reason.REVOKED


def test_the_signing_time_is_judged_each_time() -> None:
    cache, believed = PathCache(), trust()
    assert asked(cache, believed, signed_at=NOW).verdict is Verdict.PASSED
    assert asked(cache, believed, signed_at=NOW + timedelta(hours=1)).reason is Reason.SIGNED_IN_FUTURE
    assert asked(cache, believed, signed_at=NOW - timedelta(days=1)).reason is Reason.NOT_YET_VALID
    assert len(cache) == 1


def test_another_use_of_the_certificate_is_another_question() -> None:
    cache, believed = PathCache(), trust()
    assert asked(cache, believed).verdict is Verdict.PASSED
    assert asked(cache, believed, usage=Usage.TLS_SERVER).reason is Reason.USAGE


def test_a_moment_before_it_was_built_and_one_long_after_are_asked_anew() -> None:
    cache, believed = PathCache(), trust()
    asked(cache, believed)
    assert cache.find(believed, next(iter(cache._paths)), NOW - timedelta(seconds=1)) is None
    asked(cache, believed)
    assert cache.find(believed, next(iter(cache._paths)), NOW + MAXIMUM_AGE) is None


def test_the_memory_is_bounded_and_forgets_what_was_used_longest_ago() -> None:
    cache, believed = PathCache(maximum=2), trust()
    for extra in ((), (b"a",), (b"b",)):
        # What is no certificate is refused; another order of the same ones is another question.
        validate(LEAF, (*CHAIN, *CHAIN * len(extra)), believed, Usage.EMAIL_SIGNATURE, NOW, cache=cache)
        validate(LEAF, CHAIN, believed, Usage.EMAIL_SIGNATURE, NOW, cache=cache)
    for times in range(3, 9):
        validate(LEAF, CHAIN * times, believed, Usage.EMAIL_SIGNATURE, NOW, cache=cache)
    assert len(cache) == 2


def key_of(usage: Usage = Usage.EMAIL_SIGNATURE, enclosed: Sequence[bytes] = CHAIN) -> bytes:
    return path_key(LEAF, enclosed, usage.value)


@pytest.mark.parametrize(
    ("believed", "usage"),
    [
        (trust(revoked=(SERIAL,)), Usage.EMAIL_SIGNATURE),
        (trust(crls=("root",)), Usage.EMAIL_SIGNATURE),
        (trust(), Usage.TLS_SERVER),
    ],
)
def test_a_refusal_is_given_again_for_a_minute_and_then_found_anew(
    believed: TrustAnchors, usage: Usage
) -> None:
    cache, last = PathCache(), NOW + REFUSAL_LIFETIME - timedelta(seconds=1)
    first = asked(cache, believed, usage=usage)
    assert first.verdict is not Verdict.PASSED
    assert cache.find(believed, key_of(usage), last) == first
    assert asked(cache, believed, last, usage=usage) == asked(None, believed, last, usage=usage) == first
    assert cache.find(believed, key_of(usage), NOW - timedelta(seconds=1)) is None
    asked(cache, believed, usage=usage)
    assert cache.find(believed, key_of(usage), NOW + REFUSAL_LIFETIME) is None


def test_a_refusal_ends_with_the_lists_that_it_rests_on() -> None:
    cache, revoked = PathCache(), trust(revoked=(SERIAL,))
    assert asked(cache, revoked).reason is Reason.REVOKED
    assert asked(cache, trust()).verdict is Verdict.PASSED
    # one that begins to count within the minute: its thisUpdate is an hour before `issued`
    soon = NOW + timedelta(minutes=70, seconds=30)
    lacking, late = trust(crls=("root",)), trust(issued=soon)
    believed = replace(lacking, crls=(*lacking.crls, *late.crls))
    assert asked(cache, believed).verdict is Verdict.INDETERMINATE
    assert asked(cache, believed, NOW + timedelta(seconds=29)).verdict is Verdict.INDETERMINATE
    assert asked(cache, believed, NOW + timedelta(seconds=31)).verdict is Verdict.PASSED


def test_what_time_alone_heals_is_asked_each_time() -> None:
    begins = x509.Certificate.load(LEAF).not_valid_before
    believed = trust(crls=(), revocation=RevocationMode.WHEN_KNOWN)
    cache = PathCache()
    assert asked(cache, believed, begins - timedelta(seconds=2)).reason is Reason.NOT_YET_VALID
    assert asked(cache, believed, begins + timedelta(seconds=1)).verdict is Verdict.PASSED


def test_what_a_signature_claims_of_its_time_is_told_of_a_kept_refusal_too() -> None:
    cache, believed = PathCache(), trust(revoked=(SERIAL,))
    plain = asked(cache, believed)
    claimed = asked(cache, believed, signed_at=NOW)
    assert claimed == asked(None, believed, signed_at=NOW)
    assert claimed.detail.startswith(plain.detail)
    assert claimed.detail != plain.detail
    assert asked(cache, believed) == plain


def test_many_refusals_push_out_no_valid_path() -> None:
    cache, believed = PathCache(maximum=2), trust()
    assert asked(cache, believed).verdict is Verdict.PASSED
    for times in range(1, 9):
        wrong = validate(LEAF, CHAIN * times, believed, Usage.TLS_SERVER, NOW, cache=cache)
        assert wrong.reason is Reason.USAGE
    assert isinstance(cache.find(believed, key_of(), NOW), KnownPath)
    assert cache.find(believed, key_of(Usage.TLS_SERVER), NOW) is None


def test_many_threads_and_changing_anchors_get_right_answers() -> None:
    raw = sign_message(headers(), ENTITY, signer(), NOW)
    clear, revoked, cache = trust(), trust(revoked=(SERIAL,)), PathCache(maximum=1)

    def ask(number: int) -> bool:
        believed = revoked if number % 3 == 0 else clear
        wanted = Verdict.FAILED if believed is revoked else Verdict.PASSED
        return verify_message(raw, believed, NOW, cache).verdict is wanted

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(120)))
