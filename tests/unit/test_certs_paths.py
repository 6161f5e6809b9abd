"""What a certificate must be to sign mail: algorithms of its path, constraints, uses, revocation."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache

import pytest
from asn1crypto import algos, crl
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.pathrules import PathRules
from certs.paths import PathResult, RevocationMode, TrustFault, Usage, load_anchors, validate
from certs.signing import Signer
from certs.verdicts import Reason, Verdict
from tests.support.certificates import NOW, certificate, trust
from tests.support.rogue import Issuer, ca, list_resigned_with_sha1, resigned_with_sha1

OTHERS = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
     "key_cert_sign", "crl_sign", "encipher_only", "decipher_only", "digital_signature"), False
)  # fmt: skip


@cache
def root() -> Issuer:
    return ca("racine")


def judged(
    signer: Signer, lists: Sequence[bytes] = (), usage: Usage | None = Usage.EMAIL_SIGNATURE, top: bytes = b""
) -> PathResult:
    anchors = load_anchors(top or root().pem, b"", lists, RevocationMode.WHEN_KNOWN)
    return validate(signer.certificate, signer.chain, anchors, usage, NOW, NOW)


def test_the_makers_of_these_tests_make_what_passes() -> None:
    assert judged(ca("milieu", root()).issue()).verdict is Verdict.PASSED


def test_an_intermediate_signed_with_sha1_is_refused() -> None:
    weak = resigned_with_sha1(ca("milieu", root()), root())
    assert judged(weak.issue()).reason is Reason.ALGORITHM_WEAK


def test_an_authority_with_a_small_key_is_refused() -> None:
    assert judged(ca("milieu", root(), bits=1024).issue()).reason is Reason.ALGORITHM_WEAK


def test_a_root_with_a_small_key_is_refused() -> None:
    small = ca("racine faible", bits=1024)
    assert judged(small.issue(), top=small.pem).reason is Reason.ALGORITHM_WEAK


@pytest.mark.parametrize("usage", [*Usage, None])
def test_a_certificate_with_a_small_key_is_refused_for_every_use(usage: Usage | None) -> None:
    small = root().issue(key=rsa.generate_private_key(65537, 1024))
    assert judged(small, usage=usage).reason is Reason.KEY_WEAK


def test_a_path_longer_than_its_authority_allows_is_refused() -> None:
    short = ca("milieu", root(), path_length=0)
    assert judged(short.issue()).verdict is Verdict.PASSED
    assert judged(ca("trop bas", short).issue()).reason is Reason.PATH_INVALID


def test_who_is_no_authority_issues_nothing() -> None:
    false = ca("milieu", root(), is_ca=False)
    assert judged(false.issue()).verdict is Verdict.FAILED
    wrong_use = ca("milieu", root(), usage="digital_signature")
    assert judged(wrong_use.issue()).reason is Reason.PATH_INVALID


def test_an_authority_constrained_to_a_domain_issues_for_no_other() -> None:
    only = x509.NameConstraints([x509.RFC822Name("demo.mssante.example")], None)
    constrained = ca("milieu", root(), extensions=[(only, True)])
    assert judged(constrained.issue()).verdict is Verdict.PASSED
    other = constrained.issue(address="medecin@autre.mssante.example")
    assert judged(other).reason is Reason.PATH_INVALID


def test_an_unknown_critical_extension_is_refused() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.250.1.213.9999"), b"\x05\x00")
    assert judged(root().issue(extensions=[(unknown, True)])).reason is Reason.PATH_INVALID
    assert judged(root().issue(extensions=[(unknown, False)])).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("usage", "passes"),
    [("digital_signature", True), ("content_commitment", True), ("key_encipherment", False)],
)
def test_key_usage_must_allow_signing_where_it_is_present(usage: str, passes: bool) -> None:
    found = judged(root().issue(extensions=[(x509.KeyUsage(**{**OTHERS, usage: True}), True)]))
    assert (found.reason is Reason.GENUINE) is passes
    assert passes or found.reason is Reason.USAGE


@pytest.mark.parametrize(
    ("usages", "passes"),
    [
        ([ExtendedKeyUsageOID.EMAIL_PROTECTION], True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], True),
        ([ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.TIME_STAMPING], False),
    ],
)
def test_extended_key_usage_must_allow_mail_where_it_is_present(
    usages: list[x509.ObjectIdentifier], passes: bool
) -> None:
    found = judged(root().issue(extensions=[(x509.ExtendedKeyUsage(usages), False)]))
    assert (found.reason is Reason.GENUINE) is passes
    assert passes or found.reason is Reason.USAGE


def test_required_policies_are_asked_of_the_whole_path() -> None:
    wanted = "1.2.250.1.213.1.7.2.1.1.1.1"
    policy = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(wanted), None)])
    rules = PathRules(policies=frozenset({wanted}), explicit_policy=True)
    for signer, passes in (
        (root().issue(extensions=[(policy, False)]), True),
        (root().issue(), False),
    ):
        anchors = load_anchors(root().pem, revocation=RevocationMode.WHEN_KNOWN, rules=rules)
        found = validate(signer.certificate, signer.chain, anchors, Usage.EMAIL_SIGNATURE, NOW)
        assert (found.verdict is Verdict.PASSED) is passes


# -- revocation


def serial(signer: Signer) -> int:
    number: int = asn1.Certificate.load(signer.certificate).serial_number
    return number


def test_a_certificate_revoked_after_the_signing_time_is_refused_and_the_claim_is_told() -> None:
    """The signing time is the signer's own word: a thief writes the day before the theft."""
    signer = root().issue()
    lists = [root().revocations((serial(signer), NOW - timedelta(hours=1)))]
    anchors = load_anchors(root().pem, b"", lists)
    claimed = NOW - timedelta(days=5)
    found = validate(signer.certificate, (), anchors, Usage.EMAIL_SIGNATURE, NOW, claimed)
    assert (found.verdict, found.reason) == (Verdict.FAILED, Reason.REVOKED)
    assert f"claims to be signed on {claimed:%Y-%m-%d}" in found.detail
    assert "(unspecified)" in found.detail


def test_a_revocation_dated_ahead_counts_at_once() -> None:
    signer = root().issue()
    for ahead in (timedelta(0), timedelta(seconds=1), timedelta(days=2)):
        lists = [root().revocations((serial(signer), NOW + ahead))]
        assert judged(signer, lists).reason is Reason.REVOKED


def test_a_list_that_its_authority_did_not_sign_neither_revokes_nor_clears() -> None:
    signer, stranger = root().issue(), rsa.generate_private_key(65537, 2048)
    for moment in (NOW - timedelta(days=1), NOW + timedelta(days=1)):
        forged = [root().revocations((serial(signer), moment), signed_by=stranger)]
        assert judged(signer, forged).verdict is Verdict.PASSED
    anchors = load_anchors(root().pem, b"", [root().revocations(signed_by=stranger)])
    required = validate(signer.certificate, (), anchors, Usage.EMAIL_SIGNATURE, NOW)
    assert (required.verdict, required.reason) == (Verdict.INDETERMINATE, Reason.REVOCATION_UNKNOWN)


def test_a_list_signed_with_sha1_says_nothing() -> None:
    signer = root().issue()
    weak = list_resigned_with_sha1(root().revocations(), root())
    anchors = load_anchors(root().pem, b"", [weak])
    found = validate(signer.certificate, (), anchors, Usage.EMAIL_SIGNATURE, NOW)
    assert found.reason is Reason.REVOCATION_UNKNOWN
    strong = load_anchors(root().pem, b"", [root().revocations()])
    assert validate(signer.certificate, (), strong, Usage.EMAIL_SIGNATURE, NOW).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    "algorithm",
    ["300b06092a864886f70d01010a", "300506032b6571", "30050603290102"],
)
def test_a_list_of_an_odd_algorithm_spoils_no_other(algorithm: str) -> None:
    signer = root().issue()
    odd = crl.CertificateList.load(root().revocations())
    odd["signature_algorithm"] = algos.SignedDigestAlgorithm.load(bytes.fromhex(algorithm))
    anchors = load_anchors(root().pem, b"", [odd.dump(force=True), root().revocations()])
    assert validate(signer.certificate, (), anchors, Usage.EMAIL_SIGNATURE, NOW).verdict is Verdict.PASSED


def test_a_list_for_authorities_only_says_nothing_of_persons() -> None:
    scope = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
    signer = root().issue()
    anchors = load_anchors(root().pem, b"", [root().revocations(scope=scope)])
    found = validate(signer.certificate, (), anchors, Usage.EMAIL_SIGNATURE, NOW)
    assert found.reason is Reason.REVOCATION_UNKNOWN


def test_the_list_of_another_authority_says_nothing() -> None:
    middle, other = ca("milieu", root()), ca("autre milieu", root())
    signer = middle.issue()
    lists = [root().revocations(), other.revocations((serial(signer), NOW - timedelta(days=1)))]
    anchors = load_anchors(root().pem, b"", lists)
    found = validate(signer.certificate, signer.chain, anchors, Usage.EMAIL_SIGNATURE, NOW)
    assert found.reason is Reason.REVOCATION_UNKNOWN


def test_an_altered_copy_of_an_authority_in_the_message_hides_not_the_configured_one() -> None:
    issued = certificate()
    believed = trust()
    leaf = asn1.Certificate.load(certificate_der(issued.certificate_pem))
    chain = asn1.Certificate.load(certificate_der(issued.chain_pem))
    altered = bytearray(chain.dump())
    altered[-1] ^= 1
    with_ours = load_anchors(
        b"".join(asn1_pem(der) for der in believed.roots), issued.chain_pem, (), RevocationMode.WHEN_KNOWN
    )
    found = validate(leaf.dump(), [bytes(altered)], with_ours, Usage.EMAIL_SIGNATURE, NOW)
    assert found.verdict is Verdict.PASSED


def test_an_intermediate_as_anchor_is_refused_at_loading_where_revocation_is_required() -> None:
    """The verdict would be unknown for ever, and each mail answered 451: better said before the first."""
    with pytest.raises(TrustFault, match="not self-signed"):
        load_anchors(certificate().chain_pem)
    tolerant = load_anchors(certificate().chain_pem, revocation=RevocationMode.WHEN_KNOWN)
    leaf = certificate_der(certificate().certificate_pem)
    assert validate(leaf, (), tolerant, Usage.EMAIL_SIGNATURE, NOW).verdict is Verdict.PASSED


def certificate_der(text: bytes) -> bytes:
    return x509.load_pem_x509_certificate(text).public_bytes(serialization.Encoding.DER)


def asn1_pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
