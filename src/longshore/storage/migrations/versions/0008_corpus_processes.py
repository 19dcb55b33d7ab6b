"""Corpora: workers, processes, tasks, activities, datasets, exports and models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of longshore.surfaces.corpus.tables.processes and datasets."""
    _make_workers()
    _make_processes()
    _make_tasks()
    _make_datasets()
    _make_artifacts()
    _make_models()
    _make_uploads()


def downgrade() -> None:
    """Drop what upgrade makes."""
    for table in (
        "corpus_upload_parts",
        "corpus_uploads",
        "corpus_model_versions",
        "corpus_models",
        "corpus_links",
        "corpus_exports",
        "corpus_artifacts",
        "corpus_dataset_elements",
        "corpus_dataset_sets",
        "corpus_datasets",
        "corpus_activities",
        "corpus_tasks",
        "corpus_worker_runs",
        "corpus_process_sets",
        "corpus_process_elements",
        "corpus_processes",
        "corpus_worker_configurations",
        "corpus_worker_versions",
        "corpus_workers",
    ):
        op.drop_table(table)


def _make_workers() -> None:
    op.create_table(
        "corpus_workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_workers"),
        sa.UniqueConstraint(
            "organisation_id", "slug", name="uq_corpus_workers_organisation_id_slug"
        ),
    )
    op.create_table(
        "corpus_worker_versions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('elements', 'dataset')", name=op.f("ck_corpus_worker_versions_kind")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_worker_versions"),
        sa.UniqueConstraint("queue_id", name="uq_corpus_worker_versions_queue_id"),
        sa.UniqueConstraint(
            "worker_id", "version", name="uq_corpus_worker_versions_worker_id_version"
        ),
    )
    op.create_index(
        "ix_corpus_worker_versions_organisation_id",
        "corpus_worker_versions",
        ["organisation_id"],
        unique=False,
    )
    op.create_table(
        "corpus_worker_configurations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_worker_configurations"),
        sa.UniqueConstraint(
            "worker_id", "digest", name="uq_corpus_worker_configurations_worker_id_digest"
        ),
    )


def _make_processes() -> None:
    op.create_table(
        "corpus_processes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("creator", sa.Text(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("activity", sa.Boolean(), nullable=False),
        sa.Column("queued", sa.Boolean(), nullable=False),
        sa.Column("use_cache", sa.Boolean(), nullable=False),
        sa.Column("activity_timeout_s", sa.Float(), nullable=False),
        sa.Column("selection", sa.Text(), nullable=False),
        sa.Column("elements", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("stopped_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "mode IN ('workers', 'dataset', 'export', 'local')",
            name=op.f("ck_corpus_processes_mode"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_processes"),
    )
    op.create_index(
        "ix_corpus_processes_corpus_id", "corpus_processes", ["corpus_id"], unique=False
    )
    op.create_index(
        "ix_corpus_processes_organisation_id_id",
        "corpus_processes",
        ["organisation_id", "id"],
        unique=False,
    )
    op.create_table(
        "corpus_process_elements",
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("element_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", "position", name="pk_corpus_process_elements"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_corpus_process_elements_element_id",
        "corpus_process_elements",
        ["element_id"],
        unique=False,
    )
    op.create_table(
        "corpus_process_sets",
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.Column("set_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", "set_id", name="pk_corpus_process_sets"),
    )


def _make_tasks() -> None:
    op.create_table(
        "corpus_worker_runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.Column("worker_version_id", sa.Text(), nullable=False),
        sa.Column("model_version_id", sa.Text(), nullable=True),
        sa.Column("configuration_id", sa.Text(), nullable=True),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_worker_runs"),
        sa.UniqueConstraint("queue_id", name="uq_corpus_worker_runs_queue_id"),
    )
    op.create_index(
        "ix_corpus_worker_runs_process_id",
        "corpus_worker_runs",
        ["process_id", "position"],
        unique=False,
    )
    op.create_index(
        "ix_corpus_worker_runs_worker_version_id",
        "corpus_worker_runs",
        ["worker_version_id"],
        unique=False,
    )
    op.create_table(
        "corpus_tasks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("process_id", sa.Text(), nullable=True),
        sa.Column("worker_run_id", sa.Text(), nullable=True),
        sa.Column("work_id", sa.Text(), nullable=True),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=True),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_tasks"),
        sa.UniqueConstraint("work_id", name="uq_corpus_tasks_work_id"),
    )
    op.create_index("ix_corpus_tasks_process_id", "corpus_tasks", ["process_id"], unique=False)
    op.create_index(
        "ix_corpus_tasks_worker_run_id", "corpus_tasks", ["worker_run_id"], unique=False
    )
    op.create_table(
        "corpus_activities",
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("element_id", sa.Text(), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("worker_run_id", sa.Text(), nullable=False),
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("work_id", name="pk_corpus_activities"),
        sa.UniqueConstraint(
            "element_id", "run_key", name="uq_corpus_activities_element_id_run_key"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_corpus_activities_worker_run_id_work_id",
        "corpus_activities",
        ["worker_run_id", "work_id"],
        unique=False,
    )


def _make_datasets() -> None:
    op.create_table(
        "corpus_datasets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("unique_elements", sa.Boolean(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=True),
        sa.Column("creator", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'building', 'complete', 'error')",
            name=op.f("ck_corpus_datasets_state"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_datasets"),
        sa.UniqueConstraint("corpus_id", "name", name="uq_corpus_datasets_corpus_id_name"),
    )
    op.create_table(
        "corpus_dataset_sets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_dataset_sets"),
        sa.UniqueConstraint("dataset_id", "name", name="uq_corpus_dataset_sets_dataset_id_name"),
    )
    op.create_table(
        "corpus_dataset_elements",
        sa.Column("set_id", sa.Text(), nullable=False),
        sa.Column("element_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("set_id", "element_id", name="pk_corpus_dataset_elements"),
        sa.UniqueConstraint("id", name="uq_corpus_dataset_elements_id"),
    )
    op.create_index(
        "ix_corpus_dataset_elements_dataset_id_id",
        "corpus_dataset_elements",
        ["dataset_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_corpus_dataset_elements_element_id",
        "corpus_dataset_elements",
        ["element_id"],
        unique=False,
    )


def _make_artifacts() -> None:
    op.create_table(
        "corpus_artifacts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("blob_id", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_artifacts"),
        sa.UniqueConstraint("task_id", "path", name="uq_corpus_artifacts_task_id_path"),
    )
    op.create_table(
        "corpus_exports",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("creator", sa.Text(), nullable=False),
        sa.Column("blob_id", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('created', 'running', 'failed', 'done')",
            name=op.f("ck_corpus_exports_state"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_exports"),
    )
    op.create_index(
        "ix_corpus_exports_corpus_id_id", "corpus_exports", ["corpus_id", "id"], unique=False
    )
    op.create_table(
        "corpus_links",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("blob_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_corpus_links"),
    )
    op.create_index("ix_corpus_links_expires_us", "corpus_links", ["expires_us"], unique=False)


def _make_models() -> None:
    op.create_table(
        "corpus_models",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_models"),
        sa.UniqueConstraint(
            "organisation_id", "name", name="uq_corpus_models_organisation_id_name"
        ),
    )
    op.create_table(
        "corpus_model_versions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("tag", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=True),
        sa.Column("archive_hash", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("blob_id", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('created', 'available', 'error')",
            name=op.f("ck_corpus_model_versions_state"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_model_versions"),
        sa.UniqueConstraint("model_id", "tag", name="uq_corpus_model_versions_model_id_tag"),
    )
    op.create_index(
        "ix_corpus_model_versions_model_id_id",
        "corpus_model_versions",
        ["model_id", "id"],
        unique=False,
    )


def _make_uploads() -> None:
    op.create_table(
        "corpus_uploads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('artifact', 'model_version', 'multipart')",
            name=op.f("ck_corpus_uploads_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_uploads"),
        sa.UniqueConstraint("digest", name="uq_corpus_uploads_digest"),
    )
    op.create_index("ix_corpus_uploads_expires_us", "corpus_uploads", ["expires_us"], unique=False)
    op.create_index("ix_corpus_uploads_object_id", "corpus_uploads", ["object_id"], unique=False)
    op.create_table(
        "corpus_upload_parts",
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("part_number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("md5", sa.Text(), nullable=False),
        sa.Column("blob_id", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("upload_id", "part_number", name="pk_corpus_upload_parts"),
        sa.UniqueConstraint("digest", name="uq_corpus_upload_parts_digest"),
    )
