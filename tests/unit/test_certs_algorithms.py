"""The signature check itself against forgeries of Wycheproof's kinds: paddings that are almost right, numbers
out of range, encodings that are not DER, signatures that can be changed into another valid one.
"""

from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from certs.algorithms import AlgorithmRefused, SignatureAlgorithm, load_public_key, verify
from certs.verdicts import Reason

MESSAGE = b"Bonjour"
RSA, PSS = SignatureAlgorithm("rsa", "sha256"), SignatureAlgorithm("pss", "sha256", 32)
ECDSA, ED25519 = SignatureAlgorithm("ecdsa", "sha256"), SignatureAlgorithm("ed25519", "sha512")
#: DigestInfo of SHA-256 without its digest (RFC 8017 §9.2).
PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


@cache
def rsa_key(exponent: int = 65537) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(3 if exponent == 3 else 65537, 2048)


def digest() -> bytes:
    state = hashes.Hash(hashes.SHA256())
    state.update(MESSAGE)
    return state.finalize()


def private(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """The bare RSA operation on a block of 256 octets."""
    numbers = key.private_numbers()
    return pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n).to_bytes(256)


def padded(
    information: bytes, first: bytes = b"\x00\x01", filling: bytes = b"\xff", end: bytes = b"\x00"
) -> bytes:
    return first + filling * (256 - len(first) - len(end) - len(information)) + end + information


def refused(algorithm: SignatureAlgorithm, key: object, signature: bytes) -> Reason | None:
    try:
        verify(algorithm, key, signature, MESSAGE)  # type: ignore[arg-type]
    except AlgorithmRefused as fault:
        return fault.reason
    return None


def test_what_these_tests_make_by_hand_verifies_when_it_is_right() -> None:
    block = padded(PREFIX + digest())
    assert refused(RSA, rsa_key().public_key(), private(rsa_key(), block)) is None


BLOCKS = {
    "no digest information": padded(digest()),
    "digest information without NULL": padded(
        bytes.fromhex("302f300b06096086480165030402010420") + digest()),
    "of another digest": padded(bytes.fromhex("3031300d060960864801650304020205000420") + digest()),
    "short filling and words behind": (
        b"\x00\x01" + b"\xff" * 8 + b"\x00" + PREFIX + digest()).ljust(256, b"\x00"),
    "words inside the parameters": padded(
        bytes.fromhex("303b3017060960864801650304020105000a") + b"x" * 8 + b"\x04\x20" + digest()),
    "filling that is not FF": padded(PREFIX + digest(), filling=b"\xfe"),
    "block of encryption": padded(PREFIX + digest(), first=b"\x00\x02", filling=b"\xaa"),
    "no first zero": padded(PREFIX + digest(), first=b"\x01"),
    "no end of filling": padded(PREFIX + digest(), end=b"\xff"),
    "digest cut short": padded(PREFIX + digest()[:-1]),
    "nothing": bytes(256),
    "one": bytes(255) + b"\x01",
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_an_rsa_block_that_is_almost_right_is_refused(name: str) -> None:
    key = rsa_key()
    if int.from_bytes(BLOCKS[name]) >= key.public_key().public_numbers().n:
        pytest.skip("the block is larger than this run's modulus")
    assert refused(RSA, key.public_key(), private(key, BLOCKS[name])) is Reason.SIGNATURE_WRONG


def test_a_cube_root_is_no_signature() -> None:
    """Bleichenbacher 2006: under exponent 3 anybody makes a block that begins right."""
    start = b"\x00\x01" + b"\xff" * 8 + b"\x00" + PREFIX + digest()
    target = int.from_bytes(start.ljust(256, b"\xff"))
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= target else (low, middle - 1)
    assert (low**3).to_bytes(256).startswith(start[:40])
    assert refused(RSA, rsa_key(3).public_key(), low.to_bytes(256)) is Reason.SIGNATURE_WRONG


@pytest.mark.parametrize("change", ["shorter", "longer", "plus modulus", "empty", "zero"])
def test_an_rsa_signature_has_the_length_and_range_of_its_key(change: str) -> None:
    key = rsa_key()
    signature = key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    modulus = key.public_key().public_numbers().n
    changed = {
        "shorter": signature[1:],
        "longer": b"\x00" + signature,
        "plus modulus": (int.from_bytes(signature) + modulus).to_bytes(257),
        "empty": b"",
        "zero": bytes(256),
    }[change]
    assert refused(RSA, key.public_key(), changed) is Reason.SIGNATURE_WRONG


@pytest.mark.parametrize("salt", [0, 20, 31, 33, 222])
def test_a_pss_salt_of_another_length_is_refused(salt: int) -> None:
    made = rsa_key().sign(MESSAGE, padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256())
    assert refused(PSS, rsa_key().public_key(), made) is Reason.SIGNATURE_WRONG


def test_a_pss_signature_is_no_pkcs1_signature_and_the_reverse() -> None:
    pss = rsa_key().sign(MESSAGE, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    pkcs1 = rsa_key().sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    assert refused(PSS, rsa_key().public_key(), pss) is None
    assert refused(RSA, rsa_key().public_key(), pss) is Reason.SIGNATURE_WRONG
    assert refused(PSS, rsa_key().public_key(), pkcs1) is Reason.SIGNATURE_WRONG


def test_numbers_of_ecdsa_are_in_their_range_and_in_der() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    signature = key.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert refused(ECDSA, public, signature) is None
    r, s = utils.decode_dss_signature(signature)
    numbers = [0, 1, P256_ORDER - 1, P256_ORDER, P256_ORDER + 1, 2**256]
    forged = [utils.encode_dss_signature(a, b) for a in numbers for b in numbers]
    forged += [
        utils.encode_dss_signature(r + P256_ORDER, s),
        utils.encode_dss_signature(r, s + P256_ORDER),
        utils.encode_dss_signature(s, r),
    ]
    integers = signature[2:]
    forged += [
        b"\x30\x81" + signature[1:2] + integers,  # length in long form
        b"\x30\x80" + integers + b"\x00\x00",  # indefinite length
        signature + b"\x00",
        signature[:-1],
        b"\x31" + signature[1:],
        b"\x30" + bytes([len(integers) + 2]) + integers + b"\x05\x00",
        r.to_bytes(32) + s.to_bytes(32),  # the form of other protocols (IEEE P1363)
        b"",
        b"\x30\x00",
    ]
    assert {refused(ECDSA, public, one) for one in forged} == {Reason.SIGNATURE_WRONG}


def test_a_signature_of_ed25519_has_one_form_only() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    signature = key.sign(MESSAGE)
    assert refused(ED25519, key.public_key(), signature) is None
    s = int.from_bytes(signature[32:], "little")
    forged = [
        signature[:32] + (s + ED25519_ORDER).to_bytes(32, "little"),  # RFC 8032 §5.1.7: S below the order
        signature[:32] + bytes(32),
        bytes(64),
        b"\x01" + bytes(63),
        signature + b"\x00",
        signature[:-1],
        b"",
        bytes(32) + signature[32:],
    ]
    assert {refused(ED25519, key.public_key(), one) for one in forged} == {Reason.SIGNATURE_WRONG}


@pytest.mark.parametrize("algorithm", [RSA, PSS, ECDSA, ED25519])
def test_a_key_of_another_kind_is_told_as_such(algorithm: SignatureAlgorithm) -> None:
    keys = {
        "rsa": rsa_key().public_key(),
        "ecdsa": ec.generate_private_key(ec.SECP256R1()).public_key(),
        "ed25519": ed25519.Ed25519PrivateKey.generate().public_key(),
    }
    own = "rsa" if algorithm.kind == "pss" else algorithm.kind
    for kind, key in keys.items():
        expected = Reason.SIGNATURE_WRONG if kind == own else Reason.ALGORITHM_MISMATCH
        assert refused(algorithm, key, b"x" * 64) is expected


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (ec.generate_private_key(ec.SECP256K1()).public_key(), Reason.ALGORITHM_UNSUPPORTED),
        (ec.generate_private_key(ec.SECP192R1()).public_key(), Reason.ALGORITHM_UNSUPPORTED),
        (rsa.generate_private_key(65537, 1024).public_key(), Reason.KEY_WEAK),
    ],
)
def test_keys_that_nobody_should_sign_with_are_refused(
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, reason: Reason
) -> None:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    with pytest.raises(AlgorithmRefused) as caught:
        load_public_key(key.public_bytes(serialization.Encoding.DER, form))
    assert caught.value.reason is reason


def test_a_point_that_is_not_on_its_curve_is_no_key() -> None:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    octets = bytearray(public.public_bytes(serialization.Encoding.DER, form))
    octets[-1] ^= 1
    with pytest.raises(AlgorithmRefused):
        load_public_key(bytes(octets))
