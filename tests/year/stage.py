"""Where a year is played: a deployment of its own, kept for the benchmarks where a folder is given for it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from config import Settings, load
from gateway import CONFIGURATION
from gateway.bootstrap import open_services
from gateway.deployment import NewDeployment, make_deployment
from gateway.services import Services
from gateway.store.migration import SCHEMA_REVISION
from tests.year.exporting import play_with_exports
from tests.year.making import make_year
from tests.year.plan import DOMAIN, PARIS, Size, Year
from tests.year.playing import Player, seeded
from tests.year.reckoning import ReckonedLine, reckon

__all__ = ["PlayedYear", "kept_year", "play_year"]

_Found = TypeVar("_Found")
_MARK = "year.json"
Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PlayedYear:
    """A year in a deployment at rest. ``refs`` are the references by the numbers of the cases."""

    year: Year
    settings: Settings
    folder: Path
    refs: dict[int, str]

    def work(self, work: Callable[[Services], Awaitable[_Found]]) -> _Found:
        """Do something with the deployment's parts, at the year's clock."""

        async def whole() -> _Found:
            async with open_services(self.settings) as services:
                return await work(seeded(services, self.year))

        return asyncio.run(whole())

    def reckoned(self) -> list[ReckonedLine]:
        """The rows of an export of everything after the year, reckoned from the plan."""
        return reckon(self.year, self.refs, datetime(self.year.year + 1, 6, 1, tzinfo=PARIS))


def play_year(year: Year, folder: Path, tell: Tell | None = None) -> PlayedYear:
    """Make a deployment in an empty folder and play the year in it."""
    made_at = datetime(year.year, 1, 1, tzinfo=PARIS)
    new = NewDeployment(folder=folder, domain=DOMAIN, organisation="Région d'essai")
    settings = make_deployment(new, made_at)

    async def whole() -> dict[int, str]:
        async with open_services(settings) as services:
            player = Player(seeded(services, year), year)
            await play_with_exports(player, folder, tell)
            return player.refs

    return PlayedYear(year, settings, folder, asyncio.run(whole()))


def kept_year(year: int, seed: int, size: Size, folder: Path, tell: Tell | None = None) -> PlayedYear:
    """The played year of a folder; played anew where it was made by another generator, or not to its end.

    Raises ``FileExistsError`` for a folder that holds something else.
    """
    plan = make_year(year, seed, size)
    mark, key = folder / _MARK, _key(year, seed, size)
    if mark.exists():
        kept = json.loads(mark.read_text("utf-8"))
        if kept["key"] == key:
            refs = {int(number): ref for number, ref in kept["refs"].items()}
            return PlayedYear(plan, load(folder / CONFIGURATION), folder, refs)
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds something that is no generated year")
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps({"key": ""}), "utf-8")
    played = play_year(plan, folder, tell)
    mark.write_text(json.dumps({"key": key, "refs": played.refs}), "utf-8")
    return played


def _key(year: int, seed: int, size: Size) -> str:
    """What a kept year depends on: its arguments, the generator and the schema."""
    digest = sha256(json.dumps([year, seed, asdict(size), SCHEMA_REVISION]).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
