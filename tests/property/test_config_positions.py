"""Any text gives settings or a ConfigError; a key is found at the line where it was written."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from config import ConfigError, Settings, load, load_mapping
from config.positions import line_of

NAMES = st.sampled_from(
    ["service", "smtp", "domain", "mx_port", "routes", "relay", "é", "a b", '"', "\\", ""]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats()
VALUES = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(NAMES, LEAVES, max_size=3)
PIECES = st.lists(
    st.sampled_from(
        ["[", "]", "service", "smtp", ".", "=", '"', "'''", "\n", "domain", "#", "1", "{", "}", "\0"]
    )
)


def sentence(read: Callable[[], Settings]) -> str:
    """What is said against the settings; nothing where they are good."""
    try:
        read()
    except ConfigError as error:
        return str(error)
    return ""


@given(st.binary(max_size=80) | PIECES.map(lambda pieces: "".join(pieces).encode()))
def test_any_file_is_settings_or_the_one_error(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.toml"
        path.write_bytes(content)
        assert "\n" not in sentence(lambda: load(path, {}))


@given(st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=2), max_size=3))
def test_any_tables_are_settings_or_the_one_error(tables: dict[str, object]) -> None:
    assert "\n" not in sentence(lambda: load_mapping(tables, Path("/x")))


@given(st.lists(st.sampled_from(["alpha", "beta", "gamma"]), min_size=1, unique=True), st.integers(0, 3))
def test_a_key_is_found_at_its_line(sections: list[str], blank: int) -> None:
    lines: list[str] = []
    expected = {}
    for section in sections:
        lines += [""] * blank + [
            f"[{section}]",
            "# key = 0",
            "other = '''",
            "key = 1",
            "'''",
            f'"key" = "{section}"',
        ]
        expected[(section, "key")] = len(lines)
    for key, line in expected.items():
        assert line_of("\n".join(lines), key) == line


def test_what_has_no_line_of_its_own_is_found_where_it_is_held() -> None:
    text = 'top = 1\n[relay]\nroutes = { "ch.example" = "x:1" }\na.b = 2\n[[list]] # one\nc = 3\n'
    assert line_of(text, ("relay", "routes", "ch.example")) == 3
    assert line_of(text, ("relay", "a", "b")) == 4
    assert line_of(text, ("relay", "absent")) == 2
    assert line_of(text, ("list", "c")) == 6
    assert line_of(text, ("absent",)) == 0
