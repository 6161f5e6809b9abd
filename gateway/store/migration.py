"""Bringing a database to the schema of this program, by Alembic, without its command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from gateway.store.errors import SchemaMismatch

if TYPE_CHECKING:
    from gateway.store.engines import Engines

__all__ = ["SCHEMA_REVISION", "bring_up_to_date", "upgrade"]

SCHEMA_REVISION = "0016"
"""The last revision in ``migrations/versions``; a test holds it to that."""


def _revision_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def upgrade(connection: Connection) -> None:
    """Run the missing migrations within the connection's transaction. Raises :class:`SchemaMismatch`."""
    # Loaded only here: every start of a command would pay for it, and hardly any needs it.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "gateway.store:migrations")
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaMismatch(
            f"the database is of revision {_revision_of(connection)}, this program knows those up to "
            f"{SCHEMA_REVISION}: a newer one made it"
        ) from error
    if connection.dialect.name == "postgresql":
        from gateway.store.postgresql import order_by_code_point

        order_by_code_point(connection)


async def bring_up_to_date(pair: Engines) -> None:
    """Migrate where the revision is not ours; processes that start together wait for each other."""
    async with pair.readers.connect() as connection:
        found = await connection.run_sync(_revision_of)
    if found != SCHEMA_REVISION:
        async with pair.writers.begin() as connection:
            await connection.run_sync(upgrade)
