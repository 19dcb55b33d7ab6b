"""The dashboard: codes to sign in with, sessions, and what is seen of workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of longshore.access.session_tables, and tell more of workers."""
    op.add_column("workers", sa.Column("claimed_us", sa.BigInteger))
    op.add_column("workers", sa.Column("version", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "sign_in_codes",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_sign_in_codes_organisation_id"
        ),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_sign_in_codes_key_id"),
        sa.PrimaryKeyConstraint("digest", name="pk_sign_in_codes"),
    )
    op.create_index("ix_sign_in_codes_expires_us", "sign_in_codes", ["expires_us"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_sessions_organisation_id"
        ),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_sessions_key_id"),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires_us", "sessions", ["expires_us"], unique=False)
    op.create_index("ix_sessions_key_id", "sessions", ["key_id"], unique=False)


def downgrade() -> None:
    """Drop them."""
    for column in ("version", "claimed_us"):
        op.drop_column("workers", column)
    for table in ("sessions", "sign_in_codes"):
        op.drop_table(table)
