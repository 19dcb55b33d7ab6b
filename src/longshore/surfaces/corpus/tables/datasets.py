"""Datasets, artifacts of tasks, exports, models, uploads in progress and links to blobs."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from longshore.storage.schema import metadata

corpus_datasets = Table(
    "corpus_datasets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("corpus_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("unique_elements", Boolean, nullable=False),
    # The task that has its archive as an artifact.
    Column("task_id", Text),
    Column("creator", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    UniqueConstraint("corpus_id", "name"),
    CheckConstraint("state IN ('open', 'building', 'complete', 'error')", name="state"),
)

corpus_dataset_sets = Table(
    "corpus_dataset_sets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("dataset_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("position", Integer, nullable=False),
    UniqueConstraint("dataset_id", "name"),
)

corpus_dataset_elements = Table(
    "corpus_dataset_elements",
    metadata,
    Column("set_id", Text, primary_key=True),
    Column("element_id", Text, primary_key=True),
    Column("dataset_id", Text, nullable=False),
    Column("id", Text, nullable=False, unique=True),
    Index("ix_corpus_dataset_elements_dataset_id_id", "dataset_id", "id"),
    Index("ix_corpus_dataset_elements_element_id", "element_id"),
)

corpus_artifacts = Table(
    "corpus_artifacts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("task_id", Text, nullable=False),
    Column("path", Text, nullable=False),
    # Null until its bytes have come.
    Column("blob_id", Text),
    Column("content_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    UniqueConstraint("task_id", "path"),
)

corpus_exports = Table(
    "corpus_exports",
    metadata,
    Column("id", Text, primary_key=True),
    Column("corpus_id", Text, nullable=False),
    Column("dataset_id", Text),
    Column("state", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("blob_id", Text),
    Column("size_bytes", BigInteger),
    Column("sha256", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    # The work of the system job that writes it.
    Column("work_id", Text, nullable=False),
    CheckConstraint("state IN ('created', 'running', 'failed', 'done')", name="state"),
    Index("ix_corpus_exports_corpus_id_id", "corpus_id", "id"),
)

corpus_models = Table(
    "corpus_models",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "name"),
)

corpus_model_versions = Table(
    "corpus_model_versions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model_id", Text, nullable=False),
    Column("parent_id", Text),
    Column("tag", Text),
    Column("description", Text, nullable=False),
    Column("configuration", Text, nullable=False),
    Column("state", Text, nullable=False),
    # MD5 of the content and of the archive, as the published clients send them.
    Column("content_hash", Text),
    Column("archive_hash", Text),
    Column("size_bytes", BigInteger),
    Column("blob_id", Text),
    Column("content_type", Text),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("model_id", "tag"),
    CheckConstraint("state IN ('created', 'available', 'error')", name="state"),
    Index("ix_corpus_model_versions_model_id_id", "model_id", "id"),
)

# Bytes that are to come by an address that needs no key: whole files, and files in parts.
corpus_uploads = Table(
    "corpus_uploads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    # SHA-256 of the secret in the address.
    Column("digest", Text, nullable=False, unique=True),
    Column("content_type", Text),
    Column("size_bytes", BigInteger),
    Column("expires_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),
    CheckConstraint("kind IN ('artifact', 'model_version', 'multipart')", name="kind"),
    Index("ix_corpus_uploads_expires_us", "expires_us"),
    Index("ix_corpus_uploads_object_id", "object_id"),
)

corpus_upload_parts = Table(
    "corpus_upload_parts",
    metadata,
    Column("upload_id", Text, primary_key=True),
    Column("part_number", Integer, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("md5", Text, nullable=False),
    Column("blob_id", Text),
    Column("size_bytes", BigInteger),
)

# Addresses at which a blob can be had without a key, for a while.
corpus_links = Table(
    "corpus_links",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("blob_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Index("ix_corpus_links_expires_us", "expires_us"),
)
