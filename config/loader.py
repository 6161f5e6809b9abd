"""From one `gateway.toml` to `Settings`: read, merge over the defaults, check, say what is wrong."""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from config.errors import ConfigError, Problem
from config.positions import line_of
from config.resources import read_resource
from config.settings import Settings

ENVIRONMENT_PREFIX = "TLE_"

Table = dict[str, Any]


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the file at `path`, secrets overridden by `environment` (the process's).

    Relative paths count from the file's folder. Raises `ConfigError` for a file that cannot be read or used.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError((Problem(str(path), 0, "", f"cannot be read: {error.strerror}"),)) from error
    except UnicodeDecodeError as error:
        raise ConfigError((Problem(str(path), 0, "", "is not UTF-8 text"),)) from error
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((_syntax_problem(path, text, error),)) from error
    return _settings(
        given, path.absolute().parent, os.environ if environment is None else environment, path, text
    )


def load_mapping(
    given: Mapping[str, Any], folder: Path, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return settings from tables in place of a file, as tests need them; relative paths start at `folder`.

    The environment is not read unless given. Raises `ConfigError`.
    """
    return _settings(given, folder.absolute(), environment or {}, Path("(settings)"), "")


def defaults() -> Table:
    """Return the tables of defaults.toml."""
    return tomllib.loads(read_resource("defaults.toml"))


def section_type(section: str) -> type[BaseModel]:
    """Return the schema of a section; KeyError if there is none of that name."""
    kind = Settings.model_fields[section].annotation
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise TypeError(f"{section} is not a section")
    return kind


def is_secret(field: FieldInfo) -> bool:
    """Tell whether a setting may come from the environment and is never shown."""
    return isinstance(field.json_schema_extra, Mapping) and bool(field.json_schema_extra.get("secret"))


def environment_name(section: str, key: str) -> str:
    """Return the name of the environment variable that may set a secret."""
    return f"{ENVIRONMENT_PREFIX}{section}_{key}".upper()


def _settings(
    given: Mapping[str, Any], folder: Path, environment: Mapping[str, str], path: Path, text: str
) -> Settings:
    problems = [
        Problem(str(path), line_of(text, key), ".".join(key), sentence)
        for key, sentence in _unknown_keys(given)
    ]
    overrides, environment_problems = _from_environment(environment)
    problems += environment_problems
    # Unknown keys were told with their nearest known one; what pydantic would say of them again is left out.
    known = {
        section: {key: value for key, value in table.items() if key in section_type(section).model_fields}
        if isinstance(table, Mapping)
        else table
        for section, table in given.items()
        if section in Settings.model_fields
    }
    merged = _merge(_merge(defaults(), known), overrides)
    try:
        settings = Settings.model_validate(merged, context={"folder": folder})
    except ValidationError as error:
        problems += _value_problems(error, path, text, overrides)
        raise ConfigError(_ordered(problems)) from error
    if problems:
        raise ConfigError(_ordered(problems))
    return settings


def _merge(base: Table, over: Mapping[str, Any]) -> Table:
    """Lay the sections of `over` on those of `base`, setting by setting."""
    merged = dict(base)
    for section, table in over.items():
        both_tables = isinstance(table, Mapping) and isinstance(base.get(section), Mapping)
        merged[section] = {**base[section], **table} if both_tables else table
    return merged


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else ""


def _all_keys() -> list[tuple[str, str]]:
    return [(section, key) for section in Settings.model_fields for key in section_type(section).model_fields]


def _unknown_keys(given: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    for section, table in given.items():
        if section not in Settings.model_fields:
            kind = "section" if isinstance(table, Mapping) else "setting"
            yield (
                (section,),
                f"unknown {kind}{_elsewhere(section) or _nearest(section, Settings.model_fields)}",
            )
        elif isinstance(table, Mapping):
            fields = section_type(section).model_fields
            for key in table:
                if key not in fields:
                    yield (section, key), f"unknown setting{_elsewhere(key) or _nearest(key, fields)}"


def _elsewhere(key: str) -> str:
    """Name the section that does have the setting, if another one has."""
    homes = [f"{section}.{name}" for section, name in _all_keys() if name == key]
    return f"; did you mean `{homes[0]}`?" if homes else ""


def _from_environment(environment: Mapping[str, str]) -> tuple[Table, list[Problem]]:
    """Return the secrets that the environment sets, by section, and what is wrong with variables of ours.

    A variable is ours when it begins with TLE_ and a section's name; others (TLE_SHARED) are not.
    """
    names = {
        environment_name(section, key): (section, key)
        for section, key in _all_keys()
        if is_secret(section_type(section).model_fields[key])
    }
    starts = tuple(f"{ENVIRONMENT_PREFIX}{section}_".upper() for section in Settings.model_fields)
    overrides: Table = {}
    problems = []
    for name, value in environment.items():
        if name in names:
            section, key = names[name]
            overrides.setdefault(section, {})[key] = value
        elif name.startswith(starts):
            near = get_close_matches(name, list(names), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            text = f"no secret has this name, and only secrets are read from the environment{hint}"
            problems.append(Problem("(environment)", 0, name, text))
    return overrides, problems


def _value_problems(error: ValidationError, path: Path, text: str, overrides: Table) -> Iterator[Problem]:
    # The input is shown here, for fields that are no secret, and never by pydantic: it may hold a password.
    for item in error.errors(include_url=False, include_context=False):
        location = tuple(str(part) for part in item["loc"] if part != "[key]")
        if item["type"] == "missing":
            yield Problem(
                str(path), line_of(text, location[:-1]), ".".join(location), "is missing and has no default"
            )
            continue
        field = section_type(location[0]).model_fields[location[1]] if len(location) > 1 else None
        sentence = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
        if field is None:
            sentence = "should be a section: [" + location[0] + "]"
        else:
            got = "" if is_secret(field) else f", not {_shown(item['input'])}"
            sentence = f"{sentence}{got} ({field.description})"
        if len(location) > 1 and location[1] in overrides.get(location[0], {}):
            yield Problem("(environment)", 0, environment_name(location[0], location[1]), sentence)
        else:
            yield Problem(str(path), line_of(text, location), ".".join(location), sentence)


def _shown(value: object) -> str:
    """Return a value of a settings file as one short line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _syntax_problem(path: Path, text: str, error: tomllib.TOMLDecodeError) -> Problem:
    # tomllib of Python 3.11 tells the line in its sentence only: "... (at line 3, column 5)".
    sentence, _, place = str(error).rpartition(" (at ")
    digits = "".join(character for character in place.partition(",")[0] if character.isdigit())
    line = int(digits) if digits else len(text.splitlines())
    return Problem(str(path), line, "", f"is not TOML: {sentence or error}")


def _ordered(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.line))
