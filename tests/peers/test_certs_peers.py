"""Signatures across implementations: openssl and gpgsm judge ours, we judge openssl's."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from certs.smime import sign_message, verify_message
from certs.verdicts import Reason, Verdict
from tests.support.certificates import ADDRESS, ENTITY, NOW, certificate, headers, run, signer, space, trust

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_bytes(space().root.certificate_pem)
    (tmp_path / "chain.pem").write_bytes(certificate().chain_pem)
    (tmp_path / "entity").write_bytes(ENTITY)
    return tmp_path


def signed(**properties: Any) -> bytes:
    return sign_message(headers(), ENTITY, signer(**properties), NOW)


def openssl_judges(raw: bytes, files: Path, purpose: str = "smimesign") -> tuple[int, bytes]:
    (files / "mail.eml").write_bytes(raw)
    judged = run(
        "openssl",
        "cms",
        "-verify",
        "-in",
        files / "mail.eml",
        "-CAfile",
        files / "ca.pem",
        "-purpose",
        purpose,
    )
    return judged.returncode, judged.stdout


@pytest.mark.parametrize(("key", "pss"), [("rsa", False), ("rsa", True), ("p256", False), ("p384", False)])
@pytest.mark.parametrize("purpose", ["smimesign", "any"])
def test_openssl_accepts_what_we_sign(key: str, pss: bool, purpose: str, files: Path) -> None:
    status, content = openssl_judges(signed(key=key, pss=pss), files, purpose)
    assert status == 0
    assert b"b=C3=A9nigne. \r\n" in content


def test_openssl_refuses_what_was_altered_after_our_signature(files: Path) -> None:
    status, _ = openssl_judges(signed().replace(b"Bonjour", b"Bonsoir"), files)
    assert status != 0


def openssl_signs(files: Path, *options: str, key: str = "rsa", **properties: Any) -> bytes:
    """Let openssl make a message from the same entity; its MIME output becomes a message below our header."""
    issued = certificate(key, **properties)
    (files / "own.pem").write_bytes(issued.certificate_pem)
    (files / "own.key").write_bytes(issued.key_pem)
    made = run(
        "openssl",
        "cms",
        "-sign",
        "-in",
        files / "entity",
        "-signer",
        files / "own.pem",
        "-inkey",
        files / "own.key",
        "-certfile",
        files / "chain.pem",
        "-crlfeol",
        *options,
    )
    assert made.returncode == 0, made.stderr
    header = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers())
    return header + re.sub(rb"(?<!\r)\n", b"\r\n", made.stdout)


PSS = ("-keyopt", "rsa_padding_mode:pss")


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("rsa", ("-md", "sha256")),
        ("rsa", ("-md", "sha512")),
        ("rsa", ("-md", "sha256", *PSS, "-keyopt", "rsa_pss_saltlen:32")),
        ("rsa", ("-md", "sha256", *PSS, "-keyopt", "rsa_pss_saltlen:max")),
        ("p256", ("-md", "sha256")),
        ("p384", ("-md", "sha384")),
        ("rsa", ("-md", "sha256", "-keyid")),
        ("rsa", ("-md", "sha256", "-stream")),
        ("rsa", ("-md", "sha256", "-nodetach")),
        ("rsa", ("-md", "sha256", "-nodetach", "-stream")),
    ],
)
def test_we_accept_what_openssl_signs(key: str, options: tuple[str, ...], files: Path) -> None:
    raw = openssl_signs(files, *options, key=key)
    report = verify_message(raw, trust(), NOW)
    assert (report.verdict, report.reason) == (Verdict.PASSED, Reason.GENUINE)
    assert report.signers[0].addresses == (ADDRESS,)
    assert (
        verify_message(raw.replace(ADDRESS.encode(), b"x@y.example", 1), trust(), NOW).reason
        is Reason.FROM_DIFFERS
    )


@pytest.mark.parametrize(
    ("key", "options", "reason"),
    [
        ("rsa", ("-md", "sha1"), Reason.ALGORITHM_WEAK),
        ("rsa", ("-md", "md5"), Reason.ALGORITHM_WEAK),
        ("rsa-1024", ("-md", "sha256"), Reason.KEY_WEAK),
        ("rsa", ("-md", "sha256", "-noattr"), Reason.ATTRIBUTES_MISSING),
        ("rsa", ("-md", "sha256", "-nocerts"), Reason.CERTIFICATE_MISSING),
    ],
)
def test_what_openssl_signs_against_our_policy_is_refused_with_its_reason(
    key: str, options: tuple[str, ...], reason: Reason, files: Path
) -> None:
    report = verify_message(openssl_signs(files, *options, key=key), trust(), NOW)
    assert (report.verdict, report.reason) == (Verdict.FAILED, reason)


def test_two_signers_of_openssl(files: Path) -> None:
    other = certificate("p256")
    (files / "other.pem").write_bytes(other.certificate_pem)
    (files / "other.key").write_bytes(other.key_pem)
    second = ("-md", "sha256", "-signer", str(files / "other.pem"), "-inkey", str(files / "other.key"))
    report = verify_message(openssl_signs(files, *second), trust(), NOW)
    assert report.verdict is Verdict.PASSED
    assert len(report.signers) == 2


def test_an_encrypted_message_is_not_signed(files: Path) -> None:
    (files / "own.pem").write_bytes(certificate().certificate_pem)
    made = run("openssl", "cms", "-encrypt", "-aes256", "-in", files / "entity", files / "own.pem")
    assert made.returncode == 0
    raw = b"From: a@b.example\r\n" + made.stdout.replace(b"\r", b"").replace(b"\n", b"\r\n")
    assert verify_message(raw, trust(), NOW).reason is Reason.ENCRYPTED


@pytest.mark.skipif(shutil.which("gpgsm") is None, reason="gpgsm is not installed")
@pytest.mark.parametrize("pss", [False, True])
def test_gpgsm_accepts_what_we_sign(pss: bool, files: Path) -> None:
    home = files / "gnupg"
    home.mkdir(mode=0o700)
    fingerprint = run("openssl", "x509", "-in", files / "ca.pem", "-noout", "-fingerprint", "-sha1")
    digits = fingerprint.stdout.decode().strip().partition("=")[2]
    (home / "trustlist.txt").write_text(f"{digits} S relax\n")
    raw = signed(pss=pss)
    entity = verify_message(raw, trust(), NOW).entity or b""
    (files / "content").write_bytes(entity)
    (files / "mail.eml").write_bytes(raw)
    taken = run(
        "openssl", "cms", "-cmsout", "-in", files / "mail.eml", "-outform", "DER", "-out", files / "smime.p7s"
    )
    assert taken.returncode == 0
    gpgsm = ("gpgsm", "--homedir", home, "--batch", "--disable-crl-checks")
    try:
        assert run(*gpgsm, "--import", files / "ca.pem", files / "chain.pem").returncode == 0
        judged = run(*gpgsm, "--verify", files / "smime.p7s", files / "content")
        assert judged.returncode == 0, judged.stderr
        (files / "content").write_bytes(entity + b"x")
        assert run(*gpgsm, "--verify", files / "smime.p7s", files / "content").returncode != 0
    finally:
        run("gpgconf", "--homedir", home, "--kill", "all")
