"""Traces: which request a work came with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of longshore.engine.traces."""
    op.create_table(
        "traces",
        sa.Column("work_id", sa.Text, nullable=False),
        sa.Column("traceparent", sa.Text, nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("work_id", name="pk_traces"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("traces")
