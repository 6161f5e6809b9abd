"""Where a key stands in a TOML text: the standard parser reads values only, an operator needs the line."""

import re
import tomllib
from collections.abc import Iterator, Mapping

Key = tuple[str, ...]

_TABLE = re.compile(r"\s*\[\[?(?P<key>[^\[\]]+)\]\]?\s*(?:#.*)?$")
_PAIR = re.compile(r"""\s*(?P<key>(?:"[^"]*"|'[^']*'|[A-Za-z0-9_.\-\s])+?)\s*=""")
_MULTILINE = re.compile(r'"""|\'\'\'')


def _split(dotted: str) -> Key | None:
    """Read a bare, quoted or dotted key (TOML 1.0 "Keys") into its parts; None where it is none."""
    try:
        nested: object = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return None
    parts: list[str] = []
    while isinstance(nested, Mapping):
        name, nested = next(iter(nested.items()))
        parts.append(str(name))
    return tuple(parts)


def _keys_by_line(text: str) -> Iterator[tuple[Key, int]]:
    table: Key = ()
    in_string = False
    for number, line in enumerate(text.splitlines(), start=1):
        starts_in_string = in_string
        in_string ^= len(_MULTILINE.findall(line)) % 2 == 1
        if starts_in_string:
            continue
        if header := _TABLE.match(line):
            table = _split(header["key"]) or table
            yield table, number
        elif (pair := _PAIR.match(line)) and (key := _split(pair["key"])):
            yield table + key, number


def line_of(text: str, key: Key) -> int:
    """Return the line (from 1) of `key` in the valid TOML `text`, else of the nearest table above it, else 0.

    Keys of inline tables and items of arrays are found at the line of the key that holds them.
    """
    lines: dict[Key, int] = {}
    for found, number in _keys_by_line(text):
        for length in range(1, len(found) + 1):
            lines.setdefault(found[:length], number)
    for length in range(len(key), 0, -1):
        if key[:length] in lines:
            return lines[key[:length]]
    return 0
