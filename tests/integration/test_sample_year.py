"""A generated year of a region: loaded through the domain, its exports say what is reckoned from its plan.

The same generator makes the whole year of ``make sample-year``.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from config import read_resource
from gateway.exports.kinds import FileKind
from gateway.rebuilding import Rebuild
from gateway.services import Services
from tests.year import reckoning
from tests.year.exporting import Asked, checked, exported
from tests.year.making import make_year
from tests.year.plan import CHANGES, PARIS, Fate, Size
from tests.year.reading import cents_of
from tests.year.reckoning import ReckonedLine
from tests.year.stage import PlayedYear, play_year

SMALL = Size(professionals=50, experts=14, patients=133, conversations=200)
TINY = Size(professionals=30, experts=8, patients=40, conversations=30)
SEED = 90  # a year of this size that holds all of what is asked for below


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tle-year-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def played() -> Iterator[PlayedYear]:
    with tempfile.TemporaryDirectory(prefix="tle-year-") as name:
        yield play_year(make_year(2025, SEED, SMALL), Path(name))


@pytest.fixture(scope="module")
def lines(played: PlayedYear) -> list[ReckonedLine]:
    return played.reckoned()


def agree(played: PlayedYear, lines: list[ReckonedLine], kind: FileKind, *asked: Asked) -> int:
    """Assert that the exports say what is reckoned; the sum of their cents as another program reads them."""

    async def whole(services: Services) -> int:
        cents = 0
        for one in asked:
            rows, differences = await checked(services, lines, one, played.folder, kind)
            assert differences == []
            cents += sum(map(cents_of, rows))
        return cents

    return played.work(whole)


def test_the_reckoning_knows_nothing_of_the_product() -> None:
    tree = ast.parse(inspect.getsource(reckoning))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))
    assert {name for name in imported if name and name.split(".")[0] not in ("collections",)} == {
        "__future__", "dataclasses", "datetime", "tests.year.plan"
    }  # fmt: skip


@pytest.mark.parametrize("kind", FileKind)
def test_an_export_of_everybody_adds_up(
    played: PlayedYear, lines: list[ReckonedLine], kind: FileKind
) -> None:
    assert agree(played, lines, kind, Asked()) == sum(line.cents or 0 for line in lines) > 0


def test_exports_by_expert_requester_and_establishment_add_up(
    played: PlayedYear, lines: list[ReckonedLine]
) -> None:
    whole = Counter[str]()
    for line in lines:
        whole[line.role] += line.cents or 0
    for role in ("expert", "demandeur"):
        accounts = sorted({line.account for line in lines if line.role == role})
        asked = [Asked(frozenset({account}), role) for account in accounts]
        assert agree(played, lines, FileKind.CSV, *asked) == whole[role]
        agree(played, lines, FileKind.XLSX, *asked[:3])
    sites: dict[str, set[str]] = {}
    for member in played.year.members:
        if member.finess:
            sites.setdefault(member.finess, set()).add(member.address)
    asked = [Asked(frozenset(accounts)) for accounts in sites.values()]
    there = {address for accounts in sites.values() for address in accounts}
    assert agree(played, lines, FileKind.CSV, *asked) == sum(
        line.cents or 0 for line in lines if line.account in there
    )


def test_a_wrong_tariff_does_not_pass(played: PlayedYear, lines: list[ReckonedLine], folder: Path) -> None:
    table = folder / "tariffs.toml"
    table.write_text(read_resource("tariffs.toml").replace("metropole = 2300", "metropole = 2301"), "utf-8")

    async def whole(services: Services) -> list[str]:
        billing = services.settings.billing.model_copy(update={"tariffs_file": table})
        settings = services.settings.model_copy(update={"billing": billing})
        other = replace(services, settings=settings)
        _, differences = await checked(other, lines, Asked(), folder, FileKind.CSV)
        return differences

    assert any("23,01" in difference for difference in played.work(whole))


def test_the_year_holds_what_a_region_meets(played: PlayedYear, lines: list[ReckonedLine]) -> None:
    year = played.year
    assert {case.fate for case in year.cases} == set(Fate)
    assert {line.reason for line in lines} >= {
        "",
        "inside the hospital",
        "same practice",
        "cumulated",
        "profession",
    }
    assert {point for line in lines for point in line.open_points} >= {
        *("own number missing", "own number wrong", "other number missing", "other number wrong"),
        *("anonymous", "insured", "late", "profession", "limit", "amount", "situation", "own rpps missing"),
    }
    assert max(line.count for line in lines) == 5
    assert any(line.replaces for line in lines)
    assert any(line.passed_on for line in lines)
    assert any(case.by != case.requester for case in year.cases)
    assert {"2A", "2B", "974"} <= {member.department for member in year.members}
    assert any(case.insured_number for case in year.cases)


def test_what_was_loaded_is_a_lawful_record_that_a_rebuild_finds_again(played: PlayedYear) -> None:
    async def whole(services: Services) -> tuple[list[object], Rebuild]:
        now = services.clock()
        found = Rebuild(services.store, services.rules, check=True, now=now, actor="test", zone=services.zone)
        return [each async for each in found.differences()], found

    differences, rebuilt = played.work(whole)
    assert differences == []
    assert rebuilt.conversations == len(played.refs)
    assert rebuilt.decisions > rebuilt.conversations


@pytest.mark.parametrize("year", [2022, 2024, 2026])
def test_years_around_each_change_of_rules_add_up(year: int, folder: Path) -> None:
    played = play_year(make_year(year, SEED, TINY), folder)
    agree(played, played.reckoned(), FileKind.CSV, Asked())


@pytest.mark.parametrize("change", CHANGES)
def test_a_year_has_acts_on_both_sides_of_a_change_of_rules(change: date) -> None:
    before, after = change - timedelta(days=1), change
    years = {before.year, after.year}
    days = {
        closing.at.astimezone(PARIS).date()
        for year in years
        for case in make_year(
            year, SEED, Size(professionals=200, experts=20, patients=500, conversations=1500)
        ).cases
        for closing in case.closings[:1]
    }
    assert {before, after} <= days


def test_the_same_seed_gives_the_same_octets_and_another_seed_others(folder: Path) -> None:
    def digests(seed: int, name: str) -> list[str]:
        played = play_year(make_year(2025, seed, TINY), folder / name)

        async def whole(services: Services) -> list[str]:
            found = []
            for kind in FileKind:
                path = played.folder / f"all.{kind}"
                await exported(services, Asked(), path, kind)
                found.append(hashlib.sha256(path.read_bytes()).hexdigest())
            return found

        return played.work(whole)

    first = digests(1, "first")
    assert digests(1, "second") == first
    assert make_year(2025, 2, TINY) != make_year(2025, 1, TINY) == make_year(2025, 1, TINY)
