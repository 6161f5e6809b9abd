"""The migrations and the tables of the program are one and the same schema."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.support.postgres import Cluster
from tests.support.store import database_url


@pytest.fixture
def migrated(empty_database: str) -> Iterator[Engine]:
    """A database that went through all revisions."""
    with _engine(empty_database) as engine:
        with engine.begin() as connection:
            upgrade(connection)
        yield engine


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


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


_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
        pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'"""
_CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'"""
_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'"""
_UNORDERED = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND data_type IN ('text', 'character varying')
        AND collation_name IS DISTINCT FROM 'C'"""


def _described(engine: Engine) -> set[tuple[object, ...]]:
    """What PostgreSQL says of all columns, constraints and indexes."""
    with engine.connect() as connection:
        return {
            tuple(row)
            for query in (_COLUMNS, _CONSTRAINTS, _INDEXES)
            for row in connection.exec_driver_sql(query)
        }


def test_alembic_finds_no_difference(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_tables_indexes_and_constraints_are_the_same_word_for_word(
    migrated: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Those that the revisions made, and those that the program's tables would make."""
    if migrated.dialect.name == "sqlite":
        with _engine(f"sqlite:///{tmp_path / 'made.db'}") as made:
            metadata.create_all(made)
            assert _clauses(migrated) == _clauses(made)
    else:
        with request.getfixturevalue("postgres").empty_database() as url, _engine(url) as made:
            metadata.create_all(made)
            assert _described(migrated) == _described(made)
    assert set(inspect(migrated).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_text_is_ordered_by_code_points_whatever_the_servers_language(postgres: Cluster) -> None:
    with postgres.database() as url, _engine(url) as engine, engine.connect() as connection:
        assert connection.exec_driver_sql(_UNORDERED).all() == []
        # The server itself sorts as French does.
        assert connection.exec_driver_sql("SELECT 'b' > 'C'").scalar_one() is False


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


async def test_database_of_a_newer_program_is_left_alone(database: str) -> None:
    async with Store.open(database):
        pass
    with _engine(database) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match=r"revision 9999.*a newer one made it"):
        async with Store.open(database):
            pass


async def test_settings_of_the_database_are_the_durable_ones(tmp_path: Path) -> None:
    async with Store.open(database_url(tmp_path)) as store:
        for engine in (store.engines.writers, store.engines.readers):
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
