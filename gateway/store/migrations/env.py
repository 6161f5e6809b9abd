"""Alembic's environment: the connection is given by :mod:`gateway.store.migration`, nothing is configured
here.
"""

from alembic import context

from gateway.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
