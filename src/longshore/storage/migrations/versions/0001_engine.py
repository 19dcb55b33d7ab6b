"""The tables of the engine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state <> 'stored' OR sha256 IS NOT NULL", name=op.f("ck_artifacts_stored")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'stored', 'doomed')", name=op.f("ck_artifacts_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
    )
    op.create_index(
        "ix_artifacts_doomed",
        "artifacts",
        ["created_us"],
        unique=False,
        sqlite_where=sa.text("state <> 'stored'"),
        postgresql_where=sa.text("state <> 'stored'"),
    )
    op.create_table(
        "dependencies",
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("requires_id", sa.Text(), nullable=False),
        sa.Column("success_only", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("work_id", "requires_id", name=op.f("pk_dependencies")),
    )
    op.create_index("ix_dependencies_requires_id", "dependencies", ["requires_id"], unique=False)
    op.create_table(
        "events",
        sa.Column("seq", IDENTITY, autoincrement=True, nullable=False),
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
    )
    op.create_index("ix_events_at_us", "events", ["at_us"], unique=False)
    op.create_index("ix_events_work_id", "events", ["work_id"], unique=False)
    op.create_table(
        "logs",
        sa.Column("seq", IDENTITY, autoincrement=True, nullable=False),
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_logs")),
    )
    op.create_index("ix_logs_work_id_attempt", "logs", ["work_id", "attempt"], unique=False)
    op.create_table(
        "payloads",
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("work_id", name=op.f("pk_payloads")),
    )
    op.create_table(
        "queues",
        sa.Column("id", IDENTITY, autoincrement=True, nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("attempts_max", sa.Integer(), nullable=False),
        sa.Column("timeout_s", sa.Float(), nullable=True),
        sa.Column("backoff_s", sa.Float(), nullable=False),
        sa.Column("backoff_max_s", sa.Float(), nullable=False),
        sa.Column("concurrency_max", sa.Integer(), nullable=True),
        sa.Column("key_concurrency_max", sa.Integer(), nullable=True),
        sa.Column("retention_s", sa.Float(), nullable=True),
        sa.Column("held_us", sa.BigInteger(), nullable=True),
        sa.Column("held_by", sa.Text(), nullable=True),
        sa.Column("held_why", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queues")),
        sa.UniqueConstraint(
            "organisation_id",
            "surface",
            "name",
            name=op.f("uq_queues_organisation_id_surface_name"),
        ),
    )
    op.create_table(
        "results",
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("work_id", name=op.f("pk_results")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.Column("left_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
        sa.UniqueConstraint(
            "organisation_id", "incarnation", name=op.f("uq_workers_organisation_id_incarnation")
        ),
    )
    op.create_table(
        "works",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempts_max", sa.Integer(), nullable=False),
        sa.Column("timeout_s", sa.Float(), nullable=True),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("lease_until_us", sa.BigInteger(), nullable=True),
        sa.Column("retry_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.Column("concurrency_key", sa.Text(), nullable=True),
        sa.Column("unique_key", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until_us IS NOT NULL)", name=op.f("ck_works_lease")
        ),
        sa.CheckConstraint(
            "(state = 'success' OR state = 'failure' OR state = 'cancelled') = (finished_us IS NOT NULL)",
            name=op.f("ck_works_finished"),
        ),
        # Written out: SQLite makes a table of the values of IN each time it checks a row.
        sa.CheckConstraint(
            "reason = 'submitted' OR reason = 'blocked' OR reason = 'delayed' OR reason = 'held' OR reason = 'released' OR reason = 'dependency_failed' OR reason = 'claimed' OR reason = 'done' OR reason = 'failed' OR reason = 'timed_out' OR reason = 'rejected' OR reason = 'lease_expired' OR reason = 'worker_lost' OR reason = 'handed_back' OR reason = 'retried' OR reason = 'cancel_requested' OR reason = 'cancel_confirmed' OR reason = 'cancelled' OR reason = 'reopened'",
            name=op.f("ck_works_reason"),
        ),
        sa.CheckConstraint("retry_us IS NULL OR state = 'failure'", name=op.f("ck_works_retry")),
        sa.CheckConstraint(
            "state = 'waiting' OR state = 'queued' OR state = 'running' OR state = 'success' OR state = 'failure' OR state = 'cancelled'",
            name=op.f("ck_works_state"),
        ),
        sa.CheckConstraint("attempt >= 0 AND attempts_max >= 1", name=op.f("ck_works_attempts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_works")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_works_claim",
        "works",
        ["queue_id", sa.text("priority DESC"), "due_us", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_works_due",
        "works",
        ["due_us"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_works_finished",
        "works",
        ["queue_id", "state", "finished_us"],
        unique=False,
        sqlite_where=sa.text("finished_us IS NOT NULL"),
        postgresql_where=sa.text("finished_us IS NOT NULL"),
    )
    op.create_index(
        "ix_works_group",
        "works",
        ["group_id", "state"],
        unique=False,
        sqlite_where=sa.text("group_id IS NOT NULL"),
        postgresql_where=sa.text("group_id IS NOT NULL"),
    )
    op.create_index(
        "ix_works_lease",
        "works",
        ["lease_until_us"],
        unique=False,
        sqlite_where=sa.text("lease_until_us IS NOT NULL"),
        postgresql_where=sa.text("lease_until_us IS NOT NULL"),
    )
    op.create_index(
        "ix_works_retry",
        "works",
        ["retry_us"],
        unique=False,
        sqlite_where=sa.text("retry_us IS NOT NULL"),
        postgresql_where=sa.text("retry_us IS NOT NULL"),
    )
    op.create_index(
        "ix_works_running",
        "works",
        ["queue_id", "concurrency_key"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_works_unique",
        "works",
        ["queue_id", "unique_key"],
        unique=True,
        sqlite_where=sa.text("unique_key IS NOT NULL"),
        postgresql_where=sa.text("unique_key IS NOT NULL"),
    )
    op.create_table(
        "worker_queues",
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["queue_id"], ["queues.id"], name=op.f("fk_worker_queues_queue_id")
        ),
        sa.ForeignKeyConstraint(
            ["worker_id"],
            ["workers.id"],
            name=op.f("fk_worker_queues_worker_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("worker_id", "queue_id", name=op.f("pk_worker_queues")),
    )
    op.create_index("ix_worker_queues_queue_id", "worker_queues", ["queue_id"], unique=False)
