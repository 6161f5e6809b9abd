"""XML of strangers: read without entities, without network, whatever it claims (CWE-611, CWE-776)."""

from __future__ import annotations

import re

from lxml import etree

__all__ = ["EntitiesRefused", "MarkupUnreadable", "read_markup"]

_DECLARATION = re.compile(
    rb"^(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']"
)
#: Encodings in which ``<!DOCTYPE`` is these octets; in others it could hide.
_ENCODINGS = frozenset(
    {b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"iso-8859-15", b"windows-1252"}
)
#: A tree takes many times the memory of its text: no more marks than a large document has (tags, attributes).
_MOST_TAGS, _MOST_ATTRIBUTES = 300_000, 600_000
_FORBIDDEN = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


class MarkupUnreadable(Exception):
    """Octets that are no well-formed XML of an encoding that we read."""


class EntitiesRefused(MarkupUnreadable):
    """A document type, which could declare entities: no document of ours has one."""


def read_markup(octets: bytes) -> etree._Element:
    """The root element. Raises :class:`MarkupUnreadable`; text may be large, nothing is ever expanded."""
    declared = _DECLARATION.match(octets[:300])
    if declared is not None and declared.group(1).lower() not in _ENCODINGS:
        raise MarkupUnreadable("encoding")
    if octets[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in octets[:4]:
        raise MarkupUnreadable("encoding")
    if octets.count(b"<") > _MOST_TAGS or octets.count(b"=") > _MOST_ATTRIBUTES:
        raise MarkupUnreadable("bounds")
    if _FORBIDDEN.search(octets):
        raise EntitiesRefused("document type")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True
    )
    try:
        root = etree.fromstring(octets, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise MarkupUnreadable("syntax") from error
    if root is None:
        raise MarkupUnreadable("empty")
    return root
