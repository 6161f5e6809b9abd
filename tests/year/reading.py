"""Exports as other programs read them, csv and openpyxl, and how they differ from a reckoning."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl

from tests.year.reckoning import ReckonedLine

__all__ = ["differences", "read_csv", "read_xlsx"]

Row = Mapping[str, str]
#: What the French column must say for each name of the reckoning.
_REASONS = {
    "": "",
    "too early": "aucun acte",
    "inside the hospital": "interne",
    "same practice": "même structure",
    "cumulated": "cumulé",
    "patient": "patient hors des situations",
    "same person": "la même personne",
    "profession": "profession sans acte",
    "no claim": "forfait calculé sur l'acte de l'expert",
}
_POINTS = {
    "own number missing": "numéro de facturation manquant",
    "own number wrong": "numéro de facturation invalide",
    "other number missing": "numéro de facturation du correspondant manquant",
    "other number wrong": "numéro de facturation du correspondant invalide",
    "own rpps missing": "numéro RPPS manquant",
    "other rpps missing": "numéro RPPS du correspondant manquant",
    "situation": "situation du patient à vérifier : l'acte n'est pris en charge que dans certaines",
    "level": "niveau de l'acte (TE1 ou TE2) à préciser",
    "cap": "plafond annuel atteint",
    "anonymous": "patient anonyme : ni facturation ni décompte possibles",
    "insured": "NIR de l'assuré manquant",
    "late": "avis rendu après le délai de 7 jours",
    "profession": "profession à préciser",
    "limit": "nombre maximal d'actes de l'année dépassé pour ce patient",
    "asking early": "demande antérieure à juin 2021 d'un professionnel non médecin : à vérifier",
    "expert without act": "demande adressée à une profession sans acte de téléexpertise : à vérifier",
    "amount": "montant à vérifier : la règle ne le donne pas pour ce territoire",
}


def read_csv(path: Path) -> list[Row]:
    """The rows of a CSV export, as text."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def read_xlsx(path: Path) -> tuple[list[Row], Decimal]:
    """The rows of an XLSX export with its typed cells as the CSV would write them, and the sum that the line
    of totals was left with.
    """
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        (sheet,) = book.worksheets
        values = sheet.iter_rows(values_only=True)
        head = [str(name) for name in next(values)]
        rows: list[Row] = []
        total = Decimal(0)
        for line in values:
            if line[0] == "Total":
                total = Decimal(str(line[head.index("Montant (€)")]))
            elif line[0] is not None:
                rows.append({name: _told(name, value) for name, value in zip(head, line, strict=True)})
        return rows, total
    finally:
        book.close()


def _told(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case datetime() if value.time() == datetime.min.time() and not name.endswith("le"):
            return f"{value:%d/%m/%Y}"
        case datetime():
            return f"{value:%d/%m/%Y %H:%M}"
        case date():
            return f"{value:%d/%m/%Y}"
        case int() | float() if name == "Montant (€)":
            return f"{value:.2f}".replace(".", ",")
        case _:
            return str(value)


def differences(reckoned: Sequence[ReckonedLine], rows: Sequence[Row]) -> list[str]:
    """A sentence for each row that is missing, too many or other than reckoned; rows are in one order."""
    found = [] if len(reckoned) == len(rows) else [f"{len(rows)} rows, {len(reckoned)} reckoned"]
    for line, row in zip(reckoned, rows, strict=False):
        found += [f"{line.ref} {line.role}: {what}" for what in _other(line, row)]
    total, theirs = sum(line.cents or 0 for line in reckoned), sum(map(cents_of, rows))
    if total != theirs:
        found.append(f"sum of {theirs} cents, {total} reckoned")
    return found


def cents_of(row: Row) -> int:
    """The amount of a row; nothing where it says none."""
    return int(row["Montant (€)"].replace(",", "") or 0)


def _other(line: ReckonedLine, row: Row) -> Iterator[str]:
    wanted = {
        "Référence": line.ref,
        "Rôle": line.role,
        "Compte": line.account,
        "Version du compte rendu": str(line.version),
        "Date de l'acte": f"{line.day:%d/%m/%Y}",
        "Acte": line.act,
        "Montant (€)": "" if line.cents is None else f"{line.cents // 100},{line.cents % 100:02d}",
        "Rang dans l'année": str(line.count or ""),
    }
    for name, value in wanted.items():
        if row[name] != value:
            yield f"{name} is {row[name]!r}, {value!r} reckoned"
    if _REASONS[line.reason] not in row["Non facturable"] or bool(line.reason) != bool(row["Non facturable"]):
        yield f"not billed as {row['Non facturable']!r}, {line.reason!r} reckoned"
    points = {_POINTS[name] for name in line.open_points}
    if points != set(filter(None, row["À régulariser"].split(" ; "))):
        yield f"to settle {row['À régulariser']!r}, {sorted(line.open_points)} reckoned"
    if not _corrects(line, row["Correction"]):
        yield f"correction {row['Correction']!r}, {line.replaces} reckoned"


def _corrects(line: ReckonedLine, words: str) -> bool:
    if line.replaces is None:
        return not words
    version, day = line.replaces
    kind = "ligne annulée" if line.passed_on else "remplace"
    return all(part in words for part in (kind, f"la version {version}", f"{day:%d/%m/%Y}"))
