"""Batches, the drive, uploads, the catalogue of apps, deployments, runs and deletions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from longshore.storage.schema import Identity64

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PathText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables of longshore.surfaces.apps."""
    _make_drive()
    _make_catalogue()
    _make_runs()


def downgrade() -> None:
    """Drop the tables of longshore.surfaces.apps."""
    for table in (
        "deletions", "run_files", "app_runs", "deployments", "app_versions", "apps",
        "upload_parts", "upload_sessions", "drive_files", "batches",
    ):  # fmt: skip
        op.drop_table(table)


def _make_drive() -> None:
    op.create_table(
        "batches",
        sa.Column("id", Identity64, autoincrement=True, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("folder", PathText, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("deleting_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_batches_organisation_id_id", "batches", ["organisation_id", "id"])
    op.create_table(
        "drive_files",
        sa.Column("id", Identity64, autoincrement=True, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("path", PathText, nullable=False),
        sa.Column("blob_id", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("modified_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drive_files"),
        sa.UniqueConstraint("organisation_id", "path", name="uq_drive_files_organisation_id_path"),
    )
    op.create_index("ix_drive_files_blob_id", "drive_files", ["blob_id"])
    op.create_index(
        "ix_drive_files_run",
        "drive_files",
        ["run_id"],
        sqlite_where=sa.text("run_id IS NOT NULL"),
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.create_table(
        "upload_sessions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("batch_id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("part_bytes", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("committed_parts", sa.Text),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("touched_us", sa.BigInteger, nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'committed', 'aborted')", name=op.f("ck_upload_sessions_state")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_upload_sessions"),
    )
    op.create_index("ix_upload_sessions_batch_id", "upload_sessions", ["batch_id"])
    op.create_index("ix_upload_sessions_touched_us", "upload_sessions", ["touched_us"])
    op.create_table(
        "upload_parts",
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("part_number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("blob_id", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["upload_sessions.id"], name="fk_upload_parts_session_id"
        ),
        sa.PrimaryKeyConstraint("session_id", "part_number", name="pk_upload_parts"),
    )


def _make_catalogue() -> None:
    op.create_table(
        "apps",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner_folded", sa.Text, nullable=False),
        sa.Column("name_folded", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_apps"),
        sa.UniqueConstraint(
            "organisation_id",
            "owner_folded",
            "name_folded",
            name="uq_apps_organisation_id_owner_folded_name_folded",
        ),
    )
    op.create_table(
        "app_versions",
        sa.Column("app_id", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("queue_id", sa.BigInteger, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("timeout_s", sa.Float),
        sa.Column("attempts_max", sa.Integer, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("offered_us", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name="fk_app_versions_app_id"),
        sa.PrimaryKeyConstraint("app_id", "version", name="pk_app_versions"),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("app_id", sa.Text, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("output_workspace", sa.Text),
        sa.Column("output_dir", sa.Text),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("retain_us", sa.BigInteger),
        sa.Column("delete_db_data", sa.Boolean, nullable=False),
        sa.Column("delete_input", sa.Boolean, nullable=False),
        sa.Column("delete_output", sa.Boolean, nullable=False),
        sa.Column("delete_logs", sa.Boolean, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("deleted_us", sa.BigInteger),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name="fk_deployments_app_id"),
        sa.PrimaryKeyConstraint("id", name="pk_deployments"),
    )
    op.create_index("ix_deployments_organisation_id_id", "deployments", ["organisation_id", "id"])


def _make_runs() -> None:
    op.create_table(
        "app_runs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("app_id", sa.Text, nullable=False),
        sa.Column("app_name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("queue_id", sa.BigInteger, nullable=False),
        sa.Column("deployment_id", sa.Text),
        sa.Column("batch_id", sa.BigInteger),
        sa.Column("input_dir", sa.Text, nullable=False),
        sa.Column("output_dir", sa.Text, nullable=False),
        sa.Column("output_workspace", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("finisher_id", sa.Text, nullable=False),
        sa.Column("cancelled_us", sa.BigInteger),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger),
        sa.Column("documents_to_review", sa.Integer),
        sa.Column("retained_us", sa.BigInteger),
        sa.CheckConstraint(
            "(status = 'RUNNING') = (finished_us IS NULL)", name=op.f("ck_app_runs_finished")
        ),
        sa.CheckConstraint(
            "status IN ('RUNNING', 'COMPLETE', 'FAILED', 'CANCELLED', 'PAUSED', 'STOPPED_AT_CHECKPOINT')",
            name=op.f("ck_app_runs_status"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_app_runs"),
    )
    op.create_index(
        "ix_app_runs_batch",
        "app_runs",
        ["batch_id"],
        sqlite_where=sa.text("status = 'RUNNING'"),
        postgresql_where=sa.text("status = 'RUNNING'"),
    )
    op.create_index(
        "ix_app_runs_organisation_id_started_us", "app_runs", ["organisation_id", "started_us"]
    )
    op.create_index(
        "ix_app_runs_retention",
        "app_runs",
        ["deployment_id", "finished_us"],
        sqlite_where=sa.text("deployment_id IS NOT NULL AND retained_us IS NULL"),
        postgresql_where=sa.text("deployment_id IS NOT NULL AND retained_us IS NULL"),
    )
    op.create_table(
        "run_files",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("path", PathText, nullable=False),
        sa.Column("blob_id", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("work_id", sa.Text, nullable=False),
        sa.Column("pdf_path", sa.Text),
        sa.ForeignKeyConstraint(["run_id"], ["app_runs.id"], name="fk_run_files_run_id"),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_run_files"),
    )
    op.create_index("ix_run_files_blob_id", "run_files", ["blob_id"])
    op.create_table(
        "deletions",
        sa.Column("id", Identity64, autoincrement=True, nullable=False),
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("work_id", sa.Text),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("objects", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deletions"),
    )
    op.create_index("ix_deletions_created_us", "deletions", ["created_us"])
    op.create_index(
        "ix_deletions_organisation_id_target_part",
        "deletions",
        ["organisation_id", "target", "part"],
    )
    op.create_index("ix_deletions_work_id", "deletions", ["work_id"])
