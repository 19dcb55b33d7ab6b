"""A million works of realistic history, made from the living data of `longshore demo all`.

What the demonstration left behind is multiplied: a work of a bucket, a chunk, an element with its
activity, a run of an app with its files, a run of a workflow with its steps, each with its events,
payloads, results and outputs. Each copy has ids of its own and happened at a time of its own, over
the last thirty days. Works of buckets are spread over hundreds of them, a third of which belong to
two further organisations. The audit log grows by a fifth as many entries.
"""

from __future__ import annotations

import random
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, func, select

import longshore.server.app  # noqa: F401 - it knows all tables
from longshore.access.organisations import ensure
from longshore.engine import queues
from longshore.storage import Database, metadata
from longshore.storage.bulk import insert_rows

DAY_US: Final = 86_400_000_000
SHARES: Final = {"buckets": 0.55, "pipelines": 0.15, "activities": 0.1, "apps": 0.1, "scripts": 0.1}
"""How many of the works are of which surface."""
AUDITED: Final = 0.2
BUCKETS: Final = {"local": 300, "warehouse": 100, "laboratory": 50}
BATCH: Final = 20_000
_BY_WORK: Final = (
    "payloads", "results", "events", "dependencies", "bucket_works", "pipeline_chunks",
    "pipeline_inputs", "pipeline_outputs", "corpus_activities", "scripts_attempts",
    "scripts_payloads", "scripts_step_works",
)  # fmt: skip
_BY_ELEMENT: Final = (
    ("corpus_elements", "id"), ("corpus_paths", "child_id"),
    ("corpus_transcriptions", "element_id"), ("corpus_classifications", "element_id"),
    ("corpus_process_elements", "element_id"),
)  # fmt: skip
_OWN: Final = {
    "works": "id", "app_runs": "id", "scripts_steps": "id", "corpus_elements": "id",
    "corpus_transcriptions": "id", "corpus_classifications": "id", "pipeline_chunks": "chunk_id",
    "scripts_runs": "group_id",
}  # fmt: skip
"""Where the ids come from that a copy has anew."""
_EMPTIED: Final[dict[str, dict[str, None]]] = {
    "works": {"unique_key": None}, "scripts_runs": {"event_id": None},
}  # fmt: skip
"""What only one row may have."""
_DROPPED: Final = {"events": "seq", "reviews": "id"}
_PREFIXED: Final = re.compile(r"([a-z]{2})_[0-9a-v]{26}")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Unit:
    """Rows that are copied together, and the ids that a copy has anew."""

    works: int
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    number: int | None = None
    buckets: list[int] = field(default_factory=list)
    """Queues over which the copies are spread."""


def multiply(database: Database, url: str, works: int) -> dict[str, int]:
    """Copy what is there until there are about so many works; return rows by table."""
    buckets = [
        database.write_blocking(
            queues.ensure,
            organisation_id=database.write_blocking(ensure, name).id,
            surface="buckets",
            name=f"{name}-{number:03}",
            retention_s=None,
        )
        for name, many in BUCKETS.items()
        for number in range(many)
    ]
    # Without it, the server would archive what is older than a day.
    kept = [(queue_id, 3_650 * 86_400.0) for queue_id in buckets]
    database.write_blocking(
        insert_rows, metadata.tables["bucket_settings"], ("queue_id", "archive_after_s"), kept
    )
    units = database.read_blocking(_units)
    start = database.read_blocking(_numbers)
    store = _Store(url)
    chance = random.Random(7)
    for table, row in _copies(units, works, start, chance, buckets):
        store.add(table, row)
    return store.close()


def _copies(
    units: dict[str, list[Unit]],
    works: int,
    start: dict[str, int],
    chance: random.Random,
    buckets: list[int],
) -> Iterator[tuple[str, dict[str, Any]]]:
    chosen: list[Unit] = []
    for surface, share in {**SHARES, "audit": AUDITED}.items():
        if not units.get(surface):
            continue
        left = int(works * share)
        while left > 0:
            unit = chance.choice(units[surface])
            chosen.append(unit)
            left -= unit.works
    for unit in units.get("buckets", []):
        unit.buckets = buckets
    chance.shuffle(chosen)
    # A tenth of it happened within the last day.
    ages = sorted(
        (chance.random() * DAY_US * (1 if chance.random() < 0.1 else 30) for _ in chosen),
        reverse=True,
    )
    numbers = dict(start)
    for unit, age_us in zip(chosen, ages, strict=True):
        yield from _copy(unit, int(age_us), numbers, chance)


def _copy(
    unit: Unit, age_us: int, numbers: dict[str, int], chance: random.Random
) -> Iterator[tuple[str, dict[str, Any]]]:
    now_us = time.time_ns() // 1_000
    fresh = {old: _like(old, now_us - age_us, chance) for old in unit.ids}
    bucket = chance.choice(unit.buckets) if unit.buckets else None
    number = None
    if unit.number is not None:
        numbers["scripts_runs"] += 1
        number = numbers["scripts_runs"]
    for table, row in unit.rows:
        copy = {name: _moved(name, value, fresh, age_us) for name, value in row.items()}
        if number is not None:
            numbered = "id" if table == "scripts_runs" else "run_id"
            if copy.get(numbered) == unit.number:
                copy[numbered] = number
        if bucket is not None and "queue_id" in copy:
            copy["queue_id"] = bucket
        if table == "corpus_process_elements":
            numbers["positions"] += 1
            copy["position"] = numbers["positions"]
        yield table, copy | _EMPTIED.get(table, {})


def _moved(name: str, value: Any, fresh: dict[str, str], age_us: int) -> Any:
    """Return a value as the copy has it: ids of its own, and earlier."""
    if isinstance(value, str):
        return fresh.get(value, value)
    return value - age_us if isinstance(value, int) and name.endswith("_us") else value


def _like(old: str, at_us: int, chance: random.Random) -> str:
    """Return an id as it would have been made at a time."""
    bits = (at_us // 1_000) << 80 | 7 << 76 | chance.getrandbits(12) << 64
    bits |= 2 << 62 | chance.getrandbits(62)
    if (prefixed := _PREFIXED.fullmatch(old)) is not None:
        shifted = bits << 2
        letters = (_DIGITS[shifted >> shift & 31] for shift in range(125, -1, -5))
        return f"{prefixed[1]}_{''.join(letters)}"
    if _UUID.fullmatch(old):
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return f"{old}-{chance.getrandbits(48):x}"


def _units(connection: Connection) -> dict[str, list[Unit]]:
    """Find what can be copied: what is over, and a little of what waits."""
    tables = metadata.tables
    works, places = tables["works"], tables["queues"]
    found: dict[str, list[Unit]] = {}
    rows = connection.execute(
        select(works.c.id, places.c.surface)
        .join(places, places.c.id == works.c.queue_id)
        .where(works.c.state != "running")
    ).all()
    for row in rows:
        if row.surface in ("buckets", "pipelines"):
            unit = _unit(connection, [row.id], [])
        elif row.surface == "activities":
            element = connection.execute(
                select(tables["corpus_activities"].c.element_id).where(
                    tables["corpus_activities"].c.work_id == row.id
                )
            ).scalar()
            if element is None:
                continue
            unit = _unit(connection, [row.id], [(name, key, element) for name, key in _BY_ELEMENT])
        else:
            continue
        found.setdefault(row.surface, []).append(unit)
    found["apps"] = list(_app_runs(connection))
    found["scripts"] = list(_script_runs(connection))
    audit = tables["audit"]
    told = [column for column in audit.c if column.name != "id"]
    entries = connection.execute(select(*told).limit(200)).mappings()
    found["audit"] = [Unit(1, [("audit", dict(entry))]) for entry in entries]
    return {surface: units for surface, units in found.items() if units}


def _app_runs(connection: Connection) -> Iterator[Unit]:
    tables = metadata.tables
    runs = tables["app_runs"]
    for run in connection.execute(select(runs).where(runs.c.finished_us.is_not(None))):
        more = [("app_runs", "id", run.id), ("run_files", "run_id", run.id)]
        yield _unit(connection, _group(connection, run.id), [*more, ("reviews", "run_id", run.id)])


def _script_runs(connection: Connection) -> Iterator[Unit]:
    runs = metadata.tables["scripts_runs"]
    for run in connection.execute(select(runs).where(runs.c.finished_us.is_not(None))):
        names = ("scripts_inputs", "scripts_steps")
        more = [("scripts_runs", "id", run.id), *((name, "run_id", run.id) for name in names)]
        unit = _unit(connection, _group(connection, run.group_id), more)
        unit.number = run.id
        yield unit


def _group(connection: Connection, group_id: str) -> list[str]:
    works = metadata.tables["works"]
    return list(
        connection.execute(
            select(works.c.id).where(works.c.group_id == group_id, works.c.state != "running")
        ).scalars()
    )


def _unit(connection: Connection, work_ids: list[str], more: list[tuple[str, str, Any]]) -> Unit:
    unit = Unit(len(work_ids))

    def take(name: str, key: str, values: list[Any]) -> None:
        table = metadata.tables[name]
        for row in connection.execute(select(table).where(table.c[key].in_(values))).mappings():
            kept = {key: value for key, value in row.items() if key != _DROPPED.get(name)}
            unit.rows.append((name, kept))
            if name in _OWN:
                unit.ids.append(kept[_OWN[name]])

    for name, key, value in more:
        take(name, key, [value])
    if work_ids:
        take("works", "id", work_ids)
        for name in _BY_WORK:
            take(name, "work_id", work_ids)
    return unit


def _numbers(connection: Connection) -> dict[str, int]:
    """Return the largest numbers that are taken."""
    tables = metadata.tables
    largest = func.max(tables["corpus_process_elements"].c.position)
    return {
        "scripts_runs": connection.execute(select(func.max(tables["scripts_runs"].c.id))).scalar()
        or 0,
        "positions": connection.execute(select(largest)).scalar() or 0,
    }


_MEMBERS = (
    "UPDATE corpus_processes SET elements = (SELECT count(*) FROM corpus_process_elements "
    "WHERE corpus_process_elements.process_id = corpus_processes.id) WHERE elements IS NOT NULL"
)
"""Copies of elements are members of the process that the first one was in."""


class _Store:
    """Puts rows into a database by the thousand, without waiting for the disk."""

    def __init__(self, url: str) -> None:
        self._waiting: dict[str, list[tuple[Any, ...]]] = {}
        self._columns: dict[str, tuple[str, ...]] = {}
        self.counts: dict[str, int] = {}
        self._sqlite: sqlite3.Connection | None = None
        self._postgresql: psycopg.Connection | None = None
        if url.startswith("sqlite"):
            self._sqlite = sqlite3.connect(url.removeprefix("sqlite:///"))
            self._sqlite.execute("PRAGMA synchronous=OFF")
            self._sqlite.execute("PRAGMA cache_size=-500000")
            self._sqlite.execute("PRAGMA foreign_keys=OFF")
        else:
            # A table at a time by the thousand, so that what a row refers to may come after it.
            self._postgresql = psycopg.connect(
                url, options="-c synchronous_commit=off -c session_replication_role=replica"
            )

    def add(self, table: str, row: dict[str, Any]) -> None:
        columns = self._columns.setdefault(table, tuple(row))
        waiting = self._waiting.setdefault(table, [])
        waiting.append(tuple(row[name] for name in columns))
        if len(waiting) >= BATCH:
            self._flush(table)

    def close(self) -> dict[str, int]:
        for table in list(self._waiting):
            self._flush(table)
        self._run(_MEMBERS)
        if self._sqlite is not None:
            self._sqlite.commit()
            self._sqlite.execute("ANALYZE")
            self._sqlite.close()
        if self._postgresql is not None:
            # Numbers that were given are not to be given again.
            self._postgresql.execute(
                "SELECT setval(pg_get_serial_sequence('scripts_runs', 'id'), "
                "(SELECT max(id) FROM scripts_runs))"
            )
            self._postgresql.commit()
            self._postgresql.autocommit = True
            self._postgresql.execute("VACUUM ANALYZE")
            self._postgresql.close()
        return self.counts

    def _run(self, statement: str) -> None:
        if self._sqlite is not None:
            self._sqlite.execute(statement)
        if self._postgresql is not None:
            self._postgresql.execute(statement)

    def _flush(self, table: str) -> None:
        rows = self._waiting.pop(table, [])
        if not rows:
            return
        self.counts[table] = self.counts.get(table, 0) + len(rows)
        names = ", ".join(f'"{name}"' for name in self._columns[table])
        if self._sqlite is not None:
            marks = ", ".join("?" * len(self._columns[table]))
            self._sqlite.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
            self._sqlite.commit()
        if self._postgresql is not None:
            with (
                self._postgresql.cursor() as cursor,
                cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy,
            ):
                for row in rows:
                    copy.write_row(row)
            self._postgresql.commit()
