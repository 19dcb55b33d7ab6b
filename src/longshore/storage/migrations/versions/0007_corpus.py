"""Corpora: elements and what is found on them, tokens of attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of longshore.surfaces.corpus.tables.elements and results, and of longshore.access."""
    _make_access()
    _make_corpora()
    _make_elements()
    _make_classifications()
    _make_transcriptions()
    _make_entities()


def downgrade() -> None:
    """Drop what upgrade makes."""
    for table in (
        "corpus_transcription_entities",
        "corpus_entities",
        "corpus_entity_types",
        "corpus_embeddings",
        "corpus_metadata",
        "corpus_transcriptions",
        "corpus_classifications",
        "corpus_classes",
        "corpus_paths",
        "corpus_elements",
        "corpus_images",
        "corpus_types",
        "corpora",
        "work_tokens",
    ):
        op.drop_table(table)


def _make_access() -> None:
    op.create_table(
        "work_tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_work_tokens_organisation_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_work_tokens"),
    )
    op.create_index("ix_work_tokens_work_id", "work_tokens", ["work_id"], unique=False)


def _make_corpora() -> None:
    op.create_table(
        "corpora",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("deletion_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_corpora"),
        sa.UniqueConstraint("organisation_id", "name", name="uq_corpora_organisation_id_name"),
    )
    op.create_table(
        "corpus_types",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("folder", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_types"),
        sa.UniqueConstraint("corpus_id", "slug", name="uq_corpus_types_corpus_id_slug"),
    )


def _make_elements() -> None:
    op.create_table(
        "corpus_images",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("blob_id", sa.Text(), nullable=True),
        sa.Column("external_url", sa.Text(), nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(blob_id IS NULL) <> (external_url IS NULL)", name=op.f("ck_corpus_images_source")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_images"),
        sa.UniqueConstraint(
            "organisation_id", "external_url", name="uq_corpus_images_organisation_id_external_url"
        ),
        sa.UniqueConstraint(
            "organisation_id", "sha256", name="uq_corpus_images_organisation_id_sha256"
        ),
    )
    op.create_table(
        "corpus_elements",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("type_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("image_id", sa.Text(), nullable=True),
        sa.Column("polygon", sa.Text(), nullable=True),
        sa.Column("rotation_angle", sa.Integer(), nullable=False),
        sa.Column("mirrored", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("worker_run_id", sa.Text(), nullable=False),
        sa.Column("creator", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(image_id IS NULL) = (polygon IS NULL)", name=op.f("ck_corpus_elements_zone")
        ),
        sa.CheckConstraint(
            "confidence IS NULL OR (confidence >= 0 AND confidence <= 1)",
            name=op.f("ck_corpus_elements_confidence"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_elements"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_corpus_elements_corpus_id_id", "corpus_elements", ["corpus_id", "id"], unique=False
    )
    op.create_index(
        "ix_corpus_elements_corpus_id_type_id_id",
        "corpus_elements",
        ["corpus_id", "type_id", "id"],
        unique=False,
    )
    op.create_index("ix_corpus_elements_image_id", "corpus_elements", ["image_id"], unique=False)
    op.create_table(
        "corpus_paths",
        sa.Column("parent_id", sa.Text(), nullable=False),
        sa.Column("child_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("parent_id", "child_id", name="pk_corpus_paths"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_corpus_paths_child_id", "corpus_paths", ["child_id"], unique=False)
    op.create_index(
        "ix_corpus_paths_parent_id_position_child_id",
        "corpus_paths",
        ["parent_id", "position", "child_id"],
        unique=False,
    )


def _make_classifications() -> None:
    op.create_table(
        "corpus_classes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_classes"),
        sa.UniqueConstraint("corpus_id", "name", name="uq_corpus_classes_corpus_id_name"),
    )
    op.create_table(
        "corpus_classifications",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("element_id", sa.Text(), nullable=False),
        sa.Column("class_id", sa.Text(), nullable=False),
        sa.Column("worker_run_id", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("high_confidence", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'validated', 'rejected')",
            name=op.f("ck_corpus_classifications_state"),
        ),
        sa.CheckConstraint(
            "confidence IS NULL OR (confidence >= 0 AND confidence <= 1)",
            name=op.f("ck_corpus_classifications_confidence"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_classifications"),
        sa.UniqueConstraint(
            "element_id",
            "worker_run_id",
            "class_id",
            name="uq_corpus_classifications_element_id_worker_run_id_class_id",
        ),
    )
    op.create_index(
        "ix_corpus_classifications_class_id", "corpus_classifications", ["class_id"], unique=False
    )


def _make_transcriptions() -> None:
    op.create_table(
        "corpus_transcriptions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("element_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("orientation", sa.Text(), nullable=False),
        sa.Column("worker_run_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "confidence IS NULL OR (confidence >= 0 AND confidence <= 1)",
            name=op.f("ck_corpus_transcriptions_confidence"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_transcriptions"),
    )
    op.create_index(
        "ix_corpus_transcriptions_element_id_worker_run_id",
        "corpus_transcriptions",
        ["element_id", "worker_run_id"],
        unique=False,
    )
    op.create_index(
        "ix_corpus_transcriptions_worker_run_id",
        "corpus_transcriptions",
        ["worker_run_id"],
        unique=False,
    )
    op.create_table(
        "corpus_metadata",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("element_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=True),
        sa.Column("worker_run_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_metadata"),
    )
    op.create_index(
        "ix_corpus_metadata_element_id", "corpus_metadata", ["element_id"], unique=False
    )
    op.create_table(
        "corpus_embeddings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("element_id", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("worker_run_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_embeddings"),
    )
    op.create_index(
        "ix_corpus_embeddings_element_id", "corpus_embeddings", ["element_id"], unique=False
    )


def _make_entities() -> None:
    op.create_table(
        "corpus_entity_types",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("color", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_entity_types"),
        sa.UniqueConstraint("corpus_id", "name", name="uq_corpus_entity_types_corpus_id_name"),
    )
    op.create_table(
        "corpus_entities",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("type_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("metas", sa.Text(), nullable=True),
        sa.Column("validated", sa.Boolean(), nullable=False),
        sa.Column("worker_run_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_entities"),
    )
    op.create_index(
        "ix_corpus_entities_corpus_id_name", "corpus_entities", ["corpus_id", "name"], unique=False
    )
    op.create_table(
        "corpus_transcription_entities",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("transcription_id", sa.Text(), nullable=False),
        sa.Column("type_id", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=True),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("worker_run_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            '"offset" >= 0 AND "length" > 0', name=op.f("ck_corpus_transcription_entities_span")
        ),
        sa.CheckConstraint(
            "confidence IS NULL OR (confidence >= 0 AND confidence <= 1)",
            name=op.f("ck_corpus_transcription_entities_confidence"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corpus_transcription_entities"),
    )
    op.create_index(
        "ix_corpus_transcription_entities_entity_id",
        "corpus_transcription_entities",
        ["entity_id"],
        unique=False,
    )
    op.create_index(
        "ix_corpus_transcription_entities_transcription_id",
        "corpus_transcription_entities",
        ["transcription_id"],
        unique=False,
    )
