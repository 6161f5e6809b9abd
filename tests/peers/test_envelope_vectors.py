"""Published encrypted messages: the CMS examples of the LAMPS group, Thunderbird's, pyca's, covert content.

Each set says how many it holds, so that one that shrinks or grows is noticed. A set that is not at hand is
skipped by name.
"""

import importlib.util
import re
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import pem
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from certs.envelopes import (
    DecryptionFailed,
    Decryptor,
    addressed_to,
    cipher_of,
    decrypt_message,
    is_encrypted,
    load_decryptor,
    open_envelope,
)
from certs.fields import split_message
from certs.paths import RevocationMode, load_anchors
from certs.smime import verify_message
from certs.verdicts import Reason, Verdict

THUNDERBIRD = datetime(2026, 6, 1, tzinfo=UTC)  # its certificates end in 2031


def folder(shared: Path, *names: str) -> Path:
    path = shared.joinpath("vectors", *names)
    if not path.is_dir():
        pytest.skip(f"no vectors at {path}")
    return path


def crlf(path: Path) -> bytes:
    return re.sub(rb"(?<!\r)\n", b"\r\n", path.read_bytes())


def opened(encoded: bytes, keys: Sequence[Decryptor]) -> bytes | None:
    """What is inside of a structure, None where it stays closed."""
    try:
        return open_envelope(encoded, keys)
    except DecryptionFailed:
        return None


def decrypted(raw: bytes, keys: Sequence[Decryptor]) -> bytes | None:
    """What is inside of a mail, None where it stays closed."""
    try:
        return decrypt_message(raw, keys)
    except DecryptionFailed:
        return None


def bundles(place: Path, *names: str) -> list[Decryptor]:
    """Thunderbird's keys; NSS writes PKCS#12 in BER, of which the library warns."""
    keys = []
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            key, certificate, _ = pkcs12.load_key_and_certificates(
                (place / f"{name}.p12").read_bytes(), b"nss"
            )
        assert key is not None
        assert certificate is not None
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        keys.append(load_decryptor(certificate.public_bytes(Encoding.PEM), private))
    return keys


# -- CMS examples --------------------------------------------------------------------------------------

SAMPLE = b"This is some sample content."


@pytest.mark.parametrize(
    ("name", "bob", "dana"),
    [
        ("encryptedForBobRSAOaep", SAMPLE, None),  # OAEP with SHA-256, AES-128-CBC
        ("encryptedForBobAndDana", SAMPLE, SAMPLE),  # and X25519 with the X9.63 derivation, AES-128 key wrap
        ("authEnvelopedForDanaX25519HKDF", None, SAMPLE),  # X25519 with HKDF, AES-128-GCM
        ("authEnvelopedForBobChaCha20Poly1305", SAMPLE, None),
        ("encryptedKekri", None, None),  # a shared key: not ours by policy
    ],
)
def test_cms_examples(name: str, bob: bytes | None, dana: bytes | None, shared: Path) -> None:
    place = folder(shared, "cms-examples-ireland")
    encoded = (place / "binary-files" / f"{name}.p7m").read_bytes()
    for who, expected in (("bob", bob), ("dana", dana)):
        certificate = place / "certs-and-keys" / f"lamps-{who}.encrypt.crt"
        key = place / "certs-and-keys" / f"lamps-{who}.decrypt.p8.pem"
        own = load_decryptor(certificate.read_bytes(), key.read_bytes())
        assert opened(encoded, [own]) == expected
        if expected is not None:
            assert opened(encoded[:-1] + bytes([encoded[-1] ^ 1]), [own]) != expected


# -- Thunderbird ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cipher", "readable"),
    [
        ("fran-ec_ossl-aes128-sha256", "aes128-cbc", True),
        ("fran-ec_ossl-aes256-sha512", "aes256-cbc", True),
        ("fran-oaep-label_ossl", "aes256-cbc", True),
        ("fran-oaep-sha256hash-sha256mgf_ossl", "aes256-cbc", True),
        ("fran-oaep-sha256hash_ossl", "aes128-cbc", True),
        ("fran-oaep_ossl", "tripledes_3key", False),  # refused by policy
    ],
)
def test_thunderbird_interoperability(name: str, cipher: str, readable: bool, shared: Path) -> None:
    place = folder(shared, "thunderbird", "mailnews", "test", "data", "smime-interop")
    raw, keys = crlf(place / f"{name}.env"), bundles(place, "Fran", "Fran-ec")
    found = cipher_of(raw)
    assert found is not None
    assert (found.name, found.accepted) == (cipher, readable)
    assert addressed_to(raw, keys)
    expected = b"This is a test message to Fran.\n" if readable else None
    assert opened(pem_free(raw), keys) == expected
    assert decrypted(raw, keys) is None  # what is inside is a text and no entity


def pem_free(raw: bytes) -> bytes:
    """The structure of a mail in base64."""
    body = raw[split_message(raw)[1] :]
    octets: bytes = pem.unarmor(b"-----BEGIN CMS-----\n" + body.strip() + b"\n-----END CMS-----\n")[2]
    return octets


def test_thunderbird_mails(shared: Path) -> None:
    place = folder(shared, "thunderbird", "mailnews", "test", "data", "smime")
    keys = bundles(place, "Alice", "Bob", "Dave", "Eve", "Fran", "Alice-ec", "Fran-ec")
    trust = load_anchors((place / "TestCA.pem").read_bytes(), revocation=RevocationMode.WHEN_KNOWN)
    dave = bundles(place, "Dave")
    whole = [path for path in sorted(place.glob("*.eml")) if is_encrypted(crlf(path))]
    assert len(whole) == 13
    for path in whole:
        raw = crlf(path)
        entity = decrypted(raw, keys)
        assert entity is not None, path.name
        assert decrypted(raw, dave) is None
        dates = [field.value for field in split_message(raw)[0] if field.key == "date"]
        header = b"From: Alice@example.com\r\nMIME-Version: 1.0\r\nDate: %s\r\n" % dates[0]
        report = verify_message(header + entity, trust, THUNDERBIRD)
        if path.name == "alice.env.eml":
            assert report.reason is Reason.UNSIGNED
        elif "SHA1" in path.name:
            assert report.reason is Reason.ALGORITHM_WEAK
        else:
            assert report.verdict is Verdict.PASSED, (path.name, report)


def test_thunderbird_mails_of_which_a_part_is_encrypted_stay_closed(shared: Path) -> None:
    top = folder(shared, "thunderbird", "mailnews", "test", "data")
    keys = bundles(top / "smime", "Alice", "Bob", "Dave")
    partly = [
        *sorted((top / "smime-manual").glob("*.eml")),
        *(path for path in sorted((top / "smime").glob("alice.env.*.eml"))),
        folder(shared, "thunderbird", "mail", "test", "browser", "smime", "data")
        / "multipart-alternative.eml",
    ]
    assert len(partly) == 23
    for path in partly:
        raw = crlf(path)
        assert not is_encrypted(raw), path.name
        assert not addressed_to(raw, keys)
        assert decrypted(raw, keys) is None


# -- others --------------------------------------------------------------------------------------------


def test_pyca_structures() -> None:
    """The package `cryptography-vectors` is no dependency: it is read where it is installed."""
    package = importlib.util.find_spec("cryptography_vectors")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the package cryptography-vectors is not installed")
    place = Path(package.submodule_search_locations[0])
    own = place / "x509" / "custom" / "ca"
    keys = [load_decryptor((own / "rsa_ca.pem").read_bytes(), (own / "rsa_key.pem").read_bytes())]
    found = {}
    for path in sorted((place / "pkcs7").glob("enveloped*")):
        octets = path.read_bytes()
        found[path.stem] = opened(pem.unarmor(octets)[2] if pem.detect(octets) else octets, keys)
    assert len(found) == 4
    assert found["enveloped-rsa-oaep"] == b"Hello, world!"
    assert {name for name, content in found.items() if content is None} == found.keys() - {
        "enveloped-rsa-oaep"  # the others are 3DES, for somebody else or without content
    }


def test_covert_content_is_never_opened(shared: Path) -> None:
    """RUB-NDS/Covert-Content-Attacks: an old ciphertext among parts of an attacker who waits for a reply."""
    place = folder(shared, "covert")
    mails = sorted(place.rglob("*.eml"))
    assert mails
    for path in mails:
        assert is_encrypted(crlf(path)) is (path.name == "00-original-mail.eml" and "smime" in path.parts), (
            path.name
        )
