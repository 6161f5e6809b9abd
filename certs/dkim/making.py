"""New keys: the only part of DKIM that takes chance from the machine."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.dkim.keys import KeyKind

__all__ = ["new_dkim_key"]

_RSA_BITS = 2048
"""What every verifier takes, and a record that DNS tools handle; 4096 bits would be four times the work."""


def new_dkim_key(kind: KeyKind) -> bytes:
    """Make a private key, PEM (PKCS #8)."""
    key: rsa.RSAPrivateKey | Ed25519PrivateKey
    if kind is KeyKind.ED25519:
        key = Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
