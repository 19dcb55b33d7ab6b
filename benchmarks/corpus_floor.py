"""The floor of benchmarks/corpus.py: the same rows written and read by plain sqlite3, no HTTP.

What is committed is on disk, as with the server (WAL, synchronous=FULL). A row is an element with
its polygon, its place below another, and what is known of its processing.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from pathlib import Path

SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
CREATE TABLE elements (id TEXT PRIMARY KEY, parent TEXT, position INTEGER, type TEXT, name TEXT,
    polygon TEXT, state TEXT, attempt INTEGER, changed_us INTEGER);
CREATE INDEX below ON elements (parent, position);
CREATE INDEX states ON elements (state);
CREATE TABLE events (id INTEGER PRIMARY KEY, element TEXT, state TEXT, at_us INTEGER);
"""


class Floor:
    """A database with a folder of so many elements."""

    def __init__(self, path: Path, count: int, bulk: int) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(SCHEMA)
        self.count = 0
        self.bulk = bulk
        self.fill_s = sum(self.create_s() for _ in range(count // bulk))

    def close(self) -> None:
        self._connection.close()

    def create_s(self) -> float:
        """Write as many elements as one call carries, from JSON; return the seconds."""
        body = json.dumps([described(self.count + each) for each in range(self.bulk)])
        begun = time.perf_counter()
        rows = [
            (str(uuid.uuid4()), "folder", self.count + place, each["type"], each["name"],
             json.dumps(each["polygon"]), "queued", 0, 0)
            for place, each in enumerate(json.loads(body))
        ]  # fmt: skip
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT INTO elements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
        self.count += self.bulk
        return time.perf_counter() - begun

    def list_s(self, count: int, size: int) -> float:
        """Read the first `count` elements of the folder in pages, as JSON; return the seconds."""
        begun = time.perf_counter()
        for first in range(0, count, size):
            rows = self._connection.execute(
                "SELECT id, type, name, polygon FROM elements WHERE parent = 'folder' "
                "ORDER BY position LIMIT ? OFFSET ?",
                (size, first),
            )
            names = ("id", "type", "name")
            json.dumps(
                [dict(zip(names, row, strict=False), zone=json.loads(row[3])) for row in rows]
            )
        return time.perf_counter() - begun

    def process_s(self, size: int) -> float:
        """Claim and report all elements, so many at a time; return the seconds."""
        self._connection.execute("UPDATE elements SET state = 'queued'")
        begun = time.perf_counter()
        while ids := self._move("queued", "started", size):
            self._tell(ids, "processed")
        return time.perf_counter() - begun

    def _move(self, old: str, new: str, size: int) -> list[str]:
        found = self._connection.execute(
            "SELECT id FROM elements WHERE state = ? LIMIT ?", (old, size)
        )
        ids = [row[0] for row in found]
        self._tell(ids, new)
        return ids

    def _tell(self, ids: list[str], state: str) -> None:
        now_us = time.time_ns() // 1000
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "UPDATE elements SET state = ?, attempt = attempt + 1, changed_us = ? WHERE id = ?",
                [(state, now_us, each) for each in ids],
            )
            self._connection.executemany(
                "INSERT INTO events (element, state, at_us) VALUES (?, ?, ?)",
                [(each, state, now_us) for each in ids],
            )


def described(number: int) -> dict[str, object]:
    """Return an element as a client sends it."""
    left, top = number % 40 * 20, number // 40 % 100 * 20
    ring = [[left, top], [left + 19, top], [left + 19, top + 19], [left, top + 19], [left, top]]
    return {"type": "line", "name": f"line {number}", "polygon": ring}
