"""A played year exported as ``gateway export`` does it, at the year's moments and for whomever is asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.exports.files import write_export
from gateway.exports.gathering import gather
from gateway.exports.kinds import FileKind
from gateway.services import Services
from teleexpertise.billing.exports import ExportTable, Selection
from teleexpertise.billing.tariffs import Role
from tests.year.playing import Player
from tests.year.reading import Row, differences, read_csv, read_xlsx
from tests.year.reckoning import ReckonedLine

__all__ = ["Asked", "checked", "exported", "play_with_exports", "wanted"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose rows are wanted: of these accounts (``None``: everybody's), in one role or ('') both."""

    accounts: frozenset[str] | None = None
    role: str = ""


async def exported(
    services: Services, asked: Asked, path: Path, kind: FileKind, *, note_at: datetime | None = None
) -> int:
    """Write what is finalised to ``path``; the number of rows. With ``note_at`` later exports know of it."""
    roles = {"": tuple(Role), "expert": (Role.EXPERT,), "demandeur": (Role.REQUESTER,)}[asked.role]
    async with services.store.reading() as tx:
        table: ExportTable = await gather(services, tx, Selection(addresses=asked.accounts, roles=roles))
    rows = write_export(table, path, kind, "Total", services.clock())
    if note_at is not None:
        async with services.store.transaction() as tx:
            await tx.exported.note(table.exported, note_at.astimezone(UTC))
    return rows


async def play_with_exports(player: Player, folder: Path, tell: Callable[[int], None] | None = None) -> None:
    """The whole year: people, moments, and at its moments an export of everything that later ones correct."""
    year, moments = player.year, player.year.moments()
    await player.enter()
    times, done = [moment.at for moment in moments], 0
    for number, at in enumerate(year.exports):
        until = bisect_left(times, at)
        await player.play(moments[done:until], tell)
        done = until
        path = folder / f"export-{number}.csv"
        await exported(player.services, Asked(), path, FileKind.CSV, note_at=at)
    await player.play(moments[done:], tell)


def wanted(lines: Collection[ReckonedLine], asked: Asked) -> list[ReckonedLine]:
    """The reckoned rows of what is asked for."""
    return [
        line
        for line in lines
        if (asked.accounts is None or line.account in asked.accounts) and asked.role in ("", line.role)
    ]


async def checked(
    services: Services, lines: Collection[ReckonedLine], asked: Asked, folder: Path, kind: FileKind
) -> tuple[list[Row], list[str]]:
    """Export what is asked for, and the rows as another program reads them with how they differ."""
    path = folder / f"checked.{kind}"
    await exported(services, asked, path, kind)
    theirs = wanted(lines, asked)
    if kind is FileKind.CSV:
        rows = read_csv(path)
        return rows, differences(theirs, rows)
    rows, total = read_xlsx(path)
    found = differences(theirs, rows)
    if round(total * 100) != sum(line.cents or 0 for line in theirs):
        found.append(f"line of totals says {total}")
    return rows, found
