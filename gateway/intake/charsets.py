"""Octets to text by an allow-list of charsets: no utf-7, no surprise codec, no exception."""

from __future__ import annotations

import codecs

__all__ = ["clean_line", "decode_header_octets", "decode_text"]

_ALLOWED = frozenset(
    {"utf-8", "ascii", "utf-16", "utf-16-be", "utf-16-le", "koi8-r", "koi8-u", "mac-roman", "tis-620"}
    | {f"iso8859-{number}" for number in range(1, 17)}
    | {f"cp{number}" for number in (437, 850, 852, 858, 866, 874, 932, 949, 950, *range(1250, 1259))}
    | {
        "gb2312",
        "gbk",
        "gb18030",
        "big5",
        "big5hkscs",
        "shift_jis",
        "euc_jp",
        "euc_kr",
        "iso2022_jp",
        "johab",
    }
)
_CONTROLS = dict.fromkeys((*range(32), 127, *range(128, 160), 8232, 8233)) | {9: " "}


def decode_text(octets: bytes, charset: str) -> str:
    """``octets`` as text. A charset that is missing or unknown is guessed (UTF-8, else Latin); a refused one
    reads as ASCII with replacement characters, so that utf-7 smuggles no markup. NUL is dropped.
    """
    return _decode(octets, charset).replace("\x00", "").replace("\ufeff", "")


def _decode(octets: bytes, charset: str) -> str:
    try:
        codec = codecs.lookup(charset).name if charset.isascii() and charset.isprintable() else ""
    except (LookupError, ValueError):
        codec = ""
    if codec and codec not in _ALLOWED:
        return octets.decode("ascii", "replace")
    if codec in ("", "ascii", "utf-8"):
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            # Mail that claims UTF-8 but is cut in a character keeps its readable rest; unlabelled mail is
            # Latin.
            return octets.decode("utf-8", "replace") if codec == "utf-8" else _latin(octets)
    if codec == "iso8859-1":
        return _latin(octets)
    return octets.decode(codec, "replace")


def _latin(octets: bytes) -> str:
    # What is labelled ISO-8859-1 is Windows-1252 in practice (euro sign, typographic quotes).
    try:
        return octets.decode("cp1252")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def decode_header_octets(octets: bytes) -> str:
    """A raw header value unfolded, as text: UTF-8 where it is (RFC 6532), else Latin; without control
    characters.
    """
    return clean_line(_decode(octets.replace(b"\r\n", b"").replace(b"\n", b""), ""))


def clean_line(text: str) -> str:
    """``text`` on one line: controls removed, tabs made blanks."""
    return text.translate(_CONTROLS)
