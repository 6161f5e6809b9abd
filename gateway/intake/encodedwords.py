"""Encoded words of header fields, read leniently and written strictly (RFC 2047)."""

from __future__ import annotations

import binascii
import re
from base64 import b64encode

from gateway.intake.charsets import decode_text

__all__ = ["decode_words", "encode_phrase", "encode_words"]

_WORD = re.compile(r"=\?([!->@-~]{1,60})\?([bBqQ])\?([!->@-~]*)\?=")
_OCTETS_PER_WORD = 42
"""42 octets are 56 in base64: with ``=?utf-8?b?`` and ``?=`` an encoded word stays below 75."""


def decode_words(text: str) -> str:
    """``text`` with its encoded words decoded; what cannot be decoded stays as it is.

    Blanks between two encoded words vanish, and octets of neighbours in one charset are joined before
    decoding, since writers split characters (RFC 2047 §6.2, §5).
    """
    parts: list[str] = []
    pending, charset, position = b"", "", 0
    for match in _WORD.finditer(text):
        between = text[position : match.start()]
        octets = _octets(match.group(2), match.group(3))
        if octets is None:
            continue
        name = match.group(1).partition("*")[0].lower()
        if (between.strip(" \t") or name != charset) and charset:
            parts.append(decode_text(pending, charset))
            pending = b""
        if between.strip(" \t") or not charset:
            parts.append(between)
        pending, charset, position = pending + octets, name, match.end()
    if charset:
        parts.append(decode_text(pending, charset))
    return "".join(parts) + text[position:]


def _octets(encoding: str, payload: str) -> bytes | None:
    try:
        if encoding in "bB":
            return binascii.a2b_base64(payload + "=" * (-len(payload) % 4))
        return binascii.a2b_qp(payload.encode("ascii"), header=True)
    except binascii.Error:
        return None


def encode_words(text: str) -> str:
    """``text`` in ASCII: each run of words with other characters becomes encoded words of at most 75
    characters.

    Text that is ASCII already comes back as it is, encoded words in it included.
    """
    if text.isascii():
        return text
    parts: list[str] = []
    run: list[str] = []
    for word in text.split(" "):
        if run and not word:
            run.append(word)  # a second blank after an encoded word would vanish outside of it
        elif word.isascii() and "=?" not in word:
            if run:
                parts.append(_encode_run(" ".join(run)))
                run = []
            parts.append(word)
        else:
            run.append(word)
    if run:
        parts.append(_encode_run(" ".join(run)))
    return " ".join(parts)


def encode_phrase(name: str) -> str:
    """A display name as a phrase (RFC 5322 §3.2.5): quoted where it is ASCII, else encoded as a whole, so
    that no comma, bracket or address in a name is read as one. Controls are dropped.
    """
    text = "".join(character for character in name if character.isprintable())
    if not text.isascii() or "=?" in text:
        return _encode_run(text)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _encode_run(text: str) -> str:
    chunks: list[bytes] = [b""]
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(chunks[-1]) + len(octets) > _OCTETS_PER_WORD:
            chunks.append(b"")
        chunks[-1] += octets
    return " ".join(f"=?utf-8?b?{b64encode(chunk).decode('ascii')}?=" for chunk in chunks)
