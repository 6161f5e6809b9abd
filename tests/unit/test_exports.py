"""Exports: which rows and cells a selection gives, and the two kinds of file as other programs read them."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import wrap
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from lxml import etree

from gateway.exports.files import write_export
from gateway.exports.kinds import FileKind
from teleexpertise.billing.exports import Activity, ExportTable, Selection, Untold, export_table
from teleexpertise.billing.rating import Anomaly, BillingParty, NotBillable
from teleexpertise.billing.shown import Shown
from teleexpertise.billing.tariffs import Role, Tariffs
from teleexpertise.commands import Command, Export, Unknown, command_subject, read_command
from teleexpertise.patients import Patient
from teleexpertise.states import State
from teleexpertise.texts.words import Words, load_words
from tests.support.billing import PATIENT, shipped_tariffs

PARIS = ZoneInfo("Europe/Paris")
GP = BillingParty(
    address="gp@ch.mssante.example",
    name="Dr Claire MARTIN",
    profession="Médecin généraliste",
    rpps="10999900011",
    number="439900101",
)
EXPERT = BillingParty(
    address="avis@ch.mssante.example",
    name="Avis Dermatologie CH",
    profession="Dermatologie",
    number="439900010/05",
    unit="UF 3412",
)


def activity(ref: str, finalised: datetime | None, **changes: Any) -> Activity:
    values: dict[str, Any] = {
        "ref": ref,
        "state": State.COMPLETED if finalised else State.IN_PROGRESS,
        "requested_at": datetime(2025, 12, 30, 9, tzinfo=UTC),
        "answered_at": finalised,
        "finalised_at": finalised,
        "version": 1 if finalised else 0,
        "requester": GP,
        "expert": EXPERT,
        "patient": PATIENT,
        "finaliser": "Dr Léonie FARGETTE pour Avis Dermatologie CH",
        "outcome": "Surveillance",
    }
    return Activity(**values | changes)


#: Half past midnight in Paris on 1 January is still the old year in UTC.
NEW_YEAR = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
OLD_YEAR = datetime(2025, 12, 31, 22, 30, tzinfo=UTC)
ACTIVITIES = (
    activity("TLE-2025-000001", OLD_YEAR, patient=replace(PATIENT, birth_order=2)),
    activity("TLE-2026-000001", NEW_YEAR, patient=Patient(anonymous=True)),
    activity("TLE-2026-000002", None),
    activity("TLE-2026-000003", None, state=State.DECLINED),
)


@pytest.fixture(scope="module")
def words() -> Words:
    return load_words()


@pytest.fixture(scope="module")
def tariffs() -> Tariffs:
    return shipped_tariffs()


def table(selection: Selection, tariffs: Tariffs, words: Words) -> ExportTable:
    return export_table(ACTIVITIES, selection, tariffs, words, PARIS)


def rows(selection: Selection, tariffs: Tariffs, words: Words) -> list[dict[str, Any]]:
    made = table(selection, tariffs, words)
    return [dict(zip((column.name for column in made.columns), row, strict=True)) for row in made.rows]


def test_a_row_is_one_side_rated_by_the_day_of_the_readers(tariffs: Tariffs, words: Words) -> None:
    found = rows(Selection(addresses=None), tariffs, words)
    assert [(row["Référence"], row["Rôle"], row["Acte"], row["Montant (€)"]) for row in found] == [
        ("TLE-2025-000001", "expert", "TE2", Decimal("20")),
        ("TLE-2025-000001", "demandeur", "RQD", Decimal("10")),
        ("TLE-2026-000001", "expert", "TE2", Decimal("23")),
        ("TLE-2026-000001", "demandeur", "RQD", Decimal("10")),
    ]
    first = found[0]
    assert first["Numéro de facturation du correspondant (prescripteur)"] == GP.number
    assert first["Finalisée par"] == "Dr Léonie FARGETTE pour Avis Dermatologie CH"
    assert first["Finalisée le"].isoformat() == "2025-12-31T23:30:00+01:00"
    assert first["Tiers payant"] == "oui"
    assert (first["UF"], found[1]["UF"]) == ("UF 3412", "")
    rank = "Patient : rang (naissance multiple)"
    assert (first[rank], found[2][rank]) == (2, None)
    assert found[2]["Patient : nom de naissance"] == "anonyme"
    assert "patient anonyme" in found[2]["À régulariser"]


@pytest.mark.parametrize(
    ("changes", "references"),
    [
        ({"roles": (Role.EXPERT,)}, ["TLE-2025-000001", "TLE-2026-000001"]),
        ({"addresses": frozenset({EXPERT.address})}, ["TLE-2025-000001", "TLE-2026-000001"]),
        ({"addresses": frozenset()}, []),
        ({"first": date(2026, 1, 1), "roles": (Role.EXPERT,)}, ["TLE-2026-000001"]),
        ({"last": date(2025, 12, 31), "roles": (Role.EXPERT,)}, ["TLE-2025-000001"]),
        ({"pending": True, "roles": (Role.REQUESTER,)}, ["TLE-2026-000002"]),
        ({"pending": True, "first": date(2025, 12, 31)}, []),
    ],
)
def test_a_selection_gives_its_rows_and_no_other(
    tariffs: Tariffs, words: Words, changes: dict[str, Any], references: list[str]
) -> None:
    found = rows(Selection(**{"addresses": None, **changes}), tariffs, words)
    assert [row["Référence"] for row in found] == references


def test_of_what_another_operator_holds_only_our_side_is_shown_and_counted(
    tariffs: Tariffs, words: Words
) -> None:
    elsewhere = [
        activity(
            f"TLE-2026-00000{number}@voisin.example",
            NEW_YEAR + timedelta(days=number),
            held_by="voisin.example",
            ours=frozenset({GP.address}),
        )
        for number in range(1, 4)
    ]
    hidden = activity(
        "TLE-2026-000009@voisin.example",
        NEW_YEAR,
        held_by="voisin.example",
        ours=frozenset({GP.address}),
        patient=Patient(),
        patient_told=False,
    )
    mine = [activity(f"TLE-2026-00002{number}", NEW_YEAR + timedelta(days=40 + number)) for number in (1, 2)]
    made = export_table([*elsewhere, hidden, *mine], Selection(addresses=None), tariffs, words, PARIS)
    names = [column.name for column in made.columns]
    found: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in made.rows]
    there = [row for row in found if row["Tenue par un autre opérateur"] == "voisin.example"]
    assert {(row["Rôle"], row["Compte"]) for row in there} == {("demandeur", GP.address)}
    assert "identité du patient non transmise" in there[0]["À régulariser"]
    counted = [row["Rang dans l'année"] for row in found if row["Rôle"] == "demandeur"]
    assert counted == [None, 1, 2, 3, 4, 5], "the fifth act of the year, three of them asked elsewhere"
    assert "nombre maximal" in found[-1]["À régulariser"]
    assert [row["Rang dans l'année"] for row in found if row["Rôle"] == "expert"] == [4, 5]


def test_a_holder_that_told_nothing_leaves_lines_to_be_settled_and_no_guess(
    tariffs: Tariffs, words: Words
) -> None:
    closed = Untold(
        ref="TLE-2026-000007@voisin.example",
        held_by="voisin.example",
        state=State.COMPLETED,
        requested_at=OLD_YEAR,
        finalised_at=NEW_YEAR,
        members=(GP,),
    )
    going_on = replace(
        closed, ref="TLE-2026-000008@voisin.example", state=State.IN_PROGRESS, finalised_at=None
    )
    for pending, ref in ((False, closed.ref), (True, going_on.ref)):
        selection = Selection(addresses=frozenset({GP.address}), pending=pending)
        made = export_table([], selection, tariffs, words, PARIS, untold=[closed, going_on])
        names = [column.name for column in made.columns]
        found: list[dict[str, Any]] = [dict(zip(names, each, strict=True)) for each in made.rows]
        (row,) = found
        assert (row["Référence"], row["Rôle"], row["RPPS"]) == (ref, "non transmis", GP.rpps)
        assert "n'en a pas transmis les données" in row["À régulariser"]
        assert row["Correspondant"] is None
    other = Selection(addresses=frozenset({EXPERT.address}))
    assert not list(export_table([], other, tariffs, words, PARIS, untold=[closed]).rows)


def test_each_reason_has_its_french_words(words: Words) -> None:
    for reason in NotBillable:
        assert words.of("not_billable", reason)
    for anomaly in Anomaly:
        assert words.of("billing_anomalies", anomaly)


def test_csv_is_read_by_spreadsheets_in_french_and_runs_no_formula(
    tariffs: Tariffs, words: Words, tmp_path: Path
) -> None:
    hostile = activity(
        "TLE-2026-000009",
        NEW_YEAR,
        outcome='=HYPERLINK("http://x.example")',
        finaliser="+33 1;2",
        patient=Patient(birth_name="@SUM(A1)", first_names="-x", birth_date=date(2000, 1, 1), sex="M"),
    )
    made = export_table([hostile], Selection(addresses=None), tariffs, words, PARIS)
    path = tmp_path / "export.csv"
    assert write_export(made, path, FileKind.CSV, "Total", NEW_YEAR) == 2
    octets = path.read_bytes()
    assert octets.startswith(b"\xef\xbb\xbf")
    read = list(csv.DictReader(io.StringIO(octets.decode("utf-8-sig")), delimiter=";"))
    assert [row["Montant (€)"] for row in read] == ["23,00", "10,00"]
    assert read[0]["Date de l'acte"] == "01/01/2026"
    assert read[0]["Finalisée par"] == "'+33 1;2"
    cells = [cell for row in read for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def cells_of(path: Path) -> dict[str, tuple[str, str]]:
    """Type and value of each cell of a worksheet, and the formulas, as the format's own XML says."""
    name = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as archive:
        root = etree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    found = {}
    for cell in root.iter(f"{name}c"):
        formula = cell.find(f"{name}f")
        text = "".join(map(str, cell.itertext())) if formula is None else f"={formula.text}"
        found[str(cell.get("r"))] = (str(cell.get("t", "n")), text)
    found["pane"] = ("", str(next(root.iter(f"{name}pane")).get("topLeftCell")))
    found["filter"] = ("", str(next(root.iter(f"{name}autoFilter")).get("ref")))
    return found


def test_xlsx_has_typed_cells_a_frozen_head_filters_and_a_total(
    tariffs: Tariffs, words: Words, tmp_path: Path
) -> None:
    path = tmp_path / "export.xlsx"
    made = table(Selection(addresses=None, roles=(Role.EXPERT,)), tariffs, words)
    names = [column.name for column in made.columns]
    assert write_export(made, path, FileKind.XLSX, "Total", NEW_YEAR) == 2
    cells = cells_of(path)

    def letter(name: str) -> str:
        number = names.index(name)
        return chr(65 + number) if number < 26 else f"A{chr(65 + number - 26)}"

    assert cells["A1"] == ("inlineStr", "Référence")
    assert cells[f"{letter('Montant (€)')}3"] == ("n", "23")
    assert cells[f"{letter('RPPS du correspondant')}2"] == ("inlineStr", GP.rpps)
    assert cells[f"{letter('Patient : INS ou NIR')}2"] == ("inlineStr", PATIENT.ins)
    kind, day = cells[f"{letter('Date de l' + chr(39) + 'acte')}3"]
    assert (kind, float(day)) == ("n", (date(2026, 1, 1) - date(1899, 12, 30)).days)
    assert cells["pane"] == ("", "B2")
    assert cells["filter"][1].startswith("A1:")
    amount = letter("Montant (€)")
    assert cells[f"{amount}5"][1] == f"=SUBTOTAL(109,{amount}2:{amount}3)"


def test_a_sheet_is_laid_out_for_who_reads_and_prints_it(
    tariffs: Tariffs, words: Words, tmp_path: Path
) -> None:
    for pending in (False, True):
        path = tmp_path / f"{pending}.xlsx"
        made = table(Selection(addresses=None, pending=pending), tariffs, words)
        write_export(made, path, FileKind.XLSX, "Total", NEW_YEAR)
        sheet = openpyxl.load_workbook(path).active
        widths = {
            number: one.width
            for one in sheet.column_dimensions.values()
            for number in range(one.min, one.max + 1)
        }
        for number, column in enumerate(made.columns, start=1):
            # Bold letters are wider: the head must be high enough for each name in its width.
            width = widths[number]
            assert sheet.row_dimensions[1].height >= 15 * len(wrap(column.name, int(width / 1.2)))
        assert (sheet.print_title_rows, sheet.page_setup.orientation) == ("$1:$1", "landscape")
        marks = zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml")
        assert b"numberStoredAsText" in marks, (
            "a correction offered by the spreadsheet would harm FINESS numbers"
        )


def test_text_that_looks_like_a_formula_or_a_link_stays_text_in_xlsx(
    tariffs: Tariffs, words: Words, tmp_path: Path
) -> None:
    hostile = activity("TLE-2026-000009", NEW_YEAR, outcome="=1+1", finaliser="https://x.example")
    path = tmp_path / "export.xlsx"
    write_export(
        export_table([hostile], Selection(addresses=None), tariffs, words, PARIS),
        path,
        FileKind.XLSX,
        "T",
        NEW_YEAR,
    )
    assert {value for kind, value in cells_of(path).values() if kind == "inlineStr"} >= {
        "=1+1",
        "https://x.example",
    }


@pytest.mark.parametrize(
    ("subject", "command"),
    [
        ("Export", Export()),
        (
            "Export expert 01/01/2026 31/03/2026 xlsx",
            Export(Role.EXPERT, first=date(2026, 1, 1), last=date(2026, 3, 31)),
        ),
        ("export demandeur en cours csv", Export(Role.REQUESTER, pending=True, kind="csv")),
        ("Re: EXPORT Requérant du 1/2/2026", Export(Role.REQUESTER, first=date(2026, 2, 1))),
        ("Exporter en cours", Export(pending=True)),
        (
            "Export pour avis@ch.mssante.example expert",
            Export(Role.EXPERT, account="avis@ch.mssante.example"),
        ),
        ("Export expert et demandeur", Export()),
        ("Exporter les téléexpertises de l'expert", Export(Role.EXPERT)),
        ("Export 31/02/2026", Export(problems=("31/02/2026",))),
        (
            "Export 31/03/2026 01/01/2026",
            Export(first=date(2026, 3, 31), last=date(2026, 1, 1), problems=("31/03/2026 > 01/01/2026",)),
        ),
        ("Export pdf", Export(problems=("pdf",))),
        ("Exportation de mes photos", Unknown("Exportation de mes photos")),
    ],
)
def test_the_order_in_a_subject(subject: str, command: Command) -> None:
    assert read_command(subject) == command
    if isinstance(command, Export) and not command.problems:
        assert read_command(command_subject(command)) == command


@pytest.mark.parametrize(
    ("typed", "first", "last"),
    [
        ("du 1er novembre 2026 au 30 novembre 2026", date(2026, 11, 1), date(2026, 11, 30)),
        ("1/11/26 30.11.26", date(2026, 11, 1), date(2026, 11, 30)),
        ("01/01/2026-31/03/2026", date(2026, 1, 1), date(2026, 3, 31)),
        ("01/01/2026 – 31/03/2026", date(2026, 1, 1), date(2026, 3, 31)),
        ("2026-01-01 2026-03-31", date(2026, 1, 1), date(2026, 3, 31)),
        ("du 1er au 15 MARS 2026", date(2026, 3, 1), date(2026, 3, 15)),
        ("du 1er février au 31 août 2026", date(2026, 2, 1), date(2026, 8, 31)),
        ("de décembre 2025 à janvier 2026", date(2025, 12, 1), date(2026, 1, 31)),
        ("février 2024", date(2024, 2, 1), date(2024, 2, 29)),
        ("29 févr. 2024", date(2024, 2, 29), None),
        ("2026", date(2026, 1, 1), date(2026, 12, 31)),
        ("1er trimestre 2026", date(2026, 1, 1), date(2026, 3, 31)),
        ("T4 2025 T1 2026", date(2025, 10, 1), date(2026, 3, 31)),
        ("depuis le 01/11/2026", date(2026, 11, 1), None),
        ("à partir de mars 2026", date(2026, 3, 1), None),
        ("au 31/03/2026", None, date(2026, 3, 31)),
        ("jusqu'à mars 2026", None, date(2026, 3, 31)),
        ("le 15/03/2026", date(2026, 3, 15), date(2026, 3, 15)),
    ],
)
def test_days_of_an_order_as_people_write_them(typed: str, first: date | None, last: date | None) -> None:
    command = read_command(f"Export {typed} csv")
    assert command == Export(first=first, last=last, kind="csv")
    assert read_command(command_subject(Export(first=first, last=last))) == Export(first=first, last=last)


@pytest.mark.parametrize(
    "typed", ["1er mars", "mars", "31 février 2026", "0/1/2026", "0/2026", "1/0/2026", "5e trimestre 2026",
              "avant le 01/02/2026", "1/11/126", "20260101", "01/01/2026 02/02/2026 03/03/2026"]
)  # fmt: skip
def test_days_that_are_none_are_told_back_and_nothing_is_guessed(typed: str) -> None:
    command = read_command(f"Export {typed}")
    assert isinstance(command, Export)
    assert command.problems


def test_a_later_version_is_marked_and_an_act_that_passed_on_is_taken_back(
    tariffs: Tariffs, words: Words
) -> None:
    again = activity("TLE-2026-000009", NEW_YEAR, version=2)
    day = datetime(2026, 1, 5, 12, tzinfo=UTC)
    shown = [
        Shown("TLE-2026-000009", "expert", 1, EXPERT.address, day),
        Shown("TLE-2026-000009", "requester", 1, "ancien@ch.mssante.example", day),
        Shown("TLE-2026-000009", "requester", 2, GP.address, day),
    ]
    made = export_table([again], Selection(addresses=None), tariffs, words, PARIS, shown=shown)
    names = [column.key for column in made.columns]
    found = [dict(zip(names, row, strict=True)) for row in made.rows]
    assert [(row["account"], row["amount"]) for row in found] == [
        (EXPERT.address, Decimal(23)),
        (GP.address, Decimal(10)),
        ("ancien@ch.mssante.example", Decimal(0)),
    ]
    expert, requester, gone = (str(row["correction"]) for row in found)
    assert expert == "remplace la version 1, exportée le 05/01/2026"
    assert requester == expert, "the side was another's, the act is the same"
    assert gone.startswith("ligne annulée")
    assert [(line.role, line.version, line.account) for line in made.exported] == [
        (Role.EXPERT, 2, EXPERT.address),
        (Role.REQUESTER, 2, GP.address),
        (Role.REQUESTER, 2, "ancien@ch.mssante.example"),
    ]


@pytest.mark.parametrize("exported", [True, False])
def test_a_correction_is_no_new_act_and_keeps_the_day_and_the_rule_of_the_first(
    tariffs: Tariffs, words: Words, *, exported: bool
) -> None:
    corrected = activity(
        "TLE-2025-000009",
        datetime(2026, 1, 20, 12, tzinfo=UTC),
        acted_at=OLD_YEAR,
        answered_at=OLD_YEAR,
        version=2,
        asked_of="avis.ailleurs@ch.mssante.example",
    )
    shown = [
        Shown("TLE-2025-000009", "expert", 1, EXPERT.address, datetime(2026, 1, 2, 12, tzinfo=UTC)),
    ]
    for first, last, seen in (
        (date(2025, 12, 1), date(2025, 12, 31), True),
        (date(2026, 1, 1), date(2026, 1, 31), exported),
        (date(2026, 2, 1), None, False),
    ):
        selection = Selection(addresses=None, roles=(Role.EXPERT,), first=first, last=last)
        made = export_table([corrected], selection, tariffs, words, PARIS, shown=shown if exported else ())
        names = [column.key for column in made.columns]
        found = [dict(zip(names, row, strict=True)) for row in made.rows]
        assert bool(found) is seen
        for row in found:
            assert (row["act_day"], row["amount"]) == (date(2025, 12, 31), Decimal(20))
            assert str(row["finalised"]).startswith("2026-01-20")
            assert (row["anomalies"], bool(row["correction"])) == ("", exported)
            assert (row["asked_of"], row["finess"]) == ("avis.ailleurs@ch.mssante.example", "439900010")
