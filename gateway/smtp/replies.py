"""Answers as octets: ASCII, folded, with enhanced status codes (RFC 5321 §4.2.1, RFC 2034)."""

from __future__ import annotations

import textwrap
import unicodedata

__all__ = ["ascii_text", "reply"]

_LONGEST_TEXT = 400
"""Below 512 octets with code, enhanced status and CRLF (RFC 5321 §4.5.3.1.5)."""

_PLAIN = str.maketrans(
    {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "€": "EUR", "\t": " "}
    | {"’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-"}
)


def ascii_text(text: str) -> str:
    """French ``text`` without accents: a reply is ASCII (RFC 5321 §2.3.1). Line feeds stay, other controls
    go.
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    kept = (c for c in decomposed if not unicodedata.combining(c) and (c == "\n" or c >= " ") and c != "\x7f")
    return "".join(c if c.isascii() else "?" for c in kept)


def reply(code: int, enhanced: str, text: str) -> bytes:
    """The answer ``code enhanced text`` as one or more lines with CRLF; ``enhanced`` may be '' (EHLO, 354,
    334).
    """
    lines: list[str] = []
    for paragraph in ascii_text(text).split("\n"):
        lines.extend(textwrap.wrap(paragraph, _LONGEST_TEXT) or [""])
    lines = [line for line in lines if line] or [""]
    prefix = f"{enhanced} " if enhanced else ""
    marked = [
        f"{code}{'-' if rank + 1 < len(lines) else ' '}{prefix}{line}" for rank, line in enumerate(lines)
    ]
    return "".join(f"{line}\r\n" for line in marked).encode("ascii")
