"""Gate on length: no file over 500 lines, no function over 60 (its docstring not counted), without a reason.

The reason is a comment `# gate: <reason>`: among the first 30 lines of a long file; inside a long function
or on the line above it.

    python scripts/gates.py PATH...

Prints one line per finding (`file:line: what`), exit 1 if there is any.
"""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

FILE_LINES = 500
FUNCTION_LINES = 60
REASON_WITHIN_LINES = 30
REASON = re.compile(r"#\s*gate:\s*\S")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def source_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the Python files at or below `paths`, in order of name."""
    for path in paths:
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def function_length(function: Function) -> int:
    """Return the lines from `def` to the end of `function`, its docstring not counted."""
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        length -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return length


def has_reason(lines: Sequence[str]) -> bool:
    """Tell whether one of `lines` gives a reason."""
    return any(REASON.search(line) for line in lines)


def findings(path: Path) -> Iterator[str]:
    """Yield one line per file or function at `path` that is too long and gives no reason."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if len(lines) > FILE_LINES and not has_reason(lines[:REASON_WITHIN_LINES]):
        yield f"{path}:1: {len(lines)} lines (limit {FILE_LINES})"
    for node in ast.walk(ast.parse(text, filename=str(path))):
        if not isinstance(node, Function):
            continue
        length = function_length(node)
        own_lines = lines[max(node.lineno - 2, 0) : node.end_lineno]
        if length > FUNCTION_LINES and not has_reason(own_lines):
            yield f"{path}:{node.lineno}: {node.name}: {length} lines (limit {FUNCTION_LINES})"


def main(arguments: Sequence[str]) -> int:
    """Check the files at or below `arguments`; return the exit code."""
    found = [line for path in source_files([Path(name) for name in arguments]) for line in findings(path)]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
