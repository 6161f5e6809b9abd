"""A kept year ten times over: the rows of its conversations copied within the database, so that what reads
many of them is measured on the spread of a region without playing ten years.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["multiplied"]

_BY_CONVERSATION = ("conversation_member", "event")


def multiplied(database: Path, folder: Path, times: int) -> Path:
    """A copy of an SQLite database at rest with each conversation ``times`` times, ten at most, under other
    identifiers and references. What a conversation points to (messages, patients) stays one.
    """
    copy = folder / "multiplied.sqlite3"
    shutil.copyfile(database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        step = connection.execute("SELECT max(last) FROM reference_counter").fetchone()[0]
        originals = "SELECT id FROM conversation WHERE CAST(substr(ref, 10) AS INTEGER) <= ?"
        for number in range(1, times):
            counted = f"CAST(substr(ref, 10) AS INTEGER) + {number * step}"
            ref = f"substr(ref, 1, 9) || printf('%06d', {counted})"
            new = {"id": _renamed("id", number), "ref": ref}
            _copy(connection, "conversation", new, originals, step, "id")
            child = {"conversation_id": _renamed("conversation_id", number)}
            for table in _BY_CONVERSATION:
                _copy(connection, table, child, originals, step, "conversation_id")
        connection.commit()
        connection.execute("ANALYZE")
        connection.commit()
    return copy


def _renamed(column: str, number: int) -> str:
    """Another identifier for each copy: the digit that says version 4 becomes one that no original has."""
    return f"substr({column}, 1, 12) || '{'012356789abcdef'[number]}' || substr({column}, 14)"


def _copy(
    connection: sqlite3.Connection, table: str, new: dict[str, str], originals: str, step: int, key: str
) -> None:
    """Copy the rows of the original conversations, some columns made new; a number of rows is given anew."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    if table == "event":
        columns.remove("id")
    values = ", ".join(new.get(column, column) for column in columns)
    into = f"INSERT INTO {table} ({', '.join(columns)})"
    connection.execute(f"{into} SELECT {values} FROM {table} WHERE {key} IN ({originals})", (step,))
