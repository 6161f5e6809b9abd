"""The schema is the manual: every setting is described, and what is written from it can be read back."""

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from config import Settings, departments, load, manual, read_resource, specialties, write_toml

SECTIONS = {name: field.annotation for name, field in Settings.model_fields.items()}
SETTINGS = [
    (section, key, field)
    for section, kind in SECTIONS.items()
    if isinstance(kind, type) and issubclass(kind, BaseModel)
    for key, field in kind.model_fields.items()
]


@pytest.mark.parametrize(("section", "key", "field"), SETTINGS, ids=lambda value: str(value)[:20])
def test_every_setting_is_described_in_the_manual(section: str, key: str, field: object) -> None:
    description = getattr(field, "description", None)
    assert description
    words = manual().split(f"[{section}]\n", 1)[1].replace("\n# ", " ").split()
    assert " ".join(description.split()) in " ".join(words)
    assert f"\n{key} = " in manual() or f"\n# {key} = " in manual()


def test_every_section_says_what_it_is_for() -> None:
    assert all(kind is not None and kind.__doc__ for kind in SECTIONS.values())


def test_the_manual_is_a_settings_file(tmp_path: Path) -> None:
    text = manual().replace("# domain = ...", 'domain = "demo.mssante.example"')
    (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
    settings = load(tmp_path / "gateway.toml", {})
    assert settings.smtp.mx_port == 2525
    assert max(len(line) for line in text.splitlines()) <= 120


def test_defaults_name_only_known_settings() -> None:
    tables = tomllib.loads(read_resource("defaults.toml"))
    assert {(section, key) for section, table in tables.items() for key in table} <= {
        (section, key) for section, key, _ in SETTINGS
    }


def test_a_written_file_reads_back_the_same(tmp_path: Path) -> None:
    values: dict[str, dict[str, object]] = {
        "service": {
            "domain": "demo.mssante.example",
            "town": 'Le "Puy"-en-Velay \\ été',
            "test_identifiers": True,
        },
        "smtp": {"mx_port": 0},
        "relay": {"routes": {"ch.mssante.example": "127.0.0.1:2526"}, "retry_minutes": [1, 2]},
        "files": {"mac_key_file": tmp_path / "clé.bin"},
    }
    text = write_toml(values)
    (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
    settings = load(tmp_path / "gateway.toml", {})
    assert settings.service.town == 'Le "Puy"-en-Velay \\ été'
    assert settings.service.test_identifiers is True
    assert settings.relay.routes == {"ch.mssante.example": "127.0.0.1:2526"}
    assert settings.relay.retry_minutes == (1, 2)
    assert settings.files.mac_key_file == tmp_path / "clé.bin"
    assert "# mail domain of the service" in text


def test_an_unknown_setting_is_not_written() -> None:
    with pytest.raises(KeyError):
        write_toml({"smtp": {"prot": 1}})


def test_the_tables_of_the_directory() -> None:
    names = {specialty.name: specialty.synonyms for specialty in specialties()}
    assert len(names) >= 50
    assert {"dermato", "cardio", "ophtalmo"} <= {word for synonyms in names.values() for word in synonyms}
    assert all(word == word.lower() for synonyms in names.values() for word in synonyms)
    words = [word for synonyms in names.values() for word in synonyms]
    assert len(words) == len(set(words)), "a word that names two specialties finds neither"
    table = departments()
    assert table["43"] == "Haute-Loire"
    assert table["2A"] == "Corse-du-Sud"
    assert "20" not in table
    assert len([code for code in table if not code.startswith(("975", "977", "978", "98"))]) == 101


def test_a_table_that_is_not_shipped_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        read_resource("absent.toml")
