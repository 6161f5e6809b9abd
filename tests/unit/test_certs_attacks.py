"""Attack mails: the pitfalls of S/MIME that others fell into, each refused for its own reason or marked.

Classes "Johnny, you are fired" (Müller et al. 2019): c eContent and signers, m MIME structure, i identity.
"""

import base64
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import algos, cms, core
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.names import DistinguishedName
from certs.signing import load_signer, sign_detached
from certs.smime import sign_message, verify_message
from certs.verdicts import Note, Reason, SignatureReport, Verdict
from tests.support.certificates import ADDRESS, ENTITY, NOW, certificate, headers, signer, trust
from tests.support.rogue import Signature, ca, mail, signed_entity, structure

SHA256_RSA = algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa"})
RSA, P256, ED25519 = signer(), signer("p256"), signer("ed25519")
TRUST = trust()


def report(raw: bytes) -> SignatureReport:
    return verify_message(raw, TRUST, NOW)


def reason_of(*signatures: Signature, **changes: Any) -> Reason:
    """What a mail over the tests' entity is worth with such signers."""
    return report(mail(structure(signed_entity(), *signatures, **changes))).reason


def signed() -> bytes:
    return sign_message(headers(), ENTITY, RSA, NOW)


def opaque(octets: bytes, kind: str = "signed-data") -> bytes:
    top = "".join(f"{name}: {value}\r\n" for name, value in headers())
    return (
        top.encode()
        + f"Content-Type: application/pkcs7-mime; smime-type={kind}\r\n".encode()
        + b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(octets).replace(b"\n", b"\r\n")
    )


@pytest.mark.parametrize("who", [RSA, P256, ED25519])
def test_the_maker_of_these_attacks_makes_what_passes(who: Any) -> None:
    digest = "sha512" if who is ED25519 else "sha256"
    assert reason_of(Signature(who, digest=digest)) is Reason.GENUINE
    content = structure(signed_entity(), Signature(who, digest=digest), encapsulated=signed_entity())
    assert report(opaque(content)).reason is Reason.GENUINE


# -- what was signed: class c1, CVE-2018-18509


def test_one_content_no_more_and_no_less() -> None:
    inside = structure(signed_entity(), Signature(RSA), encapsulated=b"autre chose")
    assert report(mail(inside)).reason is Reason.CONTENT_TWICE
    nothing = structure(signed_entity(), Signature(RSA))
    assert report(opaque(nothing)).reason is Reason.CONTENT_MISSING
    # Empty content is content: a detached signature must have none at all.
    empty = structure(signed_entity(), Signature(RSA), encapsulated=b"")
    assert report(mail(empty)).reason is Reason.CONTENT_TWICE


def test_only_a_mail_is_signed_and_nothing_else() -> None:
    assert reason_of(Signature(RSA), kind="digested_data") is Reason.MALFORMED
    assert reason_of(Signature(RSA, content_type="signed_data")) is Reason.ATTRIBUTES_WRONG


def test_compressed_data_is_refused_unopened() -> None:
    bomb = {"version": "v0", "compression_algorithm": {"algorithm": "zlib"},
            "encap_content_info": {"content_type": "data", "content": b"x"}}  # fmt: skip
    info = cms.ContentInfo({"content_type": "compressed_data", "content": cms.CompressedData(bomb)})
    found = report(opaque(info.dump(), "compressed-data"))
    assert (found.verdict, found.reason) == (Verdict.FAILED, Reason.COMPRESSED)


# -- who signed: the classes c3 and crash_01


def test_no_signer_is_no_signature() -> None:
    for make in (mail, opaque):
        found = report(make(structure(signed_entity())))
        assert (found.verdict, found.reason) == (Verdict.NONE, Reason.CERTIFICATES_ONLY)
    no_certificate_either = structure(signed_entity(), certificates_too=())
    assert report(mail(no_certificate_either)).verdict is Verdict.NONE


@pytest.mark.parametrize(
    "octets",
    [
        "300b06092a864886f70d010702",
        "300d06092a864886f70d010702a000",
        "300f06092a864886f70d010702a0020500",
        "301106092a864886f70d010702a00430020101",
    ],
)
def test_signed_data_of_which_parts_are_absent_is_refused(octets: str) -> None:
    """The first one is `crash_01`, which ended clients."""
    for make in (mail, opaque):
        found = report(make(bytes.fromhex(octets)))
        assert (found.verdict, found.reason) == (Verdict.FAILED, Reason.MALFORMED)


def test_eight_signers_are_judged_and_nine_refused() -> None:
    assert reason_of(*[Signature(RSA)] * 8) is Reason.GENUINE
    assert reason_of(*[Signature(RSA)] * 9) is Reason.TOO_MANY_SIGNERS


@pytest.mark.parametrize("place", [0, 1])
def test_a_false_signer_beside_a_true_one_decides(place: int) -> None:
    both = [Signature(RSA), Signature(RSA)]
    both[place] = Signature(RSA, hash_inside="sha384", algorithm=SHA256_RSA)
    assert reason_of(*both) is Reason.SIGNATURE_WRONG


def test_a_signer_whose_certificate_is_not_there_or_another() -> None:
    assert reason_of(Signature(RSA), certificates_too=()) is Reason.CERTIFICATE_MISSING
    assert reason_of(Signature(RSA), certificates_too=[P256.certificate]) is Reason.CERTIFICATE_MISSING


def test_a_key_that_is_not_the_certificates() -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    forged = Signature(type(RSA)(RSA.certificate, stranger, RSA.chain, "rsa", "sha256", b""))
    assert reason_of(forged) is Reason.SIGNATURE_WRONG


def test_a_countersignature_is_neither_believed_nor_held_against_the_mail() -> None:
    other = cms.ContentInfo.load(structure(b"autre chose", Signature(P256)))
    unsigned = (("1.2.840.113549.1.9.6", [other["content"]["signer_infos"][0]]),)
    assert reason_of(Signature(RSA, unsigned=unsigned)) is Reason.GENUINE


# -- structure of the mail: classes m1 to m4


def in_parts(media: str, *parts: bytes) -> bytes:
    top = "".join(f"{name}: {value}\r\n" for name, value in headers())
    inner = b"".join(b"--out\r\n" + part + b"\r\n" for part in parts)
    return top.encode() + f"Content-Type: {media}; boundary=out\r\n\r\n".encode() + inner + b"--out--\r\n"


def signed_part() -> bytes:
    return signed()[signed().index(b"Content-Type: multipart/signed") :]


FALSE_WORDS = b"Content-Type: text/html\r\n\r\n<p>Arr\xc3\xaatez le traitement</p><!--"
STRUCTURES: dict[str, bytes] = {
    "text before (m1)": in_parts("multipart/mixed", FALSE_WORDS, signed_part()),
    "hidden by markup (m2)": in_parts("multipart/mixed", FALSE_WORDS + b'<plaintext>', signed_part()),
    "as a picture of the page (m3)": in_parts(
        "multipart/related", FALSE_WORDS, b"Content-ID: <a>\r\n" + signed_part()),
    "as an attachment (m4)": in_parts(
        "multipart/mixed", FALSE_WORDS, b"Content-Disposition: attachment\r\n" + signed_part()),
    "as an alternative": in_parts("multipart/alternative", FALSE_WORDS, signed_part()),
    "opaque beside text": in_parts(
        "multipart/mixed", FALSE_WORDS,
        b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\nMA=="),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_signed_part_that_is_not_the_whole_mail_makes_it_not_signed(name: str) -> None:
    found = report(STRUCTURES[name])
    assert (found.verdict, found.reason) == (Verdict.NONE, Reason.PARTLY_SIGNED)
    assert found.signers == ()


def changed(old: bytes, new: bytes) -> bytes:
    raw = mail(structure(signed_entity(), Signature(RSA)))
    assert old in raw
    return raw.replace(old, new, 1)


BOUNDARY = b'; boundary="b"'
TRICKS: dict[str, bytes] = {
    "two boundaries": changed(BOUNDARY, BOUNDARY + b"; boundary=c"),
    "boundary in sections": changed(BOUNDARY, b"; boundary*0=b"),
    "boundary in sections beside a whole one": changed(BOUNDARY, BOUNDARY + b"; boundary*0=c"),
    "no boundary": changed(BOUNDARY, b""),
    "empty boundary": changed(BOUNDARY, b'; boundary=""'),
    "boundary that ends with a space": changed(BOUNDARY, b'; boundary="b "'),
    "two content types": changed(
        b"Content-Type: multipart", b"Content-Type: text/plain\r\nContent-Type: multipart"),
    "text in front of a part": changed(
        b"--b\r\nContent-Type: multipart", b"--b \x0b\r\nContent-Type: multipart"),
    "first delimiter quoted": changed(b"\r\n--b\r\n", b"\r\n> --b\r\n"),
    "a third part": changed(b"--b--", b"--b\r\n\r\nautre\r\n--b--"),
    "no end": changed(b"--b--\r\n", b""),
    "ended at once": changed(b"\r\n\r\n--b\r\n", b"\r\n\r\n--b--\r\n"),
    "another encoding of the signature": changed(b"Encoding: base64", b"Encoding: x-uuencode"),
    "another type of the signature": changed(b"application/pkcs7-signature\r\n", b"text/plain\r\n"),
    "a header field without a name": changed(b"Subject:", b": x\r\nSubject:"),
    "a bare line feed in the header": changed(b"Subject:", b"X: a\nBcc: b\r\nSubject:"),
}  # fmt: skip


@pytest.mark.parametrize("name", TRICKS)
def test_a_mail_that_parsers_split_differently_is_never_passed(name: str) -> None:
    assert report(TRICKS[name]).verdict in (Verdict.FAILED, Verdict.NONE)


def test_words_behind_the_last_delimiter_or_before_the_first_are_no_part_of_what_is_signed() -> None:
    """Nobody shows them (RFC 2046 §5.1.1), and the entity that passes does not hold them."""
    around = changed(b"\r\n\r\n--b\r\n", b"\r\n\r\nAvant\r\n--b\r\n") + b"Apres\r\n"
    found = report(around)
    assert found.verdict is Verdict.PASSED
    assert found.entity == signed_entity()


# -- who is shown: classes i1 to i3


def from_other(value: str, *more: tuple[str, str]) -> SignatureReport:
    """The mail of an attacker who has a true certificate for his own address."""
    fields = [("From", value), *more, *headers()[1:]]
    return report(sign_message(fields, ENTITY, attacker(), NOW))


def attacker() -> Any:
    issued = certificate(address="mallory@autre.mssante.example", common_name="mallory")
    return load_signer(issued.certificate_pem, issued.key_pem, issued.chain_pem)


@pytest.mark.parametrize(
    "value",
    [
        f"{ADDRESS}",  # i1
        f"Mallory <{ADDRESS}>",
        "Dr Aude BELLON",  # i2: only a name
        "<>",
        '""',
        f"{ADDRESS}, mallory@autre.mssante.example",  # i3
        f"mallory@autre.mssante.example, {ADDRESS}",
        f"{ADDRESS} <mallory@autre.mssante.example> <{ADDRESS}>",
        f"=?utf-8?q?{ADDRESS.replace('@', '=40')}?=",
    ],
)
def test_an_attacker_who_signs_under_another_from_is_refused(value: str) -> None:
    assert from_other(value).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "name",
    [
        f'"{ADDRESS}"',
        f'"{ADDRESS} " ',
        f'"Dr BELLON ({ADDRESS})"',
        f"=?utf-8?q?{ADDRESS.replace('@', '=40')}?=",
        f"=?utf-8?b?{base64.b64encode(ADDRESS.encode()).decode()}?=",
    ],
)
def test_an_address_in_the_display_name_is_marked(name: str) -> None:
    found = from_other(f"{name} <mallory@autre.mssante.example>")
    assert found.verdict is Verdict.PASSED  # it is his signature and his address
    assert Note.DISPLAY_NAME_ADDRESS in found.notes


def test_a_sender_field_of_another_is_marked() -> None:
    own = "mallory@autre.mssante.example"
    assert Note.SENDER_DIFFERS in from_other(own, ("Sender", ADDRESS)).notes
    assert Note.SENDER_DIFFERS in report(f"Sender: Dr <{ADDRESS}>, x@y\r\n".encode() + signed()).notes
    assert Note.SENDER_DIFFERS not in from_other(own, ("Sender", own.upper())).notes


def test_a_second_from_outside_or_inside_is_refused() -> None:
    assert report(b"From: mallory@autre.example\r\n" + signed()).reason is Reason.FROM_AMBIGUOUS
    twice = signed_entity([*headers(), ("From", "mallory@autre.example")])
    raw = mail(structure(twice, Signature(RSA)), twice)
    assert report(raw).reason is Reason.FROM_AMBIGUOUS


def test_a_protected_from_of_another_is_refused() -> None:
    inner = signed_entity([("From", "mallory@autre.example"), *headers()[1:]])
    assert report(mail(structure(inner, Signature(RSA)), inner)).reason is Reason.FROM_DIFFERS


def test_protected_headers_without_from_prove_nobody() -> None:
    inner = signed_entity(headers()[1:])
    assert report(mail(structure(inner, Signature(RSA)), inner)).reason is Reason.FROM_AMBIGUOUS


@pytest.mark.parametrize("name", ["to", "cc", "reply-to", "subject", "date", "in-reply-to"])
def test_a_field_added_outside_is_named(name: str) -> None:
    value = "Mon, 02 Feb 2026 10:00:00 +0100" if name == "date" else "<mallory@autre.example>"
    found = report(f"{name.title()}: {value}\r\n".encode() + signed())
    assert found.verdict is Verdict.PASSED
    assert found.differing_headers == (name,)
    assert Note.HEADERS_DIFFER in found.notes


def test_what_claims_to_have_been_hidden_excuses_nothing_in_clear() -> None:
    """HP-Outer of a message that came in clear would let anybody exchange the Subject (RFC 9788 §4.3)."""
    for intent in (b'hp="clear"', b'hp="cipher"'):
        inner = signed_entity([*headers(), ("HP-Outer", "Subject: URGENT")]).replace(b'hp="clear"', intent)
        raw = mail(structure(inner, Signature(RSA)), inner).replace(
            b"[TLE-2026-000123 - en cours]", b"URGENT", 1
        )
        found = verify_message(raw, TRUST, NOW, in_clear=True)
        assert found.differing_headers == ("subject",)
        assert (Note.MEANT_TO_BE_ENCRYPTED in found.notes) is (b"cipher" in intent)
        decrypted = verify_message(raw, TRUST, NOW)
        assert (decrypted.differing_headers == ()) is (b"cipher" in intent)


def test_a_mail_sent_again_later_is_refused() -> None:
    dated = [
        (name, "Mon, 02 Feb 2026 10:00:00 +0100" if name == "Date" else value) for name, value in headers()
    ]
    plain = ENTITY
    raw = mail(structure(plain, Signature(RSA)), plain, dated)
    assert report(raw).reason is Reason.DATE_DIFFERS


@pytest.mark.parametrize("date", [[], ["hier"], ["", ""], ["Mon, 99 Xyz 9999 99:99:99 +9999"]])
def test_a_mail_without_a_readable_date_sent_again_later_is_refused(date: list[str]) -> None:
    """Its reader would be shown when it came."""
    others = [(name, value) for name, value in headers() if name != "Date"]
    dated = [*others, *(("Date", value) for value in date)]
    octets = structure(ENTITY, Signature(RSA))
    assert report(mail(octets, ENTITY, dated)).reason is Reason.GENUINE
    later = NOW + timedelta(hours=2)
    assert verify_message(mail(octets, ENTITY, dated), TRUST, later).reason is Reason.DATE_DIFFERS
    assert verify_message(mail(octets, ENTITY), TRUST, later).reason is Reason.GENUINE


def test_a_certificate_larger_than_any_is_refused_unread() -> None:
    """Its names would be compared letter by letter: half a second of processor time for a name of 160 kB."""
    padded = core.OctetString(b"x" * 40_000).dump()
    large = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.250.1.9"), padded)
    root = ca("grande racine", extensions=[(large, False)])
    assert report(mail(structure(signed_entity(), Signature(root.issue())))).reason is Reason.MALFORMED


def test_a_binding_for_one_organisation_binds_no_other() -> None:
    unnamed = signer(address=None)
    issuer = DistinguishedName.from_asn1(asn1.Certificate.load(unnamed.certificate).issuer)
    part = DistinguishedName.from_text("OU=300000000000099,O=CLINIQUE DE TEST")
    other = trust(bindings={(issuer, part): frozenset({"demo.mssante.example"})})
    raw = sign_message(headers(), ENTITY, unnamed, NOW)
    assert verify_message(raw, other, NOW).reason is Reason.SENDER_UNBOUND


# -- damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda octets: octets[:-1],
        lambda octets: octets + b"\x00",
        lambda octets: octets[:2] + b"\x00" + octets[3:],
        lambda octets: b"\x30\x80" * 40 + octets,
        lambda octets: b"\x24\x80" + octets,
        lambda octets: octets.replace(b"\x06\x09\x2a\x86\x48", b"\x06\x80\x2a\x86\x48", 1),
        lambda octets: octets.replace(b"\x17\x0d", b"\x17\x0c", 1),
        lambda octets: b"",
        lambda octets: b"\x05\x00",
        lambda octets: b"\x06\x84\x00\x03\xff\xff" + b"\xff" * 0x3FFFF,
    ],
)
def test_damaged_structures_are_refused_without_a_traceback(damage: Callable[[bytes], bytes]) -> None:
    found = report(mail(damage(sign_detached(signed_entity(), [RSA], NOW))))
    assert found.verdict is Verdict.FAILED
    assert re.fullmatch(r"[a-z-]+", found.reason)
