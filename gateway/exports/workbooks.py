"""An XLSX: XlsxWriter makes the workbook around the rows, :mod:`gateway.exports.sheets` the rows."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from tempfile import TemporaryFile
from textwrap import wrap
from typing import IO

import xlsxwriter

from gateway.errors import GatewayError
from gateway.exports.sheets import RowWriter
from teleexpertise.billing.exports import Cell, ColumnKind, ExportTable

__all__ = ["write_workbook"]

#: Characters of a column by its kind, and of those whose words are shorter or longer than most.
_WIDTHS = {
    ColumnKind.TEXT: 20,
    ColumnKind.COUNT: 10,
    ColumnKind.MONEY: 12,
    ColumnKind.DAY: 12,
    ColumnKind.MOMENT: 17,
}
_OWN_WIDTHS = {
    "reference": 17,
    "role": 11,
    "state": 11,
    "urgency": 13,
    "asked_of": 34,
    "finaliser": 34,
    "outcome": 26,
    "account": 34,
    "name": 30,
    "profession": 26,
    "rpps": 13,
    "number": 15,
    "finess": 11,
    "unit": 10,
    "counterpart_account": 34,
    "counterpart_name": 30,
    "counterpart_profession": 26,
    "counterpart_rpps": 14,
    "counterpart_number": 18,
    "counterpart_finess": 14,
    "patient_name": 22,
    "patient_first_names": 22,
    "patient_sex": 9,
    "patient_birth_place": 14,
    "patient_ins": 17,
    "patient_qualified": 11,
    "insured_number": 17,
    "act": 7,
    "act_cnam": 11,
    "act_label": 25,
    "exemption": 24,
    "third_party": 9,
    "correction": 40,
    "refusal": 44,
    "anomalies": 60,
    "source": 60,
}
#: Points of a line of the head; capitals and bold letters are wider than the digits that widths count.
_LINE_POINTS = 15
_BOLD = 1.2
_FORMATS = {
    ColumnKind.COUNT: "0",
    ColumnKind.MONEY: "#,##0.00 €",
    ColumnKind.DAY: "dd/mm/yyyy",
    ColumnKind.MOMENT: "dd/mm/yyyy hh:mm",
}
_A4 = 9
_SUM_OF_VISIBLE = 109
_SHEET = "xl/worksheets/sheet1.xml"
_PIECE = 1024 * 1024
#: Half the time of the usual level, and files an eighth larger.
_COMPRESSION = 3
#: Larger entries need the fields of ZIP64, which old readers do not know.
_PLAIN_OCTETS = 1_900_000_000
#: Of the sheet (Excel's limit), less the head, an empty row and the totals.
_MOST_ROWS = 1_048_576 - 3
#: The row that shows the formats: it is in no file.
_SAMPLE = re.compile(rb'<row r="2"[^>]*>(.*?)</row>')
_STYLE = re.compile(rb'<c r="[A-Z]+2" s="(\d+)"/>')


@dataclass(slots=True)
class _Counts:
    """What the line of totals is made of: rows so far, and the sum of each column of money."""

    rows: int
    sums: list[Decimal]


def write_workbook(table: ExportTable, file: IO[bytes], total: str, made_at: datetime) -> int:
    """Write a table to a file row by row, so that memory does not grow with the rows; the number of rows.

    Raises ``OSError``, and :class:`GatewayError` for more rows than a sheet has.
    """
    counts = _Counts(0, [Decimal(0)] * len(table.columns))
    styles = _styles(_frame(table, counts, total, made_at))
    kinds = [column.kind for column in table.columns]
    with TemporaryFile(prefix="tle-rows-") as rows:
        write = RowWriter(kinds, styles).row
        for number, cells in enumerate(_added(table, counts), start=2):
            rows.write(write(number, cells).encode())
        frame = _frame(table, counts, total, made_at)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive:
            _fill(archive, frame, rows)
    return counts.rows


def _added(table: ExportTable, counts: _Counts) -> Iterator[tuple[Cell, ...]]:
    """The rows, counted and summed up on their way."""
    money = [number for number, column in enumerate(table.columns) if column.kind is ColumnKind.MONEY]
    for cells in table.rows:
        if counts.rows == _MOST_ROWS:
            raise GatewayError(f"more than the {_MOST_ROWS:,} rows of a sheet: export as csv, or fewer days")
        counts.rows += 1
        for number in money:
            value = cells[number]
            if isinstance(value, Decimal):
                counts.sums[number] += value
        yield cells


def _frame(table: ExportTable, counts: _Counts, total: str, made_at: datetime) -> zipfile.ZipFile:
    """The workbook without its rows: head, widths, freeze, filter, totals, and a second row of one blank cell
    for each format. Text stays text, whatever it begins with.
    """
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    file = BytesIO()
    with xlsxwriter.Workbook(file, options) as workbook:
        workbook.set_properties({"title": table.title, "created": made_at.replace(tzinfo=None)})
        sheet = workbook.add_worksheet(table.title[:31])
        bold = workbook.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
        _lay_out(sheet, table, counts)
        for number, column in enumerate(table.columns):
            sheet.write_string(0, number, column.name, bold)
        for number, code in enumerate(_FORMATS.values()):
            sheet.write_blank(1, number, None, workbook.add_format({"num_format": code}))
        sheet.freeze_panes(1, 1)
        sheet.autofilter(0, 0, max(counts.rows, 1), len(table.columns) - 1)
        _write_totals(workbook, sheet, table, counts, total)
    return zipfile.ZipFile(file)


def _lay_out(sheet: xlsxwriter.worksheet.Worksheet, table: ExportTable, counts: _Counts) -> None:
    """Widths, a head as high as its longest name, pages for who prints it, and no marks on numbers that are
    text: the correction they offer would take the zero from 010000018.
    """
    lines = 1
    for number, column in enumerate(table.columns):
        width = _OWN_WIDTHS.get(column.key, _WIDTHS[column.kind])
        sheet.set_column(number, number, width)
        lines = max(lines, len(wrap(column.name, int(width / _BOLD))))
    sheet.set_row(0, lines * _LINE_POINTS)
    sheet.set_landscape()
    sheet.set_paper(_A4)
    sheet.repeat_rows(0)
    sheet.repeat_columns(0)
    sheet.set_footer("&L&A&R&P / &N")
    last = xlsxwriter.utility.xl_col_to_name(len(table.columns) - 1)
    sheet.ignore_errors({"number_stored_as_text": f"A1:{last}{max(counts.rows, 1) + 1}"})


def _write_totals(
    workbook: xlsxwriter.Workbook,
    sheet: xlsxwriter.worksheet.Worksheet,
    table: ExportTable,
    counts: _Counts,
    total: str,
) -> None:
    """A line below that follows the filter; it stands apart, so that sorting leaves it alone."""
    below = counts.rows + 2
    bold = workbook.add_format({"bold": True, "top": 1})
    money = workbook.add_format({"bold": True, "top": 1, "num_format": _FORMATS[ColumnKind.MONEY]})
    sheet.write_string(below, 0, total, bold)
    for number, column in enumerate(table.columns):
        if column.kind is ColumnKind.MONEY:
            name = xlsxwriter.utility.xl_col_to_name(number)
            formula = f"=SUBTOTAL({_SUM_OF_VISIBLE},{name}2:{name}{max(counts.rows, 1) + 1})"
            sheet.write_formula(below, number, formula, money, float(counts.sums[number]))


def _styles(frame: zipfile.ZipFile) -> Mapping[ColumnKind, int]:
    """The numbers that the formats have in the workbook, as its sample row shows them."""
    sample = _SAMPLE.search(frame.read(_SHEET))
    assert sample is not None, "XlsxWriter writes the row of formats"
    return dict(zip(_FORMATS, map(int, _STYLE.findall(sample[1])), strict=True))


def _fill(archive: zipfile.ZipFile, frame: zipfile.ZipFile, rows: IO[bytes]) -> None:
    """The parts of the workbook, its rows in place of the sample one."""
    rows_size = rows.seek(0, os.SEEK_END)
    rows.seek(0)
    for part in frame.infolist():
        content = frame.read(part)
        # By name, so that the entry has the day that all entries have, and the archive's compression.
        large = part.filename == _SHEET and rows_size > _PLAIN_OCTETS
        with archive.open(part.filename, "w", force_zip64=large) as target:
            if part.filename != _SHEET:
                target.write(content)
                continue
            sample = _SAMPLE.search(content)
            assert sample is not None, "XlsxWriter writes the row of formats"
            target.write(content[: sample.start()])
            shutil.copyfileobj(rows, target, _PIECE)
            target.write(content[sample.end() :])
