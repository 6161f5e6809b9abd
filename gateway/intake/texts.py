"""Plain text bodies as lines to read: line ends, paragraphs of format=flowed put together (RFC 3676)."""

from __future__ import annotations

__all__ = ["plain_lines", "unflow"]


def plain_lines(text: str) -> str:
    """``text`` with Unix line ends and without a run of empty lines at its end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def unflow(text: str, delsp: bool) -> str:
    """Join the soft-broken lines of a format=flowed text; ``delsp`` as its parameter (RFC 3676 §4.2, §4.6).

    Only lines of one quote depth flow together, and the signature separator ``-- `` never flows. Quoted lines
    come back as ``> `` per depth, space-stuffing is undone.
    """
    lines: list[str] = []
    pending, pending_depth = "", -1
    for raw_line in plain_lines(text).split("\n"):
        depth = len(raw_line) - len(raw_line.lstrip(">"))
        line = raw_line[depth:].removeprefix(" ")
        if pending_depth >= 0 and (depth != pending_depth or line == "-- "):
            lines.append(_quoted(pending, pending_depth))
            pending, pending_depth = "", -1
        if line.endswith(" ") and line != "-- ":
            pending += line[:-1] if delsp else line
            pending_depth = depth
        else:
            lines.append(_quoted(pending + line, depth))
            pending, pending_depth = "", -1
    if pending_depth >= 0:
        lines.append(_quoted(pending, pending_depth))
    return "\n".join(lines)


def _quoted(text: str, depth: int) -> str:
    return "> " * depth + text if depth else text
