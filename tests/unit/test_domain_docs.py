"""The pages about states and rules are what the code says."""

import tomllib
from pathlib import Path

import pytest

from scripts.domain_docs import INTRODUCTION, pages
from teleexpertise.facts import SYMBOLS, VALUES, Trigger
from teleexpertise.rules import load_rules
from tests.support.cases import DEFAULT_RULES


@pytest.mark.parametrize("path", list(pages()), ids=lambda path: path.name)
def test_the_page_is_fresh(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == pages()[path], "run scripts/domain_docs.py"


def test_the_page_of_rules_names_the_whole_vocabulary() -> None:
    page = next(text for path, text in pages().items() if path.name == "rules.md")
    assert all(f"`{word}`" in page for word in (*SYMBOLS, *Trigger))


def test_the_example_of_the_page_is_a_rule() -> None:
    example = INTRODUCTION.partition("```toml\n")[2].partition("```")[0]
    assert [rule.name for rule in load_rules([DEFAULT_RULES, example]).rules][-1] == "dermatologie-sans-image"


def test_urgencies_of_conditions_are_those_of_the_request_form(root: Path) -> None:
    forms = tomllib.loads((root / "teleexpertise" / "forms" / "forms.toml").read_text(encoding="utf-8"))
    assert set(options(forms, "urgency")) == set(VALUES["urgency"])


def options(table: object, name: str) -> list[str]:
    """The values of the options of the field of that name, wherever it stands."""
    if isinstance(table, list):
        return [value for entry in table for value in options(entry, name)]
    if not isinstance(table, dict):
        return []
    if table.get("name") == name and "options" in table:
        return [option["value"] for option in table["options"]]
    return [value for entry in table.values() for value in options(entry, name)]
