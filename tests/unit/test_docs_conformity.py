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
