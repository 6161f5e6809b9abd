"""Published test messages: RFC 9216/9788, RFC 4134, Thunderbird, the CMS examples and a real IGC-Santé
certificate.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import pem, x509

from certs.cms import CmsFault, check_signers, read_signed_data
from certs.names import DistinguishedName
from certs.paths import RevocationMode, TrustAnchors, Usage, load_anchors, read_certificates, validate
from certs.smime import verify_message
from certs.verdicts import Reason, Verdict

LAMPS = datetime(2026, 11, 22, tzinfo=UTC)
THUNDERBIRD = datetime(2026, 6, 1, tzinfo=UTC)  # its certificates end in 2031


def crlf(path: Path) -> bytes:
    """Messages travel in CRLF; some vectors are stored with the line ends of a file."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", path.read_bytes())


def anchors(*paths: Path) -> TrustAnchors:
    text = b"".join(path.read_bytes() for path in paths)
    return load_anchors(text, revocation=RevocationMode.WHEN_KNOWN)


@pytest.fixture(scope="module")
def vectors(shared: Path) -> Path:
    return shared / "vectors"


@pytest.fixture(scope="module")
def lamps(vectors: Path) -> TrustAnchors:
    return anchors(*sorted((vectors / "rfc9216").glob("Sample_LAMPS_*.pem")))


def test_rfc9788_clear_signed_message_with_protected_headers(vectors: Path, lamps: TrustAnchors) -> None:
    report = verify_message(crlf(vectors / "rfc9788" / "smime-multipart-hp.eml"), lamps, LAMPS)
    assert (report.verdict, report.reason) == (Verdict.PASSED, Reason.GENUINE)
    assert report.signers[0].addresses == ("alice@smime.example",)
    assert dict(report.protected_headers)["Subject"] == "smime-multipart-hp"
    assert report.differing_headers == ()


def test_rfc9788_decrypted_message_says_what_was_hidden(vectors: Path, lamps: TrustAnchors) -> None:
    inner = crlf(vectors / "rfc9788" / "smime-signed-enc-hp-baseline-legacy.decrypted.eml")
    outer = (
        b"Subject: [...]\r\nMessage-ID: <smime-signed-enc-hp-baseline-legacy@example>\r\n"
        b"From: Alice <alice@smime.example>\r\nTo: Bob <bob@smime.example>\r\n"
        b"Date: Sat, 20 Feb 2021 10:10:02 -0500\r\nUser-Agent: Sample MUA Version 1.0\r\n"
    )
    report = verify_message(outer + inner, lamps, LAMPS)
    assert report.verdict is Verdict.PASSED
    assert report.differing_headers == ()
    assert dict(report.protected_headers)["Subject"] == "smime-signed-enc-hp-baseline-legacy"
    altered = verify_message(outer.replace(b"[...]", b"autre") + inner, lamps, LAMPS)
    assert altered.differing_headers == ("subject",)


@pytest.mark.parametrize("name", ["lamps-alice.crt", "lamps-carlos.crt"])
def test_rfc9216_certificates_have_a_path(name: str, vectors: Path, lamps: TrustAnchors) -> None:
    [der] = read_certificates((vectors / "rfc9216" / name).read_bytes())
    assert validate(der, (), lamps, Usage.EMAIL_SIGNATURE, LAMPS).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("signedByAliceRSAPSS", Reason.GENUINE),
        ("signedByCarlosEd25519", Reason.GENUINE),
        (
            "signedByAliceRSA",
            Reason.ATTRIBUTES_MISSING,
        ),  # genuine, without the attributes that policy requires
        ("signedByAliceAndCarlosNoCerts", Reason.ATTRIBUTES_MISSING),
    ],
)
def test_cms_examples(name: str, reason: Reason, vectors: Path) -> None:
    folder = vectors / "cms-examples-ireland"
    known = [
        der
        for who in ("alice", "carlos")
        for der in read_certificates((folder / "certs-and-keys" / f"lamps-{who}.crt").read_bytes())
    ]
    signed = read_signed_data((folder / "binary-files" / f"{name}.p7m").read_bytes())
    checked = check_signers(signed, signed.content or b"", known)
    assert [signer.reason for signer in checked] == [reason] * len(signed.signers)


@pytest.mark.parametrize("name", ["4.8.eml", "4.9.eml"])
def test_rfc4134_sha1_mails_are_refused(name: str, vectors: Path) -> None:
    carl = x509.Certificate.load((vectors / "rfc4134" / "CarlRSASelf.cer").read_bytes())
    roots = pem.armor("CERTIFICATE", carl.dump())
    believed = load_anchors(roots, revocation=RevocationMode.WHEN_KNOWN)
    report = verify_message(crlf(vectors / "rfc4134" / name), believed, LAMPS)
    assert report.verdict is Verdict.FAILED


def test_rfc4134_signed_structures_never_verify(vectors: Path) -> None:
    for path in sorted((vectors / "rfc4134").glob("4.*.bin")):
        try:
            signed = read_signed_data(path.read_bytes())
        except CmsFault:
            continue
        reasons = {
            signer.reason
            for signer in check_signers(signed, signed.content or b"This is some sample content.")
        }
        assert Reason.GENUINE not in reasons, path.name


def thunderbird_expects(name: str) -> tuple[Verdict, Reason]:
    """Say what the name of a Thunderbird mail promises."""
    if "mismatch-econtent" in name:
        return Verdict.FAILED, Reason.CONTENT_TWICE
    if name.endswith((".env.eml", "alice.env.eml")):
        return Verdict.NONE, Reason.ENCRYPTED
    if "SHA1" in name:
        return Verdict.FAILED, Reason.ALGORITHM_WEAK
    if ".bad." in name or re.fullmatch(r"alice\.env\.dsig\.SHA\d+\.multipart\.eml", name):
        # The latter have an empty line more than was signed; openssl refuses them, too.
        return Verdict.FAILED, Reason.DIGEST_WRONG
    if "future" in name:  # Date is six hours behind the signing time
        return Verdict.FAILED, Reason.DATE_DIFFERS
    return Verdict.PASSED, Reason.GENUINE


def test_thunderbird_mails(vectors: Path) -> None:
    folder = vectors / "thunderbird" / "mailnews" / "test" / "data" / "smime"
    believed = anchors(folder / "TestCA.pem")
    mails = sorted(folder.glob("*.eml"))
    assert len(mails) == 66
    for path in mails:
        report = verify_message(crlf(path), believed, THUNDERBIRD)
        assert (report.verdict, report.reason) == thunderbird_expects(path.name), path.name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alice.dsig.SHA256.multipart.in.mixed.eml", Reason.PARTLY_SIGNED),
        ("alice.dsig.SHA256.multipart.in.mixed.with.header.eml", Reason.PARTLY_SIGNED),
        ("multipart-alternative.eml", Reason.PARTLY_SIGNED),
        ("nested-sigs.eml", Reason.DIGEST_WRONG),
    ],
)
def test_thunderbird_mails_that_show_more_than_was_signed(name: str, reason: Reason, vectors: Path) -> None:
    folder = vectors / "thunderbird" / "mail" / "test" / "browser" / "smime" / "data"
    assert verify_message(crlf(folder / name), anchors(folder / "TestCA.pem"), THUNDERBIRD).reason is reason


def test_the_igc_sante_certificate_is_read_and_chains(vectors: Path) -> None:
    folder = vectors / "igc-sante"
    [der] = read_certificates((folder / "EL-TEST-ORG-SIGN.crt.pem").read_bytes())
    name = DistinguishedName.from_asn1(x509.Certificate.load(der).subject)
    text = "CN=testsign.test.asipsante.fr,OU=300000000077081,O=Ministere de Test7708,ST=Côte-d'Or (21),C=FR"
    assert name == DistinguishedName.from_text(text)
    believed = anchors(folder / "TEST-ACI-EL-ORG.pem")
    then = datetime(2024, 1, 1, tzinfo=UTC)
    assert validate(der, (), believed, Usage.EMAIL_SIGNATURE, then).verdict is Verdict.PASSED
    assert validate(der, (), believed, Usage.EMAIL_SIGNATURE, LAMPS).reason is Reason.EXPIRED
