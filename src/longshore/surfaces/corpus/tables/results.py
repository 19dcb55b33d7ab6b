"""What people and workers find on elements. A `worker_run_id` of "" means that a person did."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from longshore.storage.schema import metadata

_CONFIDENCE = "confidence IS NULL OR (confidence >= 0 AND confidence <= 1)"

corpus_classes = Table(
    "corpus_classes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("corpus_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("corpus_id", "name"),
)

corpus_classifications = Table(
    "corpus_classifications",
    metadata,
    Column("id", Text, primary_key=True),
    Column("element_id", Text, nullable=False),
    Column("class_id", Text, nullable=False),
    Column("worker_run_id", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("high_confidence", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("element_id", "worker_run_id", "class_id"),
    CheckConstraint(_CONFIDENCE, name="confidence"),
    CheckConstraint("state IN ('pending', 'validated', 'rejected')", name="state"),
    Index("ix_corpus_classifications_class_id", "class_id"),
)

corpus_transcriptions = Table(
    "corpus_transcriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("element_id", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("confidence", Float),
    Column("orientation", Text, nullable=False),
    Column("worker_run_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    CheckConstraint(_CONFIDENCE, name="confidence"),
    Index("ix_corpus_transcriptions_element_id_worker_run_id", "element_id", "worker_run_id"),
    Index("ix_corpus_transcriptions_worker_run_id", "worker_run_id"),
)

corpus_entity_types = Table(
    "corpus_entity_types",
    metadata,
    Column("id", Text, primary_key=True),
    Column("corpus_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("color", Text, nullable=False),
    UniqueConstraint("corpus_id", "name"),
)

corpus_entities = Table(
    "corpus_entities",
    metadata,
    Column("id", Text, primary_key=True),
    Column("corpus_id", Text, nullable=False),
    Column("type_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("metas", Text),
    Column("validated", Boolean, nullable=False),
    Column("worker_run_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_corpus_entities_corpus_id_name", "corpus_id", "name"),
)

corpus_transcription_entities = Table(
    "corpus_transcription_entities",
    metadata,
    Column("id", Text, primary_key=True),
    Column("transcription_id", Text, nullable=False),
    Column("type_id", Text, nullable=False),
    # The named entity of the older clients; the newer ones know typed spans only.
    Column("entity_id", Text),
    Column("offset", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("confidence", Float),
    Column("worker_run_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    CheckConstraint(_CONFIDENCE, name="confidence"),
    CheckConstraint('"offset" >= 0 AND "length" > 0', name="span"),
    Index("ix_corpus_transcription_entities_transcription_id", "transcription_id"),
    Index("ix_corpus_transcription_entities_entity_id", "entity_id"),
)

corpus_metadata = Table(
    "corpus_metadata",
    metadata,
    Column("id", Text, primary_key=True),
    Column("element_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("entity_id", Text),
    Column("worker_run_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_corpus_metadata_element_id", "element_id"),
)

corpus_embeddings = Table(
    "corpus_embeddings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("element_id", Text, nullable=False),
    # Numbers of 32 bits, lowest byte first.
    Column("value", LargeBinary, nullable=False),
    Column("worker_run_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_corpus_embeddings_element_id", "element_id"),
)
