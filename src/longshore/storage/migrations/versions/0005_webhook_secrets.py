"""The secret that an organisation's webhooks are signed with, where they have none of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of longshore.edge.secrets."""
    op.create_table(
        "webhook_secrets",
        sa.Column("organisation_id", sa.Text, nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", name="pk_webhook_secrets"),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_webhook_secrets_organisation_id"
        ),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("webhook_secrets")
