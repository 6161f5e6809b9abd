"""Encryption of the content (RFC 8551 §2.7): AES-GCM, ChaCha20-Poly1305, and AES-CBC, which authenticates
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from asn1crypto import core
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher as _Cipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from certs.der import integer, object_identifier, octet_string, sequence

__all__ = ["ACCEPTED", "AES_256_CBC", "AES_256_GCM", "Cipher", "CipherFault", "open_content", "seal_content"]

_TAG = 16
_NONCE = 12
_SHORTEST_TAG = 12
"""Octets; also the value where the parameter is absent (RFC 5084 §3.2)."""
_BLOCK = 16


class CipherFault(ValueError):
    """Parameters, tag or padding are wrong. The text says which and is for tests only, never for a peer."""


@dataclass(frozen=True, slots=True)
class Cipher:
    """A content cipher: its name, key length in octets, and whether it detects a changed content.

    `accepted` is false for what policy refuses (3DES, RC2, unknown ones): such content stays closed.
    """

    name: str
    authenticated: bool
    key_octets: int
    accepted: bool = True


AES_256_GCM = Cipher("aes256-gcm", True, 32)
AES_256_CBC = Cipher("aes256-cbc", False, 32)
_AES_256_GCM_OID = "2.16.840.1.101.3.4.1.46"
_AES_256_CBC_OID = "2.16.840.1.101.3.4.1.42"

ACCEPTED: Mapping[str, Cipher] = MappingProxyType(
    {
        "2.16.840.1.101.3.4.1.2": Cipher("aes128-cbc", False, 16),
        "2.16.840.1.101.3.4.1.22": Cipher("aes192-cbc", False, 24),
        _AES_256_CBC_OID: AES_256_CBC,
        "2.16.840.1.101.3.4.1.6": Cipher("aes128-gcm", True, 16),
        "2.16.840.1.101.3.4.1.26": Cipher("aes192-gcm", True, 24),
        _AES_256_GCM_OID: AES_256_GCM,
        "1.2.840.113549.1.9.16.3.18": Cipher("chacha20-poly1305", True, 32),  # RFC 8103
    }
)
"""Ciphers that are read, by object identifier."""


class _GcmParameters(core.Sequence):  # type: ignore[misc]  # asn1crypto is untyped and lacks this one
    """GCMParameters (RFC 5084 §3.2)."""

    _fields = [  # noqa: RUF012  the library's way to declare a structure
        ("nonce", core.OctetString),
        ("icv_length", core.Integer, {"default": _SHORTEST_TAG}),
    ]


def open_content(
    cipher: Cipher, key: bytes, parameters: bytes, ciphertext: bytes, tag: bytes = b"", bound: bytes = b""
) -> bytes:
    """Decrypt content: `parameters` are those of the algorithm in DER, `bound` the authenticated attributes.

    Nothing of an authenticated content is returned before its tag was checked. Raises CipherFault.
    """
    try:
        if cipher.name == "chacha20-poly1305":
            nonce = _octets(parameters, _NONCE)
            _check(len(tag) == _TAG, "tag length")
            return ChaCha20Poly1305(key).decrypt(nonce, ciphertext + tag, bound)
        if cipher.authenticated:
            return _open_gcm(key, parameters, ciphertext, tag, bound)
        _check(not tag and not bound, "a tag beside CBC")
        return _open_cbc(key, parameters, ciphertext)
    except InvalidTag as error:
        raise CipherFault("tag") from error


def _open_gcm(key: bytes, parameters: bytes, ciphertext: bytes, tag: bytes, bound: bytes) -> bytes:
    structure = _GcmParameters.load(parameters, strict=True)
    nonce, length = structure["nonce"].native, structure["icv_length"].native
    _check(len(nonce) == _NONCE, "nonce length")
    _check(_SHORTEST_TAG <= length <= _TAG and len(tag) == length, "tag length")
    decryptor = _Cipher(algorithms.AES(key), modes.GCM(nonce, tag, min_tag_length=_SHORTEST_TAG)).decryptor()
    decryptor.authenticate_additional_data(bound)
    return decryptor.update(ciphertext) + decryptor.finalize()


def _open_cbc(key: bytes, parameters: bytes, ciphertext: bytes) -> bytes:
    _check(ciphertext != b"" and len(ciphertext) % _BLOCK == 0, "length")
    decryptor = _Cipher(algorithms.AES(key), modes.CBC(_octets(parameters, _BLOCK))).decryptor()
    unpadder = padding.PKCS7(_BLOCK * 8).unpadder()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()


def _octets(parameters: bytes, length: int) -> bytes:
    octets: bytes = core.OctetString.load(parameters, strict=True).native
    _check(len(octets) == length, "initialisation vector")
    return octets


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise CipherFault(what)


def seal_content(cipher: Cipher, key: bytes, start: bytes, content: bytes) -> tuple[bytes, bytes, bytes]:
    """Encrypt by AES-256 in GCM or CBC; `start` is the nonce (12 octets) or the vector (16), used once.

    Return the AlgorithmIdentifier in DER, the ciphertext and the tag (16 octets, empty for CBC).
    """
    if cipher == AES_256_GCM:
        parameters = sequence(octet_string(start), integer(_TAG))
        encryptor = _Cipher(algorithms.AES(key), modes.GCM(start)).encryptor()
        ciphertext = encryptor.update(content) + encryptor.finalize()
        return sequence(object_identifier(_AES_256_GCM_OID), parameters), ciphertext, encryptor.tag
    padder = padding.PKCS7(_BLOCK * 8).padder()
    chained = _Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
    padded = padder.update(content) + padder.finalize()
    algorithm = sequence(object_identifier(_AES_256_CBC_OID), octet_string(start))
    return algorithm, chained.update(padded) + chained.finalize(), b""
