"""DER values written octet by octet (X.690 §8, §10-11): the ASN.1 library takes milliseconds for that."""

from __future__ import annotations

from asn1crypto import core
from asn1crypto.parser import emit

__all__ = [
    "NULL",
    "bit_string",
    "contents",
    "integer",
    "object_identifier",
    "octet_string",
    "primitive",
    "sequence",
    "set_of",
    "tagged",
]

NULL = b"\x05\x00"


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE of finished values."""
    encoded: bytes = emit(0, 1, 16, b"".join(parts))
    return encoded


def set_of(*parts: bytes) -> bytes:
    """SET OF in the order of DER (X.690 §11.6)."""
    encoded: bytes = emit(0, 1, 17, b"".join(sorted(parts)))
    return encoded


def tagged(number: int, inner: bytes, constructed: bool = True) -> bytes:
    """A value of the context-specific class: `inner` are its contents octets."""
    encoded: bytes = emit(2, int(constructed), number, inner)
    return encoded


def primitive(tag: int, inner: bytes) -> bytes:
    """A primitive value of the universal class."""
    encoded: bytes = emit(0, 0, tag, inner)
    return encoded


def octet_string(inner: bytes) -> bytes:
    """OCTET STRING."""
    return primitive(4, inner)


def bit_string(inner: bytes) -> bytes:
    """BIT STRING of whole octets."""
    return primitive(3, b"\x00" + inner)


def integer(number: int) -> bytes:
    """INTEGER."""
    encoded: bytes = core.Integer(number).dump()
    return encoded


def object_identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER from its dotted text."""
    encoded: bytes = core.ObjectIdentifier(dotted).dump()
    return encoded


def contents(encoded: bytes) -> bytes:
    """Return the contents octets of a DER value, without tag and length."""
    length = encoded[1]
    return encoded[2:] if length < 0x80 else encoded[2 + (length & 0x7F) :]
