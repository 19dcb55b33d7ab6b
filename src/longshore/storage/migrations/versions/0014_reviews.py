"""Human review of results: what needs a person, and what people changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from longshore.storage.schema import Identity64

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
_BOUND = ((), ("run_id",), ("workspace",), ("app_name",), ("workspace", "app_name"))
_LOOKED_THROUGH = ("app_name", "status", "output_workspace")


def upgrade() -> None:
    """Make the tables of longshore.surfaces.apps.review_tables, and indexes of runs."""
    op.create_table(
        "reviews",
        sa.Column("id", Identity64, autoincrement=True, nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document", sa.Integer(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("app_name", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Text(), nullable=True),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("lease_us", sa.BigInteger(), nullable=True),
        sa.Column("accepted_by", sa.Text(), nullable=True),
        sa.Column("accepted_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'accepted')", name="state"),
        sa.CheckConstraint("(state = 'accepted') = (accepted_us IS NOT NULL)", name="accepted"),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint(
            "run_id", "position", "document", name="uq_reviews_run_id_position_document"
        ),
    )
    for bound in _BOUND:
        columns = ["organisation_id", *bound, "state", "id"]
        op.create_index(f"ix_reviews_{'_'.join(columns)}", "reviews", columns, unique=False)
    op.create_index(
        "ix_reviews_leased",
        "reviews",
        ["organisation_id", "lease_us"],
        unique=False,
        sqlite_where=sa.text("lease_us IS NOT NULL"),
        postgresql_where=sa.text("lease_us IS NOT NULL"),
    )
    op.create_table(
        "review_changes",
        sa.Column("id", Identity64, autoincrement=True, nullable=False),
        sa.Column("review_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("field", sa.Integer(), nullable=True),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('field', 'class', 'accept', 'reopen')", name="kind"),
        sa.CheckConstraint("(kind = 'field') = (field IS NOT NULL)", name="field"),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name="fk_review_changes_review_id"),
        sa.PrimaryKeyConstraint("id", name="pk_review_changes"),
    )
    op.create_index(
        "ix_review_changes_review_id_id", "review_changes", ["review_id", "id"], unique=False
    )
    for column in _LOOKED_THROUGH:
        op.create_index(
            f"ix_app_runs_organisation_id_{column}_started_us",
            "app_runs",
            ["organisation_id", column, "started_us"],
        )
    op.create_index(
        "ix_app_runs_review",
        "app_runs",
        ["organisation_id", "started_us"],
        sqlite_where=sa.text("documents_to_review > 0"),
        postgresql_where=sa.text("documents_to_review > 0"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_app_runs_review", "app_runs")
    for column in _LOOKED_THROUGH:
        op.drop_index(f"ix_app_runs_organisation_id_{column}_started_us", "app_runs")
    for table in ("review_changes", "reviews"):
        op.drop_table(table)
