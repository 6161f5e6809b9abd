"""Encrypted mail: what we write for whom, what is opened, and that all that is not opened looks the same."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from certs.authority import IssuedCertificate
from certs.ciphers import AES_256_CBC, AES_256_GCM, seal_content
from certs.der import integer, object_identifier, octet_string, sequence
from certs.envelopes import (
    DecryptionFailed,
    Decryptor,
    DecryptorFault,
    EncryptionFault,
    Transport,
    addressed_to,
    cipher_of,
    decrypt_message,
    encrypt_message,
    is_encrypted,
    load_decryptor,
    load_target,
    open_envelope,
    seal_envelope,
)
from certs.recipients import recipient_info
from certs.signing import sign_detached
from certs.smime import sign_entity, sign_message, split_complete, verify_message
from certs.verdicts import Reason, Verdict
from tests.support.certificates import ENTITY, NOW, certificate, headers, signer, trust
from tests.support.envelopes import (
    KINDS,
    built,
    confidential,
    decryptor,
    entropy,
    mail,
    taken,
    target,
)

BODY = ENTITY.partition(b"\r\n\r\n")[2]
PLAIN = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nBonjour, rien de grave.\r\n"
KEY, VECTOR, NONCE = bytes(range(32)), bytes(16), bytes(12)


def sign(entity: bytes) -> bytes:
    return sign_entity(entity, signer(), NOW)


def refused(raw: bytes, *keys: Decryptor) -> None:
    """The one answer to everything that is not opened, whatever the cause."""
    with pytest.raises(DecryptionFailed) as caught:
        decrypt_message(raw, keys or (decryptor(),))
    assert str(caught.value) == "the message cannot be decrypted"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# -- written and read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gcm", [False, True], ids=["cbc", "gcm"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_encrypted_for_a_key_is_opened_by_it_alone(kind: str, gcm: bool) -> None:
    raw = encrypt_message(headers(), ENTITY, [target(kind, gcm=gcm)], entropy)
    assert b"Bonjour" not in raw
    assert is_encrypted(raw)
    assert cipher_of(raw) == (AES_256_GCM if gcm else AES_256_CBC)
    assert addressed_to(raw, [decryptor(kind, "b"), decryptor(kind)])
    assert not addressed_to(raw, [decryptor(kind, "b")])
    assert decrypt_message(raw, [decryptor(kind, "b"), decryptor(kind)]).endswith(b"\r\n\r\n" + BODY)
    refused(raw, decryptor(kind, "b"))
    assert verify_message(raw, trust(), NOW).reason is Reason.ENCRYPTED


def test_all_of_several_recipients_read_and_one_without_gcm_decides() -> None:
    some = [target(kind, gcm=True) for kind in KINDS]
    raw = encrypt_message(headers(), ENTITY, some, entropy)
    assert cipher_of(raw) == AES_256_GCM
    for kind in KINDS:
        assert decrypt_message(raw, [decryptor(kind)]).endswith(BODY)
    assert cipher_of(encrypt_message(headers(), ENTITY, [*some, target("rsa", "b")], entropy)) == AES_256_CBC


@pytest.mark.parametrize(
    ("transport", "gcm", "oaep"),
    [
        (Transport.BY_CAPABILITY, False, False),
        (Transport.BY_CAPABILITY, True, True),
        (Transport.PKCS1, True, False),
        (Transport.OAEP, False, True),
    ],
)
def test_rsa_transport_follows_the_policy(transport: Transport, gcm: bool, oaep: bool) -> None:
    encoded, _ = seal_envelope(PLAIN, [target(gcm=gcm)], entropy, transport)
    assert (object_identifier("1.2.840.113549.1.1.7") in encoded) is oaep
    assert open_envelope(encoded, [decryptor()]) == PLAIN


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rsa"])
def test_all_chance_comes_from_the_parameter(kind: str) -> None:
    def fixed(octets: int) -> bytes:
        return bytes(range(octets))

    first, second = (seal_envelope(PLAIN, [target(kind, gcm=True)], fixed)[0] for _ in range(2))
    assert first == second
    assert seal_envelope(PLAIN, [target(kind, gcm=True)], entropy)[0] != first


def test_the_subject_is_hidden_outside_and_protected_inside() -> None:
    raw = encrypt_message(headers(Keywords="nevus"), ENTITY, [target()], entropy, sign=sign)
    outer, inner = raw.partition(b"\r\n\r\n")[0], decrypt_message(raw, [decryptor()])
    assert b"Subject: [...]\r\n" in outer
    assert b"TLE-2026" not in outer
    assert b"nevus" not in outer
    assert b'hp="cipher"' in inner
    assert b"Subject: [TLE-2026-000123 - en cours]\r\n" in inner
    assert b"HP-Outer: Subject: [...]\r\n" in inner
    message = outer[: outer.index(b"MIME-Version")] + inner
    report = verify_message(message, trust(), NOW)
    assert report.verdict is Verdict.PASSED
    assert report.differing_headers == ()
    assert dict(report.protected_headers)["Subject"] == "[TLE-2026-000123 - en cours]"


def test_what_was_hidden_on_purpose_is_no_difference() -> None:
    raw = encrypt_message(headers(), ENTITY, [target()], entropy, sign=sign)
    outer, inner = raw.partition(b"MIME-Version")[0], decrypt_message(raw, [decryptor()])
    assert verify_message(outer + inner, trust(), NOW).differing_headers == ()
    altered = outer.replace(b"[...]", b"autre sujet")
    assert verify_message(altered + inner, trust(), NOW).differing_headers == ("subject",)


def test_a_signed_mail_is_encrypted_byte_for_byte() -> None:
    outer, entity = split_complete(sign_message(headers(), ENTITY, signer(), NOW))
    raw = encrypt_message(outer, entity, [target()], entropy)
    assert decrypt_message(raw, [decryptor()]) == entity
    assert b"Subject: [TLE-2026-000123 - en cours]\r\n" in raw  # its author protected it as clear


def test_a_mail_that_its_author_had_encrypted_stays_hidden_when_encrypted_anew() -> None:
    first = encrypt_message(headers(), ENTITY, [target()], entropy, sign=sign)
    inner = decrypt_message(first, [decryptor()])
    again = encrypt_message(headers(), inner, [target("p256", gcm=True)], entropy)
    assert b"TLE-2026" not in again
    assert decrypt_message(again, [decryptor("p256")]) == inner
    with pytest.raises(EncryptionFault):
        encrypt_message(headers(), inner, [target()], entropy, sign=sign)


@pytest.mark.parametrize(
    "issued",
    [
        lambda: certificate("rsa"),  # may sign only
        lambda: confidential("p256", usage="key_encipherment"),
        lambda: confidential("rsa-1024"),
        lambda: certificate("ed25519"),
        lambda: IssuedCertificate(b"no certificate", b"", b""),
        lambda: IssuedCertificate(confidential().key_pem, b"", b""),
    ],
    ids=["sign-only", "wrong-usage", "weak", "signature-key", "text", "key"],
)
def test_certificates_that_must_not_be_encrypted_for(issued: Callable[[], IssuedCertificate]) -> None:
    with pytest.raises(EncryptionFault):
        load_target(issued().certificate_pem)


def test_none_or_too_many_recipients_and_fields_of_the_entity_are_refused() -> None:
    with pytest.raises(EncryptionFault):
        encrypt_message(headers(), ENTITY, [], entropy)
    with pytest.raises(EncryptionFault):
        encrypt_message(headers(), ENTITY, [target("x25519")] * 65, entropy)
    with pytest.raises(EncryptionFault):
        encrypt_message([("Content-Type", "text/plain")], ENTITY, [target()], entropy)


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (lambda: (b"", b""), "cannot be read"),
        (lambda: (confidential().certificate_pem, confidential("rsa", "b").key_pem), "does not belong"),
        (lambda: (certificate("ed25519").certificate_pem, certificate("ed25519").key_pem), "Ed25519"),
        (lambda: (confidential("rsa-1024").certificate_pem, confidential("rsa-1024").key_pem), "1024 bits"),
    ],
)
def test_what_decrypts_nothing_is_not_loaded(pair: Callable[[], tuple[bytes, bytes]], why: str) -> None:
    with pytest.raises(DecryptorFault, match=why):
        load_decryptor(*pair())


def test_keys_are_not_shown() -> None:
    shown = repr(decryptor())
    assert "PrivateKey" not in shown
    assert decryptor().substitute.hex() not in shown


# -- attacks -------------------------------------------------------------------------------------------


def test_only_the_whole_message_is_opened() -> None:
    """EFAIL (CVE-2017-17689), direct exfiltration: the encrypted part among parts of the attacker."""
    part = encrypt_message([], PLAIN, [target()], entropy)
    for kind in ("mixed", "alternative", "related", "signed; protocol=x"):
        raw = (
            f"From: x@y.example\r\nContent-Type: multipart/{kind}; boundary=b\r\n\r\n".encode()
            + b'--b\r\nContent-Type: text/html\r\n\r\n<img src="http://y.example/\r\n--b\r\n'
            + part
            + b'\r\n--b\r\nContent-Type: text/html\r\n\r\n">\r\n--b--\r\n'
        )
        assert not is_encrypted(raw)
        assert cipher_of(raw) is None
        assert not addressed_to(raw, [decryptor()])
        refused(raw)
    report = b"From: x@y.example\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n"
    report += b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n" + part + b"\r\n--b--\r\n"
    assert not is_encrypted(report)
    refused(report)
    forwarded = b"From: x@y.example\r\nContent-Type: message/rfc822\r\n\r\n" + part
    assert not is_encrypted(forwarded)
    refused(forwarded)
    inside = encrypt_message([], part, [target()], entropy)  # within an envelope: opened once, no more
    assert decrypt_message(inside, [decryptor()]) == part


def test_the_structure_decides_and_not_its_label() -> None:
    encoded, _ = seal_envelope(PLAIN, [target()], entropy)
    for label in ("signed-data", "compressed-data", "certs-only", "authEnveloped-data"):
        assert is_encrypted(mail(encoded, label))
        assert decrypt_message(mail(encoded, label), [decryptor()]) == PLAIN
    assert decrypt_message(mail(encoded, media="application/x-pkcs7-mime"), [decryptor()]) == PLAIN
    assert not is_encrypted(mail(encoded, media="application/octet-stream"))
    signed = sign_detached(PLAIN, [signer()], NOW)
    assert not is_encrypted(mail(signed))
    refused(mail(signed))


def flipped(octets: bytes, at: int) -> bytes:
    at %= len(octets)
    return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]


@pytest.mark.parametrize("kind", KINDS)
def test_no_changed_octet_of_an_authenticated_content_goes_unnoticed(kind: str) -> None:
    encoded, _ = seal_envelope(PLAIN, [target(kind, gcm=True)], entropy)
    start = encoded.index(object_identifier("2.16.840.1.101.3.4.1.46")) + 11
    nonce = start + 4
    for at in (nonce, nonce + 11, len(encoded) - 1, len(encoded) - 16, len(encoded) - 20):
        refused(mail(flipped(encoded, at)), decryptor(kind))


def test_a_changed_content_without_authentication_is_told_by_its_cipher() -> None:
    """EFAIL, malleability gadgets: AES-CBC notices nothing, so the caller asks for a signature inside."""
    encoded, cipher = seal_envelope(PLAIN, [target()], entropy)
    altered = mail(flipped(encoded, len(encoded) - 33))  # in the block before the last two
    with suppress(DecryptionFailed):
        assert decrypt_message(altered, [decryptor()]) != PLAIN
    vector = encoded.index(object_identifier("2.16.840.1.101.3.4.1.42")) + 13
    assert decrypt_message(mail(flipped(encoded, vector + 15)), [decryptor()]) == flipped(PLAIN, 15)
    found = cipher_of(altered)
    assert found == cipher
    assert found is not None
    assert not found.authenticated


def test_content_sent_anew_under_another_cipher_is_not_opened_by_a_pinned_key() -> None:
    """AES-GCM to AES-CBC (RFC 9709 §1): the recipient becomes an oracle for blocks under the same key."""
    encoded, _ = seal_envelope(PLAIN, [target(gcm=True)], lambda octets: bytes(octets))
    recipient = recipient_info(target(), bytes(32), True, entropy)
    # A known block of the key stream is E(counter): as the last CBC block it decrypts to the known counter.
    counter = bytes(12) + (2).to_bytes(4)
    encryptor = Cipher(algorithms.AES(bytes(32)), modes.CTR(counter)).encryptor()
    last = encryptor.update(bytes(16))
    padded = bytes(a ^ b for a, b in zip(counter, bytes([16] * 16), strict=True))
    downgraded = mail(built([recipient], cbc(VECTOR), padded + last))
    assert cipher_of(downgraded) == AES_256_CBC
    issued = confidential()
    pinned = load_decryptor(issued.certificate_pem, issued.key_pem, authenticated_only=True)
    refused(downgraded, pinned)
    assert open_envelope(encoded, [pinned]) == PLAIN


def cbc(vector: bytes) -> bytes:
    return sequence(object_identifier("2.16.840.1.101.3.4.1.42"), octet_string(vector))


def gcm(nonce: bytes, length: int | None = 16) -> bytes:
    parameters = sequence(octet_string(nonce), b"" if length is None else integer(length))
    return sequence(object_identifier("2.16.840.1.101.3.4.1.46"), parameters)


def sealed_gcm(nonce: bytes = NONCE, bound: bytes = b"") -> tuple[bytes, bytes]:
    encryptor = Cipher(algorithms.AES(KEY), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(bound)
    return encryptor.update(PLAIN) + encryptor.finalize(), encryptor.tag


@pytest.mark.parametrize(
    ("stated", "sent", "opened"),
    [
        *((16, 16, True), (12, 12, True), (None, 12, True), (14, 14, True)),
        *((8, 8, False), (4, 4, False), (16, 12, False), (12, 16, False), (0, 0, False), (17, 16, False)),
    ],
)
def test_tags_of_12_to_16_octets_are_read_and_none_shorter(
    stated: int | None, sent: int, opened: bool
) -> None:
    ciphertext, tag = sealed_gcm()
    recipient = recipient_info(target("p256"), KEY, False, entropy)
    raw = mail(built([recipient], gcm(NONCE, stated), ciphertext, tag[:sent]))
    if opened:
        assert decrypt_message(raw, [decryptor("p256")]) == PLAIN
    else:
        refused(raw, decryptor("p256"))


ATTRIBUTE = sequence(
    object_identifier("1.2.840.113549.1.9.3"), b"\x31\x0b" + object_identifier("1.2.840.113549.1.7.1")
)


def test_authenticated_attributes_belong_to_the_content() -> None:
    recipient = recipient_info(target("p256"), KEY, False, entropy)
    ciphertext, tag = sealed_gcm(bound=b"\x31" + bytes([len(ATTRIBUTE)]) + ATTRIBUTE)
    raw = mail(built([recipient], gcm(NONCE), ciphertext, tag, ATTRIBUTE))
    assert decrypt_message(raw, [decryptor("p256")]) == PLAIN
    refused(mail(built([recipient], gcm(NONCE), ciphertext, tag)), decryptor("p256"))
    other = ATTRIBUTE[:-1] + b"\x02"  # the content type would be signed-data
    ciphertext, tag = sealed_gcm(bound=b"\x31" + bytes([len(other)]) + other)
    refused(mail(built([recipient], gcm(NONCE), ciphertext, tag, other)), decryptor("p256"))


def test_kinds_of_envelopes_and_ciphers_are_not_mixed() -> None:
    recipient = recipient_info(target("p256"), KEY, False, entropy)
    ciphertext, tag = sealed_gcm()
    _, chained, _ = seal_content(AES_256_CBC, KEY, VECTOR, PLAIN)
    own = decryptor("p256")
    assert decrypt_message(mail(built([recipient], cbc(VECTOR), chained)), [own]) == PLAIN
    for raw in (
        built([recipient], gcm(NONCE), ciphertext),  # AES-GCM, its tag left out
        built([recipient], cbc(VECTOR), chained, tag),  # AES-CBC that looks authenticated
        built([recipient], cbc(VECTOR), chained, content="1.2.840.113549.1.7.2"),
        built([recipient], cbc(VECTOR), chained, content="1.2.840.113549.1.9.16.1.9"),
        built([recipient], cbc(VECTOR[:15]), chained),
        built([recipient], cbc(VECTOR), chained[:-1]),
        built([recipient], cbc(VECTOR), b""),
        built([recipient], gcm(bytes(16)), *sealed_gcm(bytes(16))),
    ):
        assert not is_encrypted(mail(raw)) or addressed_to(mail(raw), [own])
        refused(mail(raw), own)


@pytest.mark.parametrize(
    ("oid", "name"),
    [
        ("1.2.840.113549.3.7", "tripledes_3key"),
        ("1.2.840.113549.3.2", "rc2"),
        ("1.3.14.3.2.7", "des"),
        ("1.2.3.4", "1.2.3.4"),
    ],
)
def test_old_and_unknown_ciphers_are_named_and_stay_closed(oid: str, name: str) -> None:
    recipient = recipient_info(target(), KEY, False, entropy)
    raw = mail(built([recipient], sequence(object_identifier(oid), octet_string(bytes(8))), bytes(32)))
    found = cipher_of(raw)
    assert found is not None
    assert (found.name, found.accepted, found.authenticated) == (name, False, False)
    assert addressed_to(raw, [decryptor()])
    refused(raw)


def test_a_content_key_of_another_length_opens_nothing() -> None:
    ciphertext, tag = sealed_gcm()
    for kind in KINDS:
        recipient = recipient_info(target(kind), KEY[:16], False, entropy)
        refused(mail(built([recipient], gcm(NONCE), ciphertext, tag)), decryptor(kind))


def test_altered_keys_teach_nothing() -> None:
    """Bleichenbacher and Manger: what RSA does not give is replaced, by the same each time."""
    _, chained, _ = seal_content(AES_256_CBC, KEY, VECTOR, PLAIN)
    for oaep in (False, True):
        recipient = recipient_info(target(), KEY, oaep, entropy)
        assert decrypt_message(mail(built([recipient], cbc(VECTOR), chained)), [decryptor()]) == PLAIN
        for at in (-1, -100, -256):
            refused(mail(built([flipped(recipient, at)], cbc(VECTOR), chained)))
        refused(mail(built([recipient[:-256] + b"\xff" * 256], cbc(VECTOR), chained)))
        refused(mail(built([recipient[:-256] + bytes(256)], cbc(VECTOR), chained)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rsa"])
def test_points_off_the_curve_and_of_small_order_are_refused(kind: str) -> None:
    encoded, _ = seal_envelope(PLAIN, [target(kind)], lambda octets: bytes(range(1, octets + 1)))
    length = {"p256": 65, "p384": 97, "p521": 133, "x25519": 32}[kind]
    start = encoded.index(b"\x03" + (bytes([length + 1]) if length < 127 else b"\x81" + bytes([length + 1])))
    start += 3 if length < 127 else 4
    for point in (bytes(length), b"\x04" + bytes(length - 1), b"\xff" * length):
        refused(mail(encoded[:start] + point + encoded[start + length :]), decryptor(kind))


def test_recipients_are_known_by_identifier_too_and_not_by_serial_alone() -> None:
    own = decryptor("p256")
    info = recipient_info(target("p256"), KEY, False, entropy)
    named = sequence(own.issuer, integer(own.serial))
    wrapped = info[info.index(named) + len(named) :]
    agreed = info[: info.index(sequence(named, wrapped))]
    assert agreed  # [1] and what stands before the recipients
    by_identifier = (
        b"\xa0" + bytes([len(octet_string(own.key_identifier))]) + octet_string(own.key_identifier)
    )
    inner = info[info.index(b"\x02\x01\x03") : info.index(sequence(sequence(named, wrapped)))]
    _, chained, _ = seal_content(AES_256_CBC, KEY, VECTOR, PLAIN)
    again = inner + sequence(sequence(by_identifier, wrapped))
    kari = b"\xa1\x81" + bytes([len(again)]) + again
    raw = mail(built([kari], cbc(VECTOR), chained))
    assert addressed_to(raw, [own])
    assert decrypt_message(raw, [own]) == PLAIN
    stranger = mail(built([info.replace(b"EL-TEST", b"XX-TEST")], cbc(VECTOR), chained))
    assert is_encrypted(stranger)
    assert not addressed_to(stranger, [own])
    refused(stranger, own)


def test_bodies_that_are_no_envelope_are_answered() -> None:
    whole = encrypt_message(headers(), ENTITY, [target()], entropy)
    encoded = taken(whole)
    for raw in (
        b"",
        b"\r\n",
        b"no header at all",
        whole.replace(b"base64", b"quoted-printable"),
        whole[: len(whole) // 2 * 2 - 40],
        whole.replace(b"\r\nMIME", b"\r\nContent-Type: application/pkcs7-mime\r\nMIME"),
        mail(encoded[:-1]),
        mail(encoded + b"\x00"),
        mail(encoded[:200]),
        mail(b"\x30\x80" * 200),
        b"Content-Type: application/pkcs7-mime\r\n\r\n" + base64.b64encode(encoded),
    ):
        assert not is_encrypted(raw)
        assert cipher_of(raw) is None
        assert not addressed_to(raw, [decryptor()])
        refused(raw)


def test_what_is_inside_must_be_an_entity() -> None:
    for content in (b"Bonjour", b"Content-Type: text/plain\r\nBonjour\r\n", b"\xff\xfe\r\n"):
        encoded, _ = seal_envelope(content, [target()], entropy)
        assert open_envelope(encoded, [decryptor()]) == content
        refused(mail(encoded))


def test_an_entity_that_was_written_with_lf_gets_the_lines_in_which_it_is_signed() -> None:
    inner = sign(PLAIN)
    encoded, _ = seal_envelope(inner.replace(b"\r\n", b"\n"), [target()], entropy)
    assert decrypt_message(mail(encoded), [decryptor()]) == inner
    binary = b"Content-Transfer-Encoding: binary\r\n\r\n\n\r\n\n"
    encoded, _ = seal_envelope(binary, [target()], entropy)
    assert decrypt_message(mail(encoded), [decryptor()]) == binary


def test_keys_may_be_used_by_many_threads_at_once() -> None:
    mails = [encrypt_message(headers(), ENTITY, [target(kind, gcm=True)], entropy) for kind in KINDS] * 8
    keys = [decryptor(kind) for kind in KINDS]
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda raw: decrypt_message(raw, keys), mails))
    assert all(each.endswith(BODY) for each in found)
