"""DKIM across implementations: python3-dkim and OpenDKIM judge what we sign, we judge what they sign."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.dkim import DkimReason, KeyKind, sign_dkim, verify_dkim
from certs.verdicts import Verdict
from gateway.dkimkeys import key_place
from tests.support.dkim import (
    DOMAIN,
    KEY,
    NOW,
    SELECTOR,
    Dkimpy,
    dkim_signer,
    dkimpy,
    judged,
    key_pem,
    keys_of,
    opendkim_signs,
    opendkim_verifies,
    record_text,
)

HEAD = (
    b"From: R\xc3\xa9my <remy@demo.mssante.example>\r\nTo: c@ch.mssante.example\r\n"
    b"Date: Wed, 25 Nov 2026 12:00:00 +0000\r\n"
)
MAILS = {
    "plain": HEAD + b"Subject: avis\r\n\r\nBonjour\r\n",
    "folded": HEAD + b"Subject: avis\r\n\tsur  deux \r\n lignes\r\nX-TLE-Id:6f1c\r\n\r\nBonjour\r\n",
    "blanks and empty lines": HEAD + b"\r\n\tBonjour,  \r\n \r\n\t.\r\n.\r\n\r\n\r\n",
    "no body": HEAD + b"\r\n",
    "eight bits": HEAD + b"Subject: \xe9t\xe9\r\n\r\n" + bytes(set(range(256)) - {0, 10, 13}) + b"\r\n",
    "repeated fields": b"Received: a\r\nReceived: b\r\nX-TLE-Ref: 1\r\nx-tle-ref: 2\r\n"
    + HEAD
    + b"\r\nx\r\n",
}
POLICIES = [(header, body) for header in ("simple", "relaxed") for body in ("simple", "relaxed")]
KINDS = [KeyKind.RSA, KeyKind.ED25519]
mails = pytest.mark.parametrize("mail", list(MAILS.values()), ids=list(MAILS))
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def peer() -> Iterator[Dkimpy]:
    with dkimpy() as judge:
        yield judge


def table(kind: KeyKind) -> dict[str, str]:
    return {key_place(KEY): record_text(kind)}


@kinds
@mails
def test_python3_dkim_takes_what_we_sign_and_nothing_altered(
    peer: Dkimpy, kind: KeyKind, mail: bytes
) -> None:
    raw = sign_dkim(mail, dkim_signer(kind), NOW) + mail
    assert peer.verify(raw, table(kind))
    for altered in (raw + b"x\r\n", b"X-TLE-State: completed\r\n" + raw, raw.replace(b"remy@", b"rene@")):
        assert not peer.verify(altered, table(kind))


@kinds
@mails
def test_opendkim_takes_what_we_sign_and_nothing_altered(kind: KeyKind, mail: bytes) -> None:
    raw = sign_dkim(mail, dkim_signer(kind), NOW) + mail
    assert opendkim_verifies(raw, table(kind))
    for altered in (raw + b"x\r\n", b"X-TLE-State: completed\r\n" + raw, raw.replace(b"remy@", b"rene@")):
        assert not opendkim_verifies(altered, table(kind))


@kinds
@mails
def test_we_take_what_python3_dkim_signs_and_nothing_altered(
    peer: Dkimpy, kind: KeyKind, mail: bytes
) -> None:
    for policy in POLICIES:
        raw = peer.sign(mail, kind, policy) + mail
        assert judged(raw, kind, datetime.now(UTC)).verdict is Verdict.PASSED, policy
        for altered in (raw + b"x\r\n", raw.replace(b"To: ", b"To: x")):
            assert judged(altered, kind, datetime.now(UTC)).verdict is Verdict.FAILED, policy


@kinds
@mails
def test_we_take_what_opendkim_signs_and_nothing_altered(kind: KeyKind, mail: bytes) -> None:
    for policy in POLICIES:
        if (kind, policy[0]) == (KeyKind.ED25519, "simple"):
            continue  # OpenDKIM 2.11 folds that field anew after signing and refuses it itself
        raw = opendkim_signs(mail, kind, policy) + mail
        assert judged(raw, kind, datetime.now(UTC)).verdict is Verdict.PASSED, policy
        for altered in (raw + b"x\r\n", raw.replace(b"To: ", b"To: x")):
            assert judged(altered, kind, datetime.now(UTC)).verdict is Verdict.FAILED, policy


def test_what_opendkim_testmsg_signs_by_sha1_is_refused(tmp_path: Path) -> None:
    command = shutil.which("opendkim-testmsg", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if command is None:
        pytest.skip("opendkim-tools is not installed")
    key = tmp_path / "key.pem"
    key.write_bytes(key_pem(KeyKind.RSA))
    words = [command, "-C", "-d", DOMAIN, "-s", SELECTOR, "-k", str(key)]
    made = subprocess.run(words, input=MAILS["plain"], capture_output=True, check=False)
    assert made.returncode == 0, made.stderr
    assert b"a=rsa-sha1" in made.stdout
    (found,) = judged(made.stdout, KeyKind.RSA, datetime.now(UTC)).signatures
    assert found.reason is DkimReason.ALGORITHM_WEAK


def test_where_we_are_stricter_than_python3_dkim(peer: Dkimpy) -> None:
    """Two From fields and line ends of LF: it signs and takes both, and readers then differ."""
    two = b"From: a@b.example\r\n" + MAILS["plain"]
    raw = peer.sign(two, KeyKind.ED25519, ("relaxed", "simple")) + two
    assert judged(raw, now=datetime.now(UTC)).signatures[0].reason is DkimReason.FROM_AMBIGUOUS
    bare = (sign_dkim(MAILS["plain"], dkim_signer(), NOW) + MAILS["plain"]).replace(b"\r\n", b"\n")
    assert peer.verify(bare, table(KeyKind.ED25519))
    assert judged(bare).fault is DkimReason.MESSAGE_MALFORMED
    assert verify_dkim(bare, keys_of(record_text()), NOW).passed == ()
