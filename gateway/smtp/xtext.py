"""The xtext encoding of DSN parameters (RFC 3461 §4)."""

from __future__ import annotations

import re

__all__ = ["decode_xtext", "encode_xtext"]

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEX = re.compile(r"\+([0-9A-F]{2})")


def decode_xtext(text: str) -> str | None:
    """The decoded value, ``None`` where ``text`` is no xtext or decodes to something that is not printable
    ASCII.
    """
    if not _XTEXT.fullmatch(text):
        return None
    decoded = _HEX.sub(lambda match: chr(int(match.group(1), 16)), text)
    return decoded if decoded.isascii() and decoded.isprintable() else None


def encode_xtext(text: str) -> str:
    """``text`` (ASCII) as xtext. Raises ``ValueError`` for other characters."""
    octets = text.encode("ascii")
    return "".join(chr(o) if 33 <= o <= 126 and chr(o) not in "+=" else f"+{o:02X}" for o in octets)
