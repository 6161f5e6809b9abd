"""Header fields as raw bytes: a bounded reader, the parameters of Content-Type, and the one address of From.

Works on the original octets. Python's email package decodes, repairs and reorders; for a verdict on who
wrote, what is ambiguous must be refused instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = [
    "ContentType",
    "Field",
    "FieldFault",
    "Mailbox",
    "canonical_lines",
    "content_type",
    "parse_mailbox",
    "split_message",
]

MAXIMUM_HEADER = 256 * 1024
"""Octets of one header block."""
MAXIMUM_FIELDS = 1000

# Unrolled, since the possessive quantifiers of Python 3.11.2 (Debian 12) lose matches.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n")
_TOKEN = rb"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+"
_TYPE = re.compile(rb"\s*(" + _TOKEN + rb")/(" + _TOKEN + rb")\s*")
_PARAMETER = re.compile(
    rb";\s*(" + _TOKEN + rb")\s*=\s*(?:(" + _TOKEN + rb')|"((?:[^"\\\r\n]|\\[ -~\t])*)")\s*'
)
_ATOM = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]"
_ADDRESS = re.compile(rf"({_ATOM}+(?:\.{_ATOM}+)*)@([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)")
_PHRASE_WORD = re.compile(r'\s*("(?:[^"\\\x00]|\\[^\x00])*"|[^\s"(),:;<>@\[\]\\]+|\((?:[^()\\]|\\.)*\))')
_SPACE_OR_COMMENT = re.compile(r"\s*(?:\((?:[^()\\]|\\.)*\)\s*)*")


_BARE_LF = re.compile(rb"(?<!\r)\n")


class FieldFault(ValueError):
    """A header block or a field value that is not well formed or means two things."""


@dataclass(frozen=True, slots=True)
class Field:
    """One header field: its name as written and its value unfolded, without surrounding white space."""

    name: str
    value: bytes

    @property
    def key(self) -> str:
        """The name in lower case."""
        return self.name.lower()

    @property
    def text(self) -> str:
        """The value as text; octets outside of UTF-8 are replaced, so this is for reading only."""
        return self.value.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class ContentType:
    """Type and subtype in lower case as `media`, parameter names in lower case, values as written."""

    media: str
    parameters: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str | None:
        """Return a parameter's value, None when it is absent."""
        return dict(self.parameters).get(name)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address of a From field: display name still encoded, address as written with its domain in lower
    case.
    """

    name: str
    address: str

    @property
    def domain(self) -> str:
        """The part behind `@`, lower case."""
        return self.address.rpartition("@")[2]


def split_message(raw: bytes) -> tuple[tuple[Field, ...], int]:
    """Read the header block of a message or MIME part in CRLF form: its fields and where the body begins.

    A message that ends with its header has its body at its end. Raises FieldFault.
    """
    fields: list[Field] = []
    position = 0
    while True:
        if raw.startswith(b"\r\n", position):
            return tuple(fields), position + 2
        if position == len(raw):
            return tuple(fields), position
        matched = _FIELD.match(raw, position, MAXIMUM_HEADER)
        if matched is None:
            raise FieldFault(f"no header field at octet {position}")
        if len(fields) == MAXIMUM_FIELDS:
            raise FieldFault("too many header fields")
        value = matched.group(2).replace(b"\r\n", b"").strip(b" \t")
        fields.append(Field(matched.group(1).decode("ascii"), value))
        position = matched.end()


def canonical_lines(octets: bytes) -> bytes:
    """Bring a message or entity whose first line ends in LF alone to CRLF, all its lines (RFC 8551 §3.1.1).

    So are those written that never were in transport form. Others, such as binary ones, stay as they are.
    """
    first = octets.find(b"\n")
    if first < 0 or octets[first - 1 : first] == b"\r":
        return octets
    return _BARE_LF.sub(b"\r\n", octets)


def only(fields: Sequence[Field], name: str) -> Field | None:
    """Return the field of this name (lower case), None when absent. Raises FieldFault for two."""
    found = [field for field in fields if field.key == name]
    if len(found) > 1:
        raise FieldFault(f"{name} occurs twice")
    return found[0] if found else None


def content_type(fields: Sequence[Field]) -> ContentType:
    """Read Content-Type strictly (RFC 2045 §5.1); text/plain when absent. Raises FieldFault."""
    field = only(fields, "content-type")
    if field is None:
        return ContentType("text/plain")
    matched = _TYPE.match(field.value)
    if matched is None:
        raise FieldFault("content type")
    media = b"/".join(matched.groups()).decode("ascii").lower()
    return ContentType(media, tuple(_parameters(field.value, matched.end())))


# What decides how a message is split and whether its header is protected.
_STRUCTURAL = frozenset({"boundary", "protocol", "smime-type", "hp"})


def _parameters(value: bytes, position: int) -> Iterator[tuple[str, str]]:
    """Read parameters one by one. Those that decide about structure must not come in sections or encoded
    (RFC 2231 §3-4): one reader would take `boundary*0`, another the plain one or none.
    """
    seen: set[str] = set()
    while value[position:].strip(b"; \t"):
        matched = _PARAMETER.match(value, position)
        if matched is None:
            raise FieldFault("content type parameter")
        name, token, quoted = matched.groups()
        key = name.decode("ascii").lower()
        if key in seen:
            raise FieldFault("content type parameter given twice")
        if key.partition("*")[0] in _STRUCTURAL and "*" in key:
            raise FieldFault("content type parameter in sections")
        seen.add(key)
        octets = token if token is not None else re.sub(rb"\\(.)", rb"\1", quoted)
        yield key, octets.decode("utf-8", "replace")
        position = matched.end()


def parse_mailbox(value: bytes) -> Mailbox:
    """Read a From value that holds exactly one address (RFC 5322 §3.4, no group, no list, no route).

    Raises FieldFault for anything else, such as `a@x.example)b@y.example`, where parsers disagree
    (CVE-2023-27043).
    """
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FieldFault("address field is not text") from error
    position = _skip(text, 0)
    bare = _ADDRESS.match(text, position)
    if bare is not None and _skip(text, bare.end()) == len(text):
        return _mailbox("", bare)
    words = []
    while not text.startswith("<", position):
        word = _PHRASE_WORD.match(text, position)
        if word is None:
            raise FieldFault("not one address")
        words.append(word.group(1))
        position = _skip(text, word.end())
    address = _ADDRESS.match(text, position + 1)
    if address is None or not text.startswith(">", address.end()):
        raise FieldFault("not one address")
    if _skip(text, address.end() + 1) != len(text):
        raise FieldFault("text behind the address")
    return _mailbox(" ".join(words), address)


def _skip(text: str, position: int) -> int:
    matched = _SPACE_OR_COMMENT.match(text, position)
    return position if matched is None else matched.end()


def _mailbox(name: str, matched: re.Match[str]) -> Mailbox:
    local, domain = matched.groups()
    return Mailbox(name, f"{local}@{domain.lower()}")
