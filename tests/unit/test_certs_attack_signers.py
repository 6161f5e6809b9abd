"""Signers that break one rule: algorithms weak or in disagreement, signed attributes missing, doubled, false.

Each signature is true over what it signs; only the rule in question is broken.
"""

from dataclasses import replace
from typing import Any

import pytest
from asn1crypto import algos, cms, core, tsp, x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from certs.authority import SubjectNames, issue, subject
from certs.der import integer, sequence
from certs.paths import read_certificates
from certs.profiles import ORG_SIGN
from certs.signing import SigningFault, load_signer
from certs.smime import verify_message
from certs.verdicts import Reason
from tests.support.certificates import ADDRESS, NOW, signer, space, trust
from tests.support.rogue import Signature, mail, signed_entity, structure

RSA, P256, ED25519 = signer(), signer("p256"), signer("ed25519")
TRUST = trust()


def judged(octets: bytes) -> Reason:
    """What a mail with this signature over the tests' entity is worth."""
    return verify_message(mail(octets), TRUST, NOW).reason


def reason_of(signature: Signature) -> Reason:
    return judged(structure(signed_entity(), signature))


# -- algorithms


def named(algorithm: str) -> algos.SignedDigestAlgorithm:
    return algos.SignedDigestAlgorithm({"algorithm": algorithm})


def pss(inner: str, mask: str, salt: int = 32, trailer: int = 1) -> algos.SignedDigestAlgorithm:
    parameters = algos.RSASSAPSSParams(
        {
            "hash_algorithm": {"algorithm": inner},
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": mask}},
            "salt_length": salt,
            "trailer_field": trailer,
        }
    )
    return algos.SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": parameters})


PSS_BY_DEFAULT = algos.SignedDigestAlgorithm.load(bytes.fromhex("300d06092a864886f70d01010a3000"))
PSS_WITHOUT_PARAMETERS = algos.SignedDigestAlgorithm.load(bytes.fromhex("300b06092a864886f70d01010a"))


def masked(mask: hashes.HashAlgorithm, salt: int = 32) -> padding.PSS:
    return padding.PSS(padding.MGF1(mask), salt)


ALGORITHMS: dict[str, tuple[Signature, Reason]] = {
    "md5": (Signature(RSA, "md5", "md5"), Reason.ALGORITHM_WEAK),
    "sha1": (Signature(RSA, "sha1", "sha1"), Reason.ALGORITHM_WEAK),
    "sha224": (Signature(RSA, "sha224", "sha224"), Reason.ALGORITHM_WEAK),
    "sha1 inside only": (
        Signature(RSA, "sha256", "sha1", algorithm=named("sha1_rsa")),
        Reason.ALGORITHM_WEAK,
    ),
    "sha1 outside only": (
        Signature(RSA, "sha1", "sha256", algorithm=named("sha256_rsa")),
        Reason.ALGORITHM_WEAK,
    ),
    "two digests": (
        Signature(RSA, "sha512", "sha256", algorithm=named("sha256_rsa")),
        Reason.ALGORITHM_MISMATCH,
    ),
    "ecdsa with two digests": (Signature(P256, "sha256", "sha512"), Reason.ALGORITHM_MISMATCH),
    "ecdsa under the name of rsa": (
        Signature(P256, algorithm=named("sha256_rsa")),
        Reason.ALGORITHM_MISMATCH,
    ),
    "rsa under the name of ecdsa": (
        Signature(RSA, algorithm=named("sha256_ecdsa")),
        Reason.ALGORITHM_MISMATCH,
    ),
    "ed25519 with sha-256": (Signature(ED25519, "sha256"), Reason.ALGORITHM_MISMATCH),
    "dsa": (Signature(RSA, algorithm=named("sha256_dsa")), Reason.ALGORITHM_UNSUPPORTED),
    "pss": (
        Signature(RSA, algorithm=pss("sha256", "sha256"), padding=masked(hashes.SHA256())),
        Reason.GENUINE,
    ),
    "pss with salt of 64": (
        Signature(RSA, algorithm=pss("sha256", "sha256", 64), padding=masked(hashes.SHA256(), 64)),
        Reason.GENUINE,
    ),
    "pss without salt": (
        Signature(RSA, algorithm=pss("sha256", "sha256", 0), padding=masked(hashes.SHA256(), 0)),
        Reason.GENUINE,
    ),
    "pss with mask of sha-1": (
        Signature(RSA, algorithm=pss("sha256", "sha1"), padding=masked(hashes.SHA1())),
        Reason.ALGORITHM_MISMATCH,
    ),
    "pss with mask of sha-512": (
        Signature(RSA, algorithm=pss("sha256", "sha512"), padding=masked(hashes.SHA512())),
        Reason.ALGORITHM_MISMATCH,
    ),
    "pss of another digest": (
        Signature(RSA, "sha512", algorithm=pss("sha256", "sha256"), padding=masked(hashes.SHA256())),
        Reason.ALGORITHM_MISMATCH,
    ),
    "pss that lies about its salt": (
        Signature(RSA, algorithm=pss("sha256", "sha256", 20), padding=masked(hashes.SHA256())),
        Reason.SIGNATURE_WRONG,
    ),
    "pss with endless salt": (
        Signature(RSA, algorithm=pss("sha256", "sha256", 2**31), padding=masked(hashes.SHA256())),
        Reason.ALGORITHM_MISMATCH,
    ),
    "pss with default parameters, which are sha-1": (
        Signature(RSA, algorithm=PSS_BY_DEFAULT, padding=masked(hashes.SHA256())),
        Reason.ALGORITHM_WEAK,
    ),
    "pss without parameters": (
        Signature(RSA, algorithm=PSS_WITHOUT_PARAMETERS, padding=masked(hashes.SHA256())),
        Reason.MALFORMED,
    ),
    "pss with negative salt": (
        Signature(RSA, algorithm=pss("sha256", "sha256", -1), padding=masked(hashes.SHA256())),
        Reason.ALGORITHM_MISMATCH,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_are_strong_and_agree_with_each_other(name: str) -> None:
    signature, expected = ALGORITHMS[name]
    assert reason_of(signature) is expected


def test_a_certificate_with_a_small_key_signs_nothing() -> None:
    small = rsa.generate_private_key(65537, 1024)
    name = subject("petit.demo.mssante.example", "300000000000017", "CLINIQUE DE TEST", "Haute-Loire (43)")
    issued = issue(space().organisations, ORG_SIGN, name, NOW, SubjectNames((), (ADDRESS,)), small)
    with pytest.raises(SigningFault, match="RSA of 1024 bits"):
        load_signer(issued.certificate_pem, issued.key_pem, issued.chain_pem)
    (der,) = read_certificates(issued.certificate_pem)
    loaded = x509.Certificate.load(der)
    named = sequence(loaded.issuer.dump(), integer(loaded.serial_number))
    weak = replace(signer(), certificate=der, key=small, issuer_and_serial=named)
    assert reason_of(Signature(weak)) is Reason.KEY_WEAK


# -- signed attributes


def protection(digest: str, algorithm: str) -> tuple[tuple[str, list[core.Sequence]], ...]:
    value = cms.CMSAlgorithmProtection(
        {"digest_algorithm": {"algorithm": digest}, "signature_algorithm": {"algorithm": algorithm}}
    )
    return (("1.2.840.113549.1.9.52", [value]),)


def named_certificate(octets: bytes) -> tuple[tuple[str, list[Any]], ...]:
    named = tsp.SigningCertificateV2({"certs": [{"cert_hash": hashes_of(octets)}]})
    return (("1.2.840.113549.1.9.16.2.47", [named]),)


def hashes_of(octets: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(octets)
    return digest.finalize()


DIGEST = core.OctetString(hashes_of(b"autre"))
ATTRIBUTES: dict[str, tuple[Signature, Reason]] = {
    "none": (Signature(RSA, attributes=False), Reason.ATTRIBUTES_MISSING),
    "no content type": (Signature(RSA, without=frozenset({"content_type"})), Reason.ATTRIBUTES_MISSING),
    "no message digest": (Signature(RSA, without=frozenset({"message_digest"})), Reason.ATTRIBUTES_MISSING),
    "no signing time": (Signature(RSA, without=frozenset({"signing_time"})), Reason.GENUINE),
    "two message digests": (
        Signature(RSA, extra=(("message_digest", [DIGEST]),)), Reason.ATTRIBUTES_WRONG),
    "one message digest with two values": (
        Signature(RSA, without=frozenset({"message_digest"}), extra=(("message_digest", [DIGEST, DIGEST]),)),
        Reason.ATTRIBUTES_WRONG),
    "a message digest without value": (
        Signature(RSA, without=frozenset({"message_digest"}), extra=(("message_digest", []),)),
        Reason.ATTRIBUTES_WRONG),
    "another digest": (
        Signature(RSA, without=frozenset({"message_digest"}), extra=(("message_digest", [DIGEST]),)),
        Reason.DIGEST_WRONG),
    "two unknown ones": (
        Signature(RSA, extra=(("1.2.250.1.1", [core.Null()]), ("1.2.250.1.1", [core.Null()]))),
        Reason.ATTRIBUTES_WRONG),
    "an unknown one": (Signature(RSA, extra=(("1.2.250.1.1", [core.Null()]),)), Reason.GENUINE),
    "algorithms protected": (
        Signature(RSA, extra=protection("sha256", "rsassa_pkcs1v15")), Reason.GENUINE),
    "another digest protected": (
        Signature(RSA, extra=protection("sha512", "rsassa_pkcs1v15")), Reason.ALGORITHM_MISMATCH),
    "another signature protected": (
        Signature(RSA, extra=protection("sha256", "sha256_ecdsa")), Reason.ALGORITHM_MISMATCH),
    "its certificate named": (
        Signature(RSA, extra=named_certificate(RSA.certificate)), Reason.GENUINE),
    "another certificate named": (
        Signature(RSA, extra=named_certificate(P256.certificate)), Reason.ATTRIBUTES_WRONG),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_signed_attributes_are_complete_single_and_true(name: str) -> None:
    signature, expected = ATTRIBUTES[name]
    assert reason_of(signature) is expected


def test_signed_attributes_in_ber_are_refused_and_a_container_in_ber_is_read() -> None:
    """What is signed is the DER of the attributes (RFC 5652 §5.4); the rest may be of indefinite length."""
    octets = structure(signed_entity(), Signature(RSA))
    info = cms.ContentInfo.load(octets)
    attributes = info["content"]["signer_infos"][0]["signed_attrs"].dump()
    inner = cms.CMSAttributes.load(b"\x31" + attributes[1:]).contents
    indefinite = b"\xa0\x80" + inner + b"\x00\x00"
    # Every length around it changes: write the containers as indefinite, too.
    assert judged(loosened(octets, attributes, indefinite)) is Reason.MALFORMED
    assert judged(loosened(octets, attributes, attributes)) is Reason.GENUINE


def loosened(octets: bytes, old: bytes, new: bytes) -> bytes:
    """The structure with `old` exchanged for `new` and every value around it of indefinite length."""
    start = octets.index(old)
    changed = octets[:start] + new + octets[start + len(old) :]
    ends: list[tuple[int, int]] = []
    position = 0
    while position < start:
        length, header = octets[position + 1], 2
        if length >= 0x80:
            header += length & 0x7F
            length = int.from_bytes(octets[position + 2 : position + header])
        if position + header <= start < position + header + length:
            ends.append((position, position + header + length))
            position += header
        else:
            position += header + length
    for begin, end in reversed(ends):
        header = 2 + (octets[begin + 1] & 0x7F if octets[begin + 1] >= 0x80 else 0)
        stop = end + len(changed) - len(octets)
        inner = changed[begin + header : stop]
        changed = changed[:begin] + octets[begin : begin + 1] + b"\x80" + inner + b"\x00\x00" + changed[stop:]
    return changed
