"""The keystore: data keys of organisations, entries and their versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of longshore.access.keystore_tables."""
    op.create_table(
        "keystore_keys",
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("master", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("retired_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_keystore_keys_organisation_id"
        ),
        sa.PrimaryKeyConstraint("organisation_id", "number", name="pk_keystore_keys"),
    )
    op.create_index("ix_keystore_keys_master", "keystore_keys", ["master"], unique=False)
    op.create_table(
        "keystore_entries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("ingress", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_keystore_entries_organisation_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_keystore_entries"),
        sa.UniqueConstraint(
            "organisation_id",
            "scope",
            "name",
            name="uq_keystore_entries_organisation_id_scope_name",
        ),
    )
    op.create_table(
        "keystore_versions",
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("data_key", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["keystore_entries.id"], name="fk_keystore_versions_entry_id"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id", "data_key"],
            ["keystore_keys.organisation_id", "keystore_keys.number"],
            name="fk_keystore_versions_data_key",
        ),
        sa.PrimaryKeyConstraint("entry_id", "version", name="pk_keystore_versions"),
    )
    op.create_index(
        "ix_keystore_versions_data_key",
        "keystore_versions",
        ["organisation_id", "data_key"],
        unique=False,
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("keystore_versions", "keystore_entries", "keystore_keys"):
        op.drop_table(table)
