"""Tables shipped with the product, read from beside this module wherever it is installed."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Specialty:
    """A specialty of the directory: its French name, other words (lower case) that people use for it, and
    what its experts usually want to see, as lines of the form of preferences.
    """

    name: str
    synonyms: tuple[str, ...]
    usual_items: tuple[str, ...]


def read_resource(name: str) -> str:
    """Return the text of the shipped table `name`, such as "rules.toml". Raises FileNotFoundError."""
    return files("config").joinpath(name).read_text(encoding="utf-8")


def specialties() -> tuple[Specialty, ...]:
    """Return the specialties of the directory, in the order of the table."""
    table = tomllib.loads(read_resource("specialties.toml"))
    return tuple(
        Specialty(row["name"], tuple(row["synonyms"]), tuple(row.get("usual_items", ())))
        for row in table["specialty"]
    )


def departments() -> Mapping[str, str]:
    """Return the French departments: code ("43", "2A", "974") -> name."""
    table: dict[str, str] = tomllib.loads(read_resource("departments.toml"))["departments"]
    return table
