"""What somebody wrote now, without the quoted words of others: for lists and reports. The mail itself stays whole."""

from __future__ import annotations

from teleexpertise.plaintext import one_space

__all__ = ["own_words"]

_MOST_LINES = 5000


def own_words(text: str) -> str:
    """The lines of a mail that are not quoted. Pure and total."""
    lines = one_space(text).split("\n", _MOST_LINES)[:_MOST_LINES]
    return "\n".join(line.rstrip() for line in lines if not line.startswith(">")).strip()
