"""The migrations and the tables of the program are one and the same schema."""

import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect

from gateway.store import SchemaMismatch, Store
from gateway.store.migration import SCHEMA_REVISION, upgrade
from gateway.store.schema import metadata
from tests.support.store import database_url


@pytest.fixture
def migrated(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.begin() as connection:
        upgrade(connection)
    return engine


def _clauses(engine: Engine) -> dict[str, list[str]]:
    """What SQLite keeps of each table and index, clause by clause: their order is of no account, nor that it
    quotes the name of a table that was made anew.
    """
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    return {
        name: sorted(clause.strip(" ()\n\t") for clause in sql.replace('"', "").split(","))
        for name, sql in rows
        if "alembic" not in name
    }


def test_alembic_finds_no_difference(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_tables_indexes_and_constraints_are_the_same_word_for_word(migrated: Engine, tmp_path: Path) -> None:
    made = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(made)
    assert _clauses(migrated) == _clauses(made)
    assert set(inspect(migrated).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_every_constraint_has_a_name() -> None:
    nameless = [
        f"{table.name}: {thing}"
        for table in metadata.tables.values()
        for thing in (*table.constraints, *table.indexes)
        if not getattr(thing, "name", None)
    ]
    assert nameless == []


def test_last_revision_is_the_programs() -> None:
    config = Config()
    config.set_main_option("script_location", str(files("gateway.store") / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_REVISION]


async def test_database_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    async with Store.open(database_url(tmp_path)):
        pass
    with sqlite3.connect(tmp_path / "gateway.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SchemaMismatch):
        async with Store.open(database_url(tmp_path)):
            pass


async def test_settings_of_the_database_are_the_durable_ones(tmp_path: Path) -> None:
    async with Store.open(database_url(tmp_path)) as store:
        for engine in (store._engines.writers, store._engines.readers):
            async with engine.connect() as connection:
                found = {
                    name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
                    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
                }
            assert found == {
                "journal_mode": "wal",
                "synchronous": 2,
                "foreign_keys": 1,
                "busy_timeout": 30_000,
            }
