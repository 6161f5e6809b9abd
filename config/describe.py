"""The manual of all settings, made from their schema; and settings files, commented from the same source."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from textwrap import wrap
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from config.loader import defaults, environment_name, is_secret, section_type
from config.settings import Settings

WIDTH = 110


def manual() -> str:
    """Return the annotated reference of all settings: TOML with every default, the absent ones commented."""
    lines = ["# All settings of gateway.toml with their defaults. A file needs only what differs.", ""]
    values = defaults()
    for section in Settings.model_fields:
        lines += _section_head(section)
        for key, field in section_type(section).model_fields.items():
            known = key in values[section]
            lines += ["", *_comment(_explanation(section, key, field, known))]
            lines.append(f"{key} = {_toml_value(values[section][key])}" if known else f"# {key} = ...")
        lines.append("")
    return "\n".join(lines)


def write_toml(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a settings file with `values` (section -> setting -> value), each under its description.

    Raises KeyError for a section or setting that the schema does not know.
    """
    lines = ["# Settings of this gateway. All there are, with defaults: gateway check-config --manual", ""]
    for section, table in values.items():
        lines += _section_head(section)
        for key, value in table.items():
            lines += _comment(str(section_type(section).model_fields[key].description))
            lines.append(f"{key} = {_toml_value(value)}")
        lines.append("")
    return "\n".join(lines)


def _section_head(section: str) -> list[str]:
    return [*_comment((section_type(section).__doc__ or "").strip()), f"[{section}]"]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in wrap(text, WIDTH - 2)]


def _explanation(section: str, key: str, field: FieldInfo, has_default: bool) -> str:
    notes = []
    if choices := _choices(field.annotation):
        notes.append("one of: " + ", ".join(choices))
    if field.is_required() and not has_default:
        notes.append("must be set")
    if is_secret(field):
        notes.append(f"or by environment: {environment_name(section, key)}")
    return str(field.description) + (f" ({'; '.join(notes)})" if notes else "")


def _choices(annotation: object) -> tuple[str, ...]:
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


def _toml_value(value: object) -> str:
    """Write a value in TOML; a JSON string is a TOML basic string once DEL is escaped (TOML 1.0 "String")."""
    if isinstance(value, str | PurePath):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        pairs = (f"{_toml_value(str(key))} = {_toml_value(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    raise TypeError(f"no TOML value: {type(value).__name__}")
