"""Files, folders, pages and settings that the documentation names are there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import Settings

_SPAN = re.compile(r"`([^`]+)`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_FILE = re.compile(r"[\w./-]+\.(?:py|toml|sh|md|j2)")
_FOLDER = re.compile(r"[\w-]+(?:/[\w-]+)*/")
_SETTING = re.compile(r"\[(\w+)\] (\w+)|(\w+)\.(\w+)(?: =.*)?")
#: What a deployment has and the repository has not.
_DEPLOYED = {"gateway.toml", "state.sqlite3.lock", "var/", "mail/", "pki/"}
_SECTIONS = {
    name: getattr(field.annotation, "model_fields", {}) for name, field in Settings.model_fields.items()
}


def spans(text: str) -> Iterator[str]:
    """The words in code of a page, blocks left out."""
    for span in _SPAN.findall(_FENCE.sub("", text)):
        yield " ".join(span.split())


def missing(text: str, page: Path, root: Path) -> list[str]:
    """What a page names and nobody has."""
    there = [path.relative_to(root) for room in root.iterdir() if _ours(room) for path in _below(room)]
    ends = {"/".join(path.parts[start:]) for path in there for start in range(len(path.parts))}
    found = [target for target in _LINK.findall(text) if not (page.parent / target).exists()]
    for span in spans(text):
        named = _FILE.fullmatch(span) or _FOLDER.fullmatch(span)
        if named and span not in _DEPLOYED and not span.startswith("../") and span.rstrip("/") not in ends:
            found.append(span)
        if not named and (setting := _SETTING.fullmatch(span)):
            section, key = setting[1] or setting[3], setting[2] or setting[4]
            if (setting[1] or section in _SECTIONS) and key not in _SECTIONS.get(section, {}):
                found.append(span)
    return found


def _ours(path: Path) -> bool:
    return not path.name.startswith(".") and path.name not in ("var", "build", "dist")


def _below(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        yield from path.rglob("*")


@pytest.mark.parametrize("name", ["README.md", "docs/*.md"])
def test_what_a_page_names_is_there(name: str, root: Path) -> None:
    pages = sorted(root.glob(name))
    assert pages
    assert {page.name: lost for page in pages if (lost := missing(page.read_text("utf-8"), page, root))} == {}


def test_what_is_not_there_is_found(root: Path) -> None:
    lost = "`gateway/nobody.py`, `nobody/`, `[smtp] nobody`, `smtp.nobody`, [a page](docs/nobody.md)"
    here = "`pipeline/unit.py`, `gateway/smtp/`, `gateway.toml`, `[smtp] bind`, `smtp.bind = 1`, `rules.py`"
    assert len(missing(lost, root / "README.md", root)) == 5
    assert missing(here, root / "README.md", root) == []
