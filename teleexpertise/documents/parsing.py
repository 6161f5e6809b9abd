"""Documents of others become trees only when they are bounded and hold no declaration of their own."""

from __future__ import annotations

from xml.parsers import expat

from lxml import etree

__all__ = ["MAX_ATTRIBUTES", "MAX_DEPTH", "MAX_ELEMENTS", "MAX_OCTETS", "NotReadable", "parse"]

#: A document travels by mail in base64, twice encoded where it holds a PDF: no more fits.
MAX_OCTETS = 40 * 1024 * 1024
MAX_DEPTH = 60
MAX_ELEMENTS = 100_000
#: Counted by their sign, which stands in words and PDFs as well: no document comes near it.
MAX_ATTRIBUTES = 600_000
_OTHERS = ((b"%PDF-", "is_pdf"), (b"PK\x03\x04", "is_archive"))


class NotReadable(ValueError):
    """Octets that are no document; ``reason`` is a name of :mod:`teleexpertise.documents.sentences`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _survey(octets: bytes) -> None:
    """Walk the document without building anything. Raises :class:`NotReadable`.

    A document type is refused whole: whatever entities it declares, none is ever expanded.
    """
    depth = elements = 0

    def begin(*_: object) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > MAX_DEPTH or elements > MAX_ELEMENTS:
            raise NotReadable("xml_bounds")

    def end(*_: object) -> None:
        nonlocal depth
        depth -= 1

    def declared(*_: object) -> None:
        raise NotReadable("xml_doctype")

    walker = expat.ParserCreate()
    walker.StartElementHandler = begin
    walker.EndElementHandler = end
    walker.StartDoctypeDeclHandler = declared
    try:
        walker.Parse(octets, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, NotReadable):
            raise
        # ValueError, LookupError: an encoding that Python does not know.
        raise NotReadable("xml_malformed") from error


def parse(octets: bytes) -> etree._Element:
    """The root of a document of at most :data:`MAX_OCTETS`. Raises :class:`NotReadable`."""
    if len(octets) > MAX_OCTETS or octets.count(b"=") > MAX_ATTRIBUTES:
        raise NotReadable("xml_bounds")
    for beginning, reason in _OTHERS:
        if octets.startswith(beginning):
            raise NotReadable(reason)
    _survey(octets)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(octets, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise NotReadable("xml_malformed") from error
    if root.tag != "{urn:hl7-org:v3}ClinicalDocument":
        raise NotReadable("not_a_document")
    return root
