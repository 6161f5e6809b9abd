"""Which certificates a verified signature teaches: the author's own, for encryption, valid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from asn1crypto import pem
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.harvest import harvest
from certs.names import DistinguishedName
from certs.profiles import ORG_CONF, ORG_SIGN, Profile
from certs.signing import load_signer
from certs.smime import sign_message, verify_message
from certs.verdicts import SignatureReport, Verdict
from tests.support.certificates import ADDRESS, ENTITY, NOW, certificate, headers, space, trust

BOTH = Profile(
    "BOTH", frozenset({"digital_signature", "key_encipherment"}), (ExtendedKeyUsageOID.EMAIL_PROTECTION,)
)


def der(text: bytes) -> bytes:
    octets: bytes = pem.unarmor(text)[2]
    return octets


def mail(signing: dict[str, Any], *enclosed: dict[str, Any]) -> bytes:
    """A signed mail that encloses further certificates."""
    own = certificate(**signing)
    more = b"".join(certificate(**each).certificate_pem for each in enclosed)
    signer = load_signer(own.certificate_pem, own.key_pem, own.chain_pem + more)
    return sign_message(headers(), ENTITY, signer, NOW)


def learnt(raw: bytes, address: str = ADDRESS, **trusted: Any) -> list[bytes]:
    anchors = trust(**trusted)
    report = verify_message(raw, anchors, NOW)
    assert report.verdict is Verdict.PASSED, report.detail
    return [found.certificate for found in harvest(raw, report, address, anchors, NOW)]


def test_the_signers_own_where_it_may_be_encrypted_to() -> None:
    own: dict[str, Any] = {"profile": BOTH}
    assert learnt(mail(own)) == [der(certificate(**own).certificate_pem)]
    assert learnt(mail({"profile": ORG_SIGN})) == []


def test_the_encryption_certificate_beside_a_signing_one() -> None:
    other: dict[str, Any] = {"profile": ORG_CONF, "common_name": "confidentialite.demo"}
    raw = mail({"profile": ORG_SIGN}, other)
    assert learnt(raw) == [der(certificate(**other).certificate_pem)]


@pytest.mark.parametrize(
    "other",
    [
        {"profile": ORG_CONF, "address": "somebody.else@demo.mssante.example"},
        {"profile": ORG_CONF, "address": None},
        {"profile": ORG_CONF, "which": "ANOTHER-SPACE"},
    ],
)
def test_nobody_elses(other: dict[str, Any]) -> None:
    assert learnt(mail({"profile": ORG_SIGN}, other)) == []


def test_one_without_address_where_it_is_bound_to_the_domain() -> None:
    other: dict[str, Any] = {"profile": ORG_CONF, "address": None}
    issuer = DistinguishedName.from_text(space().organisations.certificate.subject.rfc4514_string())
    bindings = {
        (issuer, DistinguishedName.from_text("OU=300000000000017")): frozenset({"demo.mssante.example"})
    }
    raw = mail({"profile": ORG_SIGN}, other)
    assert learnt(raw, bindings=bindings) == [der(certificate(**other).certificate_pem)]


def test_nothing_without_a_passed_verdict_and_from_anything_else() -> None:
    raw, anchors = mail({"profile": BOTH}), trust()
    report = verify_message(raw, anchors, NOW)
    assert harvest(raw, replace(report, verdict=Verdict.FAILED), ADDRESS, anchors, NOW) == ()
    for other in (b"", b"From: a@b\r\n\r\nwords", raw[: len(raw) // 2], b"\x00" * 50):
        assert harvest(other, report, ADDRESS, anchors, NOW) == ()
    assert harvest(raw, SignatureReport(Verdict.PASSED, report.reason), ADDRESS, anchors, NOW) == ()


def test_when_it_was_signed_and_what_its_owner_reads() -> None:
    raw, anchors = mail({"profile": BOTH}), trust()
    (found,) = harvest(raw, verify_message(raw, anchors, NOW), ADDRESS, anchors, NOW)
    assert found.signed_at == NOW
    assert found.gcm, "our own signatures announce GCM"
