"""Whatever is encrypted comes back, and whatever else arrives is answered in the one declared way."""

from functools import cache

from hypothesis import assume, given
from hypothesis import strategies as st

from certs.envelopes import (
    DecryptionFailed,
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
from tests.support.certificates import ENTITY, headers
from tests.support.envelopes import KINDS, decryptor, entropy, mail, target
from tests.support.mutations import EDITS, Edits, mutated

OWNERS = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from("ab")), min_size=1, max_size=4)
OWN = [decryptor(kind) for kind in KINDS]


@given(st.binary(max_size=300), OWNERS, st.booleans(), st.sampled_from(Transport))
def test_what_is_sealed_is_opened_by_each_recipient_and_by_nobody_else(
    content: bytes, owners: list[tuple[str, str]], gcm: bool, transport: Transport
) -> None:
    encoded, cipher = seal_envelope(
        content, [target(*owner, gcm=gcm) for owner in owners], entropy, transport
    )
    assert cipher.authenticated is gcm
    for kind in KINDS:
        for who in "ab":
            if (kind, who) in owners:
                assert open_envelope(encoded, [decryptor(kind, who)]) == content
            else:
                assert not addressed_to(mail(encoded), [decryptor(kind, who)])


NAMES = st.from_regex(r"X-[A-Za-z]{1,12}", fullmatch=True)
VALUES = st.from_regex(r"[!-~]([ -~]{0,60}[!-~])?", fullmatch=True)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4), st.binary(max_size=200), st.sampled_from(KINDS))
def test_any_entity_comes_back_with_its_headers(
    fields: list[tuple[str, str]], body: bytes, kind: str
) -> None:
    entity = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n" + body
    raw = encrypt_message([*headers(), *fields], entity, [target(kind, gcm=True)], entropy)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    found = decrypt_message(raw, [decryptor(kind)])
    assert found.endswith(b"\r\n\r\n" + body)
    assert found.count(b"\r\nX-") >= len(fields)


@cache
def sample(kind: str, gcm: bool) -> bytes:
    return encrypt_message(headers(), ENTITY, [target(kind, gcm=gcm)], entropy)


@given(st.sampled_from(KINDS), st.booleans(), EDITS)
def test_a_mutated_mail_fails_in_one_way_or_opens_to_what_was_sent(
    kind: str, gcm: bool, edits: Edits
) -> None:
    whole = sample(kind, gcm)
    raw = mutated(whole, edits)
    assert addressed_to(raw, OWN) <= is_encrypted(raw)
    try:
        found = decrypt_message(raw, OWN)
    except DecryptionFailed:
        return
    cipher = cipher_of(raw)
    assert cipher is not None
    if cipher.authenticated:  # an edit outside of the structure, or one that changes nothing
        assert found == decrypt_message(whole, OWN)


@cache
def structure(kind: str, gcm: bool) -> bytes:
    return seal_envelope(ENTITY, [target(kind, gcm=gcm)], entropy)[0]


@given(st.sampled_from(KINDS), st.booleans(), EDITS)
def test_a_mutated_structure_fails_in_one_way_or_opens_to_what_was_sent(
    kind: str, gcm: bool, edits: Edits
) -> None:
    encoded = mutated(structure(kind, gcm), edits)
    assume(encoded != structure(kind, gcm))
    try:
        found = open_envelope(encoded, OWN)
    except DecryptionFailed:
        return
    if gcm:  # an octet that means nothing, such as one of a version
        assert found == ENTITY


@given(st.binary(max_size=400))
def test_any_octets_are_no_envelope(raw: bytes) -> None:
    for octets in (raw, mail(raw)):
        assert not is_encrypted(octets)
        assert cipher_of(octets) is None
        assert not addressed_to(octets, OWN)
        try:
            decrypt_message(octets, OWN)
        except DecryptionFailed:
            continue
        raise AssertionError("opened")


@given(st.binary(max_size=100))
def test_any_octets_are_read_as_capabilities(encoded: bytes) -> None:
    announced = read_capabilities(encoded).gcm
    assert not announced or b"\x60\x86\x48\x01\x65\x03\x04\x01\x2e" in encoded
