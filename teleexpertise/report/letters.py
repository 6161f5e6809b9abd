"""Letters that the typeface of the reports cannot draw: shown as such, since PDF/A wants a glyph for each."""

from __future__ import annotations

import re
from importlib.resources import files

__all__ = ["drawable_pattern", "with_drawable_letters"]

#: What stands for letters without a glyph: the replacement character.
UNDRAWABLE = "\N{REPLACEMENT CHARACTER}"


def drawable_pattern() -> re.Pattern[str]:
    """Matches runs of letters that DejaVu Sans has no glyph for; the table lies beside this module."""
    table = files("teleexpertise.report").joinpath("letters.txt").read_text("ascii")
    ranges = [
        "-".join(f"\\U{int(end, 16):08x}" for end in word.split("-"))
        for line in table.splitlines()
        if not line.startswith("#")
        for word in line.split()
    ]
    return re.compile(f"[^\\s{''.join(ranges)}]+")


def with_drawable_letters(text: str, undrawable: re.Pattern[str]) -> str:
    """The text with each run of undrawable letters (emoji, most Asian scripts) as one replacement character.

    A character code without a glyph in its font is forbidden (``ISO 19005-1 §6.3.5``), and a reader of the
    report sees that something is left out; the mail itself is kept as it came.
    """
    return undrawable.sub(UNDRAWABLE, text)
