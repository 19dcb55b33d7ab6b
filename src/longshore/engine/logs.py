"""What user code printed, by work and attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, select, tuple_

from longshore.engine.tables import logs, works
from longshore.limits import LOG_LINE_CHARACTERS, LOG_LINES_PER_ATTEMPT
from longshore.storage.bulk import insert_rows

_WORKER: Final = "worker"
_NOTES: Final = 20
"""Lines in which the worker itself says something, such as how many lines it left out, that are
kept of an attempt whose code has filled its share."""


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line to be kept; `at_us` is the worker's clock."""

    work_id: str
    attempt: int
    at_us: int
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was kept; `seq` grows within a work."""

    seq: int
    work_id: str
    attempt: int
    at_us: int
    stream: str
    text: str


def append(connection: Connection, lines: Sequence[NewLine], *, holder: str) -> int:
    """Keep lines of works that `holder` has claimed last; return how many were dropped.

    Lines of other works, and those past the limit of an attempt, are dropped.
    """
    pairs = sorted({(line.work_id, line.attempt) for line in lines})
    rows = connection.execute(
        select(works.c.id, works.c.attempt).where(
            tuple_(works.c.id, works.c.attempt).in_(pairs), works.c.worker_id == holder
        )
    )
    held = {(row.id, row.attempt) for row in rows}
    counts = Counter(_counts(connection, pairs))
    kept = []
    for line in lines:
        pair = (line.work_id, line.attempt)
        most = LOG_LINES_PER_ATTEMPT + (_NOTES if line.stream == _WORKER else 0)
        if pair not in held or counts[pair] >= most:
            continue
        counts[pair] += 1
        # PostgreSQL cannot store NUL in a text.
        text = line.text[:LOG_LINE_CHARACTERS].replace("\0", "\N{REPLACEMENT CHARACTER}")
        kept.append((line.work_id, line.attempt, line.at_us, line.stream, text))
    insert_rows(connection, logs, ("work_id", "attempt", "at_us", "stream", "text"), kept)
    return len(lines) - len(kept)


def read(
    connection: Connection, work_ids: Sequence[str], *, after: int = 0, limit: int
) -> list[Line]:
    """Return lines of works with a `seq` above `after`, in order."""
    rows = connection.execute(
        select(logs)
        .where(logs.c.work_id.in_(work_ids), logs.c.seq > after)
        .order_by(logs.c.seq)
        .limit(limit)
    )
    return [Line(**row._asdict()) for row in rows]


def latest(connection: Connection, work_id: str, attempt: int, *, limit: int) -> list[Line]:
    """Return the last lines of an attempt, in order."""
    rows = connection.execute(
        select(logs)
        .where(logs.c.work_id == work_id, logs.c.attempt == attempt)
        .order_by(logs.c.seq.desc())
        .limit(limit)
    )
    return [Line(**row._asdict()) for row in rows][::-1]


def tail(connection: Connection, work_ids: Sequence[str], *, limit: int) -> list[Line]:
    """Return the last lines of works, in order."""
    rows = connection.execute(
        select(logs).where(logs.c.work_id.in_(work_ids)).order_by(logs.c.seq.desc()).limit(limit)
    ).all()
    return [Line(**row._asdict()) for row in reversed(rows)]


def forget(connection: Connection, work_ids: Sequence[str], *, limit: int) -> int:
    """Delete up to `limit` lines of works and return how many; repeat until there are none."""
    some = select(logs.c.seq).where(logs.c.work_id.in_(work_ids)).limit(limit)
    return connection.execute(delete(logs).where(logs.c.seq.in_(some))).rowcount


def _counts(connection: Connection, pairs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    rows = connection.execute(
        select(logs.c.work_id, logs.c.attempt, func.count().label("lines"))
        .where(tuple_(logs.c.work_id, logs.c.attempt).in_(pairs))
        .group_by(logs.c.work_id, logs.c.attempt)
    )
    return {(row.work_id, row.attempt): row.lines for row in rows}
