"""Published DKIM messages: RFC 8463 and the set of dkimpy; and the canonical forms of the ARC test suite."""

import json
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from certs.dkim import (
    DkimFault,
    DkimReason,
    KeyRecordFault,
    load_dkim_signer,
    parse_key_record,
    sign_dkim,
    verify_dkim,
)
from certs.dkim.canonical import RawField, body_hash, read_message, signed_octets
from certs.dkim.keys import load_public_key
from certs.dkim.tags import base64_value, read_tags, words

NOW = datetime(2026, 11, 25, tzinfo=UTC)
FOOTBALL = "football.example.com"
BRISBANE = b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
GMAIL = (
    b"k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1Kd87/UeJjenpabgbFwh+eBCsSTrqmwIYYvy"
    b"wlbhbqoo2DymndFkbjOVIPIldNs/m40KF+yzMn1skyoxcTUGCQs8g3FgD2Ap3ZB5DekAo5wMmk4wimDO+U8QzI3SD0"
    b"7y2+07wlNWwIt8svnxgdxGkVbbhzY8i+RQ9DpSVpPbF7ykQxtKXkv/ahW3KjViiAH+ghvvIhkx4xYSIc9oSwVmAl5O"
    b"ctMEeWUwg8Istjqz8BZeTWbf41fbNhte7Y+YqZOwq1Sd0DbvYAD9NOZK9vlfuac0598HY+vtSBczUiKERHv1yRbcaQ"
    b"tZFh5wtiRrN04BLUTD21MycBX5jYchHjPY/wIDAQAB"
)
RFC_8463_SIGNATURES = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
""".replace(b"\n", b"\r\n")


def crlf(octets: bytes) -> bytes:
    """Messages travel in CRLF; some vectors are stored with the line ends of a file."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", octets)


@pytest.fixture(scope="module")
def vectors(shared: Path) -> Path:
    return shared / "vectors" / "dkim"


def found(vectors: Path, raw: bytes) -> list[tuple[str, DkimReason]]:
    """Selector and reason of each signature."""
    keys = {
        (FOOTBALL, "brisbane"): parse_key_record(BRISBANE),
        (FOOTBALL, "test"): parse_key_record((vectors / "test.txt").read_bytes()),
        ("test.ex", "sed"): parse_key_record((vectors / "eximtest.dns").read_bytes()),
        ("gmail.com", "20120113"): parse_key_record(GMAIL),
    }
    return [(one.selector, one.reason) for one in verify_dkim(raw, keys, NOW).signatures]


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        # The RSA key of the set has 1024 bits: its signatures hold and are refused by our policy.
        ("rfc6376.signed.msg", [("brisbane", DkimReason.GENUINE), ("test", DkimReason.KEY_WEAK)]),
        ("rfc6376.signed.rsa.msg", [("test", DkimReason.KEY_WEAK)]),
        # The signature of the former with t= taken out and x= put in: dkimpy reads its tags only.
        ("rfc6376.signed.no_t.msg", [("test", DkimReason.SIGNATURE_WRONG)]),
        ("ed25519test2.msg", [("sed", DkimReason.GENUINE)]),
        ("test2.message", [("20120113", DkimReason.GENUINE)]),
        ("test.message", []),
        ("test_nofrom.message", []),
    ],
)
def test_signed_mails_of_dkimpy(vectors: Path, name: str, reasons: list[tuple[str, DkimReason]]) -> None:
    assert found(vectors, crlf((vectors / name).read_bytes())) == reasons


def test_the_example_of_rfc_8463(vectors: Path) -> None:
    raw = RFC_8463_SIGNATURES + crlf((vectors / "rfc6376.msg").read_bytes())
    assert found(vectors, raw) == [("brisbane", DkimReason.GENUINE), ("test", DkimReason.KEY_WEAK)]
    altered = raw.replace(b"hungry", b"thirsty")
    assert {reason for _, reason in found(vectors, altered)} == {DkimReason.BODY_CHANGED}


RECORDS = (
    "1024_testkey_wo_markers.pub.txt",
    "1024_testkey_wo_markers.pub.rsa.txt",
    "2048_testkey_wo_markers.pub.txt",
    "2048_testkey_wo_markers.pub.rsa.txt",
    "2048_testkey_PKCS8.key.pub.txt",
    "test.txt",
    "test2.txt",
    "test_tlsrpt.txt",
    "ed25519test.dns",
    "eximtest.dns",
)


@pytest.mark.parametrize("name", RECORDS)
def test_key_records_are_read(vectors: Path, name: str) -> None:
    record = parse_key_record((vectors / name).read_bytes())
    load_public_key(record)
    assert record.for_mail is (name != "test_tlsrpt.txt")


def test_bad_key_records_are_refused(vectors: Path) -> None:
    for name in ("badk.txt", "badversion.txt"):
        with pytest.raises(KeyRecordFault):
            parse_key_record((vectors / name).read_bytes())
    damaged = parse_key_record((vectors / "test_bad.txt").read_bytes())
    with pytest.raises(KeyRecordFault):
        load_public_key(damaged)


@pytest.mark.parametrize("name", ["2048_testkey.key", "2048_testkey_PKCS8.key"])
def test_private_keys_are_read_and_sign_for_their_records(vectors: Path, name: str) -> None:
    signer = load_dkim_signer("example.com", "test", (vectors / name).read_bytes())
    record = {"2048_testkey.key": "2048_testkey_wo_markers.pub.txt"}.get(name, f"{name}.pub.txt")
    mail = crlf((vectors / "test_extra.message").read_bytes())
    keys = {("example.com", "test"): parse_key_record((vectors / record).read_bytes())}
    report = verify_dkim(sign_dkim(mail, signer, NOW) + mail, keys, NOW)
    assert [one.reason for one in report.signatures] == [DkimReason.GENUINE]


@pytest.mark.parametrize("name", ["1024_testkey.key", "test.private"])
def test_weak_private_keys_are_refused(vectors: Path, name: str) -> None:
    with pytest.raises(DkimFault, match="below 2048"):
        load_dkim_signer("example.com", "test", (vectors / name).read_bytes())


# -- ARC: the same canonical forms, by other hands ----------------------------------------------------------

_YAML = (
    "import json, sys, yaml\nprint(json.dumps(list(yaml.safe_load_all(open(sys.argv[1]))), default=str))\n"
)


def suite(shared: Path, name: str) -> list[dict[str, Any]]:
    """The scenarios of a file of the suite, read by the system's own Python, which has a reader of YAML."""
    path = shared / "vectors" / "arc" / "tests" / name
    read = subprocess.run(["/usr/bin/python3", "-c", _YAML, path], capture_output=True, check=False)
    if read.returncode:
        pytest.skip("python3-yaml is not installed")
    scenarios: list[dict[str, Any]] = json.loads(read.stdout)
    return scenarios


def holds(raw: bytes, records: Mapping[str, str]) -> bool:
    """Whether the last ARC-Message-Signature holds: a DKIM signature by another name (RFC 8617 §4.1.2)."""
    message = read_message(raw)

    def instance(field: RawField) -> int:
        return int(read_tags(field.value)["i"])

    field = max((one for one in message.fields if one.name == "arc-message-signature"), key=instance)
    tags = read_tags(field.value)
    # The drafts of ARC knew relaxed alone, so it is what an absent c= means to this suite.
    header, _, body = tags.get("c", "relaxed/relaxed").partition("/")
    others = [other for other in message.fields if other is not field]
    octets = signed_octets(others, words(tags["h"]), field, relaxed=header == "relaxed")
    record = parse_key_record(records[f"{tags['s']}._domainkey.{tags['d']}"].replace("\n", "").encode())
    key = load_public_key(record)
    assert isinstance(key, RSAPublicKey)
    key.verify(base64_value(tags["b"]), octets, PKCS1v15(), SHA256())
    return body_hash(message, relaxed=body == "relaxed") == base64_value(tags["bh"])


def test_every_message_signature_of_the_arc_suite_that_passes_there_holds(shared: Path) -> None:
    tried = 0
    for scenario in suite(shared, "arc-draft-validation-tests.yml"):
        for name, case in scenario["tests"].items():
            if case["cv"] == "Pass":
                assert holds(crlf(case["message"].encode()), scenario["txt-records"]), name
                tried += 1
    assert tried == 54


def test_body_hashes_of_the_arc_suite(shared: Path) -> None:
    tried = 0
    for scenario in suite(shared, "arc-draft-sign-tests.yml"):
        for name, case in scenario["tests"].items():
            if case["AMS"]:
                tags = read_tags(" ".join(case["AMS"].split()).encode())
                message = read_message(crlf(case["message"].encode()))
                relaxed = tags["c"].partition("/")[2] == "relaxed"
                assert body_hash(message, relaxed=relaxed) == base64_value(tags["bh"]), name
                tried += 1
    assert tried == 16
