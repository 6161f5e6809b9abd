"""``gateway --version``: what to say in a report of a fault, read without loading or opening anything."""

from __future__ import annotations

import sys
from importlib.resources import files

from gateway import __version__
from mailboxes.dovecot.installation import installed_version

__all__ = ["version_lines"]

_REVISION = "revision_"


def version_lines() -> tuple[str, ...]:
    """The program's version, then Python's, Dovecot's and the revision of the database that it works on."""
    return (
        f"gateway {__version__}",
        f"Python {sys.version.split()[0]}",
        f"Dovecot {installed_version() or 'not installed'}",
        f"database schema {_schema_revision()}",
    )


def _schema_revision() -> str:
    """The last migration that comes with the program; the store, which knows it, takes long to load."""
    migrations = files("gateway") / "store" / "migrations" / "versions"
    names = [each.name for each in migrations.iterdir() if each.name.startswith(_REVISION)]
    return max(names).removeprefix(_REVISION).partition("_")[0]
