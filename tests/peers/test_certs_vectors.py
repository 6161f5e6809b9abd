"""Published test messages: RFC 9216/9788, RFC 4134, Thunderbird, the CMS examples and a real IGC-Santé
certificate.
"""

import importlib.util
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import pem, x509

from certs.cms import CmsFault, check_signers, read_signed_data
from certs.legacydisplay import without_legacy_text
from certs.names import DistinguishedName
from certs.paths import RevocationMode, TrustAnchors, Usage, load_anchors, read_certificates, validate
from certs.smime import verify_message
from certs.verdicts import Note, Reason, Verdict

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
    assert report.notes == ()
    assert dict(report.protected_headers)["Subject"] == "smime-signed-enc-hp-baseline-legacy"
    altered = verify_message(outer.replace(b"[...]", b"autre") + inner, lamps, LAMPS)
    assert altered.differing_headers == ("subject",)
    in_clear = verify_message(outer + inner, lamps, LAMPS, in_clear=True)
    assert in_clear.differing_headers == ("subject",)
    assert Note.MEANT_TO_BE_ENCRYPTED in in_clear.notes


def test_rfc9788_legacy_display_is_not_shown(vectors: Path, lamps: TrustAnchors) -> None:
    inner = crlf(vectors / "rfc9788" / "smime-signed-enc-hp-baseline-legacy.decrypted.eml")
    outer = b"From: Alice <alice@smime.example>\r\nDate: Sat, 20 Feb 2021 10:10:02 -0500\r\n"
    report = verify_message(outer + inner, lamps, LAMPS)
    assert report.entity is not None
    assert b"\r\n\r\nSubject: smime-signed-enc-hp-baseline-legacy\r\n\r\nThis is" in report.entity
    text = report.entity.partition(b"\r\n\r\n")[2].decode()
    assert without_legacy_text(text).startswith(
        "This is the\r\nsmime-signed-enc-hp-baseline-legacy\r\nmessage."
    )


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
        ("signedByCarlosDetached", Reason.ATTRIBUTES_MISSING),
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


RFC4134_MAILS = {
    # Neither carries signed attributes, which policy asks for before it looks at their SHA-1.
    "4.8.eml": (Verdict.FAILED, Reason.ATTRIBUTES_MISSING),
    "4.9.eml": (Verdict.FAILED, Reason.ATTRIBUTES_MISSING),
    "5.3.eml": (Verdict.NONE, Reason.ENCRYPTED),
}


@pytest.mark.parametrize("name", RFC4134_MAILS)
def test_rfc4134_mails_are_never_believed(name: str, vectors: Path) -> None:
    carl = x509.Certificate.load((vectors / "rfc4134" / "CarlRSASelf.cer").read_bytes())
    roots = pem.armor("CERTIFICATE", carl.dump())
    believed = load_anchors(roots, revocation=RevocationMode.WHEN_KNOWN)
    report = verify_message(crlf(vectors / "rfc4134" / name), believed, LAMPS)
    assert (report.verdict, report.reason) == RFC4134_MAILS[name]


def test_rfc4134_structures_are_refused_for_sha1_for_missing_attributes_or_for_their_kind(
    vectors: Path,
) -> None:
    folder = vectors / "rfc4134"
    content = (folder / "ExContent.bin").read_bytes()
    found = {}
    for path in sorted(folder.glob("[0-9]*.bin")):
        try:
            signed = read_signed_data(path.read_bytes())
            found[path.stem] = {signer.reason for signer in check_signers(signed, signed.content or content)}
        except CmsFault as fault:
            found[path.stem] = {fault.reason}
    weak, bare = {"4.4", "4.10"}, {"4.1", "4.2", "4.3", "4.5", "4.6", "4.7"}
    assert found.pop("4.11") == {Reason.CERTIFICATES_ONLY}
    assert {found.pop(name).pop() for name in weak} == {Reason.ALGORITHM_WEAK}
    assert {found.pop(name).pop() for name in bare} == {Reason.ATTRIBUTES_MISSING}
    # data, enveloped, digested and encrypted data: no signature at all
    assert set(found) == {"3.1", "3.2", "5.1", "5.2", "6.0", "7.1", "7.2"}
    assert {reason for reasons in found.values() for reason in reasons} == {Reason.MALFORMED}


PYCA = {
    "amazon-roots.der": Reason.CERTIFICATES_ONLY,
    "amazon-roots.p7b": Reason.CERTIFICATES_ONLY,
    "isrg.pem": Reason.CERTIFICATES_ONLY,
    "authenticode.der": Reason.MALFORMED,  # signs a structure of code signing, not id-data
    "ascii-san.pem": Reason.MALFORMED,  # these two are certificates
    "non-ascii-san.pem": Reason.MALFORMED,
}


@pytest.mark.parametrize("name", PYCA)
def test_pkcs7_files_of_pyca_are_no_signed_mail(name: str, vectors: Path) -> None:
    folder = vectors / "pyca-pkcs7"
    if not folder.is_dir():
        package = importlib.util.find_spec("cryptography_vectors")
        if package is None or package.origin is None:
            pytest.skip("neither ../shared/vectors/pyca-pkcs7 nor the package cryptography-vectors is here")
        folder = Path(package.origin).parent / "pkcs7"
    octets = (folder / name).read_bytes()
    with pytest.raises(CmsFault) as caught:
        read_signed_data(pem.unarmor(octets)[2] if pem.detect(octets) else octets)
    assert caught.value.reason is PYCA[name]


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


#: The mails of Thunderbird's window tests and those that were "manually crafted", as their readme says.
THUNDERBIRD_OTHERS = {
    "browser/alice.dsig.SHA256.multipart.in.mixed.eml": Reason.PARTLY_SIGNED,
    "browser/alice.dsig.SHA256.multipart.in.mixed.with.header.eml": Reason.PARTLY_SIGNED,
    "browser/multipart-alternative.eml": Reason.PARTLY_SIGNED,
    "browser/nested-sigs.eml": Reason.DIGEST_WRONG,
    "browser/alice.sig.SHA256.opaque.eml": Reason.GENUINE,
    # Issued under a key of the authority that was replaced the same day; openssl refuses it, too.
    "browser/alice.html.sig.SHA256.opaque.eml": Reason.PATH_INVALID,
    "browser/alice.dsig.SHA256.multipart.env.eml": Reason.ENCRYPTED,
    "browser/alice.env.eml": Reason.ENCRYPTED,
    "browser/alice.html.sig.SHA256.opaque.env.eml": Reason.ENCRYPTED,
    "browser/alice.sig.SHA256.opaque.env.eml": Reason.ENCRYPTED,
    # "the signature doesn't match the data": their inner part was replaced.
    "manual/alice.dsig.SHA256.multipart.env.dsig.eml": Reason.DIGEST_WRONG,
    "manual/alice.env.mixed.dsig.SHA256.multipart.eml": Reason.DIGEST_WRONG,
    "manual/outer-smime-bad-sig-inner-smime-enc.eml": Reason.DIGEST_WRONG,
    "manual/outer-smime-bad-sig-inner-smime-enc-sig.eml": Reason.DIGEST_WRONG,
    # The outer signature is OpenPGP's.
    "manual/outer-pgp-sig-inner-smime-enc.eml": Reason.UNSIGNED,
    "manual/outer-pgp-sig-inner-smime-enc-sig.eml": Reason.UNSIGNED,
}


def test_thunderbird_mails_that_show_more_than_was_signed(vectors: Path) -> None:
    data = vectors / "thunderbird" / "mailnews" / "test" / "data"
    folders = {
        "browser": vectors / "thunderbird" / "mail" / "test" / "browser" / "smime" / "data",
        "manual": data / "smime-manual",
    }
    believed = anchors(data / "smime" / "TestCA.pem")
    found = {
        f"{kind}/{path.name}": verify_message(crlf(path), believed, THUNDERBIRD).reason
        for kind, folder in folders.items()
        for path in folder.glob("*.eml")
    }
    assert found == THUNDERBIRD_OTHERS


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
