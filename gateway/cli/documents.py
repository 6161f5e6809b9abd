"""``gateway document``: reports as national documents, made and judged at the command line."""

from __future__ import annotations

import click

__all__ = ["document"]


@click.group()
def document() -> None:
    """Documents: make the report of a conversation as PDF or CDA, check a file."""
