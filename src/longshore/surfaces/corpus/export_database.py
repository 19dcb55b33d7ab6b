"""Exports of corpora: SQLite databases with the structure that programs for such exports know.

Its tables and columns are those that `arkindex-export` 0.2.5 reads, and those of version 11 of the
published structure that it leaves out: states of classifications, names of entities. Times are
seconds since 1970 as numbers, polygons and configurations are JSON.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import Row

from longshore.clock import SECOND_US
from longshore.surfaces.corpus.embeddings import numbers
from longshore.surfaces.corpus.gathering import Piece
from longshore.surfaces.corpus.images import Image

VERSION: Final = 11
_PATHS: Final = UUID("5f2d1d5e-6c8f-4d53-9d5f-5f1f1c5f7a11")
"""Name space of the ids of paths, which have none with us."""
_ROUNDS: Final = 20
_SCHEMA: Final = """
CREATE TABLE export_version (version INTEGER NOT NULL);
CREATE TABLE worker_version (
    id VARCHAR(37) PRIMARY KEY, slug VARCHAR(100) NOT NULL, name VARCHAR(100) NOT NULL,
    repository_url VARCHAR(250), revision VARCHAR(200), version INTEGER, type VARCHAR(50) NOT NULL,
    CHECK ((version IS NULL) <> (revision IS NULL)));
CREATE TABLE worker_run (
    id VARCHAR(37) PRIMARY KEY, worker_version_id VARCHAR(37) NOT NULL REFERENCES worker_version (id),
    model_version_id VARCHAR(37), model_id VARCHAR(37), model_name VARCHAR(100),
    configuration_id VARCHAR(37), configuration TEXT,
    CHECK ((model_version_id IS NULL) = (model_id IS NULL)
           AND (model_id IS NULL) = (model_name IS NULL)),
    CHECK ((configuration_id IS NULL) = (configuration IS NULL)));
CREATE TABLE image_server (
    id INTEGER PRIMARY KEY, url VARCHAR(200) NOT NULL UNIQUE, display_name VARCHAR(250) NOT NULL,
    max_width INTEGER CHECK (max_width >= 0), max_height INTEGER CHECK (max_height >= 0),
    version INTEGER NOT NULL DEFAULT 2 CHECK (version IN (2, 3)));
CREATE TABLE image (
    id VARCHAR(37) PRIMARY KEY, server_id INTEGER NOT NULL REFERENCES image_server (id),
    url TEXT NOT NULL UNIQUE, width INTEGER NOT NULL CHECK (width >= 0),
    height INTEGER NOT NULL CHECK (height >= 0));
CREATE TABLE element (
    id VARCHAR(37) PRIMARY KEY, created REAL NOT NULL, updated REAL NOT NULL,
    name VARCHAR(250) NOT NULL, type VARCHAR(50) NOT NULL,
    image_id VARCHAR(37) REFERENCES image (id), polygon TEXT,
    rotation_angle INTEGER NOT NULL DEFAULT 0 CHECK (rotation_angle BETWEEN 0 AND 359),
    mirrored INTEGER NOT NULL DEFAULT 0 CHECK (mirrored IN (0, 1)),
    worker_run_id VARCHAR(37) REFERENCES worker_run (id),
    confidence REAL CHECK (confidence BETWEEN 0 AND 1),
    CHECK ((image_id IS NULL) = (polygon IS NULL)));
CREATE TABLE element_path (
    id VARCHAR(37) PRIMARY KEY, parent_id VARCHAR(37) NOT NULL REFERENCES element (id),
    child_id VARCHAR(37) NOT NULL REFERENCES element (id),
    ordering INTEGER NOT NULL DEFAULT 0 CHECK (ordering >= 0), UNIQUE (parent_id, child_id));
CREATE INDEX element_path_child_id ON element_path (child_id);
CREATE TABLE classification (
    id VARCHAR(37) PRIMARY KEY, element_id VARCHAR(37) NOT NULL REFERENCES element (id),
    class_name VARCHAR(1024) NOT NULL, state VARCHAR(16) NOT NULL, moderator VARCHAR(255),
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1), high_confidence INTEGER NOT NULL,
    worker_run_id VARCHAR(37) REFERENCES worker_run (id));
CREATE INDEX classification_element_id ON classification (element_id);
CREATE TABLE transcription (
    id VARCHAR(37) PRIMARY KEY, element_id VARCHAR(37) NOT NULL REFERENCES element (id),
    text TEXT NOT NULL, confidence REAL CHECK (confidence BETWEEN 0 AND 1),
    orientation TEXT NOT NULL DEFAULT 'horizontal-lr',
    worker_run_id VARCHAR(37) REFERENCES worker_run (id));
CREATE INDEX transcription_element_id ON transcription (element_id);
CREATE TABLE entity_type (
    id VARCHAR(37) PRIMARY KEY, name VARCHAR(250) NOT NULL UNIQUE,
    color VARCHAR(6) NOT NULL DEFAULT 'ff0000');
CREATE TABLE entity (
    id VARCHAR(37) PRIMARY KEY, name TEXT NOT NULL,
    type_id VARCHAR(37) NOT NULL REFERENCES entity_type (id), validated INTEGER NOT NULL,
    moderator VARCHAR(255), metas TEXT, worker_run_id VARCHAR(37) REFERENCES worker_run (id));
CREATE TABLE transcription_entity (
    id VARCHAR(37) PRIMARY KEY, transcription_id VARCHAR(37) NOT NULL REFERENCES transcription (id),
    type_id VARCHAR(37) NOT NULL REFERENCES entity_type (id),
    entity_id VARCHAR(37) REFERENCES entity (id),
    "offset" INTEGER NOT NULL CHECK ("offset" >= 0), length INTEGER NOT NULL CHECK (length >= 0),
    confidence REAL CHECK (confidence BETWEEN 0 AND 1),
    worker_run_id VARCHAR(37) REFERENCES worker_run (id));
CREATE INDEX transcription_entity_transcription_id ON transcription_entity (transcription_id);
CREATE TABLE metadata (
    id VARCHAR(37) PRIMARY KEY, element_id VARCHAR(37) NOT NULL REFERENCES element (id),
    name VARCHAR(250) NOT NULL, type VARCHAR(50) NOT NULL, value TEXT NOT NULL,
    entity_id VARCHAR(37) REFERENCES entity (id),
    worker_run_id VARCHAR(37) REFERENCES worker_run (id));
CREATE INDEX metadata_element_id ON metadata (element_id);
CREATE TABLE embedding (
    id VARCHAR(37) PRIMARY KEY, created REAL NOT NULL, updated REAL NOT NULL,
    element_id VARCHAR(37) NOT NULL REFERENCES element (id),
    worker_run_id VARCHAR(37) REFERENCES worker_run (id), value TEXT NOT NULL);
CREATE INDEX embedding_element_id ON embedding (element_id);
CREATE TABLE dataset (
    id VARCHAR(37) PRIMARY KEY, name VARCHAR(100) NOT NULL, description TEXT NOT NULL,
    state VARCHAR(50) NOT NULL, sets TEXT NOT NULL);
CREATE TABLE dataset_element (
    id VARCHAR(37) PRIMARY KEY, element_id VARCHAR(37) NOT NULL REFERENCES element (id),
    dataset_id VARCHAR(37) NOT NULL REFERENCES dataset (id), set_name VARCHAR(50) NOT NULL);
CREATE INDEX dataset_element_element_id ON dataset_element (element_id);
"""

Values = Iterable[Sequence[Any]]


class ExportDatabase:
    """An export that is being written; use it in one thread at a time, then `finish` it."""

    def __init__(self, path: Path, site: str) -> None:
        """Make the file.

        Args:
            path: a file that is not there yet.
            site: scheme and host of this server, for the addresses of images.
        """
        self._site = site
        self._servers: dict[str, int] = {}
        self.worker_run_ids: set[str] = set()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # Until it is finished nobody reads it; one that was cut short is thrown away.
        self._connection.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA}"
        )
        self._marks = {
            table: ", ".join("?" * columns)
            for table, columns in self._connection.execute(
                "SELECT m.name, count(*) FROM sqlite_master m, pragma_table_info(m.name) "
                "WHERE m.type = 'table' GROUP BY m.name"
            )
        }
        self._connection.execute("INSERT INTO export_version VALUES (?)", (VERSION,))
        self._connection.execute("BEGIN")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def add(self, piece: Piece) -> None:
        """Write elements with all that belongs to them."""
        self._images(piece.images)
        self._insert("element", (_element(row, self._run(row)) for row in piece.elements))
        self._insert("element_path", map(_path, piece.paths))
        self._insert(
            "classification",
            (
                (row.id, row.element_id, row.class_name, row.state, None, row.confidence,
                 int(row.high_confidence), self._run(row))
                for row in piece.classifications
            ),
        )  # fmt: skip
        self._insert(
            "transcription",
            (
                (row.id, row.element_id, row.text, row.confidence, row.orientation, self._run(row))
                for row in piece.transcriptions
            ),
        )
        self._insert(
            "transcription_entity",
            (
                (row.id, row.transcription_id, row.type_id, row.entity_id, row.offset, row.length,
                 row.confidence, self._run(row))
                for row in piece.spans
            ),
        )  # fmt: skip
        self._insert(
            "metadata",
            (
                (
                    row.id,
                    row.element_id,
                    row.name,
                    row.type,
                    row.value,
                    row.entity_id,
                    self._run(row),
                )
                for row in piece.metadata
            ),
        )
        self._insert(
            "embedding",
            (
                (row.id, row.created_us / SECOND_US, row.created_us / SECOND_US, row.element_id,
                 self._run(row), json.dumps(numbers(row.value)))
                for row in piece.embeddings
            ),
        )  # fmt: skip

    def add_entity_types(self, rows: Sequence[Row[Any]]) -> None:
        """Write the entity types of the corpus."""
        self._insert("entity_type", ((row.id, row.name, row.color) for row in rows))

    def add_entities(self, rows: Sequence[Row[Any]]) -> None:
        """Write named entities."""
        self._insert(
            "entity",
            (
                (row.id, row.name, row.type_id, int(row.validated), None, row.metas, self._run(row))
                for row in rows
            ),
        )

    def add_dataset(self, dataset_id: str, name: str, description: str, state: str,
                    sets: Sequence[str]) -> None:  # fmt: skip
        """Write a dataset; its sets stand with commas in between."""
        self._insert("dataset", [(dataset_id, name, description, state, ",".join(sets))])

    def add_members(self, dataset_id: str, rows: Sequence[Row[Any]]) -> None:
        """Write which element is in which set of a dataset."""
        self._insert(
            "dataset_element", ((row.id, row.element_id, dataset_id, row.set_name) for row in rows)
        )

    def add_runs(self, versions: Values, runs: Values) -> None:
        """Write worker versions and worker runs, in the order of their columns."""
        self._insert("worker_version", versions)
        self._insert("worker_run", runs)

    def finish(self) -> dict[str, int]:
        """Drop what refers to something that is not there, and close; return the rows of tables."""
        with closing(self._connection):
            for table in ("element", "classification", "transcription", "transcription_entity",
                          "entity", "metadata", "embedding"):  # fmt: skip
                self._connection.execute(
                    f"UPDATE {table} SET worker_run_id = NULL "  # noqa: S608 - our own names
                    "WHERE worker_run_id NOT IN (SELECT id FROM worker_run)"
                )
            for table in ("metadata", "transcription_entity"):
                self._connection.execute(
                    f"UPDATE {table} SET entity_id = NULL "  # noqa: S608 - our own names
                    "WHERE entity_id NOT IN (SELECT id FROM entity)"
                )
            self._drop_orphans()
            self._connection.execute("COMMIT")
            return {
                table: self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
                for table in (
                    "element",
                    "image",
                    "classification",
                    "transcription",
                    "dataset_element",
                )
            }

    def _drop_orphans(self) -> None:
        for _ in range(_ROUNDS):
            orphans = {
                (table, row_id)
                for table, row_id, *_ in self._connection.execute("PRAGMA foreign_key_check")
            }
            if not orphans:
                return
            for table, row_id in orphans:
                self._connection.execute(
                    f"DELETE FROM {table} WHERE rowid = ?",  # noqa: S608 - our own names
                    (row_id,),
                )

    def _run(self, row: Row[Any]) -> str | None:
        if row.worker_run_id:
            self.worker_run_ids.add(row.worker_run_id)
        return row.worker_run_id or None

    def _images(self, images: Sequence[Image]) -> None:
        rows = []
        for image in images:
            server = image.shown(self._site)["server"]
            if server["url"] not in self._servers:
                self._servers[server["url"]] = len(self._servers) + 1
                self._insert(
                    "image_server",
                    [
                        (self._servers[server["url"]], server["url"], server["display_name"],
                         server["max_width"], server["max_height"], server["version"])
                    ],
                )  # fmt: skip
            address = image.address(self._site)
            place = self._servers[server["url"]]
            rows.append((image.id, place, address, image.width, image.height))
        self._insert("image", rows)

    def _insert(self, table: str, rows: Values) -> None:
        # An image is met with each piece that has an element on it.
        self._connection.executemany(
            f"INSERT INTO {table} VALUES ({self._marks[table]}) ON CONFLICT DO NOTHING",  # noqa: S608 - our own names
            rows,
        )


def _element(row: Row[Any], worker_run_id: str | None) -> tuple[Any, ...]:
    return (
        row.id, row.created_us / SECOND_US, row.updated_us / SECOND_US, row.name, row.type,
        row.image_id, row.polygon, row.rotation_angle, int(row.mirrored), worker_run_id,
        row.confidence,
    )  # fmt: skip


def _path(row: Row[Any]) -> tuple[Any, ...]:
    path_id = uuid5(_PATHS, f"{row.parent_id}/{row.child_id}")
    return (str(path_id), row.parent_id, row.child_id, row.position)
