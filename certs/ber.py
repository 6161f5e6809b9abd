"""A guard in front of the ASN.1 library: refuses encodings whose decoding would cost more than it can be
worth.

`asn1crypto` decodes object identifiers and long tags in quadratic time (256 kB in one identifier: 22 s) and
recurses by structure. This walk reads headers only, in one pass, and never looks into a primitive value.
"""

from __future__ import annotations

__all__ = ["EncodingFault", "check_encoding", "joined_octets"]

MAXIMUM_DEPTH = 24
MAXIMUM_ELEMENTS = 50_000
"""Enough for 25 MiB of content in BER chunks of 1,000 octets, as `openssl cms -stream` writes them."""
MAXIMUM_PRIMITIVE = 8192
"""Octets in a primitive value; an RSA-8192 key with its wrapping is about 1,050."""
MAXIMUM_IDENTIFIER = 64
"""Octets in an object identifier; those in use have at most 16."""
CONTENT_DEPTH = 6
"""Encapsulated content is an OCTET STRING at depth 5, its BER chunks at depth 6 (RFC 5652 §5.1-5.2)."""
ENCRYPTED_DEPTH = 4
"""Encrypted content is an OCTET STRING tagged [0] at depth 4, its BER chunks at depth 5 (RFC 5652 §6.1)."""

_OCTET_STRING = 0x04
_ENCRYPTED_CONTENT = 0x80
_IDENTIFIER = 0x06


class EncodingFault(ValueError):
    """The octets are not one BER value within the bounds above."""


def check_encoding(encoded: bytes) -> None:
    """Walk one BER value (X.690 §8.1) that must fill `encoded` exactly. Raises EncodingFault only."""
    ends: list[int | None] = []  # where each open constructed value ends; None for indefinite length
    limits: list[int] = [len(encoded)]  # how far a value within them may reach
    position = 0
    for _ in range(MAXIMUM_ELEMENTS):
        while ends and ends[-1] == position:
            ends.pop()
            limits.pop()
        if not ends and position:
            break
        tag, start, length = _header(encoded, position)
        if tag == 0 and length == 0:
            if not ends or ends[-1] is not None:
                raise EncodingFault("end of contents out of place")
            ends.pop()
            limits.pop()
            position = start
            continue
        end = None if length is None else start + length
        if end is not None and end > limits[-1]:
            raise EncodingFault("value exceeds its container")
        if tag & 0x20:
            if len(ends) >= MAXIMUM_DEPTH:
                raise EncodingFault("nested too deep")
            ends.append(end)
            limits.append(limits[-1] if end is None else end)
            position = start
        elif end is None:
            raise EncodingFault("value exceeds its container")
        else:
            if end - start > MAXIMUM_IDENTIFIER:
                _check_primitive(tag, end - start, len(ends))
            position = end
    if ends or position != len(encoded):
        raise EncodingFault("not exactly one value, or too many parts")


def _header(encoded: bytes, position: int) -> tuple[int, int, int | None]:
    """Return tag octet, start of the contents and their length (None: indefinite)."""
    if position + 2 > len(encoded):
        raise EncodingFault("truncated")
    tag, first = encoded[position], encoded[position + 1]
    if tag & 0x1F == 0x1F:
        raise EncodingFault("tag above 30")  # no CMS or X.509 structure has one
    if first < 0x80:
        return tag, position + 2, first
    octets = first & 0x7F
    if octets == 0:
        if not tag & 0x20:
            raise EncodingFault("primitive value of indefinite length")
        return tag, position + 2, None
    start = position + 2 + octets
    if octets > 4 or start > len(encoded):
        raise EncodingFault("length out of bounds")
    return tag, start, int.from_bytes(encoded[position + 2 : start])


def _check_primitive(tag: int, length: int, depth: int) -> None:
    if tag == _IDENTIFIER and length > MAXIMUM_IDENTIFIER:
        raise EncodingFault("object identifier too long")
    content = (tag == _OCTET_STRING and depth <= CONTENT_DEPTH) or (
        tag == _ENCRYPTED_CONTENT and depth == ENCRYPTED_DEPTH
    )
    if length > MAXIMUM_PRIMITIVE and not content:
        raise EncodingFault("primitive value too long")


def joined_octets(contents: bytes) -> bytes:
    """Join the chunks of a constructed OCTET STRING (X.690 §8.7.3) from its contents octets, in one pass.

    The ASN.1 library appends them one by one, which is quadratic. Raises EncodingFault for other chunks and
    for strings within strings, which nobody writes.
    """
    chunks: list[bytes] = []
    position = 0
    while position < len(contents):
        tag, start, length = _header(contents, position)
        if tag != _OCTET_STRING or length is None or start + length > len(contents):
            raise EncodingFault("not a string in chunks")
        chunks.append(contents[start : start + length])
        position = start + length
    return b"".join(chunks)
