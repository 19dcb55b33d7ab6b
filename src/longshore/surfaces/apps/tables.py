"""Tables of the apps surface.

Files lie in one drive: a batch is a row and a folder, its files are the drive's files below that
folder. The bytes are blobs named by the server; a user's name is only ever a value in `path`.
A file of a run is a work of the engine; states, results and logs are the engine's.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from longshore.storage.schema import Identity64, metadata
from longshore.wire.apps import RunStatus

# Folders are listed by ranges of paths, so paths must sort by their bytes on both databases.
PathText = Text().with_variant(Text(collation="C"), "postgresql")

_STATUSES = ", ".join(f"'{status}'" for status in RunStatus)

batches = Table(
    "batches",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("organisation_id", Text, nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("workspace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("folder", PathText, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("deleting_us", BigInteger),
    Index(None, "organisation_id", "id"),
    # The id of a deleted batch must not be given to the next one: clients may still hold it.
    sqlite_autoincrement=True,
)

drive_files = Table(
    "drive_files",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("organisation_id", Text, nullable=False),
    Column("path", PathText, nullable=False),
    Column("blob_id", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    # The run that wrote the file as its output, or null for a user's file.
    Column("run_id", Text),
    Column("modified_us", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "path"),
    Index(None, "blob_id"),
    Index(
        "ix_drive_files_run", "run_id",
        sqlite_where=text("run_id IS NOT NULL"), postgresql_where=text("run_id IS NOT NULL"),
    ),
)  # fmt: skip

upload_sessions = Table(
    "upload_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("part_bytes", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    # The part ids of the commit, as JSON, so that its repeat is told from another commit.
    Column("committed_parts", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("touched_us", BigInteger, nullable=False),
    CheckConstraint("state IN ('open', 'committed', 'aborted')", name="state"),
    Index(None, "touched_us"),
    Index(None, "batch_id"),
)

upload_parts = Table(
    "upload_parts",
    metadata,
    Column("session_id", Text, ForeignKey("upload_sessions.id"), primary_key=True),
    Column("part_number", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("blob_id", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
)

apps = Table(
    "apps",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    # Folded for look-up: the protocol's own documents write one owner in two ways.
    Column("owner_folded", Text, nullable=False),
    Column("name_folded", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "owner_folded", "name_folded"),
)

app_versions = Table(
    "app_versions",
    metadata,
    Column("app_id", Text, ForeignKey("apps.id"), primary_key=True),
    Column("version", Text, primary_key=True),
    Column("queue_id", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    Column("timeout_s", Float),
    Column("attempts_max", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("offered_us", BigInteger, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("app_id", Text, ForeignKey("apps.id"), nullable=False),
    Column("version", Text),
    Column("output_workspace", Text),
    Column("output_dir", Text),
    Column("settings", Text, nullable=False),
    Column("retain_us", BigInteger),
    Column("delete_db_data", Boolean, nullable=False),
    Column("delete_input", Boolean, nullable=False),
    Column("delete_output", Boolean, nullable=False),
    Column("delete_logs", Boolean, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    # A deleted deployment stays, unseen, until retention has dealt with its last run.
    Column("deleted_us", BigInteger),
    Index(None, "organisation_id", "id"),
)

app_runs = Table(
    "app_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("app_id", Text, nullable=False),
    # Names are copied, so that a run can be read whatever becomes of its app.
    Column("app_name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("queue_id", BigInteger, nullable=False),
    Column("deployment_id", Text),
    Column("batch_id", BigInteger),
    Column("input_dir", Text, nullable=False),
    Column("output_dir", Text, nullable=False),
    Column("output_workspace", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("message", Text),
    Column("finisher_id", Text, nullable=False),
    Column("cancelled_us", BigInteger),
    Column("started_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),
    # Documents that wait for a person's review, from the end of the run on.
    Column("documents_to_review", Integer),
    # When retention has deleted what its deployment names and the record itself was kept.
    Column("retained_us", BigInteger),
    CheckConstraint(f"status IN ({_STATUSES})", name="status"),
    CheckConstraint("(status = 'RUNNING') = (finished_us IS NULL)", name="finished"),
    Index(None, "organisation_id", "started_us"),
    Index(
        "ix_app_runs_batch", "batch_id",
        sqlite_where=text("status = 'RUNNING'"), postgresql_where=text("status = 'RUNNING'"),
    ),
    Index(
        "ix_app_runs_retention", "deployment_id", "finished_us",
        sqlite_where=text("deployment_id IS NOT NULL AND retained_us IS NULL"),
        postgresql_where=text("deployment_id IS NOT NULL AND retained_us IS NULL"),
    ),
    # What people look through runs by.
    Index(None, "organisation_id", "app_name", "started_us"),
    Index(None, "organisation_id", "status", "started_us"),
    Index(None, "organisation_id", "output_workspace", "started_us"),
    Index(
        "ix_app_runs_review", "organisation_id", "started_us",
        sqlite_where=text("documents_to_review > 0"),
        postgresql_where=text("documents_to_review > 0"),
    ),
)  # fmt: skip

run_files = Table(
    "run_files",
    metadata,
    Column("run_id", Text, ForeignKey("app_runs.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("path", PathText, nullable=False),
    # Pinned while the run is RUNNING: an overwritten or deleted file keeps its bytes until then.
    Column("blob_id", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("work_id", Text, nullable=False),
    Column("pdf_path", Text),
    Index(None, "blob_id"),
)

deletions = Table(
    "deletions",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("organisation_id", Text, nullable=False),
    # What was deleted, such as "batch:12" or "run:rn_...", and which part of it.
    Column("target", Text, nullable=False),
    Column("part", Text, nullable=False),
    # The job; null for what was deleted at once.
    Column("work_id", Text),
    # What is gone so far; counted in the transactions that delete, so a killed job counts right.
    Column("rows", BigInteger, nullable=False),
    Column("objects", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index(None, "organisation_id", "target", "part"),
    Index(None, "work_id"),
    Index(None, "created_us"),
)
