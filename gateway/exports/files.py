"""An export as a file: XLSX for people, CSV for programs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import date, datetime
from io import TextIOWrapper
from pathlib import Path
from types import MappingProxyType
from typing import IO

from gateway.exports.kinds import FileKind
from gateway.exports.workbooks import write_workbook
from teleexpertise.billing.exports import Cell, ColumnKind, ExportTable

__all__ = ["write_export"]

#: What spreadsheets take for the start of a formula (OWASP, CSV injection).
_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")


def write_export(
    table: ExportTable,
    out: Path | IO[bytes],
    kind: FileKind,
    total: str,
    made_at: datetime,
    tell: Callable[[int], None] | None = None,
) -> int:
    """Write a table to a path or an open file; the number of its rows. ``tell`` hears of each hundred.

    ``total`` is the word beside the sums, ``made_at`` what an XLSX says of itself: the same table made at the
    same moment has the same octets. Raises ``OSError``, ``GatewayError`` for more rows than a sheet has.
    """
    counted = replace(table, rows=_counted(table.rows, tell))
    with out.open("wb") if isinstance(out, Path) else nullcontext(out) as file:
        if kind is FileKind.XLSX:
            return write_workbook(counted, file, total, made_at)
        return _write_csv(counted, file)


def _counted(
    rows: Iterator[tuple[Cell, ...]], tell: Callable[[int], None] | None
) -> Iterator[tuple[Cell, ...]]:
    for number, row in enumerate(rows, start=1):
        yield row
        if tell is not None and number % 100 == 0:
            tell(number)


def _write_csv(table: ExportTable, file: IO[bytes]) -> int:
    """UTF-8 with BOM and semicolons, as spreadsheets in French read them; no line of sums: programs read
    it.
    """
    rows = 0
    shown = [_SHOWN[column.kind] for column in table.columns]
    text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow([column.name for column in table.columns])
    for rows, row in enumerate(table.rows, start=1):  # noqa: B007 - the last number is the count
        writer.writerow(
            ["" if value is None else show(value) for show, value in zip(shown, row, strict=True)]
        )
    text.detach()  # flushed; the file is the caller's to close
    return rows


def _text(value: Cell) -> str:
    text = str(value)
    return f"'{text}" if text[:1] in _FORMULA else text


def _money(value: Cell) -> str:
    return f"{value:.2f}".replace(".", ",")


def _day(value: Cell) -> str:
    assert isinstance(value, date), "a column of days holds days"
    return f"{value.day:02}/{value.month:02}/{value.year:04}"


def _moment(value: Cell) -> str:
    assert isinstance(value, datetime), "a column of moments holds moments"
    return f"{_day(value)} {value.hour:02}:{value.minute:02}"


_SHOWN: Mapping[ColumnKind, Callable[[Cell], str]] = MappingProxyType(
    {
        ColumnKind.TEXT: _text,
        ColumnKind.COUNT: str,
        ColumnKind.MONEY: _money,
        ColumnKind.DAY: _day,
        ColumnKind.MOMENT: _moment,
    }
)
