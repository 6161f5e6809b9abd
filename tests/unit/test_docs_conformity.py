"""docs/conformity.md names only tests that exist."""

import re
from pathlib import Path

_NAMED = re.compile(r"`((?:unit|property|integration|peers|contract)/[a-z0-9_]+)(?:::([a-z0-9_]+))?`")


def test_every_test_that_the_document_names_exists(root: Path) -> None:
    document = (root / "docs/conformity.md").read_text("utf-8")
    missing = []
    for place, name in _NAMED.findall(document):
        folder, _, stem = place.partition("/")
        files = sorted((root / "tests" / folder).glob(f"test_{stem}*.py"))
        found = any(f"def test_{name}(" in file.read_text("utf-8") for file in files) if name else files
        if not found:
            missing.append(f"{place}::{name}" if name else place)
    assert not missing


def test_each_feature_has_one_row_and_a_test_named_after_its_number(root: Path) -> None:
    document = (root / "docs/conformity.md").read_text("utf-8")
    rows = [line.split(" | ") for line in document.splitlines() if re.match(r"\| A\.\d+ \|", line)]
    numbers = [int(row[0].removeprefix("| A.")) for row in rows]
    assert numbers == list(range(1, 47))
    for number, row in zip(numbers, rows, strict=True):
        named = re.findall(r"`(?:integration|peers)/[a-z0-9_]+::([a-z0-9_]+)`", row[-1])
        # What is before the directory is the mail program's or the operator's: shown by whole files.
        assert number < 10 or any(re.match(rf"(?:a\d+_)*a{number}_", name) for name in named), row[0]
