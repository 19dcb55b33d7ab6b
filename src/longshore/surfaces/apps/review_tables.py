"""Tables of the human review of results.

A document of a run's result has a row once it needs a review, or once somebody has touched it.
What the app returned stays with the file's work and is never changed: corrections lie beside it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from longshore.storage.schema import Identity64, metadata

reviews = Table(
    "reviews",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("organisation_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    # Which file of the run, and which document of the file; both from 0.
    Column("position", Integer, nullable=False),
    Column("document", Integer, nullable=False),
    # Copied from run and file, so that the queue of what is to be done needs no other table.
    Column("workspace", Text, nullable=False),
    Column("app_name", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Why a person should look at it, as a JSON list of sentences.
    Column("reasons", Text, nullable=False),
    # Counts what was changed; who changes it says which version they saw.
    Column("version", Integer, nullable=False),
    # Who looks at it now, and until when it is left to them.
    Column("reviewer_id", Text),
    Column("reviewer", Text),
    Column("lease_us", BigInteger),
    Column("accepted_by", Text),
    Column("accepted_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    CheckConstraint("state IN ('open', 'accepted')", name="state"),
    CheckConstraint("(state = 'accepted') = (accepted_us IS NOT NULL)", name="accepted"),
    UniqueConstraint("run_id", "position", "document"),
    Index(None, "organisation_id", "state", "id"),
    # The same of one run; with the organisation, so that SQLite prefers it.
    Index(None, "organisation_id", "run_id", "state", "id"),
    # The same of what a key or a filter is bound to: what waits elsewhere is not looked through.
    Index(None, "organisation_id", "workspace", "state", "id"),
    Index(None, "organisation_id", "app_name", "state", "id"),
    Index(None, "organisation_id", "workspace", "app_name", "state", "id"),
    # What somebody looks at: few, however many wait.
    Index(
        "ix_reviews_leased",
        "organisation_id", "lease_us",
        sqlite_where=text("lease_us IS NOT NULL"), postgresql_where=text("lease_us IS NOT NULL"),
    ),
)  # fmt: skip

review_changes = Table(
    "review_changes",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("review_id", BigInteger, ForeignKey("reviews.id"), nullable=False),
    Column("kind", Text, nullable=False),
    # Index of the field in the document; null where the change is of no single field.
    Column("field", Integer),
    Column("previous", Text),
    Column("value", Text),
    Column("reason", Text),
    Column("actor", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    CheckConstraint("kind IN ('field', 'class', 'accept', 'reopen')", name="kind"),
    CheckConstraint("(kind = 'field') = (field IS NOT NULL)", name="field"),
    Index(None, "review_id", "id"),
)
