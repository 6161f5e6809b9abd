"""Every word that the program asks for by name is there: a missing one would stop a report for ever."""

import re
from pathlib import Path

from teleexpertise.texts.words import load_words

_ASKED = re.compile(r'words\.of\(\s*"(\w+)",\s*"(\w+)"')


def test_every_word_asked_for_by_name_is_there() -> None:
    root = Path(__file__).parents[2]
    sources = [path for room in ("gateway", "teleexpertise") for path in (root / room).rglob("*.py")]
    asked = {pair for path in sources for pair in _ASKED.findall(path.read_text("utf-8"))}
    assert len(asked) > 5
    words = load_words()
    assert [words.of(group, name) for group, name in asked if not words.of(group, name)] == []
