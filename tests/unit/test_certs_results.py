"""Authentication-Results: what we write, and what we remove before."""

from dataclasses import replace

import pytest

from certs.dkim import DkimReason, DkimReport, DkimSignature
from certs.results import MethodResult, dkim_results, remove_forged, render_results, smime_result
from certs.signing import SigningFault
from certs.smime import sign_message, verify_message
from certs.verdicts import Reason, SignatureReport, Verdict
from tests.support.certificates import ADDRESS, ENTITY, NOW, headers, signer, trust


def test_a_passed_signature_names_the_proven_identity() -> None:
    report = verify_message(sign_message(headers(), ENTITY, signer(), NOW), trust(), NOW)
    field = render_results("mx.demo.mssante.example", [smime_result(report)])
    unfolded = field.replace(b"\r\n ", b" ").decode()
    assert unfolded.startswith("Authentication-Results: mx.demo.mssante.example; smime=pass ")
    assert f"body.smime-identifier={ADDRESS} " in unfolded
    assert f"body.smime-serial={report.signers[0].serial:X} " in unfolded
    assert 'body.smime-issuer="CN=EL-TEST ORGANISATIONS,' in unfolded
    assert field.endswith(b"\r\n")
    assert max(map(len, field.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    ("verdict", "reason", "written"),
    [
        (Verdict.NONE, Reason.UNSIGNED, b"smime=none\r\n"),
        (Verdict.NONE, Reason.PARTLY_SIGNED, b"smime=none reason=partly-signed\r\n"),
        (Verdict.FAILED, Reason.DIGEST_WRONG, b"smime=fail reason=digest-wrong\r\n"),
        (Verdict.FAILED, Reason.ALGORITHM_WEAK, b"smime=policy reason=algorithm-weak\r\n"),
        (Verdict.FAILED, Reason.MALFORMED, b"smime=permerror reason=malformed\r\n"),
        (Verdict.INDETERMINATE, Reason.REVOCATION_UNKNOWN, b"smime=temperror reason=revocation-unknown\r\n"),
    ],
)
def test_each_verdict_has_its_word(verdict: Verdict, reason: Reason, written: bytes) -> None:
    report = SignatureReport(verdict, reason)
    field = render_results("mx.example", [smime_result(report)])
    assert field.replace(b"\r\n ", b" ") == b"Authentication-Results: mx.example; " + written


def test_an_identity_that_is_not_proven_is_not_named() -> None:
    report = verify_message(sign_message(headers(), ENTITY, signer(), NOW), trust(), NOW)
    failed = replace(report, verdict=Verdict.FAILED, reason=Reason.FROM_DIFFERS)
    assert smime_result(failed).properties == ()


def test_no_result_is_none_and_several_are_listed() -> None:
    assert render_results("mx.example", []) == b"Authentication-Results: mx.example; none\r\n"
    results = [
        MethodResult("auth", "pass", properties=(("smtp.auth", "marie@demo.mssante.example"),)),
        MethodResult("dkim", "none"),
    ]
    assert render_results("mx.example", results).replace(b"\r\n ", b" ") == (
        b"Authentication-Results: mx.example; auth=pass smtp.auth=marie@demo.mssante.example; dkim=none\r\n"
    )


def test_values_cannot_break_out_of_the_field() -> None:
    result = MethodResult("smime", "fail", 'a"b\\c\r\nBcc: x')
    unfolded = render_results("mx.example", [result]).replace(b"\r\n ", b" ")
    assert unfolded == b'Authentication-Results: mx.example; smime=fail reason="a\\"b\\\\c??Bcc: x"\r\n'
    with pytest.raises(SigningFault):
        render_results("mx.example\r\nBcc: x", [result])


OTHER = b"Received: from a\r\n by b\r\nAuthentication-Results: autre.example; dkim=pass\r\nSubject: s\r\n"


@pytest.mark.parametrize(
    "forged",
    [
        b"Authentication-Results: mx.example; smime=pass\r\n",
        b"authentication-RESULTS : MX.Example 1; smime=pass\r\n",
        b"Authentication-Results:\r\n (bonjour (encore)) mx.example\r\n ; smime=pass\r\n",
        b'Authentication-Results: "mx.example"; smime=pass\r\n',
        b"Authentication-Results: mx.example. ; smime=pass\r\n",
        b"Authentication-Results: mx.example\r\n",
        b"Authentication-Results: ; smime=pass\r\n",
        b"Authentication-Results: \xff; smime=pass\r\n",
        b"Authentication-Results: mx.example(x;y); smime=pass\r\n",
    ],
)
def test_results_in_our_name_are_removed_and_the_rest_stays(forged: bytes) -> None:
    assert remove_forged(OTHER + forged + OTHER + b"\r\n", "mx.example") == OTHER + OTHER + b"\r\n"
    assert remove_forged(forged, "MX.example") == b""


def test_a_header_without_them_stays_byte_for_byte() -> None:
    assert remove_forged(OTHER, "mx.example") == OTHER
    assert remove_forged(b"", "mx.example") == b""


DKIM_FAILURES = [
    (DkimReason.BODY_CHANGED, "fail"),
    (DkimReason.SIGNATURE_WRONG, "fail"),
    (DkimReason.EXPIRED, "fail"),
    (DkimReason.BODY_LENGTH, "policy"),
    (DkimReason.KEY_WEAK, "policy"),
    (DkimReason.KEY_TESTING, "policy"),
    (DkimReason.ALGORITHM_WEAK, "permerror"),
    (DkimReason.KEY_SHORT, "permerror"),
    (DkimReason.KEY_MISSING, "permerror"),
    (DkimReason.MALFORMED, "permerror"),
]


def dkim_field(*signatures: DkimSignature, fault: DkimReason | None = None) -> str:
    return unfolded(render_results("mx.example", dkim_results(DkimReport(signatures, fault))))


def unfolded(field: bytes) -> str:
    return field.decode("ascii").replace("\r\n ", " ").strip()


@pytest.mark.parametrize(("reason", "word"), DKIM_FAILURES)
def test_each_dkim_failure_has_its_word_and_names_no_identity(reason: DkimReason, word: str) -> None:
    found = DkimSignature(Verdict.FAILED, reason, "a.example", "s1", "secret@a.example", digits="abcdefgh")
    assert dkim_field(found) == (
        f"Authentication-Results: mx.example; dkim={word} reason={reason} header.d=a.example header.s=s1"
        " header.b=abcdefgh"
    )


def test_dkim_signatures_are_told_one_by_one() -> None:
    good = DkimSignature(Verdict.PASSED, DkimReason.GENUINE, "a.example", "s1", "@a.example", digits="a/b=")
    late = DkimSignature(Verdict.INDETERMINATE, DkimReason.KEY_UNAVAILABLE, "b.example", "s2")
    assert dkim_field(good, late) == (
        "Authentication-Results: mx.example; dkim=pass header.d=a.example header.i=@a.example header.s=s1"
        ' header.b="a/b="; dkim=temperror reason=key-unavailable header.d=b.example header.s=s2'
    )


def test_a_mail_without_dkim_and_one_that_cannot_be_read() -> None:
    assert dkim_field() == "Authentication-Results: mx.example; dkim=none"
    malformed = "Authentication-Results: mx.example; dkim=permerror reason=message-malformed"
    assert dkim_field(fault=DkimReason.MESSAGE_MALFORMED) == malformed


def test_an_identity_cannot_break_out_of_the_field() -> None:
    odd = 'x"; dkim=pass\r\n header.d=b.example@a.example'
    good = DkimSignature(Verdict.PASSED, DkimReason.GENUINE, "a.example", "s1", odd, digits='";(\\')
    field = dkim_field(good)
    assert "\r" not in field
    assert field.count("; dkim=pass ") == 1
