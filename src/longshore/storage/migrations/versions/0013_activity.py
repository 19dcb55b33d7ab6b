"""What went on: buckets of time, and counts of works."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_CHANGES = ("submitted", "claimed", "succeeded", "failed", "cancelled", "retried", "lost")
_STATES = ("waiting", "queued", "running", "retrying", "success", "failure", "cancelled")


def upgrade() -> None:
    """Make the tables of longshore.engine.activity_tables."""
    op.create_table(
        "activity_buckets",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("length_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("begins_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _CHANGES),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in _STATES[:3]),
        sa.Column("run_times", sa.Text(), nullable=False),
        sa.Column("waits", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organisation_id", "length_s", "begins_us", "surface", name="pk_activity_buckets"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_activity_buckets_begins_us", "activity_buckets", ["length_s", "begins_us"], unique=False
    )
    op.create_table(
        "queue_counts",
        sa.Column("queue_id", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _STATES),
        sa.Column("oldest_us", sa.BigInteger(), nullable=True),
        sa.Column("failed_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("queue_id", name="pk_queue_counts"),
    )
    op.create_table(
        "activity_progress",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("took_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_activity_progress"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("activity_progress", "queue_counts", "activity_buckets"):
        op.drop_table(table)
