"""Corpora, their types, and elements with their places on images."""

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
)

from longshore.storage.schema import metadata

corpora = Table(
    "corpora",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    # The work of the system job that deletes it; a corpus that is to go takes nothing more.
    Column("deletion_id", Text),
    UniqueConstraint("organisation_id", "name"),
)

corpus_types = Table(
    "corpus_types",
    metadata,
    Column("id", Text, primary_key=True),
    Column("corpus_id", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("folder", Boolean, nullable=False),
    UniqueConstraint("corpus_id", "slug"),
)

corpus_images = Table(
    "corpus_images",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    # One of them: bytes of our own, or an image service elsewhere.
    Column("blob_id", Text),
    Column("external_url", Text),
    # What an address of the image must hold, since it is read without a key.
    Column("secret", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("size_bytes", BigInteger),
    Column("sha256", Text),
    Column("details", Text),
    Column("created_us", BigInteger, nullable=False),
    CheckConstraint("(blob_id IS NULL) <> (external_url IS NULL)", name="source"),
    UniqueConstraint("organisation_id", "sha256"),
    UniqueConstraint("organisation_id", "external_url"),
)

corpus_elements = Table(
    "corpus_elements",
    metadata,
    Column("id", Text, primary_key=True),
    Column("corpus_id", Text, nullable=False),
    Column("type_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("image_id", Text),
    # JSON list of [x, y] on the image as it is stored, before rotation and mirroring.
    Column("polygon", Text),
    Column("rotation_angle", Integer, nullable=False),
    Column("mirrored", Boolean, nullable=False),
    Column("confidence", Float),
    # "" where a person made it.
    Column("worker_run_id", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    CheckConstraint("(image_id IS NULL) = (polygon IS NULL)", name="zone"),
    CheckConstraint(
        "confidence IS NULL OR (confidence >= 0 AND confidence <= 1)", name="confidence"
    ),
    Index("ix_corpus_elements_corpus_id_id", "corpus_id", "id"),
    Index("ix_corpus_elements_corpus_id_type_id_id", "corpus_id", "type_id", "id"),
    Index("ix_corpus_elements_image_id", "image_id"),
    sqlite_with_rowid=False,
)

corpus_paths = Table(
    "corpus_paths",
    metadata,
    Column("parent_id", Text, primary_key=True),
    Column("child_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Index("ix_corpus_paths_parent_id_position_child_id", "parent_id", "position", "child_id"),
    Index("ix_corpus_paths_child_id", "child_id"),
    sqlite_with_rowid=False,
)
