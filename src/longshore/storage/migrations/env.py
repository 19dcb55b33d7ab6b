"""Alembic's entry: runs the steps on the connection that longshore.storage.migrating hands over."""

from __future__ import annotations

from alembic import context

from longshore.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # Steps that rebuild a table on SQLite need it; others are written the same way on both.
    render_as_batch=True,
    # The caller owns the transaction: a step that fails takes the whole upgrade back.
    transactional_ddl=False,
)
context.run_migrations()
