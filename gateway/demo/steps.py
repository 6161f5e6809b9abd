"""What a demonstration leaves: its steps, what each side saw in each, and the mails as files."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

from gateway.errors import GatewayError

__all__ = ["Archive", "Performance", "Sent", "Sight", "Step", "Story", "load_story", "outcome_lines"]

_INDEX = "demonstration.json"
_OURS = re.compile(r"\d\d-[a-z_]+-[a-z]+-[a-z]+\.(eml|pdf)")


@dataclass(frozen=True, slots=True)
class Story:
    """The French words of ``story.toml``: titles by step, words of the display, texts of mails."""

    steps: Mapping[str, str]
    words: Mapping[str, str]
    mails: Mapping[str, str]


def load_story() -> Story:
    """Read the packaged words."""
    tables = tomllib.loads(files("gateway.demo").joinpath("story.toml").read_text("utf-8"))
    return Story(tables["steps"], tables["words"], tables["mails"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A mail that somebody sent; ``file`` is its name in the folder of the demonstration."""

    side: str
    sender: str
    to: str
    subject: str
    text: str
    attachments: tuple[str, ...]
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A mail that one side saw in its mailbox; ``state`` is what the keyword on it says, '' without one."""

    side: str
    mailbox: str
    folder: str
    sender: str
    subject: str
    state: str
    text: str
    attachments: tuple[str, ...]
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step that was seen by all whom it concerns, and how long that took in seconds."""

    key: str
    title: str
    sent: tuple[Sent, ...]
    seen: tuple[Sight, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """A demonstration that was played. ``missed`` is '' or the step that was not seen, ``why`` the reason."""

    reference: str
    folder: str
    steps: tuple[Step, ...]
    seconds: float
    missed: str = ""
    why: str = ""


def outcome_lines(performance: Performance, words: Mapping[str, str]) -> tuple[str, str]:
    """How it ended and where its mails are, in the words of the story."""
    if performance.missed:
        line = f"{words['missed'].format(step=performance.missed)} ({performance.why})"
    else:
        line = words["done"].format(
            steps=len(performance.steps), seconds=performance.seconds, reference=performance.reference
        )
    return line, words["files"].format(folder=performance.folder)


@dataclass(slots=True)
class Archive:
    """The folder into which mails are put, numbered in the order in which they were sent and seen."""

    folder: Path
    _written: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Make the folder, take away what an earlier demonstration listed. Raises :class:`GatewayError`."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the mails name patients
            for name in self._earlier():
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise GatewayError(f"{error.filename or self.folder}: {error.strerror}") from error

    def _earlier(self) -> list[str]:
        try:
            listed = json.loads((self.folder / _INDEX).read_text("utf-8"))["files"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []
        return [name for name in listed if isinstance(name, str) and _OURS.fullmatch(name)]

    def put(self, key: str, side: str, kind: str, content: bytes, suffix: str = "eml") -> str:
        """Write one file and return its name. Raises :class:`GatewayError`."""
        name = f"{len(self._written) + 1:02d}-{key}-{side}-{kind}.{suffix}"
        try:
            (self.folder / name).write_bytes(content)
        except OSError as error:
            raise GatewayError(f"{self.folder / name}: {error.strerror}") from error
        self._written.append(name)
        return name

    def end(self, performance: Performance) -> None:
        """Write what happened beside the mails."""
        document = {"files": self._written, **asdict(performance)}
        (self.folder / _INDEX).write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
