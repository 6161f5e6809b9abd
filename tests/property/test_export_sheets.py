"""The rows of an XLSX: what XlsxWriter writes for the same cells, and what another program reads."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.exports.files import write_export
from gateway.exports.kinds import FileKind
from gateway.exports.sheets import MAX_TEXT, RowWriter
from teleexpertise.billing.exports import Cell, Column, ColumnKind, ExportTable

MADE = datetime(2026, 4, 1, 6, tzinfo=UTC)
KINDS = tuple(ColumnKind)
CODES = {"count": "0", "money": "#,##0.00 €", "day": "dd/mm/yyyy", "moment": "dd/mm/yyyy hh:mm"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "_x0041_",
        " a",
        "b\n",
        "\x00\x1f\t",
        "<&>\"'",
        "=1+1",
        "<r>",
        "\ufffe\uffff",
        "_x00G1_",
        "\u00a0",
        "\U0001f600",
    ]
)


def moment(day: date, at: time = time(8)) -> datetime:
    """A moment as the clock of the readers shows it: without a zone, whole seconds."""
    return datetime.combine(day, at.replace(microsecond=0))


STRATEGIES: dict[ColumnKind, st.SearchStrategy[Any]] = {
    ColumnKind.TEXT: TEXT,
    ColumnKind.COUNT: st.integers(0, 10**6),
    ColumnKind.MONEY: st.decimals(0, 10**6, places=2),
    ColumnKind.DAY: st.dates(date(1900, 1, 2), date(2120, 1, 1)),
    ColumnKind.MOMENT: st.builds(moment, st.dates(date(1900, 3, 2), date(2120, 1, 1)), st.times()),
}
ROWS = st.lists(st.tuples(*(st.none() | STRATEGIES[kind] for kind in KINDS)), min_size=1, max_size=4)


def by_xlsxwriter(rows: list[tuple[Cell, ...]]) -> tuple[str, dict[ColumnKind, int]]:
    """The rows as XlsxWriter writes them row by row, and the numbers of its formats."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        formats = {ColumnKind(name): book.add_format({"num_format": code}) for name, code in CODES.items()}
        for column, one in enumerate(formats.values()):
            sheet.write_blank(0, column, None, one)  # formats are numbered by their first use
        for number, row in enumerate(rows, start=1):
            for column, (kind, value) in enumerate(zip(KINDS, row, strict=True)):
                if value is None or value == "":
                    continue
                if kind is ColumnKind.TEXT:
                    sheet.write_string(number, column, value)
                elif kind in (ColumnKind.DAY, ColumnKind.MOMENT):
                    sheet.write_datetime(number, column, value, formats[kind])
                else:
                    sheet.write_number(number, column, value, formats[kind])
    with zipfile.ZipFile(file) as archive:
        content = archive.read("xl/worksheets/sheet1.xml").decode()
    found = re.search('<sheetData><row r="1".*?</row>(.*)</sheetData>', content, re.DOTALL)
    styles = {kind: number for number, kind in enumerate(formats, start=1)}
    return (found[1] if found else ""), styles


def cells(xml: str) -> list[tuple[str, str, str, str, str | None]]:
    """Name, style, type, text and whether blanks are kept, of each cell."""
    root = etree.fromstring(f"<sheetData>{xml}</sheetData>".encode())
    space = "{http://www.w3.org/XML/1998/namespace}space"
    return [
        (
            str(cell.get("r")),
            str(cell.get("s")),
            str(cell.get("t")),
            "".join(map(str, cell.itertext())),
            next((text.get(space) for text in cell.iter("t")), None),
        )
        for cell in root.iter("c")
    ]


@settings(max_examples=30)
@given(rows=ROWS)
def test_the_rows_are_those_of_xlsxwriter(rows: list[tuple[Cell, ...]]) -> None:
    theirs, styles = by_xlsxwriter(rows)
    writer = RowWriter(KINDS, styles)
    ours = "".join(writer.row(number, row) for number, row in enumerate(rows, start=2))
    assert cells(ours) == cells(theirs)


def written(rows: list[tuple[Cell, ...]], path: Path) -> None:
    columns = tuple(Column(kind, kind.capitalize(), kind) for kind in KINDS)
    assert write_export(ExportTable("Essai", columns, iter(rows)), path, FileKind.XLSX, "Total", MADE) == len(
        rows
    )


def test_another_program_reads_what_was_written(tmp_path: Path) -> None:
    rows: list[tuple[Cell, ...]] = [
        ("Élise  « à »", 3, Decimal("27.60"), date(1957, 3, 2), moment(date(2026, 3, 28), time(23, 59, 59))),
        (" =1+1 & <b>", 0, Decimal("0.00"), date(1900, 2, 28), moment(date(2026, 3, 29), time(3))),
        ("", None, None, None, None),
        ("00123", None, Decimal("123456.78"), date(1900, 3, 1), None),
    ]
    path = tmp_path / "sheet.xlsx"
    written(rows, path)
    (sheet,) = openpyxl.load_workbook(path).worksheets
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("B2", "A1:E5")
    shapes = [cell.number_format for cell in sheet[2]]
    assert shapes == ["General", "0", "#,##0.00 €", "dd/mm/yyyy", "dd/mm/yyyy hh:mm"]
    for number, row in enumerate(rows, start=2):
        text, count, money, day, at = (cell.value for cell in sheet[number])
        assert (text or "", count) == row[:2]
        assert money is None or round(Decimal(money), 2) == row[2]
        assert (day and day.date(), at) == row[3:]
    assert sheet["A7"].value == "Total"
    assert sheet["C7"].value == "=SUBTOTAL(109,C2:C5)"
    assert openpyxl.load_workbook(path, data_only=True).worksheets[0]["C7"].value == 123484.38


@pytest.mark.parametrize(
    "hostile",
    [
        '<r></t></is></c><c r="Z2"><f>HYPERLINK("https://x.example")</f></c></r>',
        "</t></is></c></row></sheetData>",
        "]]>&lt;",
        "\ud800 seule",
    ],
)
def test_a_text_brings_no_markup_and_no_cell_of_its_own(hostile: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.xlsx"
    written([(hostile, 1, Decimal(1), None, None)], path)
    (sheet,) = openpyxl.load_workbook(path).worksheets
    assert sheet.max_column == len(KINDS)
    assert sheet["A2"].value == hostile.replace("\ud800", "_xD800_")
    assert sheet["A2"].data_type == "s"


def test_a_text_longer_than_a_cell_is_cut_at_a_character(tmp_path: Path) -> None:
    path = tmp_path / "long.xlsx"
    written([("a" + "\U0001f600" * MAX_TEXT, None, None, None, None)], path)
    (sheet,) = openpyxl.load_workbook(path).worksheets
    assert sheet["A2"].value == "a" + "\U0001f600" * ((MAX_TEXT - 1) // 2)


def test_the_same_table_has_the_same_octets(tmp_path: Path) -> None:
    rows: list[tuple[Cell, ...]] = [("a", 1, Decimal("2.5"), date(2026, 1, 1), moment(date(2026, 1, 1)))]
    for name in ("one", "two"):
        written(list(rows), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
