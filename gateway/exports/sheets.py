"""The rows of a worksheet as the format's XML (ECMA-376 part 1, 18.3.1.73), without an object for each cell.

XlsxWriter makes the workbook; its rows cost half of a large export, most of it in the calls for one cell. So
the rows are written here, and only the kinds of cell that an export has. A test holds them equal to what
XlsxWriter writes for the same cells, with one difference: in its mode of constant memory a text that begins
with ``<r>`` and ends with ``</r>`` goes into the XML as it is, so that a name could bring cells of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from xlsxwriter.utility import xl_col_to_name

from teleexpertise.billing.exports import Cell, ColumnKind

__all__ = ["MAX_TEXT", "RowWriter", "cell_text"]

MAX_TEXT = 32_767
"""The most UTF-16 units of one cell (Excel's limit)."""
#: The format counts a 29 February 1900 that never was: before March 1900 days begin one later.
_DAY_ZERO = date(1899, 12, 30).toordinal()
_MARCH_1900 = date(1900, 3, 1).toordinal()
_DAY_SECONDS = 86_400
_ESCAPE = re.compile("(_x[0-9a-fA-F]{4}_)")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]")
_MARKED = re.compile("[&<>]|_x|[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]")
_KEPT_TEXTS = 20_000


def cell_text(text: str) -> str:
    """The element ``is`` of a text, whatever it holds: what XML cannot hold is written ``_xHHHH_``
    (ST_Xstring, ECMA-376 part 1, 22.9.2.19), and what looks like that has its underscore escaped.
    """
    shown = _shortened(text)
    if _MARKED.search(shown):
        shown = _ESCAPE.sub(r"_x005F\1", shown)
        shown = _CONTROL.sub(lambda found: f"_x{ord(found[0]):04X}_", shown)
        shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    kept = ' xml:space="preserve"' if shown[:1].isspace() or shown[-1:].isspace() else ""
    return f"<is><t{kept}>{shown}</t></is>"


def _shortened(text: str) -> str:
    """The text within the limit of a cell; no character is cut in two."""
    if len(text) <= MAX_TEXT // 2:
        return text
    octets = text.encode("utf-16-le", "surrogatepass")[: 2 * MAX_TEXT]
    return octets.decode("utf-16-le", "ignore")


def _day(value: Cell) -> int:
    assert isinstance(value, date), "a column of days holds days"
    day = value.toordinal()
    return day - _DAY_ZERO - (day < _MARCH_1900)


def _moment(value: Cell) -> str:
    """Days and the part of a day; whole seconds, as the clock of the readers shows them."""
    assert isinstance(value, datetime), "a column of moments holds moments"
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    return f"{_day(value) + seconds / _DAY_SECONDS:.16G}"


class RowWriter:
    """Writes the rows of one table. ``styles`` are the numbers of the cell formats by kind of column; text
    has plain cells.
    """

    def __init__(self, kinds: Sequence[ColumnKind], styles: Mapping[ColumnKind, int]) -> None:
        self._columns = [
            (f'<c r="{xl_col_to_name(number)}', _value_writer(kind), f'" s="{styles.get(kind, 0)}"><v>')
            for number, kind in enumerate(kinds)
        ]
        self._texts: dict[str, str] = {}

    def row(self, number: int, cells: Sequence[Cell]) -> str:
        """The row with a number from 1 on; an empty cell is left out."""
        parts, texts = [f'<row r="{number}">'], self._texts
        for (begin, written, style), value in zip(self._columns, cells, strict=True):
            if value is None or value == "":
                continue
            if written is None:
                shown = str(value)
                # Names, professions, labels: a few texts fill most of the cells.
                parts.append(f"{begin}{number}{texts.get(shown) or self._text(shown)}")
            else:
                parts.append(f"{begin}{number}{style}{written(value)}</v></c>")
        parts.append("</row>")
        return "".join(parts)

    def _text(self, value: str) -> str:
        """What follows a cell's name, kept for the next one with the same text."""
        if len(self._texts) >= _KEPT_TEXTS:
            self._texts.clear()
        found = self._texts[value] = f'" t="inlineStr">{cell_text(value)}</c>'
        return found


def _value_writer(kind: ColumnKind) -> Callable[[Cell], str] | None:
    """What writes the number of a cell; ``None`` for text."""
    match kind:
        case ColumnKind.TEXT:
            return None
        case ColumnKind.DAY:
            return _day_number
        case ColumnKind.MOMENT:
            return _moment
        case _:
            return str


def _day_number(value: Cell) -> str:
    return str(_day(value))
