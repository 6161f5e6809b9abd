"""Tag lists (RFC 6376 §3.2), the form of a DKIM-Signature field and of a key record."""

from __future__ import annotations

import base64
import binascii
import re

__all__ = ["TagFault", "base64_value", "read_tags", "words"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FOLDING = re.compile(rb"\r\n(?=[ \t])")
_VALUE = re.compile(r"[!-~ \t]*")
_MAXIMUM_TAGS = 100


class TagFault(ValueError):
    """A tag list that is not well formed; `twice` where the same tag occurs two times."""

    def __init__(self, text: str, *, twice: bool = False) -> None:
        self.twice = twice
        super().__init__(text)


def read_tags(octets: bytes) -> dict[str, str]:
    """Read a tag list, folded or not, into name -> value without surrounding white space, in order.

    Raises TagFault; a name that occurs twice makes the whole list invalid (RFC 6376 §3.2).
    """
    try:
        text = _FOLDING.sub(b"", octets).decode("ascii")
    except UnicodeDecodeError as error:
        raise TagFault("tag list is not ASCII") from error
    if _VALUE.fullmatch(text) is None:
        raise TagFault("control character in a tag list")
    specs = text.split(";", _MAXIMUM_TAGS)
    if not specs[-1].strip(" \t"):
        specs.pop()
    if len(specs) > _MAXIMUM_TAGS:
        raise TagFault("too many tags")
    tags: dict[str, str] = {}
    for spec in specs:
        name, equals, value = spec.partition("=")
        name = name.strip(" \t")
        if not equals or _NAME.fullmatch(name) is None:
            raise TagFault("not a tag")
        if name in tags:
            raise TagFault("tag given twice", twice=True)
        tags[name] = value.strip(" \t")
    return tags


def words(value: str) -> tuple[str, ...]:
    """Split a colon-separated value into its words, lower case, without white space around them."""
    return tuple(word.strip(" \t").lower() for word in value.split(":"))


def base64_value(value: str) -> bytes:
    """Decode base64 that may hold white space anywhere (RFC 6376 §3.2). Raises TagFault."""
    try:
        return base64.b64decode(value.replace(" ", "").replace("\t", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise TagFault("not base64") from error
