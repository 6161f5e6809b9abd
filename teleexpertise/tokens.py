"""Sealed identifiers that travel through other people's mail: reply addresses, form ids, bounce addresses.

A token is lower-case base32 (no padding, 42 characters) of a 16-octet UUID and the first 10 octets of an
HMAC-SHA-256 over purpose and UUID. It survives case folding, and 42 characters leave room in a local part
of 64 octets (``RFC 5321 §4.5.3.1.1``). A forged or foreign token reads as ``None``, never as an error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

__all__ = ["TOKEN_LENGTH", "seal", "unseal"]

_MAC_OCTETS = 10
TOKEN_LENGTH = 42


def _mac(key: bytes, purpose: str, identifier: UUID) -> bytes:
    message = purpose.encode("ascii") + b"\x00" + identifier.bytes
    return hmac.new(key, message, hashlib.sha256).digest()[:_MAC_OCTETS]


def seal(key: bytes, purpose: str, identifier: UUID) -> str:
    """The token of ``identifier`` for one ``purpose`` (ASCII word): a token of another purpose never fits."""
    octets = identifier.bytes + _mac(key, purpose, identifier)
    return base64.b32encode(octets).decode("ascii").rstrip("=").lower()


def unseal(key: bytes, purpose: str, token: str) -> UUID | None:
    """The identifier in a token of ours for this purpose, in any letter case; ``None`` for anything else."""
    if len(token) != TOKEN_LENGTH or not token.isascii():
        return None
    try:
        octets = base64.b32decode(token.upper() + "=" * (-TOKEN_LENGTH % 8))
    except binascii.Error:
        return None
    identifier = UUID(bytes=octets[:16])
    if not hmac.compare_digest(octets[16:], _mac(key, purpose, identifier)):
        return None
    return identifier
