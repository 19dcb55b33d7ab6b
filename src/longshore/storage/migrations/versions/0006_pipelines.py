"""Pipelines: services and their versions, pipelines, chunks with their inputs and outputs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of longshore.surfaces.pipelines, and give queues parents."""
    op.add_column("queues", sa.Column("parent_id", sa.BigInteger))
    op.add_column(
        "queues",
        sa.Column("successes_told", sa.Boolean, nullable=False, server_default=sa.true()),
    )
    op.create_index(
        "ix_queues_parent_id",
        "queues",
        ["parent_id"],
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    _make_services()
    _make_pipelines()
    _make_chunks()
    _make_bodies()


def downgrade() -> None:
    """Drop what upgrade makes."""
    for table in (
        "pipeline_outputs", "pipeline_inputs", "pipeline_chunks", "pipelines",
        "pipeline_versions", "pipeline_services",
    ):  # fmt: skip
        op.drop_table(table)
    op.drop_index("ix_queues_parent_id", "queues")
    op.drop_column("queues", "successes_told")
    op.drop_column("queues", "parent_id")


def _make_services() -> None:
    op.create_table(
        "pipeline_services",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("folded", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_services"),
        sa.UniqueConstraint(
            "organisation_id", "folded", name="uq_pipeline_services_organisation_id_folded"
        ),
    )
    op.create_table(
        "pipeline_versions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("service_id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("queue_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("active_us", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("blob_id", sa.Text),
        sa.CheckConstraint("(kind = 'workbook') = (blob_id IS NOT NULL)", name="blob"),
        sa.CheckConstraint("kind IN ('python', 'workbook')", name="kind"),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_versions"),
        sa.UniqueConstraint("queue_id", name="uq_pipeline_versions_queue_id"),
        sa.UniqueConstraint(
            "service_id", "version", name="uq_pipeline_versions_service_id_version"
        ),
    )
    op.create_index(
        "ix_pipeline_versions_organisation_id", "pipeline_versions", ["organisation_id"]
    )


def _make_pipelines() -> None:
    op.create_table(
        "pipelines",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("service_id", sa.Text, nullable=False),
        sa.Column("version_id", sa.Text, nullable=False),
        sa.Column("queue_id", sa.BigInteger, nullable=False),
        sa.Column("service_uri", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("active_us", sa.BigInteger, nullable=False),
        sa.Column("ended_us", sa.BigInteger),
        sa.Column("ending", sa.Text),
        sa.Column("completed_us", sa.BigInteger),
        sa.Column("records_told", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("request_key", sa.Text),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("input_buffer_bytes", sa.BigInteger, nullable=False),
        sa.Column("output_buffer_bytes", sa.BigInteger, nullable=False),
        sa.Column("chunk_bytes_max", sa.BigInteger, server_default="0", nullable=False),
        sa.CheckConstraint("ending IN ('closed', 'timeout', 'cancelled')", name="ending"),
        sa.CheckConstraint("(ending IS NULL) = (ended_us IS NULL)", name="ended"),
        sa.CheckConstraint("completed_us IS NULL OR ended_us IS NOT NULL", name="completed"),
        sa.PrimaryKeyConstraint("id", name="pk_pipelines"),
        sa.UniqueConstraint("queue_id", name="uq_pipelines_queue_id"),
    )
    op.create_index(
        "ix_pipelines_completed",
        "pipelines",
        ["completed_us"],
        sqlite_where=sa.text("completed_us IS NOT NULL"),
        postgresql_where=sa.text("completed_us IS NOT NULL"),
    )
    op.create_index(
        "ix_pipelines_open",
        "pipelines",
        ["active_us"],
        sqlite_where=sa.text("ended_us IS NULL"),
        postgresql_where=sa.text("ended_us IS NULL"),
    )
    op.create_index(
        "ix_pipelines_organisation_id_created_us", "pipelines", ["organisation_id", "created_us"]
    )
    op.create_index(
        "ix_pipelines_request_key",
        "pipelines",
        ["organisation_id", "request_key"],
        unique=True,
        sqlite_where=sa.text("request_key IS NOT NULL"),
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )
    op.create_index(
        "ix_pipelines_running_out",
        "pipelines",
        ["ended_us"],
        sqlite_where=sa.text("ended_us IS NOT NULL AND completed_us IS NULL"),
        postgresql_where=sa.text("ended_us IS NOT NULL AND completed_us IS NULL"),
    )
    op.create_index("ix_pipelines_version_id", "pipelines", ["version_id"])


def _make_chunks() -> None:
    op.create_table(
        "pipeline_chunks",
        sa.Column("work_id", sa.Text, nullable=False),
        sa.Column("pipeline_id", sa.Text),
        sa.Column("chunk_id", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("columnar", sa.Boolean, nullable=False),
        sa.Column("input_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger),
        sa.Column("records_failed", sa.Integer, server_default="0", nullable=False),
        sa.Column("output_bytes", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("compute_ms", sa.Float, server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("failed", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("delivery_id", sa.Text),
        sa.Column("delivered_us", sa.BigInteger),
        sa.Column("erased_us", sa.BigInteger),
        sa.CheckConstraint("delivery_id IS NULL OR delivered_us IS NOT NULL", name="delivered"),
        sa.PrimaryKeyConstraint("work_id", name="pk_pipeline_chunks"),
        sa.UniqueConstraint(
            "pipeline_id", "chunk_id", name="uq_pipeline_chunks_pipeline_id_chunk_id"
        ),
    )
    op.create_index(
        "ix_pipeline_chunks_available",
        "pipeline_chunks",
        ["pipeline_id", "finished_us", "work_id", "output_bytes"],
        sqlite_where=sa.text(
            "finished_us IS NOT NULL AND delivered_us IS NULL AND erased_us IS NULL"
        ),
        postgresql_where=sa.text(
            "finished_us IS NOT NULL AND delivered_us IS NULL AND erased_us IS NULL"
        ),
    )
    op.create_index(
        "ix_pipeline_chunks_delivered",
        "pipeline_chunks",
        ["pipeline_id", "delivered_us", "output_bytes"],
        sqlite_where=sa.text("delivered_us IS NOT NULL AND erased_us IS NULL"),
        postgresql_where=sa.text("delivered_us IS NOT NULL AND erased_us IS NULL"),
    )
    op.create_index(
        "ix_pipeline_chunks_erasable",
        "pipeline_chunks",
        ["delivered_us"],
        sqlite_where=sa.text("delivered_us IS NOT NULL AND erased_us IS NULL"),
        postgresql_where=sa.text("delivered_us IS NOT NULL AND erased_us IS NULL"),
    )
    op.create_index(
        "ix_pipeline_chunks_executions",
        "pipeline_chunks",
        ["created_us"],
        sqlite_where=sa.text("pipeline_id IS NULL"),
        postgresql_where=sa.text("pipeline_id IS NULL"),
    )
    op.create_index(
        "ix_pipeline_chunks_pending",
        "pipeline_chunks",
        ["pipeline_id", "input_bytes"],
        sqlite_where=sa.text("finished_us IS NULL AND erased_us IS NULL"),
        postgresql_where=sa.text("finished_us IS NULL AND erased_us IS NULL"),
    )


def _make_bodies() -> None:
    op.create_table(
        "pipeline_inputs",
        sa.Column("work_id", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("work_id", name="pk_pipeline_inputs"),
    )
    op.create_table(
        "pipeline_outputs",
        sa.Column("work_id", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("work_id", name="pk_pipeline_outputs"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Bodies are read once or twice and erased: to compress them takes longer than to store
        # them as they are.
        for table in ("pipeline_inputs", "pipeline_outputs"):
            op.execute(f"ALTER TABLE {table} ALTER COLUMN body SET STORAGE EXTERNAL")
