"""The engine's tables.

`works` is the hot table and narrow: payload and result lie elsewhere, so that a change of state
rewrites little. Its keys are time-ordered, and each index that a claim or a pass of the janitor
uses is partial: a million finished works do not slow either.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    and_,
    false,
    or_,
    text,
    true,
)

from longshore.engine.states import Reason, State
from longshore.storage.schema import Identity64, metadata


def _is_one_of(column: str, values: Iterable[str]) -> str:
    # Written out: SQLite makes a table of the values of IN each time it checks a row, which took
    # half of the time of storing one.
    return " OR ".join(f"{column} = '{value}'" for value in values)


queues = Table(
    "queues",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("organisation_id", Text, nullable=False),
    Column("surface", Text, nullable=False),
    Column("name", Text, nullable=False),
    # Whoever serves the parent serves this queue as well.
    Column("parent_id", BigInteger),
    Column("attempts_max", Integer, nullable=False),
    Column("timeout_s", Float),
    Column("backoff_s", Float, nullable=False),
    Column("backoff_max_s", Float, nullable=False),
    Column("concurrency_max", Integer),
    Column("key_concurrency_max", Integer),
    Column("retention_s", Float),
    Column("expired_pause_s", Float, nullable=False, server_default="0"),
    Column("notices", Boolean, nullable=False, server_default=false()),
    Column("successes_told", Boolean, nullable=False, server_default=true()),
    Column("held_us", BigInteger),
    Column("held_by", Text),
    Column("held_why", Text),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "surface", "name"),
    Index(
        "ix_queues_parent_id", "parent_id",
        sqlite_where=text("parent_id IS NOT NULL"), postgresql_where=text("parent_id IS NOT NULL"),
    ),
)  # fmt: skip

works = Table(
    "works",
    metadata,
    Column("id", Text, primary_key=True),
    Column("queue_id", BigInteger, nullable=False),
    Column("group_id", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("attempts_max", Integer, nullable=False),
    Column("timeout_s", Float),
    Column("worker_id", Text),
    Column("lease_until_us", BigInteger),
    Column("retry_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("finished_us", BigInteger),
    Column("concurrency_key", Text),
    Column("unique_key", Text),
    CheckConstraint(_is_one_of("state", State), name="state"),
    CheckConstraint(_is_one_of("reason", Reason), name="reason"),
    CheckConstraint("(state = 'running') = (lease_until_us IS NOT NULL)", name="lease"),
    CheckConstraint(
        f"({_is_one_of('state', ('success', 'failure', 'cancelled'))}) = (finished_us IS NOT NULL)",
        name="finished",
    ),
    CheckConstraint("retry_us IS NULL OR state = 'failure'", name="retry"),
    CheckConstraint("attempt >= 0 AND attempts_max >= 1", name="attempts"),
    # The order in which a claim takes works.
    Index(
        "ix_works_claim", "queue_id", text("priority DESC"), "due_us", "id",
        sqlite_where=text("state = 'queued'"), postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "ix_works_due", "due_us",
        sqlite_where=text("state = 'waiting'"), postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "ix_works_lease", "lease_until_us",
        sqlite_where=text("lease_until_us IS NOT NULL"),
        postgresql_where=text("lease_until_us IS NOT NULL"),
    ),
    # Live leases of a queue and of a concurrency key: what the limits are derived from.
    Index(
        "ix_works_running", "queue_id", "concurrency_key",
        sqlite_where=text("state = 'running'"), postgresql_where=text("state = 'running'"),
    ),
    Index(
        "ix_works_retry", "retry_us",
        sqlite_where=text("retry_us IS NOT NULL"), postgresql_where=text("retry_us IS NOT NULL"),
    ),
    Index(
        "ix_works_finished", "queue_id", "state", "finished_us",
        sqlite_where=text("finished_us IS NOT NULL"),
        postgresql_where=text("finished_us IS NOT NULL"),
    ),
    Index(
        "ix_works_group", "group_id", "state",
        sqlite_where=text("group_id IS NOT NULL"), postgresql_where=text("group_id IS NOT NULL"),
    ),
    # A second submission with the same key finds the first work instead of making another.
    Index(
        "ix_works_unique", "queue_id", "unique_key", unique=True,
        sqlite_where=text("unique_key IS NOT NULL"),
        postgresql_where=text("unique_key IS NOT NULL"),
    ),
    # The key is the table on SQLite; PostgreSQL leaves room in a page to update rows in place.
    sqlite_with_rowid=False,
)  # fmt: skip

payloads = Table(
    "payloads",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("payload", Text, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("result", Text, nullable=False),
)

# Written only for works of requests that are traced, so that others pay nothing.
traces = Table(
    "traces",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("traceparent", Text, nullable=False),
    Column("shared", Boolean, nullable=False),
)

dependencies = Table(
    "dependencies",
    metadata,
    Column("work_id", Text, primary_key=True),
    Column("requires_id", Text, primary_key=True),
    Column("success_only", Boolean, nullable=False),
    Index("ix_dependencies_requires_id", "requires_id"),
)

events = Table(
    "events",
    metadata,
    Column("seq", Identity64, primary_key=True, autoincrement=True),
    Column("work_id", Text, nullable=False),
    Column("queue_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail", Text),
    Index("ix_events_work_id", "work_id"),
    Index("ix_events_at_us", "at_us"),
)

# Word of attempts that ended, for whoever follows a queue: written with the change itself and
# erased with what the follower made of it, so that neither is lost or done twice.
notices = Table(
    "notices",
    metadata,
    Column("seq", Identity64, primary_key=True, autoincrement=True),
    Column("work_id", Text, nullable=False),
    Column("queue_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("incarnation", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    # When it last asked for works; one that only renews leases is busy, or stuck.
    Column("claimed_us", BigInteger),
    Column("left_us", BigInteger),
    Column("version", Text, nullable=False, server_default=""),
    UniqueConstraint("organisation_id", "incarnation"),
)

worker_queues = Table(
    "worker_queues",
    metadata,
    Column("worker_id", Text, ForeignKey("workers.id", ondelete="CASCADE"), primary_key=True),
    Column("queue_id", BigInteger, ForeignKey("queues.id"), primary_key=True),
    Index("ix_worker_queues_queue_id", "queue_id"),
)

logs = Table(
    "logs",
    metadata,
    Column("seq", Identity64, primary_key=True, autoincrement=True),
    Column("work_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("stream", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index("ix_logs_work_id_attempt", "work_id", "attempt"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", BigInteger),
    Column("sha256", Text),
    Column("created_us", BigInteger, nullable=False),
    CheckConstraint("state IN ('pending', 'stored', 'doomed')", name="state"),
    CheckConstraint("state <> 'stored' OR sha256 IS NOT NULL", name="stored"),
    Index(
        "ix_artifacts_doomed", "created_us",
        sqlite_where=text("state <> 'stored'"), postgresql_where=text("state <> 'stored'"),
    ),
)  # fmt: skip


def is_final(table: FromClause) -> ColumnElement[bool]:
    """Return the condition that a row of `works`, or of an alias of it, is over for good."""
    return or_(
        table.c.state.in_(["success", "cancelled"]),
        and_(table.c.state == "failure", table.c.retry_us.is_(None)),
    )
