"""The sample year ten times over, about 100,000 conversations: exports and statistics, in processor time,
with the most memory that the process took; beside the XLSX its rows written by XlsxWriter.

    python -m tests.bench.exports

plays the year into ``var/`` where ``make sample-year`` has not (some minutes). Each measurement is a process
of its own: memory is that of the whole process, its start included.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import xlsxwriter
from pydantic import SecretStr

from config import Settings, load
from gateway import CONFIGURATION
from gateway.bootstrap import open_services
from gateway.exports.asked import gather_asked
from gateway.exports.files import write_export
from gateway.exports.gathering import gather
from gateway.exports.kinds import FileKind
from gateway.services import Services
from teleexpertise.activity import figures
from teleexpertise.billing.exports import Cell, Selection
from teleexpertise.billing.tariffs import Role
from tests.bench.multiplied import multiplied
from tests.year.plan import PARIS, Size
from tests.year.stage import kept_year

__all__ = ["measure_exports"]

_TIMES = 10
_YEAR, _SEED = 2025, 43
_AFTER = datetime(2026, 6, 1, tzinfo=PARIS)
_EXPERTS = Selection(addresses=None, roles=(Role.EXPERT,))


async def _export(services: Services, kind: FileKind, folder: Path) -> dict[str, float]:
    async with services.store.reading() as tx:
        table = await gather(services, tx, _EXPERTS)
    gathered = time.process_time()
    path = folder / f"export.{kind}"
    rows = write_export(table, path, kind, "Total", _AFTER)
    return {
        "rows": rows,
        "octets": path.stat().st_size,
        "writing": time.process_time() - gathered,
    }


async def _statistics(services: Services) -> dict[str, float]:
    async with services.store.reading() as tx:
        asked = (await gather_asked(services, tx, None)).asked
    return {"rows": figures(asked, _AFTER, services.zone).whole.asked}


async def _by_xlsxwriter(services: Services, folder: Path) -> dict[str, float]:
    """The same rows, a call for each cell: what writing took before, and what the library alone takes."""
    async with services.store.reading() as tx:
        table = await gather(services, tx, _EXPERTS)
    begun = time.process_time()
    rows = 0
    with xlsxwriter.Workbook(str(folder / "beside.xlsx"), {"constant_memory": True}) as book:
        sheet, shape = book.add_worksheet(), book.add_format({"num_format": "dd/mm/yyyy"})
        for rows, row in enumerate(table.rows, start=1):
            for column, value in enumerate(row):
                _write(sheet, rows, column, value, shape)
    return {"rows": rows, "writing": time.process_time() - begun}


def _write(sheet: xlsxwriter.worksheet.Worksheet, row: int, column: int, value: Cell, shape: object) -> None:
    if isinstance(value, str):
        sheet.write_string(row, column, value)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value.replace(tzinfo=None), shape)
    elif value is not None and not hasattr(value, "toordinal"):
        sheet.write_number(row, column, value)
    elif value is not None:
        sheet.write_datetime(row, column, value, shape)


def _on(settings: Settings, database: Path) -> Settings:
    other = settings.database.model_copy(update={"url": SecretStr(f"sqlite:///{database}")})
    return settings.model_copy(update={"database": other})


async def _measured(settings: Settings, what: str, folder: Path) -> dict[str, float]:
    async with open_services(settings) as services:
        begun = time.process_time()
        if what == "stats":
            found = await _statistics(services)
        elif what == "beside":
            found = await _by_xlsxwriter(services, folder)
        else:
            found = await _export(services, FileKind(what), folder)
        seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**found, "seconds": seconds, "megabytes": peak}


def _in_a_process(what: str, deployment: Path, database: Path, folder: Path) -> dict[str, float]:
    arguments = [sys.executable, "-m", "tests.bench.exports", what, deployment, database, folder]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _say(what: str, found: dict[str, float], more: str = "") -> None:
    told = f"{found['seconds']:6.1f} s  {found['megabytes']:4.0f} MB  {found['rows']:,.0f} rows"
    print(f"{what:44}{told}{more}", flush=True)


def measure_exports(progress: Callable[[int], None] | None = None) -> None:
    """Print the figures. The goal for either file is 20 s and 300 MB."""
    kept = Path("var") / f"sample-year-{_YEAR}-{_SEED}"
    played = kept_year(_YEAR, _SEED, Size(), kept.resolve(), progress)
    database = Path(played.settings.database.url.get_secret_value().partition(":///")[2])
    with tempfile.TemporaryDirectory(prefix="tle-bench-") as name:
        folder = Path(name)
        many = multiplied(database, folder, _TIMES)
        place = played.folder / CONFIGURATION
        found = {
            what: _in_a_process(what, place, many, folder) for what in ("csv", "xlsx", "beside", "stats")
        }
    count = f"{found['stats']['rows']:,.0f}"
    for kind in FileKind:
        one = found[kind]
        more = f", {one['octets'] / 1e6:.0f} MB, {one['writing']:.1f} s of it writing"
        if kind is FileKind.XLSX:
            more += f"; by XlsxWriter {found['beside']['writing']:.1f} s, ratio "
            more += f"{one['writing'] / found['beside']['writing']:.2f}"
        _say(f"export of {count} conversations, {kind}", one, more)
    _say(f"stats of {count} conversations", found["stats"])


def main(arguments: Sequence[str]) -> int:
    """All figures, or with arguments one of them as JSON: what, settings, database, folder for files."""
    if not arguments:
        measure_exports()
        return 0
    what, place, database, folder = arguments
    found = asyncio.run(_measured(_on(load(Path(place)), Path(database)), what, Path(folder)))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
