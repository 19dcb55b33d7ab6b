"""Tables of what went on: buckets of time, counts of works, and how far both have got.

Nothing that claims or ends works writes here: a pass in the background reads the events and the
works, and keeps what it found.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from longshore.storage.schema import metadata

buckets = Table(
    "activity_buckets",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("length_s", Integer, primary_key=True, autoincrement=False),
    Column("begins_us", BigInteger, primary_key=True, autoincrement=False),
    Column("surface", Text, primary_key=True),
    Column("submitted", BigInteger, nullable=False),
    Column("claimed", BigInteger, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("retried", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    # The most there were at once, where a census fell into the time; NULL where none did.
    Column("waiting", BigInteger),
    Column("queued", BigInteger),
    Column("running", BigInteger),
    # Histograms, as JSON: how many fell between which bounds; see activity_histograms.
    Column("run_times", Text, nullable=False),
    Column("waits", Text, nullable=False),
    Index("ix_activity_buckets_begins_us", "length_s", "begins_us"),
    sqlite_with_rowid=False,
)

queue_counts = Table(
    "queue_counts",
    metadata,
    Column("queue_id", BigInteger, primary_key=True, autoincrement=False),
    Column("waiting", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
    Column("retrying", BigInteger, nullable=False),
    Column("success", BigInteger, nullable=False),
    Column("failure", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    # Since when the longest waiting queued work could have been claimed.
    Column("oldest_us", BigInteger),
    # When an attempt failed last, where there are failures that will not be tried again.
    Column("failed_us", BigInteger),
)

progress = Table(
    "activity_progress",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("took_us", BigInteger, nullable=False),
)
