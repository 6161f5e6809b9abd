"""Instants on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

__all__ = ["Moment"]


class Moment(click.ParamType[datetime]):
    """An instant in ISO 8601 with its offset (`2026-11-25T14:00:00+01:00`, `…Z`), as UTC."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read the instant; one without an offset is wrong use, since it could mean two."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError("no offset")
            return moment.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            wanted = "an instant such as 2026-11-25T14:00:00Z (the offset is needed)"
            raise click.BadParameter(f"{value!r} is not {wanted}", ctx, param) from error
