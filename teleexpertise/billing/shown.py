"""The lines of exports that accounts were shown."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from teleexpertise.billing.tariffs import Role

__all__ = ["ExportedLine", "Shown"]


class ExportedLine(NamedTuple):
    """One side of one version of a finalised conversation, as an account is shown it."""

    ref: str
    role: Role
    version: int
    account: str


class Shown(NamedTuple):
    """A line that an earlier export has shown, and when the first one did."""

    ref: str
    role: str
    version: int
    account: str
    exported_at: datetime
