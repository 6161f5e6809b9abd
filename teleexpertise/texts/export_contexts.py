"""What the mails about exports say: see ``contexts``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from teleexpertise.texts.contexts import Mail
from teleexpertise.texts.views import Link

__all__ = ["ExportReady", "ExportRefused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReady(Mail):
    """``export``: the activity is attached as ``filename``.

    ``role`` is the one side that was asked for, '' for both; ``first`` and ``last`` are days of the period,
    None where it is open; ``accounts`` whose activity it is.
    """

    template: ClassVar[str] = "export"
    filename: str
    rows: int
    pending: bool
    role: str
    first: date | None
    last: date | None
    accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRefused(Mail):
    """``export-refus``: words of the order that were not understood, or none where the file was not made."""

    template: ClassVar[str] = "export-refus"
    problems: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
