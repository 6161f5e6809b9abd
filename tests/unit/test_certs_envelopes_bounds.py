"""Bounds of encrypted mail: what is larger, deeper or more than any honest one is answered at once."""

import pytest

from certs.ciphers import AES_256_CBC, seal_content
from certs.der import integer, object_identifier, octet_string, sequence
from certs.enveloped import MAXIMUM_RECIPIENTS
from certs.envelopes import MAXIMUM_MESSAGE, DecryptionFailed, Decryptor, decrypt_message, is_encrypted
from certs.recipients import recipient_info
from tests.support.envelopes import built, decryptor, entropy, mail, target

PLAIN = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nBonjour, rien de grave.\r\n"
KEY, VECTOR = bytes(range(32)), bytes(16)
CBC = sequence(object_identifier("2.16.840.1.101.3.4.1.42"), octet_string(VECTOR))


def stays_closed(raw: bytes, own: Decryptor) -> None:
    with pytest.raises(DecryptionFailed):
        decrypt_message(raw, [own])


def test_many_recipients_are_read_and_too_many_refused() -> None:
    others = [recipient_info(target("x25519", "b"), KEY, False, entropy) for _ in range(63)]
    own = recipient_info(target("p256"), KEY, False, entropy)
    _, chained, _ = seal_content(AES_256_CBC, KEY, VECTOR, PLAIN)
    assert decrypt_message(mail(built([*others, own], CBC, chained)), [decryptor("p256")]) == PLAIN
    crowd = mail(built([*others, others[0], own], CBC, chained))
    assert not is_encrypted(crowd)
    stays_closed(crowd, decryptor("p256"))
    stays_closed(mail(built([], CBC, chained)), decryptor("p256"))


def test_content_in_chunks_is_read_in_one_pass() -> None:
    content = b"Content-Type: text/plain\r\n\r\n" + b"x" * 2_000_000
    recipient = recipient_info(target("p256"), KEY, False, entropy)
    _, chained, _ = seal_content(AES_256_CBC, KEY, VECTOR, content)
    for chunk in (50, 1000, 8192):
        raw = mail(built([recipient], CBC, chained, chunk=chunk))
        assert decrypt_message(raw, [decryptor("p256")]) == content
    stays_closed(mail(built([recipient], CBC, chained, chunk=8)), decryptor("p256"))  # too many


def test_what_is_large_beside_its_content_is_refused() -> None:
    own = recipient_info(target("p256"), KEY, False, entropy)
    _, chained, _ = seal_content(AES_256_CBC, KEY, VECTOR, PLAIN)
    name = sequence(decryptor("p256", "b").issuer, integer(1))
    scheme = sequence(object_identifier("1.2.840.113549.1.1.1"), b"\x05\x00")
    padded = sequence(integer(0), name, scheme, octet_string(bytes(8192)))
    few = mail(built([padded] * 10 + [own], CBC, chained))
    assert decrypt_message(few, [decryptor("p256")]) == PLAIN
    many = mail(built([padded] * (MAXIMUM_RECIPIENTS - 1) + [own], CBC, chained))
    assert not is_encrypted(many)
    stays_closed(many, decryptor("p256"))


def test_a_message_larger_than_any_is_not_looked_into() -> None:
    header = b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    raw = header + bytes(MAXIMUM_MESSAGE)
    assert not is_encrypted(raw)
    stays_closed(raw, decryptor("p256"))
