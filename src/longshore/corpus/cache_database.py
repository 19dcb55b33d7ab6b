"""The SQLite file of a cache: one connection that the threads of a process share."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Database:
    """One connection to an SQLite file, opened with `init` and `connect`."""

    def __init__(self) -> None:
        """Make a database without a file."""
        self.path: Path | None = None
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._inherited: list[sqlite3.Connection] = []
        os.register_at_fork(after_in_child=self._reopen)

    def init(self, path: str | Path) -> None:
        """Choose the file, and close the one that was open."""
        self.close()
        self.path = Path(path)

    def connect(self) -> None:
        """Open the file; foreign keys and checks hold, which SQLite does not do by itself.

        Raises:
            sqlite3.OperationalError: the directory does not exist, or the file cannot be opened.
        """
        if self.path is None:
            raise RuntimeError("The cache has no file: call init_cache_db first.")
        self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA foreign_keys = 1")
        self._connection.execute("PRAGMA ignore_check_constraints = 0")

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def is_closed(self) -> bool:
        """Say whether there is no connection."""
        return self._connection is None

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement and return how many rows it changed."""
        with self._lock:
            return self._open().execute(sql, values).rowcount

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        with self._lock:
            return self._open().execute(sql, values).fetchall()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Make all statements of a block one change: all of them, or none after an error."""
        with self._lock:
            connection = self._open()
            if connection.in_transaction:
                yield
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _reopen(self) -> None:
        """Give a forked process a connection of its own.

        SQLite forbids to use that of the parent, and even to close it.
        """
        self._lock = threading.RLock()
        if self._connection is not None:
            self._inherited.append(self._connection)
            self.connect()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("The cache is not open: call init_cache_db first.")
        return self._connection


db = Database()
"""The cache of this process."""
