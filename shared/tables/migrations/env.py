"""Alembic's entry: runs the versions on the connection that migrate() hands over."""

from alembic import context

import shared.tables.migrations.healing  # noqa: F401 - declares how migrations go on
from shared.tables.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
