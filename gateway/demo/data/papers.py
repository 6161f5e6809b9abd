"""The papers that demonstration experts hand out: small DOCX forms to be filled in any word processor."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from teleexpertise.people import Document

__all__ = ["paper"]

_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_RELATIONS = "application/vnd.openxmlformats-package.relationships+xml"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"

# The two parts beside the document that every package must have (ECMA-376 part 2).
_FRAME = {
    "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
    f'<Default Extension="rels" ContentType="{_RELATIONS}"/>'
    f'<Override PartName="/word/document.xml" ContentType="{_TYPE}.main+xml"/></Types>',
    "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}" Target="word/document.xml"/></Relationships>',
}


def paper(
    table: Mapping[str, Any], organisation: str, values: Sequence[str] = (), filename: str = ""
) -> Document:
    """One form of ``demo.toml`` (title, advice, lines), blank or with ``values`` in its lines."""
    source = files("gateway.demo.data").joinpath("templates", "document.xml.j2").read_text("utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
    lines = table["lines"]
    filled = [*values, *[""] * (len(lines) - len(values))]
    body = template.render(
        title=table["title"],
        advice=table["advice"],
        organisation=organisation,
        rows=list(zip(lines, filled, strict=True)),
    )
    content = _package({**_FRAME, "word/document.xml": body})
    return Document(filename=filename or table["filename"], content_type=_TYPE, content=content)


def _package(parts: Mapping[str, str]) -> bytes:
    """A zip archive that is the same every time: the entries' dates are fixed."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        for name, text in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return output.getvalue()
