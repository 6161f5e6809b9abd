"""An export as a file: XLSX for people, CSV for programs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import xlsxwriter

from teleexpertise.billing.exports import Cell, ColumnKind, ExportTable

__all__ = ["FileKind", "write_export"]

_WIDTHS = {
    ColumnKind.TEXT: 24,
    ColumnKind.COUNT: 10,
    ColumnKind.MONEY: 12,
    ColumnKind.DAY: 12,
    ColumnKind.MOMENT: 17,
}
_FORMATS = {
    ColumnKind.COUNT: "0",
    ColumnKind.MONEY: "#,##0.00 €",
    ColumnKind.DAY: "dd/mm/yyyy",
    ColumnKind.MOMENT: "dd/mm/yyyy hh:mm",
}
#: What spreadsheets take for the start of a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SUM_OF_VISIBLE = 109


class FileKind(StrEnum):
    """The two kinds of file."""

    XLSX = "xlsx"
    CSV = "csv"

    @property
    def content_type(self) -> str:
        """The media type of an attachment."""
        if self is FileKind.CSV:
            return "text/csv"
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def write_export(
    table: ExportTable,
    path: Path,
    kind: FileKind,
    total: str,
    tell: Callable[[int], None] | None = None,
) -> int:
    """Write a table to ``path`` and return the number of its rows; ``tell`` hears of each hundred.

    ``total`` is the word beside the sums. Raises ``OSError``.
    """
    counted = replace(table, rows=_counted(table.rows, tell))
    return _write_xlsx(counted, path, total) if kind is FileKind.XLSX else _write_csv(counted, path)


def _counted(
    rows: Iterator[tuple[Cell, ...]], tell: Callable[[int], None] | None
) -> Iterator[tuple[Cell, ...]]:
    for number, row in enumerate(rows, start=1):
        yield row
        if tell is not None and number % 100 == 0:
            tell(number)


def _write_xlsx(table: ExportTable, path: Path, total: str) -> int:
    """Row by row, so that memory does not grow with the rows; strings stay strings, whatever they begin
    with.
    """
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "dd/mm/yyyy",
    }
    with xlsxwriter.Workbook(str(path), options) as workbook:
        workbook.set_properties({"title": table.title})
        sheet = workbook.add_worksheet(table.title[:31])
        bold = workbook.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
        formats = {kind: workbook.add_format({"num_format": code}) for kind, code in _FORMATS.items()}
        text = workbook.add_format()
        for number, column in enumerate(table.columns):
            sheet.set_column(number, number, _WIDTHS[column.kind])
            sheet.write_string(0, number, column.name, bold)
        sheet.freeze_panes(1, 1)
        sums = [Decimal(0)] * len(table.columns)
        rows = 0
        for rows, row in enumerate(table.rows, start=1):
            for number, (column, value) in enumerate(zip(table.columns, row, strict=True)):
                _write_cell(sheet, rows, number, value, formats.get(column.kind, text))
                if column.kind is ColumnKind.MONEY and isinstance(value, Decimal):
                    sums[number] += value
        sheet.autofilter(0, 0, max(rows, 1), len(table.columns) - 1)
        _write_totals(workbook, sheet, table, rows, sums, total)
    return rows


def _write_cell(
    sheet: xlsxwriter.worksheet.Worksheet, row: int, column: int, value: Cell, shape: object
) -> None:
    match value:
        case None | "":
            return
        case str():
            sheet.write_string(row, column, value, shape)
        case datetime():
            sheet.write_datetime(row, column, value.replace(tzinfo=None, microsecond=0), shape)
        case date():
            sheet.write_datetime(row, column, value, shape)
        case _:
            sheet.write_number(row, column, value, shape)


def _write_totals(
    workbook: xlsxwriter.Workbook,
    sheet: xlsxwriter.worksheet.Worksheet,
    table: ExportTable,
    rows: int,
    sums: list[Decimal],
    total: str,
) -> None:
    """A line below that follows the filter; it stands apart, so that sorting leaves it alone."""
    below = rows + 2
    bold = workbook.add_format({"bold": True, "top": 1})
    money = workbook.add_format({"bold": True, "top": 1, "num_format": _FORMATS[ColumnKind.MONEY]})
    sheet.write_string(below, 0, total, bold)
    for number, column in enumerate(table.columns):
        if column.kind is ColumnKind.MONEY:
            name = xlsxwriter.utility.xl_col_to_name(number)
            formula = f"=SUBTOTAL({_SUM_OF_VISIBLE},{name}2:{name}{max(rows, 1) + 1})"
            sheet.write_formula(below, number, formula, money, float(sums[number]))


def _write_csv(table: ExportTable, path: Path) -> int:
    """UTF-8 with BOM and semicolons, as spreadsheets in French read them; no line of sums: programs read
    it.
    """
    rows = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
        writer.writerow([column.name for column in table.columns])
        for rows, row in enumerate(table.rows, start=1):  # noqa: B007 - the last number is the count
            writer.writerow(map(_csv_cell, row))
    return rows


def _csv_cell(value: Cell) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.strftime("%d/%m/%Y %H:%M")
        case date():
            return value.strftime("%d/%m/%Y")
        case Decimal():
            return f"{value:.2f}".replace(".", ",")
        case int():
            return str(value)
        case str():
            return f"'{value}" if value.startswith(_FORMULA) else value
