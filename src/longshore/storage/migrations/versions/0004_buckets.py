"""Buckets: documents of works, their results, artifacts, settings and webhooks; notices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from longshore.storage.schema import Identity64

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of longshore.surfaces.buckets, and the engine's notices."""
    _make_notices()
    _make_works()
    _make_results()


def downgrade() -> None:
    """Drop what upgrade makes."""
    for table in (
        "bucket_webhooks", "bucket_artifacts", "bucket_results", "bucket_deposits",
        "bucket_settings", "bucket_works", "notices",
    ):  # fmt: skip
        op.drop_table(table)
    op.drop_column("queues", "notices")
    op.drop_column("queues", "expired_pause_s")


def _make_notices() -> None:
    op.add_column(
        "queues", sa.Column("expired_pause_s", sa.Float, nullable=False, server_default="0")
    )
    op.add_column(
        "queues", sa.Column("notices", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_table(
        "notices",
        sa.Column("seq", Identity64, autoincrement=True, nullable=False),
        sa.Column("work_id", sa.Text, nullable=False),
        sa.Column("queue_id", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_notices"),
    )


def _make_works() -> None:
    op.create_table(
        "bucket_works",
        sa.Column("work_id", sa.Text, nullable=False),
        sa.Column("queue_id", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("attempt_offset", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("work_id", name="pk_bucket_works"),
    )
    op.create_index("ix_bucket_works_queue_id_work_id", "bucket_works", ["queue_id", "work_id"])
    op.create_table(
        "bucket_settings",
        sa.Column("queue_id", sa.BigInteger, nullable=False),
        sa.Column("archive_after_s", sa.Float),
        sa.Column("results_retention_s", sa.Float),
        sa.PrimaryKeyConstraint("queue_id", name="pk_bucket_settings"),
    )
    op.create_table(
        "bucket_deposits",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("ids", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_bucket_deposits"),
    )
    op.create_index("ix_bucket_deposits_at_us", "bucket_deposits", ["at_us"])


def _make_results() -> None:
    op.create_table(
        "bucket_results",
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("locked", sa.Boolean, nullable=False),
        sa.Column("deposited_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "pipeline", "id", name="pk_bucket_results"),
    )
    op.create_index(
        "ix_bucket_results_organisation_id_id",
        "bucket_results",
        ["organisation_id", "id"],
        unique=True,
    )
    op.create_index(
        "ix_bucket_results_organisation_id_pipeline_deposited_us",
        "bucket_results",
        ["organisation_id", "pipeline", "deposited_us"],
    )
    op.create_table(
        "bucket_artifacts",
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("work_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("blob_id", sa.Text),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("sha256", sa.Text),
        sa.PrimaryKeyConstraint(
            "organisation_id", "work_id", "kind", "position", name="pk_bucket_artifacts"
        ),
        sa.CheckConstraint("kind IN ('product', 'plot')", name="kind"),
    )
    op.create_table(
        "bucket_webhooks",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("queue_id", sa.BigInteger),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bucket_webhooks"),
    )
    op.create_index("ix_bucket_webhooks_organisation_id", "bucket_webhooks", ["organisation_id"])
