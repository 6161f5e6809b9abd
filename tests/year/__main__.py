"""``python -m tests.year``: make a year, load it, export it, and hold the exports against a reckoning apart.

Exit 0 when all agree, 1 otherwise. The deployment stays in the folder, for ``gateway --config``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

from gateway.exports.kinds import FileKind
from gateway.rebuilding import Rebuild
from gateway.services import Services
from tests.year.exporting import Asked, checked
from tests.year.plan import Size
from tests.year.reckoning import ReckonedLine
from tests.year.stage import PlayedYear, kept_year

_TABLES = ("account", "expert", "patient", "conversation", "event", "message", "decision", "exported_line")
_MOST_TOLD = 20


def _tell(what: str, value: str) -> None:
    print(f"{what:44}{value}", flush=True)


def _progress(count: int) -> None:
    if count % 5000 == 0:
        _tell("moments played so far", f"{count:,}")


def _tell_rows(played: PlayedYear) -> None:
    database = Path(played.settings.database.url.get_secret_value().partition(":///")[2])
    with closing(connect(database)) as connection:
        for table in _TABLES:
            (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            _tell(f"rows of {table}", f"{rows:,}")
    _tell("database", f"{database.stat().st_size / 1e6:.1f} MB")


def _tell_sums(played: PlayedYear, lines: Sequence[ReckonedLine]) -> None:
    sums: Counter[str] = Counter()
    for line in lines:
        sums[line.role] += line.cents or 0
    for role, cents in sums.items():
        _tell(f"sum of {role}", f"{cents / 100:,.2f} EUR")
    places = {member.address: member.department[:2] for member in played.year.members}
    overseas = sum(line.cents or 0 for line in lines if places[line.account] in ("97", "98"))
    _tell("of that overseas", f"{overseas / 100:,.2f} EUR")
    _tell("lines without a right to bill", f"{sum(bool(line.reason) for line in lines):,}")
    _tell("lines with something to settle", f"{sum(bool(line.open_points) for line in lines):,}")
    _tell("corrections, of them taken back", _corrections(lines))


def _corrections(lines: Sequence[ReckonedLine]) -> str:
    corrected = [line for line in lines if line.replaces]
    return f"{len(corrected):,}, {sum(line.passed_on for line in corrected):,}"


def _questions(played: PlayedYear, lines: Sequence[ReckonedLine]) -> list[tuple[FileKind, Asked]]:
    """Everybody's in both kinds of file, each expert's and requester's, and each establishment's."""
    sites: dict[str, set[str]] = {}
    for member in played.year.members:
        if member.finess:
            sites.setdefault(member.finess, set()).add(member.address)
    asked = [(kind, Asked()) for kind in FileKind]
    sides = sorted({(line.account, line.role) for line in lines})
    asked += [(FileKind.CSV, Asked(frozenset({account}), role)) for account, role in sides]
    return asked + [(kind, Asked(frozenset(accounts))) for accounts in sites.values() for kind in FileKind]


def _check(played: PlayedYear) -> list[str]:
    """What the exports and the record say otherwise than the plan does."""
    lines = played.reckoned()
    _tell_sums(played, lines)
    questions = _questions(played, lines)

    async def whole(services: Services) -> list[str]:
        found: list[str] = []
        agreed = 0
        for kind, asked in questions:
            begun = time.process_time()
            rows, differences = await checked(services, lines, asked, played.folder, kind)
            if asked.accounts is None:
                size = (played.folder / f"checked.{kind}").stat().st_size
                seconds = time.process_time() - begun
                _tell(
                    f"export of everybody, {kind}",
                    f"{len(rows):,} rows, {size / 1e6:.1f} MB, read in {seconds:.1f} s",
                )
            agreed += not differences
            found += differences
        _tell("exports that add up", f"{agreed:,} of {len(questions):,}")
        rebuild = Rebuild(
            services.store, services.rules, check=True, now=services.clock(), actor="year", zone=services.zone
        )
        found += [f"{each.where}: {each.what}" async for each in rebuild.differences()]
        _tell(
            "record folded and decided again", f"{rebuild.events:,} events, {rebuild.decisions:,} decisions"
        )
        return found

    return played.work(whole)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make, load, check, and print figures."""
    size = Size()
    parser = argparse.ArgumentParser(prog="python -m tests.year", description=__doc__)
    parser.add_argument("--year", type=int, default=2025, choices=range(2018, 2031), metavar="2018..2030")
    parser.add_argument("--seed", type=int, default=43)
    parser.add_argument("--conversations", type=int, default=size.conversations, help="people in proportion")
    parser.add_argument("--folder", type=Path, help="default: var/sample-year-YEAR-SEED")
    chosen = parser.parse_args(arguments)
    size = size.scaled(chosen.conversations)
    folder = chosen.folder or Path("var") / f"sample-year-{chosen.year}-{chosen.seed}"
    begun, used = time.monotonic(), time.process_time()
    played = kept_year(chosen.year, chosen.seed, size, folder.resolve(), _progress)
    _tell(
        "played, or kept, in",
        f"{time.monotonic() - begun:.0f} s ({time.process_time() - used:.0f} s of processor)",
    )
    _tell("deployment", str(folder))
    _tell_rows(played)
    found = _check(played)
    _tell("whole", f"{time.monotonic() - begun:.0f} s")
    for each in found[:_MOST_TOLD]:
        print(each)
    _tell("differences", str(len(found)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
