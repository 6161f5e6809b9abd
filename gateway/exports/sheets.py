"""The rows of a worksheet as the format's XML (ECMA-376 part 1, 18.3.1.73), written without a cell object each.

XlsxWriter makes the workbook; its rows cost four fifths of a large export, most of it in one call per cell. So
the rows are written here, and only the six kinds of cell that an export has. What XlsxWriter writes for the
same cells is held equal by a test, with one difference: in its mode of constant memory a text that begins with
``<r>`` and ends with ``</r>`` goes into the XML as it is, so that a name could bring cells of its own.
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
    """The element ``is`` of a text, whatever it holds: what XML cannot hold is written ``_xHHHH_`` (ST_Xstring,
    ECMA-376 part 1, 22.9.2.19), and what looks like that has its underscore escaped.
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
    """Writes the rows of one table. ``styles`` are the numbers of the cell formats by kind of column; a kind
    without one has plain cells.
    """

    def __init__(self, kinds: Sequence[ColumnKind], styles: Mapping[ColumnKind, int]) -> None:
        self._names = [xl_col_to_name(number) for number in range(len(kinds))]
        marks = {kind: f' s="{number}"' for kind, number in styles.items()}
        self._makers = [self._maker(kind, marks.get(kind, "")) for kind in kinds]
        self._texts: dict[str, str] = {}

    def row(self, number: int, cells: Sequence[Cell]) -> str:
        """The row with a number from 1 on; an empty cell is left out."""
        parts = [f'<row r="{number}">']
        for name, make, value in zip(self._names, self._makers, cells, strict=True):
            if value is not None and value != "":
                parts.append(f'<c r="{name}{number}"{make(value)}</c>')
        parts.append("</row>")
        return "".join(parts)

    def _maker(self, kind: ColumnKind, style: str) -> Callable[[Cell], str]:
        """What writes a cell of one kind of column, from its style on to before its end."""
        match kind:
            case ColumnKind.TEXT:
                return lambda value: self._text(str(value), style)
            case ColumnKind.DAY:
                return lambda value: f"{style}><v>{_day(value)}</v>"
            case ColumnKind.MOMENT:
                return lambda value: f"{style}><v>{_moment(value)}</v>"
            case _:
                return lambda value: f"{style}><v>{value}</v>"

    def _text(self, value: str, style: str) -> str:
        # Names, professions, labels: a few texts fill most of the cells.
        found = self._texts.get(value)
        if found is None:
            if len(self._texts) >= _KEPT_TEXTS:
                self._texts.clear()
            found = self._texts[value] = f' t="inlineStr">{cell_text(value)}'
        return f"{style}{found}"

