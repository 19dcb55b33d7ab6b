"""The tables of the buckets surface; what moves a work through its life is the engine's."""

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
)

from longshore.storage.schema import metadata

# The document is text on PostgreSQL too: it comes back exactly as it was deposited, and what is
# hot (deposit, withdraw, update) need not parse it.
bucket_works = Table(
    "bucket_works",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("queue_id", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    # What a client sees as `attempt` is the engine's attempt and this: clients may set the number
    # back, while the engine's only grows.
    Column("attempt_offset", Integer, nullable=False, server_default="0"),
    Index("ix_bucket_works_queue_id_work_id", "queue_id", "work_id"),
    # With a rowid on SQLite: in a table without one, a row of over a kilobyte takes further pages.
)

bucket_settings = Table(
    "bucket_settings",
    metadata,
    Column("queue_id", BigInteger, primary_key=True, autoincrement=False),
    Column("archive_after_s", Float),
    Column("results_retention_s", Float),
)

# Deposits whose answers are not known to have arrived: the same request again is a retry.
bucket_deposits = Table(
    "bucket_deposits",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("ids", Text, nullable=False),
    Index("ix_bucket_deposits_at_us", "at_us"),
)

bucket_results = Table(
    "bucket_results",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("locked", Boolean, nullable=False),
    Column("deposited_us", BigInteger, nullable=False),
    # An id is taken once in an organisation: artifacts, which follow a work, know it by its id.
    Index("ix_bucket_results_organisation_id_id", "organisation_id", "id", unique=True),
    Index(
        "ix_bucket_results_organisation_id_pipeline_deposited_us",
        "organisation_id", "pipeline", "deposited_us",
    ),
)  # fmt: skip

bucket_artifacts = Table(
    "bucket_artifacts",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("work_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("pipeline", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("blob_id", Text),
    Column("size_bytes", BigInteger),
    Column("sha256", Text),
    CheckConstraint("kind IN ('product', 'plot')", name="kind"),
)

bucket_webhooks = Table(
    "bucket_webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("queue_id", BigInteger),
    Column("url", Text, nullable=False),
    Column("secrets", Text, nullable=False),
    Column("kinds", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_bucket_webhooks_organisation_id", "organisation_id"),
)
