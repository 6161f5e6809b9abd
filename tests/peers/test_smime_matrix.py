"""S/MIME across implementations, both ways: every pair has its expectation, refusals of a peer as well.

That a peer cannot read something is not ours to change; that it suddenly can, or no more, is to be seen.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import partial

import pytest

from certs.envelopes import (
    DecryptionFailed,
    EncryptionTarget,
    Transport,
    addressed_to,
    cipher_of,
    decrypt_message,
    encrypt_message,
    is_encrypted,
    open_envelope,
    read_capabilities,
    seal_envelope,
)
from certs.signing import Signer, sign_detached
from certs.smime import sign_entity, verify_message
from certs.verdicts import Reason, SignatureReport, Verdict
from tests.support.certificates import ENTITY, NOW, headers, run, trust
from tests.support.envelopes import decryptor, entropy, mail, target
from tests.support.smime_peers import MISSING, PEERS, Peers, address, own_signer, peers

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

SIGNERS = ("rsa", "p256", "p384", "p521", "ed25519")
RECIPIENTS = ("rsa", "p256", "p384", "p521", "x25519")
ALL = frozenset(PEERS)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    with peers(tmp_path_factory.mktemp("p"), SIGNERS, RECIPIENTS) as made:
        yield made


# -- signatures ----------------------------------------------------------------------------------------


def our_signers(row: str) -> tuple[Signer, ...]:
    if row == "two signers":
        return own_signer("rsa"), own_signer("p256")
    kind, _, scheme = row.partition(" ")
    return (own_signer(kind, scheme == "pss"),)


@pytest.mark.parametrize(
    ("row", "accepted"),
    [
        ("rsa", ALL),
        ("rsa pss", ALL),
        ("p256", ALL),
        ("p384", ALL),
        ("p521", ALL - {"gpgsm"}),  # gpgsm 2.2: "Internal error"
        ("two signers", ALL),
        ("ed25519", frozenset()),  # none of the three reads Ed25519 in CMS (RFC 8419)
    ],
)
@pytest.mark.parametrize("peer", PEERS)
def test_what_we_sign(row: str, accepted: frozenset[str], peer: str, others: Peers) -> None:
    signature = sign_detached(ENTITY, our_signers(row), NOW)
    assert others.verifies(peer, signature, ENTITY) is (peer in accepted)
    assert not others.verifies(peer, signature, ENTITY.replace(b"Bonjour", b"Bonsoir"))


def signed_mail(structure: bytes, content: bytes, opaque: bool, sender: str) -> bytes:
    """Put what a peer signed into a message of its owner."""
    header = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers(sender))
    part = b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(structure).replace(
        b"\n", b"\r\n"
    )
    if opaque:
        return header + b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n" + part
    kind = b'multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b'
    signature = b"Content-Type: application/pkcs7-signature\r\n" + part
    parts = b"--b\r\n" + content + b"\r\n--b\r\n" + signature + b"--b--\r\n"
    return header + b"Content-Type: " + kind + b"\r\n\r\n" + parts


def judged(structure: bytes, content: bytes, opaque: bool, sender: str) -> SignatureReport:
    return verify_message(signed_mail(structure, content, opaque, sender), trust(), NOW)


PSS = ("-keyopt", "rsa_padding_mode:pss")


@pytest.mark.parametrize("opaque", [False, True], ids=["detached", "opaque"])
@pytest.mark.parametrize(
    ("peer", "kind", "options"),
    [
        ("openssl", "rsa", ()),
        ("openssl", "rsa", ("-keyid",)),
        ("openssl", "rsa", (*PSS, "-keyopt", "rsa_pss_saltlen:32")),
        ("openssl", "rsa", (*PSS, "-keyopt", "rsa_pss_saltlen:max")),
        ("openssl", "p256", ()),
        ("openssl", "p384", ("-md", "sha384")),
        ("openssl", "p521", ("-md", "sha512")),
        ("gpgsm", "rsa", ()),
        ("nss", "rsa", ()),
        ("nss", "rsa", ("-P",)),
        ("nss", "p256", ()),
        ("nss", "p384", ()),
        ("nss", "p521", ()),
    ],
)
def test_what_others_sign(
    peer: str, kind: str, options: tuple[str, ...], opaque: bool, others: Peers
) -> None:
    structure = others.signs(peer, kind, ENTITY, opaque, *options)
    assert structure is not None
    report = judged(structure, ENTITY, opaque, address(kind))
    assert (report.verdict, report.reason) == (Verdict.PASSED, Reason.GENUINE), report.detail
    assert report.entity == ENTITY
    assert not read_capabilities(report.signers[0].capabilities).gcm  # so all of them are written AES-CBC
    if not opaque:
        changed = judged(structure, ENTITY.replace(b"Bonjour", b"Bonsoir"), opaque, address(kind))
        assert changed.reason is Reason.DIGEST_WRONG
    assert judged(structure, ENTITY, opaque, "autre@demo.mssante.example").reason is Reason.FROM_DIFFERS


def test_a_stream_of_openssl_is_read(others: Peers) -> None:
    """BER: indefinite lengths, the content in chunks."""
    structure = others.signs("openssl", "rsa", ENTITY, True, "-stream", "-keyid")
    assert structure is not None
    assert structure.startswith(b"\x30\x80")
    assert judged(structure, ENTITY, True, address("rsa")).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("options", "reason"),
    [(("-md", "sha1"), Reason.ALGORITHM_WEAK), (("-noattr",), Reason.ATTRIBUTES_MISSING)],
)
def test_what_others_sign_against_our_policy(options: tuple[str, ...], reason: Reason, others: Peers) -> None:
    structure = others.signs("openssl", "rsa", ENTITY, False, *options)
    assert structure is not None
    assert others.verifies("nss", structure, ENTITY)  # peers judge form, not policy
    assert judged(structure, ENTITY, False, address("rsa")).reason is reason


@pytest.mark.parametrize(
    ("peer", "kind"), [("openssl", "ed25519"), ("nss", "ed25519"), ("gpgsm", "p256"), ("gpgsm", "ed25519")]
)
def test_what_others_cannot_sign(peer: str, kind: str, others: Peers) -> None:
    assert others.signs(peer, kind, ENTITY, False) is None


# -- encryption ----------------------------------------------------------------------------------------

OPENSSL = frozenset({"openssl"})


@pytest.mark.parametrize(
    ("kind", "gcm", "transport", "readers"),
    [
        ("rsa", False, Transport.BY_CAPABILITY, ALL),  # what we write where nothing is announced
        ("rsa", False, Transport.OAEP, OPENSSL),
        ("rsa", True, Transport.BY_CAPABILITY, OPENSSL),
        ("rsa", True, Transport.PKCS1, OPENSSL),
        ("p256", False, Transport.BY_CAPABILITY, OPENSSL),
        ("p256", True, Transport.BY_CAPABILITY, OPENSSL),
        ("p384", True, Transport.BY_CAPABILITY, OPENSSL),
        ("p521", False, Transport.BY_CAPABILITY, OPENSSL),
        ("x25519", True, Transport.BY_CAPABILITY, frozenset()),  # RFC 8418; only the vectors judge it
    ],
)
@pytest.mark.parametrize("peer", PEERS)
def test_what_we_encrypt(
    kind: str, gcm: bool, transport: Transport, readers: frozenset[str], peer: str, others: Peers
) -> None:
    owner = target(kind, f"conf-{kind}")
    envelope, _ = seal_envelope(ENTITY, [EncryptionTarget(owner.certificate, gcm)], entropy, transport)
    assert others.decrypts(peer, kind, envelope) == (ENTITY if peer in readers else None)
    assert open_envelope(envelope, [decryptor(kind, f"conf-{kind}")]) == ENTITY


def test_one_envelope_for_readers_of_all_kinds(others: Peers) -> None:
    """NSS 3.87 cannot parse one that names a recipient on a curve: so each recipient gets an envelope."""
    envelope, _ = seal_envelope(ENTITY, [target(kind, f"conf-{kind}") for kind in RECIPIENTS], entropy)
    for peer in PEERS:
        assert others.decrypts(peer, "rsa", envelope) == (None if peer == "nss" else ENTITY), peer
    assert others.decrypts("openssl", "p256", envelope) == ENTITY


OAEP = ("-keyopt", "rsa_padding_mode:oaep")


@pytest.mark.parametrize(
    ("peer", "kind", "options", "cipher"),
    [
        ("openssl", "rsa", ("-aes128",), "aes128-cbc"),
        ("openssl", "rsa", ("-aes192",), "aes192-cbc"),
        ("openssl", "rsa", ("-aes256", "-stream", "-keyid"), "aes256-cbc"),
        ("openssl", "rsa", ("-aes-128-gcm",), "aes128-gcm"),
        ("openssl", "rsa", ("-aes-256-gcm", "-stream"), "aes256-gcm"),
        ("openssl", "p256", ("-aes256",), "aes256-cbc"),
        ("openssl", "p256", ("-aes-256-gcm",), "aes256-gcm"),
        ("openssl", "p384", ("-aes128",), "aes128-cbc"),
        ("openssl", "p521", ("-aes-256-gcm",), "aes256-gcm"),
        ("gpgsm", "rsa", (), "aes128-cbc"),
        ("gpgsm", "rsa", ("--cipher-algo", "AES256"), "aes256-cbc"),
        ("nss", "rsa", (), "aes128-cbc"),
    ],
)
def test_what_others_encrypt(
    peer: str, kind: str, options: tuple[str, ...], cipher: str, others: Peers
) -> None:
    envelope = others.encrypts(peer, kind, ENTITY, *options)
    assert envelope is not None
    found = cipher_of(mail(envelope))
    assert found is not None
    assert found.name == cipher
    assert open_envelope(envelope, [decryptor(kind, f"conf-{kind}")]) == ENTITY
    with pytest.raises(DecryptionFailed):
        open_envelope(envelope, [decryptor(kind)])


@pytest.mark.parametrize(
    "options",
    [
        OAEP,
        (*OAEP, "-keyopt", "rsa_oaep_md:sha256"),
        (*OAEP, "-keyopt", "rsa_oaep_md:sha256", "-keyopt", "rsa_mgf1_md:sha1"),
        (*OAEP, "-keyopt", "rsa_oaep_label:6c6162656c"),
    ],
    ids=["sha1", "sha256", "mixed", "label"],
)
def test_oaep_of_openssl(options: tuple[str, ...], others: Peers) -> None:
    certificate = others.folder / "conf-rsa.pem"
    envelope = others.encrypts("openssl", "rsa", ENTITY, "-aes256", "-recip", str(certificate), *options)
    assert envelope is not None
    assert open_envelope(envelope, [decryptor("rsa", "conf-rsa")]) == ENTITY


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
def test_key_agreement_of_openssl(digest: str, others: Peers) -> None:
    certificate = others.folder / "conf-p256.pem"
    options = ("-recip", str(certificate), "-keyopt", f"ecdh_kdf_md:{digest}", "-aes256-wrap")
    envelope = others.encrypts("openssl", "p256", ENTITY, "-aes256", *options)
    assert envelope is not None
    assert open_envelope(envelope, [decryptor("p256", "conf-p256")]) == ENTITY


@pytest.mark.parametrize(("peer", "options"), [("openssl", ("-des3",)), ("gpgsm", ("--cipher-algo", "3DES"))])
def test_what_others_encrypt_against_our_policy(peer: str, options: tuple[str, ...], others: Peers) -> None:
    envelope = others.encrypts(peer, "rsa", ENTITY, *options)
    assert envelope is not None
    assert others.decrypts("nss", "rsa", envelope) == ENTITY  # peers judge form, not policy
    found = cipher_of(mail(envelope))
    assert found is not None
    assert not found.accepted
    with pytest.raises(DecryptionFailed):
        open_envelope(envelope, [decryptor("rsa", "conf-rsa")])


@pytest.mark.parametrize(
    ("peer", "kind"), [("openssl", "x25519"), ("gpgsm", "p256"), ("nss", "p256"), ("nss", "x25519")]
)
def test_for_whom_others_cannot_encrypt(peer: str, kind: str, others: Peers) -> None:
    assert others.encrypts(peer, kind, ENTITY) is None


# -- whole mails ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("gcm", [False, True], ids=["cbc", "gcm"])
def test_openssl_opens_our_mail_and_verifies_what_is_signed_inside(gcm: bool, others: Peers) -> None:
    owner = EncryptionTarget(target("rsa", "conf-rsa").certificate, gcm)
    signed = partial(sign_entity, signer=own_signer("rsa"), now=NOW)
    raw = encrypt_message(headers(address("rsa")), ENTITY, [owner], entropy, sign=signed)
    files, folder = others.file("mail.eml", raw), others.folder
    inner = folder / "inner.eml"
    keys = ("-recip", folder / "conf-rsa.pem", "-inkey", folder / "conf-rsa.key")
    opened = run("openssl", "cms", "-decrypt", "-binary", "-in", files, *keys, "-out", inner)
    assert opened.returncode == 0, opened.stderr
    judged_by = ("-CAfile", folder / "ca.pem", "-purpose", "smimesign")
    verified = run("openssl", "cms", "-verify", "-in", inner, *judged_by)
    assert verified.returncode == 0, verified.stderr
    assert b"Subject: [TLE-2026-000123 - en cours]\r\n" in verified.stdout
    assert b"HP-Outer: Subject: [...]\r\n" in verified.stdout


@pytest.mark.parametrize(
    "options",
    [("-aes256",), ("-aes-256-gcm",), ("-aes128", "-stream"), ("-aes256", "-crlfeol")],
    ids=" ".join,
)
def test_we_open_a_mail_of_openssl(options: tuple[str, ...], others: Peers) -> None:
    source, certificate = others.file("entity", ENTITY), others.folder / "conf-rsa.pem"
    made = run("openssl", "cms", "-encrypt", "-in", source, *options, certificate)
    assert made.returncode == 0, made.stderr
    header = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers())
    raw = header + re.sub(rb"(?<!\r)\n", b"\r\n", made.stdout)
    own = decryptor("rsa", "conf-rsa")
    assert is_encrypted(raw)
    assert addressed_to(raw, [own])
    assert decrypt_message(raw, [own]) == ENTITY
    assert verify_message(raw, trust(), NOW).reason is Reason.ENCRYPTED
