"""The tables of the pipelines surface; what moves a chunk through its life is the engine's."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from longshore.storage.schema import metadata

pipeline_services = Table(
    "pipeline_services",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "folded"),
)

pipeline_versions = Table(
    "pipeline_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("service_id", Text, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    # The queue of synchronous executions; it is also the parent of the queues of pipelines.
    Column("queue_id", BigInteger, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("active_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("details", Text, nullable=False),
    Column("blob_id", Text),
    UniqueConstraint("service_id", "version"),
    CheckConstraint("kind IN ('python', 'workbook')", name="kind"),
    CheckConstraint("(kind = 'workbook') = (blob_id IS NOT NULL)", name="blob"),
    Index("ix_pipeline_versions_organisation_id", "organisation_id"),
)

pipelines = Table(
    "pipelines",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("service_id", Text, nullable=False),
    Column("version_id", Text, nullable=False),
    Column("queue_id", BigInteger, nullable=False, unique=True),
    Column("service_uri", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    # The last push, pull or question; a pipeline that nobody uses is closed.
    Column("active_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("ending", Text),
    # When the last chunk of a pipeline that takes no more was over.
    Column("completed_us", BigInteger),
    # How many computed records somebody has been told of; see longshore.surfaces.pipelines.status.
    Column("records_told", BigInteger, nullable=False, server_default="0"),
    Column("request_key", Text),
    Column("settings", Text, nullable=False),
    Column("input_buffer_bytes", BigInteger, nullable=False),
    Column("output_buffer_bytes", BigInteger, nullable=False),
    Column("chunk_bytes_max", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("ending IN ('closed', 'timeout', 'cancelled')", name="ending"),
    CheckConstraint("(ending IS NULL) = (ended_us IS NULL)", name="ended"),
    CheckConstraint("completed_us IS NULL OR ended_us IS NOT NULL", name="completed"),
    Index("ix_pipelines_organisation_id_created_us", "organisation_id", "created_us"),
    Index("ix_pipelines_version_id", "version_id"),
    Index(
        "ix_pipelines_request_key", "organisation_id", "request_key", unique=True,
        sqlite_where=text("request_key IS NOT NULL"),
        postgresql_where=text("request_key IS NOT NULL"),
    ),
    Index(
        "ix_pipelines_open", "active_us",
        sqlite_where=text("ended_us IS NULL"), postgresql_where=text("ended_us IS NULL"),
    ),
    Index(
        "ix_pipelines_running_out", "ended_us",
        sqlite_where=text("ended_us IS NOT NULL AND completed_us IS NULL"),
        postgresql_where=text("ended_us IS NOT NULL AND completed_us IS NULL"),
    ),
    Index(
        "ix_pipelines_completed", "completed_us",
        sqlite_where=text("completed_us IS NOT NULL"),
        postgresql_where=text("completed_us IS NOT NULL"),
    ),
)  # fmt: skip

# One row for each chunk for as long as its pipeline is kept: all totals are computed from these.
pipeline_chunks = Table(
    "pipeline_chunks",
    metadata,
    Column("work_id", Text, primary_key=True),
    # None for a synchronous execution.
    Column("pipeline_id", Text),
    Column("chunk_id", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("records", Integer, nullable=False),
    Column("columnar", Boolean, nullable=False),
    Column("input_bytes", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),
    Column("records_failed", Integer, nullable=False, server_default="0"),
    Column("output_bytes", BigInteger, nullable=False, server_default="0"),
    Column("compute_ms", Float, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # Whether the attempts of the whole chunk ran out, so that all its records have errors.
    Column("failed", Boolean, nullable=False, server_default=false()),
    Column("delivery_id", Text),
    Column("delivered_us", BigInteger),
    Column("erased_us", BigInteger),
    CheckConstraint("delivery_id IS NULL OR delivered_us IS NOT NULL", name="delivered"),
    UniqueConstraint("pipeline_id", "chunk_id"),
    # What waits or is computed: the input buffer.
    Index(
        "ix_pipeline_chunks_pending", "pipeline_id", "input_bytes",
        sqlite_where=text("finished_us IS NULL AND erased_us IS NULL"), postgresql_where=text("finished_us IS NULL AND erased_us IS NULL"),
    ),
    # What can be pulled, in the order in which it was computed: the output buffer.
    Index(
        "ix_pipeline_chunks_available", "pipeline_id", "finished_us", "work_id", "output_bytes",
        sqlite_where=text("finished_us IS NOT NULL AND delivered_us IS NULL AND erased_us IS NULL"),
        postgresql_where=text(
            "finished_us IS NOT NULL AND delivered_us IS NULL AND erased_us IS NULL"
        ),
    ),
    # What was pulled and can be had again.
    Index(
        "ix_pipeline_chunks_delivered", "pipeline_id", "delivered_us", "output_bytes",
        sqlite_where=text("delivered_us IS NOT NULL AND erased_us IS NULL"),
        postgresql_where=text("delivered_us IS NOT NULL AND erased_us IS NULL"),
    ),
    Index(
        "ix_pipeline_chunks_erasable", "delivered_us",
        sqlite_where=text("delivered_us IS NOT NULL AND erased_us IS NULL"),
        postgresql_where=text("delivered_us IS NOT NULL AND erased_us IS NULL"),
    ),
    # Executions that nobody waits for any more.
    Index(
        "ix_pipeline_chunks_executions", "created_us",
        sqlite_where=text("pipeline_id IS NULL"), postgresql_where=text("pipeline_id IS NULL"),
    ),
)  # fmt: skip

# Text on PostgreSQL too: what comes out is what came in, and nothing on the way parses it.
pipeline_inputs = Table(
    "pipeline_inputs",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("body", Text, nullable=False),
)

pipeline_outputs = Table(
    "pipeline_outputs",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("body", Text, nullable=False),
)
