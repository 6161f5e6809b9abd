"""Last corrections of a report before it is written: what PDF/A asks for and WeasyPrint (70.0) gets wrong."""

from __future__ import annotations

import io
from typing import Any

from fontTools.ttLib import TTFont

from teleexpertise.report.metadata import with_own_namespaces

__all__ = ["finish"]


def finish(_document: Any, pdf: Any) -> None:
    """A finisher of WeasyPrint: corrects the metadata and the widths of glyphs in the PDF to be written."""
    packet = _object(pdf, pdf.catalog["Metadata"]).stream
    packet[:] = [with_own_namespaces(b"".join(packet))]
    for each in pdf.objects:
        if isinstance(each, dict) and each.get("Subtype") == "/CIDFontType2":
            _correct_widths(pdf, each)


def _object(pdf: Any, reference: bytes) -> Any:
    return pdf.objects[int(reference.split()[0])]


def _correct_widths(pdf: Any, font: dict[str, Any]) -> None:
    """Take the widths from the embedded font (``ISO 19005-1 §6.3.6``): those of the layout are rounded.

    ``W`` is a flat list of a first glyph and the list of widths from it on (``ISO 32000-1 §9.7.4.3``).
    """
    program = _object(pdf, _object(pdf, font["FontDescriptor"])["FontFile2"])
    with TTFont(io.BytesIO(b"".join(program.stream)), lazy=True) as embedded:
        advances = [embedded["hmtx"][name][0] for name in embedded.getGlyphOrder()]
        units = embedded["head"].unitsPerEm
    widths = font["W"]
    for first, listed in zip(widths[::2], widths[1::2], strict=True):
        listed[:] = [
            round(advances[glyph] * 1000 / units) if glyph < len(advances) else width
            for glyph, width in enumerate(listed, start=first)
        ]
