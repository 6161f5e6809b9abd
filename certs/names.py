"""Distinguished names: read from text (RFC 4514) and from DER, compared without regard to order, case or
spacing.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DistinguishedName", "NameFault"]

MAXIMUM_TEXT = 4096
"""Longest DN text that is read, in characters; the longest of the published list is under 200."""

# Short names of RFC 4514 §3 and those that certificates of IGC-Santé carry, both ways.
_OIDS = {
    "CN": "2.5.4.3",
    "SN": "2.5.4.4",
    "SERIALNUMBER": "2.5.4.5",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "STREET": "2.5.4.9",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "T": "2.5.4.12",
    "GN": "2.5.4.42",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
    "EMAILADDRESS": "1.2.840.113549.1.9.1",
}
_SHORT = {oid: short for short, oid in _OIDS.items()}
_SPELLINGS = {
    "S": "ST",
    "E": "EMAILADDRESS",
    "EMAIL": "EMAILADDRESS",
    "TITLE": "T",
    "GIVENNAME": "GN",
    "SURNAME": "SN",
}

_TYPE = re.compile(r"\s*(?:OID\.)?([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)\s*=\s*", re.IGNORECASE)
_PLAIN = re.compile(r'(?:[^\\,;+"<>\x00]|\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\])*')
_QUOTED = re.compile(r'"((?:[^"\\\x00]|\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\])*)"\s*')
_ESCAPE = re.compile(r'((?:\\[0-9A-Fa-f]{2})+)|\\([ "#+,;<=>\\])')


class NameFault(ValueError):
    """A text or a DER value that is not a distinguished name."""


@dataclass(frozen=True, slots=True)
class DistinguishedName:
    """A subject or issuer name.

    `attributes` are (dotted OID, value) in the order of RFC 4514 (most specific first), as they were read.
    Two names are equal when they hold the same attributes, each as often, whatever their order, case, Unicode
    form and spacing (RFC 4518 §2 in essence): the national list writes CN first, certificates end with it.
    """

    attributes: tuple[tuple[str, str], ...] = field(compare=False)
    key: tuple[tuple[str, str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compute the form that is compared, once."""
        key = tuple(sorted((oid, _folded(value)) for oid, value in self.attributes))
        object.__setattr__(self, "key", key)

    @classmethod
    def from_text(cls, text: str) -> DistinguishedName:
        """Read `CN=…,OU=…` (RFC 4514; the quoting and `;` of RFC 1779 too). Raises NameFault."""
        if len(text) > MAXIMUM_TEXT:
            raise NameFault("name too long")
        attributes: list[tuple[str, str]] = []
        position = 0
        while True:
            matched = _TYPE.match(text, position)
            if matched is None:
                raise NameFault(f"attribute type expected at {position}")
            value, position = _read_value(text, matched.end())
            attributes.append((_oid(matched.group(1)), value))
            if position == len(text):
                return cls(tuple(attributes))
            if text[position] not in ",;+":
                raise NameFault(f"separator expected at {position}")
            position += 1

    @classmethod
    def from_asn1(cls, name: Any) -> DistinguishedName:
        """Read an `asn1crypto.x509.Name`. Raises NameFault where its values cannot be decoded."""
        try:
            pairs = [
                (attribute["type"].dotted, _text_of(attribute["value"].native))
                for relative in name.chosen
                for attribute in relative
            ]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NameFault("name cannot be decoded") from error
        return cls(tuple(reversed(pairs)))

    @property
    def text(self) -> str:
        """The RFC 4514 text, most specific attribute first."""
        return ",".join(f"{_SHORT.get(oid, oid)}={_escaped(value)}" for oid, value in self.attributes)

    def values(self, short: str) -> tuple[str, ...]:
        """Return the values of one attribute by its short name, for example `values("OU")`."""
        oid = _oid(short)
        return tuple(value for kind, value in self.attributes if kind == oid)

    def includes(self, other: DistinguishedName) -> bool:
        """Tell whether every attribute of `other` is an attribute of this name."""
        return set(other.key) <= set(self.key)


def _text_of(value: object) -> str:
    if not isinstance(value, str):
        raise NameFault("attribute value is not text")
    return value


def _oid(spelling: str) -> str:
    upper = spelling.upper()
    if upper[0].isdigit():
        return upper
    oid = _OIDS.get(_SPELLINGS.get(upper, upper))
    if oid is None:
        raise NameFault(f"unknown attribute type {spelling}")
    return oid


def _read_value(text: str, start: int) -> tuple[str, int]:
    """Return the value at `start` unescaped, and where it ends."""
    if text.startswith("#", start):
        # A BER value in hex (RFC 4514 §2.4): no certificate of the trust space needs one.
        raise NameFault("hexadecimal values are not supported")
    quoted = _QUOTED.match(text, start)
    if quoted is not None:
        return _unescaped(quoted.group(1)), quoted.end()
    plain = _PLAIN.match(text, start)
    if plain is None:  # the pattern also matches nothing
        raise NameFault(f"value expected at {start}")
    raw = plain.group()
    stripped = raw.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    if backslashes % 2:
        stripped += " "  # an escaped trailing space belongs to the value
    return _unescaped(stripped), plain.end()


def _unescaped(raw: str) -> str:
    def replace(matched: re.Match[str]) -> str:
        if matched.group(2) is not None:
            return matched.group(2)
        try:
            return bytes.fromhex(matched.group(1).replace("\\", "")).decode("utf-8")
        except UnicodeDecodeError as error:
            raise NameFault("escaped octets are not UTF-8") from error

    return _ESCAPE.sub(replace, raw)


def _escaped(value: str) -> str:
    escaped = re.sub(r'([\\",;+<>])', r"\\\1", value).replace("\x00", "\\00")
    if escaped.startswith((" ", "#")):
        escaped = "\\" + escaped
    if escaped.endswith(" ") and len(value) > 1:
        escaped = escaped[:-1] + "\\ "
    return escaped


def _folded(value: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).split())
