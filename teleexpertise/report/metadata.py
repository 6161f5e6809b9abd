"""The XMP packet of a report in the form that every reader of PDF/A understands."""

from __future__ import annotations

from lxml import etree

__all__ = ["with_own_namespaces"]

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def with_own_namespaces(packet: bytes) -> bytes:
    """The packet with the namespaces of each ``rdf:Description`` declared on it and not above it.

    Both are the same XML, but readers that look for the declaration there (Apache PDFBox among them) take the
    file for one that does not say that it is PDF/A (``ISO 19005-1 §6.7.11``).
    """
    root = etree.fromstring(packet)
    rdf = root.find(f"{{{_RDF}}}RDF")
    assert rdf is not None, "WeasyPrint writes RDF"
    plain = etree.Element(root.tag, nsmap={"x": etree.QName(root).namespace})
    bare = etree.SubElement(plain, rdf.tag, nsmap={"rdf": _RDF})
    for description in rdf:
        named = {etree.QName(name).namespace for name in description.attrib}
        named |= {etree.QName(child).namespace for child in description}
        own = {prefix: uri for prefix, uri in rdf.nsmap.items() if prefix and uri in named - {_RDF}}
        copy = etree.SubElement(bare, description.tag, nsmap=own)
        for name, value in description.items():
            copy.set(name, value)
        copy.extend(list(description))
    header = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    return header + etree.tostring(plain, encoding="utf-8") + b'\n<?xpacket end="r"?>'
