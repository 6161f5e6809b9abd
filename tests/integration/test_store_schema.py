"""The migrations and the tables of the program are one and the same schema."""

import json
import sqlite3
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text

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


def test_conversations_from_before_are_looked_up_by_whom_they_state(tmp_path: Path) -> None:
    """Those that are in nobody's history and name somebody; digests that wait are told all the same."""
    engine = create_engine(f"sqlite:///{tmp_path / 'older.db'}")
    config = Config()
    config.set_main_option("script_location", str(files("gateway.store") / "migrations"))

    def bring(connection: Connection, revision: str) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    jeanne = {
        "birth_name": "Dupont-Évrard", "first_names": "Jeanne", "birth_date": "1957-02-03", "sex": "F",
        "ins": "257029999912369", "anonymous": False,
    }  # fmt: skip
    nobody = dict.fromkeys(jeanne, "") | {"birth_date": None, "anonymous": True}
    ids = {name: uuid4().hex for name in ("stated", "anonymous", "linked")}
    with engine.begin() as connection:
        bring(connection, "0008")
        for number, (name, identifier) in enumerate(ids.items()):
            patient = nobody if name == "anonymous" else jeanne
            values = {
                "i": identifier,
                "r": f"TLE-2026-00000{number}",
                "f": json.dumps({"opening": {"patient": patient}}),
            }
            connection.execute(text(
                "INSERT INTO conversation (id, ref, state, requester_address, expert_address, opened_at,"
                " updated_at, next_seq, folded) VALUES (:i, :r, 'requested', 'a@b', 'c@d', '2026-01-01',"
                " '2026-01-01', 2, :f)"), values)  # fmt: skip
        connection.execute(text(
            "INSERT INTO patient (id, traits, birth_name, first_names, sex, ins_oid, created_at)"
            " VALUES (7, '', 'X', 'Y', 'F', '', '2026-01-01')"))  # fmt: skip
        connection.execute(text("INSERT INTO patient_conversation VALUES (:i, 7)"), {"i": ids["linked"]})
        connection.execute(text(
            "INSERT INTO digest_item (address, conversation_id, at, event, who)"
            " VALUES ('c@d', :i, '2026-01-02', 'request', 'Dr A')"), {"i": ids["stated"]})  # fmt: skip
    with engine.begin() as connection:
        bring(connection, "head")
        stated = connection.execute(text("SELECT conversation_id, ins, traits FROM patient_stated")).all()
        waiting = connection.execute(text("SELECT conversation_id, who, mirror_id FROM digest_item")).all()
    assert stated == [(ids["stated"], "257029999912369", "dupont evrard|jeanne|1957-02-03|F")]
    assert waiting == [(ids["stated"], "Dr A", None)]
